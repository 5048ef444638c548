"""Both type checkers, strict, pass the programs that actorlab is made for, and flag each planted mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
GOOD = "good.py"
PLANTED = "planted_mistakes.py"

pytestmark = [pytest.mark.static, pytest.mark.slow, pytest.mark.timeout(900)]


def with_mypy(folder: Path) -> set[tuple[str, int]]:
    """Return the file and line of each error that mypy finds."""
    options = ["--strict", "--no-error-summary", "--config-file=", f"--cache-dir={folder}"]
    command = [sys.executable, "-m", "mypy", *options, "."]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    shown = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not shown.stderr, shown.stderr
    errors = re.findall(r"^(.+?):(\d+): error", shown.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)) for file, line in errors}


def with_pyright(folder: Path) -> set[tuple[str, int]]:
    """Return the file and line of each error that pyright finds."""
    settings = {"typeCheckingMode": "strict", "include": ["."], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    answer = json.loads(shown.stdout)
    assert answer["summary"]["filesAnalyzed"] == len([*folder.glob("*.py")])
    errors = [item for item in answer["generalDiagnostics"] if item["severity"] == "error"]
    return {(Path(item["file"]).name, item["range"]["start"]["line"] + 1) for item in errors}


Checker = Callable[[Path], set[tuple[str, int]]]


@pytest.mark.parametrize("check", [with_mypy, with_pyright])
def test_the_programs_pass_and_each_planted_mistake_is_flagged_where_it_is(check: Checker, tmp_path: Path) -> None:
    for name in (GOOD, PLANTED):  # beside each other and nothing else, so that they can import each other by name
        shutil.copy(HERE / "typing" / name, tmp_path)
    lines = (tmp_path / PLANTED).read_text("utf-8").splitlines()
    mistakes = {(PLANTED, number) for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    assert len(mistakes) > 10
    assert check(tmp_path) == mistakes
