"""The programs of the README run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=[str(number) for number in range(1, len(PROGRAMS) + 1)])
def test_a_program_of_the_readme_runs(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=50, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_the_readme_has_its_programs() -> None:
    assert len(PROGRAMS) >= 4
