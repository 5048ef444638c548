"""Commands that only read load no more than they need, so that they answer at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import actorlab

ROOT = Path(actorlab.__file__).parent
PROGRAM = """
import sys
from actorlab.cli.main import app
try:
    app(sys.argv[1:])
finally:
    heavy = {"actorlab.runtime.lab", "networkx", "numpy", "pykka", "pyvisa", "structlog"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a journal in which there is one run, and a lab's file."""
    made = tmp_path_factory.mktemp("kept")
    (made / "lab.yaml").write_text("name: bench\njournal: journal.db\n", encoding="utf-8")
    with actorlab.Lab(journal=made / "journal.db") as lab:
        lab.run(sum, [1, 2])
    return made


@pytest.mark.parametrize("asked", [("runs",), ("show", "sum#1"), ("why", "sum#1")], ids=lambda asked: asked[0])
def test_a_command_that_reads_a_journal_loads_no_lab(folder: Path, asked: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", PROGRAM, *asked]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "sum" in ended.stdout
    assert ended.stderr.splitlines()[-1] == "[]"


def test_all_that_is_offered_is_there_loaded_or_not() -> None:
    assert set(actorlab.__all__) <= set(dir(actorlab))
    for name in actorlab.__all__:
        assert getattr(actorlab, name) is not None


def test_nothing_that_is_loaded_later_has_the_name_of_a_module() -> None:
    modules = {path.stem for path in ROOT.iterdir()}
    assert not modules & {name for names in actorlab._LATER.values() for name in names}
