"""See that the benchmarks run; how fast is for the eye, on a machine of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bench_calls",
        "bench_cancel",
        "bench_dag",
        "bench_http",
        "bench_events",
        "bench_import",
        "bench_isolation",
        "bench_journal",
        "bench_journalling",
        "bench_past_runs",
        "bench_processes",
        "bench_rehearse",
        "bench_runs",
        "bench_streams",
        "bench_tasks",
        "bench_waiting",
    ],
)
def test_a_benchmark_prints_its_ratios_next_to_their_targets(name: str) -> None:
    lines = run(f"benchmarks.{name}", "--quick").splitlines()
    assert any("≤" in line for line in lines)


@pytest.mark.slow
def test_the_benchmark_of_the_lease_table_prints_a_row_for_each_load() -> None:
    assert "distinct_slots" in run("benchmarks.bench_lease_table", "1000")


def test_all_benchmarks_are_run_by_one_command() -> None:
    source = (ROOT / "benchmarks" / "__main__.py").read_text()
    for path in (ROOT / "benchmarks").glob("bench_*.py"):
        assert path.stem in source or path.stem == "bench_lease_table"  # which has no target
