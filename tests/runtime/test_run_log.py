"""What runs log is kept with them: the newest lines, of the whole tree, in order, whatever the fields are called."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actorlab import Lab, log, spawn


def says(word: str) -> None:
    """Say something."""
    log(word, number=1)


def parent() -> None:
    """Say something, before and after somebody else does."""
    log("first")
    spawn(says, "child").result()
    log("last")


def many(count: int) -> None:
    """Say much."""
    for number in range(count):
        log("line", number=number)


def oddly_named() -> None:
    """Use names that others use too."""
    log("odd", **{name: name for name in ("kind", "subject", "name", "args", "run", "step", "event", "exc_info")})


class Large:
    """Something that is large, and says so."""

    def __repr__(self) -> str:
        return "x" * 1_000_000


def large() -> None:
    """Log what needs much room."""
    log("y" * 100_000, thing=Large(), text="z" * 100_000, numbers=list(range(100_000)))


def test_the_log_of_a_run_has_the_lines_of_those_that_it_started_in_order() -> None:
    with Lab() as lab:
        run = lab.start(parent)
        run.result(5)
        assert [(line.data["message"], line.kind) for line in run.log] == [
            ("first", "log"),
            ("child", "log"),
            ("last", "log"),
        ]
        assert {line.subject for line in run.log} == {run.id, run.children[0].id}
        assert [line.data for line in run.children[0].log] == [{"message": "child", "number": 1}]


def test_only_the_newest_lines_are_kept() -> None:
    with Lab() as lab:
        run = lab.start(many, 1200)
        run.result(5)
        assert [line.data["number"] for line in run.log] == list(range(700, 1200))


def test_a_run_that_logs_nothing_has_an_empty_log() -> None:
    with Lab() as lab:
        run = lab.start(sum, [1])
        run.result(5)
        assert run.log == ()


def test_fields_may_have_any_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "actorlab"), Lab() as lab:
        run = lab.start(oddly_named)
        run.result(5)
        assert run.log[0].data["kind"] == "kind"
        assert run.log[0].data["run"] == "run"
    told: Any = next(record for record in caplog.records if record.msg == "odd")
    assert (told.run, told.run_, told.name_, told.event_) == (run.id, "run", "name", "event")


def test_of_what_is_large_a_short_text_is_kept_and_the_event_has_all() -> None:
    with Lab() as lab:
        with lab.events.subscribe(kinds=["log"], snapshot=False) as events:
            run = lab.start(large)
            run.result(5)
            event = events.get(5)
        assert event is not None
        assert len(event.data["numbers"]) == 100_000
        (line,) = run.log
        assert line.sequence == event.sequence
        assert len(str(line.data)) < 10_000
