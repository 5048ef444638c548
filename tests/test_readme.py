"""The programs of the README and of the documentation run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    f"{page.stem} {number}": program
    for page in PAGES
    for number, program in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL), 1
    )
}
TESTS = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "tests").rglob("test_*.py")))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_of_the_documentation_runs(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=50, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_the_readme_has_its_programs() -> None:
    assert len([name for name in PROGRAMS if name.startswith("README")]) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_each_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")))
    assert not [name for name in sorted(named) if f"def {name}(" not in TESTS]


def test_each_program_that_is_shown_and_run_elsewhere_is_that_program() -> None:
    shown = [block for page in PAGES for block in re.findall(r"```py\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    programs = [file.read_text("utf-8") for file in sorted((ROOT / "tests" / "foreign" / "programs").glob("*.py"))]
    assert shown
    assert not [block for block in shown if block not in programs]
