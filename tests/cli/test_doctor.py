"""Hold what the doctor finds, and that it waits for nobody for long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from actorlab.cli import checking
from actorlab.cli.checking import Finding, disk, extras, resources
from actorlab.journal import Journal

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_visa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the VISA libraries alone, where the test isn't about them."""
    if "visa" not in request.node.name:
        monkeypatch.setattr(checking, "visa", lambda _: ())


def found(result: Result, what: str) -> list[Finding]:
    findings = [Finding(**json.loads(line)) for line in result.stdout.splitlines()]
    return [finding for finding in findings if finding.what == what]


def test_where_nothing_is_wrong_it_exits_with_0(actorlab: Command, lab_file: Path) -> None:
    Journal.open(lab_file.with_name("journal.db")).close()
    well = actorlab("doctor", "--json")
    assert well.exit_code == 0
    assert found(well, "lab")[0].text.startswith("lab.yaml: laser, meter, oven")
    (journal,) = found(well, "journal")
    assert (journal.state, "opened 1 times" in journal.text) == ("ok", True)
    assert found(well, "disk")[0].text.endswith(f"free at {lab_file.parent}")
    assert "✔ journal" in actorlab("doctor").stdout


def test_in_an_empty_folder_it_says_what_is_still_to_come(actorlab: Command) -> None:
    well = actorlab("doctor", "--json")
    assert well.exit_code == 0
    assert "`actorlab init` begins one" in found(well, "lab")[0].text
    assert found(well, "journal") == [Finding("journal", "note", "there is none yet: journal.db")]


def test_a_mistaken_lab_file_and_a_damaged_journal_are_wrong(actorlab: Command, lab_file: Path) -> None:
    lab_file.write_text("devices: {laser: {clas: 3}}")
    lab_file.with_name("journal.db").write_text("not a database at all, but somebody's notes")
    wrong = actorlab("doctor", "--json")
    assert wrong.exit_code == 1
    assert (found(wrong, "lab")[0].state, "lab.yaml:1" in found(wrong, "lab")[0].text) == ("wrong", True)
    assert found(wrong, "journal")[0].state == "wrong"


def test_it_says_who_writes_the_journal(actorlab: Command, tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db", lab="mine"):
        assert "it is written by the lab 'mine' of" in found(actorlab("doctor", "--json"), "journal")[1].text


def test_it_says_what_a_crash_has_left(actorlab: Command, tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.append("scan#1", "run", {"name": "scan", "kind": "task", "state": "running"}, 0.0)
        journal.append("lease#2", "run", {"name": "lease", "kind": "lease", "state": "running"}, 0.0)
        journal.flush()
        for end in ("", "-wal"):
            (tmp_path / f"left.db{end}").write_bytes((tmp_path / f"journal.db{end}").read_bytes())
    _, unclean, interrupted = found(actorlab("doctor", "--json", "--journal", "left.db"), "journal")
    assert "didn't end in order" in unclean.text
    assert interrupted.text.startswith("interrupted: scan#1;")


def test_visa_libraries_are_asked_for_a_bounded_time() -> None:
    assert resources("pyvisa-py", "@py", 0.001) == Finding(
        "visa", "note", "pyvisa-py: it didn't list its resources within 0.001 s"
    )
    assert resources("a library", "@nobody", 30).state == "note"
    assert resources("pyvisa-py", "@py", 30).state == "ok"


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ['h5py>=3.11; extra == "data"', "numpy>=1.26", 'nobodys-package; extra == "data"', 'x; extra == "dev"']
    monkeypatch.setattr(checking, "requirements", lambda: wanted)
    assert list(extras()) == [
        Finding("extra", "note", 'data: nobodys-package is missing; pip install "actorlab[data]"')
    ]


def test_a_folder_that_is_still_to_be_made_lies_on_some_disk(tmp_path: Path) -> None:
    assert disk(tmp_path / "not" / "there").text.endswith(f"free at {tmp_path}")
