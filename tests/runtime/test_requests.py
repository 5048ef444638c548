"""Another process asks a lab through its journal, and gets an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorlab import Lab, RunCancelled, RunState, ask_operator, checkpoint, parameter, sleep
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader

BOUND = 10


class Stage:
    """A device."""

    def move(self) -> None:
        pass

    def make_safe(self) -> None:
        pass


class Shop:
    """A lab, and somebody elsewhere who reads its journal."""

    def __init__(self, lab: Lab, reader: JournalReader) -> None:
        self.lab = lab
        self.reader = reader
        self.stage = lab.add("stage", Stage)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with (
        Lab(journal=tmp_path / "journal.db", cancel_grace=2) as lab,
        JournalReader.open(tmp_path / "journal.db") as reader,
    ):
        yield Shop(lab, reader)
        lab.close()


def idle(stage: Stage) -> None:
    while True:
        stage.move()
        checkpoint()
        sleep(0.001)


def wait_until(run_state: RunState, shop: Shop, run: str) -> None:
    with shop.lab.events.subscribe(kinds=["run"], subjects=[run]) as news:
        for event in news:
            if event.data.get("state") == run_state:
                return


def test_a_run_is_paused_let_go_on_and_cancelled(shop: Shop) -> None:
    run = shop.lab.start(idle, shop.stage)
    wait_until(RunState.RUNNING, shop, run.id)
    shop.reader.ask("pause", {"run": run.id, "reason": "lunch"})
    wait_until(RunState.PAUSED, shop, run.id)
    assert shop.reader.ask("why", {"run": run.id}) == [f"{run.id} is paused: lunch"]
    shop.reader.ask("resume", {"run": run.id})
    wait_until(RunState.RUNNING, shop, run.id)
    shop.reader.ask("cancel", {"run": run.id, "reason": "enough"})
    with pytest.raises(RunCancelled, match="cancelled it: enough"):
        run.result(BOUND)


def test_a_parameter_is_set(shop: Shop) -> None:
    begun, given = threading.Event(), threading.Event()

    def adjusted() -> int:
        parameter("gain", 1)
        begun.set()
        given.wait(BOUND)
        return parameter("gain", 1)

    run = shop.lab.start(adjusted)
    assert begun.wait(BOUND)
    assert shop.reader.ask("set", {"run": run.id, "values": {"gain": 5}}) == {"gain": 5}
    given.set()
    assert run.result(BOUND) == 5


def test_an_operator_answers_from_elsewhere(shop: Shop) -> None:
    def careful() -> str:
        return ask_operator("Is the sample in?", choices=("yes", "no"))

    run = shop.lab.start(careful)
    wait_until(RunState.PAUSED, shop, run.id)
    (asked,) = shop.reader.ask("questions")
    assert (asked["text"], asked["choices"]) == ("Is the sample in?", ["yes", "no"])
    shop.reader.ask("answer", {"question": asked["id"], "text": "yes"})
    assert run.result(BOUND) == "yes"


def test_the_devices_are_looked_at_and_stopped(shop: Shop) -> None:
    run = shop.lab.start(idle, shop.stage)
    wait_until(RunState.RUNNING, shop, run.id)
    assert shop.reader.ask("devices")["stage"]["holder"] == run.id
    assert shop.reader.ask("emergency_stop", {"reason": "smoke"}) == {"stage": ""}
    with pytest.raises(RunCancelled, match="smoke"):
        run.result(BOUND)
    shop.reader.ask("rearm")
    shop.stage.move()


def test_what_can_not_be_done_is_answered_by_its_error(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="there is no run 'sweep#9'"):
        shop.reader.ask("cancel", {"run": "sweep#9"})
    with pytest.raises(ConfigError, match="doesn't know the request 'dance'; it knows cancel, pause"):
        shop.reader.ask("dance")
    with pytest.raises(ConfigError, match="missing 1 required positional argument: 'run'"):
        shop.reader.ask("cancel", {})
