"""Go on with a run: in the lab that runs, by asking it; or else in a lab that is opened here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from actorlab.arguments import search
from actorlab.cli.displays import Display
from actorlab.cli.kept import find_run, opened_journal
from actorlab.cli.places import journal_there
from actorlab.cli.program import lab_file_for, load_module
from actorlab.cli.running import carry_out
from actorlab.config import LabConfig, read_lab_file
from actorlab.core.resumption import ANSWERS, ANSWERS_ABOUT_DEVICES
from actorlab.core.run_state import RunState
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader, KeptRun
from actorlab.runtime.asked import DeviceName
from actorlab.runtime.lab import Lab
from actorlab.runtime.run import Run

__all__ = ["GoOn", "Wish", "go_on", "read_answers"]

PAUSE: Final = 0.1
PATIENCE: Final = 3.0
"""So many seconds a run that goes on elsewhere has to begin, or to ask something."""


@dataclass(frozen=True)
class Wish:
    """Which run is to go on, and how; who `insists` wants what failed to be done again, and isn't asked."""

    run: str
    answers: Mapping[str, str]
    again_from: str | None = None
    changed: bool = field(default=False, kw_only=True)
    insists: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class GoOn:
    """To go on with a run in a lab that is opened for it."""

    wish: Wish
    config: LabConfig
    journal: str | None
    devices: tuple[str, ...]

    way_out = "; --answer STEP=WORD answers beforehand"

    def begin(self, lab: Lab) -> Run[Any]:
        """Do it, when the devices are there."""
        wish = self.wish
        if wish.insists:
            return lab.retry(wish.run, again_from=wish.again_from, changed=wish.changed)
        return lab.resume(wish.run, answers=wish.answers, again_from=wish.again_from, changed=wish.changed)


def read_answers(texts: Sequence[str]) -> dict[str, str]:
    """Read answers, each STEP=WORD or devices=WORD. Raise `ConfigError` if one makes no sense."""
    answers: dict[str, str] = {}
    for text in texts:
        step, _, word = text.partition("=")
        word = word.strip().replace("-", " ")
        choices = ANSWERS_ABOUT_DEVICES if step.strip() == "devices" else ANSWERS
        if word not in choices:
            known = ", ".join(choice.replace(" ", "-") for choice in choices)
            message = f"--answer {text}: write {step.strip() or 'STEP'}=WORD, where the word is one of {known}"
            raise ConfigError(message)
        answers[step.strip()] = word
    return answers


def go_on(wish: Wish, journal: str | None, lab: Path | None, display: Display) -> int:
    """Go on with a run, and return the exit code.

    Raises:
        ConfigError: there is no such run, or it can't go on; the message says why.

    """
    with opened_journal(journal, lab) as reader:
        run = find_run(reader, wish.run)
        refuse(run)
        if reader.owner() is not None:
            return go_on_elsewhere(reader, run, wish)
        devices = tuple(dict.fromkeys(devices_of(reader, run)))
    make_importable(run)
    file = lab_file_for(Path(run.about.get("file") or "."), lab)
    config = LabConfig() if file is None else read_lab_file(file)
    return carry_out(GoOn(wish, config, journal_there(journal, lab), devices), display)


def refuse(run: KeptRun) -> None:
    """Raise `ConfigError` if a run can't go on."""
    if run.parent is not None:
        message = f"{run.id} is a part of {run.parent}: go on with that one"
        raise ConfigError(message)
    if run.state == RunState.SUCCEEDED:
        message = f"{run.id} has succeeded; `actorlab run` does it once more"
        raise ConfigError(message)


# -- in a lab that is opened here


def devices_of(reader: JournalReader, run: KeptRun) -> Iterator[str]:
    """Yield the names of the devices that a run, and those inside it, were given."""
    yield from run.about.get("devices") or ()
    arguments = (run.about.get("args"), run.about.get("kwargs"))
    yield from (found.name for found in search(arguments, {}) if isinstance(found, DeviceName))
    for child in reader.children(run.id):
        yield from devices_of(reader, child)


def make_importable(run: KeptRun) -> None:
    """Load the file of a run's task under the name by which the journal has it.

    Raises:
        ConfigError: it can't be loaded.

    """
    name, file = str(run.task or "").partition(":")[0], Path(run.about.get("file") or "")
    if not file.is_file() or name in sys.modules:
        return
    if "." in name:
        sys.path.insert(0, str(file.resolve().parents[name.count(".")]))
        return
    load_module(file)


# -- in a lab that runs elsewhere


def go_on_elsewhere(reader: JournalReader, run: KeptRun, wish: Wish) -> int:
    """Ask the lab that runs to go on with a run; put to the terminal what it asks; return 0 if it goes on."""
    how: dict[str, Any] = {"run": run.id, "again_from": wish.again_from, "changed": wish.changed}
    if wish.insists:
        reader.ask("retry", how)
    else:
        reader.ask("resume", {**how, "answers": dict(wish.answers)})
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        asked: list[dict[str, Any]] = [each for each in reader.ask("questions") if each["subject"] == run.id]
        if asked:
            answer_it(reader, run, asked[0])
            until = time.monotonic() + PATIENCE
        elif reader.run(run.id).state in (RunState.RUNNING, RunState.SUCCEEDED):
            break
        time.sleep(PAUSE)
    print(f"{run.id} {reader.run(run.id).state}")  # noqa: T201 - a command line prints
    return 0


def answer_it(reader: JournalReader, run: KeptRun, question: Mapping[str, Any]) -> None:
    """Put a question to the terminal, and the answer to the lab.

    Raises:
        ConfigError: nobody answers.

    """
    print(f"{question['subject']} asks: {question['text']} [{'/'.join(question['choices'])}]", flush=True)  # noqa: T201
    line = sys.stdin.readline()
    if not line:
        reader.ask("cancel", {"run": run.id, "reason": "nobody answered what it asked before it went on"})
        message = f"{run.id} doesn't go on: nobody has answered; --answer STEP=WORD answers beforehand"
        raise ConfigError(message)
    try:
        reader.ask("answer", {"question": question["id"], "text": line.strip()})
    except ConfigError as error:
        print(error)  # noqa: T201 - it is asked again
