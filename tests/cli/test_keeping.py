"""Hold that the command keeps a journal, where it does so, and what it says of the one before it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from actorlab import Lab
from actorlab.journal import Journal, JournalReader

Command = Callable[..., Result]
Write = Callable[[str], Path]
Start = Callable[..., AbstractContextManager[Any]]

TASKS = """
    from actorlab import record, sleep, task
    from actorlab.simulation import Laser

    @task
    def glow(laser: Laser, seconds: float = 0) -> int:
        laser.on()
        record(on=True)
        print("it glows", flush=True)
        sleep(seconds)
        return 1

    @task
    def add(one: int = 1, other: int = 2) -> int:
        return one + other
"""


def runs_in(place: Path) -> list[str]:
    with JournalReader.open(place) as reader:
        return [f"{run.id} {run.state}" for run in reader.runs()]


def test_a_run_is_kept_beside_the_file_of_its_lab(actorlab: Command, experiment: Write, tmp_path: Path) -> None:
    assert actorlab("run", f"{experiment(TASKS)}:glow").exit_code == 0
    assert runs_in(tmp_path / "journal.db") == ["glow#1 succeeded"]


def test_without_a_lab_file_it_is_kept_here(
    actorlab: Command, program: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert actorlab("run", f"{program(TASKS)}:add").exit_code == 0
    assert runs_in(tmp_path / "here" / "journal.db") == ["add#1 succeeded"]


@pytest.mark.parametrize("said", ["null", "false"])
def test_the_file_may_say_that_none_is_kept(actorlab: Command, experiment: Write, lab_file: Path, said: str) -> None:
    lab_file.write_text(f"journal: {said}\n{lab_file.read_text()}")
    assert actorlab("run", f"{experiment(TASKS)}:add").exit_code == 0
    assert not lab_file.with_name("journal.db").exists()


def test_the_file_names_another_place_from_where_it_lies(
    actorlab: Command, experiment: Write, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = lab_file.with_name("kept")
    kept.mkdir()
    program = experiment(TASKS)
    lab_file.write_text(f"journal: kept/lab.db\ndurable: false\n{lab_file.read_text()}")
    monkeypatch.chdir("/")
    assert actorlab("run", f"{program}:add").exit_code == 0
    assert runs_in(kept / "lab.db") == ["add#1 succeeded"]


def test_an_option_goes_over_the_environment_and_that_over_the_file(
    actorlab: Command, experiment: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"{experiment(TASKS)}:add"
    monkeypatch.setenv("ACTORLAB_JOURNAL", "environment.db")
    actorlab("run", program)
    actorlab("run", program, "--journal", "option.db")
    actorlab("run", program, "--no-journal")
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["environment.db", "option.db"]


def test_a_journal_that_is_no_text_is_refused_with_its_line(
    actorlab: Command, experiment: Write, lab_file: Path
) -> None:
    lab_file.write_text(f"# mine\njournal: 3\n{lab_file.read_text()}")
    refused = actorlab("run", f"{experiment(TASKS)}:add")
    assert refused.exit_code == 2
    assert f"{lab_file}:2: journal" in refused.stderr


def test_a_lab_from_a_file_keeps_its_journal(lab_file: Path) -> None:
    with Lab.from_yaml(lab_file) as lab:
        assert lab.run(sum, [1, 2]) == 3
    assert runs_in(lab_file.with_name("journal.db")) == ["sum#1 succeeded"]


def test_a_second_lab_says_who_has_the_journal_and_the_ways_out(
    actorlab: Command, experiment: Write, tmp_path: Path
) -> None:
    with Journal.open(tmp_path / "journal.db", lab="the other"):
        refused = actorlab("run", f"{experiment(TASKS)}:add")
        assert refused.exit_code == 2
        assert "is written by the lab 'the other' of" in refused.stderr
        assert "--no-journal" in refused.stderr
        assert actorlab("run", f"{tmp_path / 'program.py'}:add", "--no-journal").exit_code == 0


def test_after_a_crash_it_says_what_was_interrupted_and_how_that_goes_on(
    actorlab: Command, started: Start, experiment: Write
) -> None:
    program = experiment(TASKS)
    with started("run", f"{program}:glow", "-p", "seconds=60") as crashing:
        crashing.await_out("it glows")
        crashing.process.kill()
    after = actorlab("run", f"{program}:add")
    assert after.exit_code == 0
    assert "glow#1 was interrupted when the lab ended before; go on by: actorlab resume glow#1" in after.stderr
    assert "interrupted" not in actorlab("run", f"{program}:add").stderr, "it is said once"
