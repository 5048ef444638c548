"""Run whole programs of QCoDeS's and PyMeasure's users: as they have them today, and the same in a lab."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("programs")


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run a program and return the lines of its table."""
    runpy.run_path(str(PROGRAMS / name), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if not line.startswith(("Connected to", "Starting experimental run"))]


@pytest.mark.parametrize("package", ["pymeasure", "qcodes"])
def test_a_program_prints_in_a_lab_what_it_prints_alone(
    package: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    alone = printed(f"{package}_alone.py", capsys)
    assert len(alone) == 5
    assert printed(f"{package}_in_a_lab.py", capsys) == alone
