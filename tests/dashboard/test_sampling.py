"""Live values: read once for all browsers, never in a task's way, and drawn as they were."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from actorlab import Device, Lab, query, sleep
from actorlab.core.backlog import Event
from actorlab.dashboard.log_lines import Level, line_of
from actorlab.dashboard.news import MOST, Follower, News
from actorlab.dashboard.sampling import Glancing, NotNow, Samples, Series, glance, note, numeric_queries
from actorlab.dashboard.sparkline import sparkline
from actorlab.errors import NotLeased


class Meter(Device):
    """A meter which counts how often it is asked, and may be held up."""

    LIMIT = 5.0

    def __init__(self, go_on: threading.Event) -> None:
        self.asked = 0
        self._go_on = go_on

    @query
    def power(self) -> float:
        """Tell the power."""
        self.asked += 1
        return 1.5

    @query
    def at(self, nanometres: float) -> float:
        """Tell the power at a wavelength."""
        return nanometres

    def zero(self) -> float:
        """Do something."""
        return 0.0

    def block(self) -> None:
        """Hold everybody up."""
        self._go_on.wait(5)

    def settle(self) -> None:
        """Wait as a driver does."""
        while not self._go_on.is_set():
            sleep(0.01)


def test_values_are_numbers_that_need_no_argument_and_no_command(lab: Lab) -> None:
    lab.add("meter", Meter, threading.Event())
    assert numeric_queries(lab.describe("meter")) == ("power",)


def test_what_nobody_looks_at_is_not_read_and_what_many_look_at_is_read_once(lab: Lab) -> None:
    meter = lab.add("meter", Meter, threading.Event())

    async def looked_at() -> None:
        samples = Samples(lab)
        taking = asyncio.create_task(samples.take())
        await asyncio.sleep(0)
        assert meter.asked == 0
        while not samples.look("meter", "power").text:
            samples.look("meter", "power")
            await asyncio.sleep(0.01)
        assert samples.look("meter", "power").text == "1.5"
        taking.cancel()

    in_a_loop(looked_at())
    assert meter.asked == 1


def test_a_device_that_is_at_work_is_not_asked_at_all(lab: Lab) -> None:
    go_on = threading.Event()
    meter = lab.add("meter", Meter, go_on)
    blocked = threading.Thread(target=meter.block)
    blocked.start()
    with pytest.raises(NotNow):
        glance(lab, "meter", "power", Glancing())
    go_on.set()
    blocked.join(5)
    assert meter.asked == 0
    assert lab.status("meter").waiting_calls == 0


@pytest.mark.parametrize("beside", [False, True])
def test_a_device_in_use_is_asked_only_where_somebody_chose_that(lab: Lab, *, beside: bool) -> None:
    go_on = threading.Event()
    meter = lab.add("meter", Meter, go_on)
    run = lab.start(settles, meter)

    async def looked_at() -> None:
        samples = Samples(lab)
        samples.choose("meter", ("power",), beside=beside)
        taking = asyncio.create_task(samples.take())
        for _ in range(300):
            if lab.status("meter").in_progress and samples.look("meter", "power").text:
                break
            await asyncio.sleep(0.005)
        taking.cancel()
        assert bool(samples.look("meter", "power").text) is beside

    in_a_loop(looked_at())
    go_on.set()
    run.result(5)


def settles(meter: Meter) -> None:
    """Use a meter."""
    meter.settle()


def test_a_value_is_never_read_by_a_command(lab: Lab) -> None:
    lab.add("meter", Meter, threading.Event())
    with pytest.raises(NotLeased, match="reads values by queries only"):
        glance(lab, "meter", "zero", Glancing())


@pytest.mark.parametrize(
    ("value", "text", "points"),
    [(1.23456789, "1.23457", 1), (True, "True", 1), (np.float64(2), "2", 1), (math.nan, "nan", 0), ("open", "open", 0)],
)
def test_a_value_is_written_shortly(value: object, text: str, points: int) -> None:
    series = Series()
    note(series, value, 1.0)
    assert (series.text, len(series.points)) == (text, points)


def test_the_line_is_broken_where_nothing_is_known() -> None:
    drawn = sparkline([(0, 1), (1, 2), (50, 2), (51, 3)], 60)
    assert drawn.count("M") == 2
    assert "nan" not in sparkline([(0, 1), (1, 1)], 2)
    assert sparkline([(0, 1)], 1) == ""


def test_a_browser_that_is_told_too_much_is_told_that_all_may_have_changed() -> None:
    async def follow() -> None:
        follower = Follower()
        event = Event(1, 0.0, "lab", "log", {"message": "hello", "level": "error"})
        line = line_of(event)
        assert line is not None
        assert (line.level, line.text) == (Level.ERROR, "hello")
        follower.offer(News((event,)))
        assert await follower.next() == News((event,))
        for _ in range(3):
            follower.offer(News((event,) * (MOST // 2)))
        assert await follower.next() == News((), gap=True)
        follower.offer(News((event,)))
        assert await follower.next() == News((event,))

    in_a_loop(follow())


def in_a_loop(done: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread of its own, bounded: Playwright has an event loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(asyncio.wait_for(done, 5))).result(10)
