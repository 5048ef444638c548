"""Hold that runs go on from the command line: in the lab that runs elsewhere, or in one that is opened for them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Command = Callable[..., Result]
Write = Callable[[str], Path]
Start = Callable[..., AbstractContextManager[Any]]

PROGRAM = """
    from pathlib import Path

    from actorlab import checkpoint, record, sleep, task, workflow
    from actorlab.simulation import Laser, PowerMeter

    def note(what):
        with open("done.txt", "a") as file:
            file.write(what + "\\n")

    @task
    def measure(meter: PowerMeter, number: int) -> int:
        note(f"measure {number}")
        record(number=number)
        return number

    @task
    def burn(laser: Laser, number: int) -> int:
        note(f"burn {number}")
        laser.on()
        print("it burns", flush=True)
        while not Path("enough").exists():
            checkpoint()
            sleep(0.01)
        return 10 * number

    @task
    def judge(number: int) -> int:
        note(f"judge {number}")
        if not Path("good").exists():
            raise ValueError("it is bad")
        return number

    @workflow
    def night(laser: Laser, meter: PowerMeter) -> int:
        return burn(laser, measure(meter, 4))

    @workflow
    def day(meter: PowerMeter) -> int:
        return judge(measure(meter, 5))

    @task
    def glow(laser: Laser) -> None:
        laser.on()
        print("it glows", flush=True)
        while True:
            checkpoint()
            sleep(0.01)
"""


def done() -> list[str]:
    return Path("done.txt").read_text().splitlines()


@pytest.fixture
def killed(started: Start, experiment: Write) -> Path:
    """Kill the command in the middle of a workflow, and return the program."""
    program = experiment(PROGRAM)
    with started("run", f"{program}:night") as run:
        run.await_out("it burns")
        run.process.kill()
    Path("enough").touch()
    return program


def test_an_interrupted_run_goes_on_with_what_it_had(actorlab: Command, killed: Path) -> None:
    assert killed.exists()
    before = json.loads(actorlab("show", "night#1", "--json").stdout)["steps"][0]
    ended = actorlab("resume", "night#1", "--answer", "burn=redo", "--answer", "devices=go-on", "--quiet")
    assert (ended.exit_code, ended.stdout.split()[-1]) == (0, "40"), ended.stderr
    assert done() == ["measure 4", "burn 4", "burn 4"]
    shown = actorlab("show", "night#1").stdout
    assert "✔ succeeded" in shown
    after = json.loads(actorlab("show", "night#1", "--json").stdout)["steps"][0]
    assert (after["began"], after["ended"]) == (before["began"], before["ended"])
    again = actorlab("resume", "night#1")
    assert (again.exit_code, "has succeeded" in again.stderr) == (2, True)


def test_without_a_terminal_it_says_what_it_asks_and_stays_as_it_was(actorlab: Command, killed: Path) -> None:
    assert killed.exists()
    asked = actorlab("resume", "night#1")
    assert asked.exit_code != 0
    assert "--answer STEP=WORD answers beforehand" in asked.stderr
    assert "burn was under way" in asked.stderr
    assert "✘ interrupted" in actorlab("runs").stdout
    assert "└─ ✘ 1 burn interrupted" in " ".join(actorlab("show", "night#1").stdout.split())
    assert actorlab("resume", "night#1", "--from", "measure", "--quiet").stdout.split()[-1] == "40"
    assert done() == ["measure 4", "burn 4", "measure 4", "burn 4"]


def test_its_questions_are_answered_at_the_terminal(killed: Path) -> None:
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "actorlab.cli.main", "resume", "night#1", "--quiet"]
    with subprocess.Popen(command, cwd=killed.parent, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        os.write(mine, b"redo\n")
        out, err = process.communicate(timeout=40)
    os.close(mine)
    os.close(its)
    assert "do it again, or leave it out? [redo/skip/abort]" in err
    assert (process.returncode, out.split()[-1]) == (0, "40")


def test_a_run_that_failed_is_done_again_from_where_it_failed(actorlab: Command, experiment: Write) -> None:
    assert actorlab("run", f"{experiment(PROGRAM)}:day").exit_code == 1
    assert actorlab("retry", "day#1", "--quiet").exit_code == 1
    Path("good").touch()
    ended = actorlab("retry", "day#1", "--quiet")
    assert (ended.exit_code, ended.stdout.split()[-1]) == (0, "5"), ended.stderr
    assert done() == ["measure 5", "judge 5", "judge 5", "judge 5"]


def test_an_interrupted_run_is_retried_without_a_question(actorlab: Command, killed: Path) -> None:
    assert killed.exists()
    ended = actorlab("retry", "night#1", "--quiet")
    assert (ended.exit_code, ended.stdout.split()[-1]) == (0, "40"), ended.stderr
    assert done() == ["measure 4", "burn 4", "burn 4"]


def test_a_workflow_that_has_changed_goes_on_only_if_that_is_well(actorlab: Command, killed: Path) -> None:
    killed.write_text(killed.read_text().replace("measure(meter, 4)", "measure(meter, 7)"))
    refused = actorlab("resume", "night#1", "--answer", "burn=redo")
    assert refused.exit_code == 2
    assert "--changed" in refused.stderr
    ended = actorlab("retry", "night#1", "--changed", "--quiet")
    assert (ended.exit_code, ended.stdout.split()[-1]) == (0, "70"), ended.stderr


def test_a_paused_run_goes_on_in_its_own_lab(actorlab: Command, started: Start, experiment: Write) -> None:
    with started("run", f"{experiment(PROGRAM)}:glow") as glowing:
        glowing.await_out("it glows")
        assert actorlab("pause", "glow#1").stdout.strip() == "glow#1 paused"
        assert actorlab("resume", "glow#1").stdout.strip() == "glow#1 running"
        assert actorlab("cancel", "glow#1").exit_code == 0
        glowing.end()


def test_an_interrupted_run_goes_on_in_a_lab_that_runs(actorlab: Command, killed: Path) -> None:
    lab = """
        import sys
        from actorlab import Lab
        with Lab.from_yaml("lab.yaml") as lab:
            print("open", flush=True)
            sys.stdin.readline()
    """
    runner = killed.with_name("runner.py")
    runner.write_text("\n".join(line[8:] for line in lab.splitlines()))
    with subprocess.Popen([sys.executable, str(runner)], cwd=killed.parent, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        asked = actorlab("resume", "night#1")
        assert (asked.exit_code, "burn was under way" in asked.stdout) == (2, True)
        assert "answers beforehand" in asked.stderr
        went = actorlab("retry", "night#1")
        assert went.exit_code == 0, went.stderr
        process.communicate("\n", timeout=30)
    assert "✔ succeeded" in actorlab("show", "night#1").stdout
    assert done() == ["measure 4", "burn 4", "burn 4"]


NONSENSE = (
    (["night#1", "--answer", "burn"], "write burn=WORD"),
    (["night#1", "--answer", "devices=redo"], "one of go-on, again, all-again, abort"),
    (["nihgt#1"], "did you mean night#1?"),
    (["night#1", "--answer", "freeze=redo"], "has no step 'freeze'"),
    (["night#1", "--from", "9"], "has no step '9'"),
)


def test_nonsense_is_refused(actorlab: Command, killed: Path) -> None:
    assert killed.exists()
    for options, said in NONSENSE:
        refused = actorlab("resume", *options)
        assert refused.exit_code == 2
        assert said in refused.stderr
