"""Run all benchmarks that have a target, and print one table: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

from benchmarks import (
    bench_calls,
    bench_dag,
    bench_direct,
    bench_import,
    bench_isolation,
    bench_journal,
    bench_runs,
    bench_streams,
)
from benchmarks.harness import main

if __name__ == "__main__":
    main(
        bench_import.bench,
        bench_calls.bench,
        bench_direct.bench,
        bench_isolation.bench,
        bench_streams.bench,
        bench_runs.bench,
        bench_dag.bench,
        bench_journal.bench,
    )
