"""lab.later: functions called after some time, wherever they have to run, unless they are cancelled before."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from actorlab import Cancelled, ConfigError, Lab, dispatch

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0
LONG = 3600.0


class Window:
    """What a callback belongs to."""

    def refresh(self) -> None: ...


def test_a_function_is_called_later_on_a_thread_of_the_labs_and_its_value_can_be_had(lab: Lab) -> None:
    def name(prefix: str, suffix: str) -> str:
        return prefix + threading.current_thread().name + suffix

    assert lab.later(0.01, name, "<", ">").result(PATIENCE) == "<actorlab test: observers: worker 1>"
    assert lab.later(0, name, "", "").result(PATIENCE).startswith("actorlab test: observers")


def test_what_is_due_earlier_is_called_earlier(lab: Lab) -> None:
    order: list[int] = []
    calls = [lab.later(seconds, order.append, number) for number, seconds in enumerate((0.09, 0.06, 0.03))]
    for call in calls:
        call.result(PATIENCE)
    assert order == [2, 1, 0]


def test_a_cancelled_call_never_comes_and_keeps_nothing_alive(lab: Lab) -> None:
    window = Window()
    gone = weakref.ref(window)
    call = lab.later(LONG, window.refresh)
    assert call.cancel()
    assert call.cancel()
    assert call.cancelled()
    with pytest.raises(Cancelled):
        call.result()
    del window
    lab.ask(lambda: None)
    gc.collect()
    assert gone() is None
    assert not lab.ask(lambda: lab.timetable._coming)


def test_a_call_that_has_begun_cannot_be_cancelled(lab: Lab, gate: Gate) -> None:
    call = lab.later(0, gate.stop)
    gate.reached()
    assert not call.cancel()
    gate.open()
    assert call.result(PATIENCE) is None
    assert not call.cancel()


def test_a_cancelled_call_that_was_handed_over_does_nothing(lab: Lab) -> None:
    handed: list[Callable[[], object]] = []
    came = threading.Event()

    def dispatcher(function: Callable[[], object]) -> None:
        handed.append(function)
        came.set()

    called: list[int] = []
    call = lab.later(0, called.append, 1, dispatcher=dispatcher)
    assert came.wait(PATIENCE)
    assert call.cancel()
    handed[0]()
    assert not called


def test_a_dispatcher_decides_where_it_is_called_and_await_gives_its_value(lab: Lab) -> None:
    async def wait() -> tuple[int, int]:
        called_in = await lab.later(0.01, threading.get_ident, dispatcher=dispatch.asyncio_loop())
        return called_in, threading.get_ident()

    called_in, here = asyncio.run(wait())
    assert called_in == here


def test_a_cancelled_await_cancels_the_call(lab: Lab) -> None:
    called: list[int] = []

    async def wait() -> None:
        async with asyncio.timeout(0.01):
            await lab.later(LONG, called.append, 1)

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
    lab.ask(lambda: None)
    assert not lab.ask(lambda: lab.timetable._coming)
    assert not called


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3)])
def test_what_it_raises_is_its_outcome_and_is_logged(
    lab: Lab, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong() -> None:
        raise error

    call = lab.later(0, wrong)
    assert call.exception(PATIENCE) is error
    assert "a function called later" in caplog.text
    assert lab.later(0, int).result(PATIENCE) == 0


def test_a_dispatcher_that_raises_is_the_outcome_and_is_logged(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    def gone(function: Callable[[], object]) -> None:
        raise OSError(function)

    assert isinstance(lab.later(0, int, dispatcher=gone).exception(PATIENCE), OSError)
    assert "a dispatcher" in caplog.text


def test_many_calls_to_come_need_no_thread(lab: Lab) -> None:
    lab.later(0, int).result(PATIENCE)
    before = threading.active_count()
    calls = [lab.later(LONG, int) for _ in range(2000)]
    lab.ask(lambda: None)
    assert threading.active_count() <= before
    for call in calls:
        call.cancel()


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12])
def test_a_time_that_never_comes_is_refused(lab: Lab, seconds: float) -> None:
    with pytest.raises(ConfigError, match="the seconds must be from 0"):
        lab.later(seconds, int)
    assert not lab.later(9e9, int).done()
    assert lab.run(int) == 0


def test_closing_the_lab_drops_what_is_to_come(lab: Lab) -> None:
    call = lab.later(LONG, int)
    lab.close()
    assert call.cancelled()
    with pytest.raises(Cancelled, match="the lab has closed"):
        call.result(PATIENCE)
    with pytest.raises(ConfigError, match="is closed"):
        lab.later(0, int)
