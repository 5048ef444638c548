"""Callbacks for a lab's events: in order, where their dispatcher leads; one that blocks or raises hurts only itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import ActorLabError, Lab, dispatch, emit
from actorlab.core.backlog import GAP, SNAPSHOT
from actorlab.runtime.delivering import IN_A_ROW, SELDOM, Complaints
from actorlab.runtime.events import Event

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0


class Lamp:
    """A device that does nothing."""


class Seen:
    """A callback that keeps what it is called with, and can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()
        self._inside = 0

    def __call__(self, event: Event) -> None:
        self._inside += 1
        assert self._inside == 1, "two calls at the same time"
        with self._changed:
            self.events.append(event)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()
        self._inside -= 1

    def until(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.events), PATIENCE), self.events
        return self.events

    def until_run(self, run_id: str) -> list[Event]:
        """Wait until it was told of a run's end."""
        return self.until(
            lambda events: any(event.subject == run_id and event.data.get("state") == "succeeded" for event in events)
        )


class Queue:
    """A loop which runs what is dispatched to it when a test says so."""

    def __init__(self) -> None:
        self._functions: deque[Callable[[], object]] = deque()
        self._came = threading.Semaphore(0)

    def __call__(self, function: Callable[[], object]) -> None:
        self._functions.append(function)
        self._came.release()

    def came(self) -> Callable[[], object]:
        assert self._came.acquire(timeout=PATIENCE), "nothing was dispatched"
        return self._functions.popleft()

    def turn(self) -> None:
        self.came()()

    @property
    def empty(self) -> bool:
        return not self._functions


def tell(lab: Lab, count: int) -> None:
    """Have the deciding thread tell so many events at once."""

    def told() -> None:
        for number in range(count):
            lab.events.add("test", "log", number=number)

    lab.ask(told)


def succeeded(events: list[Event]) -> list[str]:
    return [event.subject for event in events if event.kind == "run" and event.data["state"] == "succeeded"]


# -- on the observers' threads


def test_a_callback_is_called_with_the_snapshot_and_every_change_in_order_on_a_thread_of_the_labs(lab: Lab) -> None:
    first = lab.start(int)
    first.result(PATIENCE)
    seen = Seen()
    lab.events.subscribe(seen)
    last = [lab.start(int) for _ in range(200)][-1]
    seen.until_run(last.id)
    assert [event.kind for event in seen.events[:1]] == [SNAPSHOT]
    numbers = [event.sequence for event in seen.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(name.startswith("actorlab test: observers") for name in seen.threads)


def test_a_callback_is_called_though_its_subscription_is_forgotten_until_it_is_closed(lab: Lab) -> None:
    seen = Seen()
    events = lab.events.subscribe(seen, kinds="run")
    lab.events.subscribe(seen2 := Seen(), kinds="run")
    gc.collect()
    seen.until_run(started(lab))
    events.close()
    count = len(seen.events)
    seen2.until_run(started(lab))
    assert len(seen.events) == count
    del events
    gc.collect()
    assert lab.ask(lambda: len(lab.events._feeds)) == 1


def started(lab: Lab) -> str:
    run = lab.start(int)
    run.result(PATIENCE)
    return run.id


def test_an_observer_that_blocks_holds_back_neither_runs_nor_other_observers_and_is_told_what_it_missed(
    lab: Lab, gate: Gate
) -> None:
    blocked, other = Seen(), Seen()

    def block(event: Event) -> None:
        gate.stop()
        blocked(event)

    lab.events.subscribe(block, kinds="run", buffer=10)
    lab.events.subscribe(other, kinds="run", buffer=10_000)
    for _ in range(50):
        lab.run(int)
    gate.reached()
    last = started(lab)
    other.until_run(last)
    assert len(other.events) == 3 * 51
    assert not blocked.events
    gate.open()
    blocked.until_run(last)
    first, gap, *rest = blocked.events
    assert (first.sequence, gap.kind, gap.data["first"]) == (1, GAP, 2)
    assert [event.sequence for event in rest] == list(range(gap.data["last"] + 1, other.events[-1].sequence + 1))
    assert len(rest) <= 20


def test_many_blocked_observers_hold_back_no_other(lab: Lab, gate: Gate) -> None:
    for _ in range(20):
        lab.events.subscribe(lambda _: gate.stop(), kinds="run")
    lab.run(int)
    gate.reached()
    seen = Seen()
    lab.events.subscribe(seen)
    seen.until_run(started(lab))


def test_an_observer_that_raises_is_named_in_the_log_once_and_hears_of_everything(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()

    def wrong(event: Event) -> None:
        seen(event)
        raise SystemExit if event.sequence % 7 == 0 else ValueError(event.sequence)

    lab.events.subscribe(wrong, kinds="run")
    last = [started(lab) for _ in range(30)][-1]
    seen.until_run(last)
    assert [event.sequence for event in seen.events] == list(range(1, 91))
    (record,) = [record for record in caplog.records if "callback" in record.getMessage()]
    assert "wrong" in record.getMessage()
    assert "it stays subscribed" in record.getMessage()
    assert record.exc_info is not None


def test_complaints_are_seldom_and_count_those_that_were_not_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("actorlab.runtime.delivering.monotonic", lambda: clock[0])
    complaints = Complaints("a callback")
    for _ in range(100):
        complaints.tell(ValueError("wrong"))
        clock[0] += SELDOM / 40
    assert [record.getMessage() for record in caplog.records] == [
        "a callback failed; it stays subscribed",
        "a callback failed (39 more since the last one that was logged); it stays subscribed",
        "a callback failed (39 more since the last one that was logged); it stays subscribed",
    ]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_a_callback_may_use_the_lab_and_close_its_own_subscription(lab: Lab) -> None:
    results: list[Any] = []
    done = threading.Event()

    def use(event: Event) -> None:
        if event.kind == "run" and event.data["state"] == "succeeded":
            results.append(lab.get(event.subject).result(0))
            results.append(lab.run(sum, [1, 2]))
            events.close()
            done.set()

    events = lab.events.subscribe(use)
    lab.run(len, "abc")
    assert done.wait(PATIENCE)
    assert results == [3, 3]


def test_a_callback_may_close_the_lab() -> None:
    closed = threading.Event()
    lab = Lab("test")

    def close(event: Event) -> None:
        if event.data.get("state") == "succeeded":
            lab.close()
            closed.set()

    lab.events.subscribe(close)
    lab.run(int)
    assert closed.wait(PATIENCE)


# -- by a dispatcher


def test_a_dispatcher_decides_where_a_callback_is_called(lab: Lab) -> None:
    names: list[tuple[str, int]] = []

    async def listen() -> None:
        done = asyncio.Event()

        def note(event: Event) -> None:
            names.append((event.data["state"], threading.get_ident()))
            if event.data["state"] == "succeeded":
                done.set()

        lab.events.subscribe(note, kinds="run", dispatcher=dispatch.asyncio_loop())
        await asyncio.to_thread(lab.run, int)
        await asyncio.wait_for(done.wait(), PATIENCE)

    asyncio.run(listen())
    here = threading.get_ident()
    assert names == [("waiting", here), ("running", here), ("succeeded", here)]


def test_a_turn_of_a_dispatchers_loop_is_short_and_events_that_come_together_share_one(lab: Lab) -> None:
    queue, seen = Queue(), Seen()
    lab.events.subscribe(seen, kinds="log", dispatcher=queue)
    count = 3 * IN_A_ROW + 1
    tell(lab, count)
    turns = 0
    while len(seen.events) < count:
        before = len(seen.events)
        queue.turn()
        turns += 1
        assert len(seen.events) - before <= IN_A_ROW
    assert turns == 4
    assert [event.data["number"] for event in seen.events] == list(range(count))
    assert queue.empty


def test_a_dispatcher_whose_loop_stands_still_costs_a_gap_and_nobody_else_anything(lab: Lab) -> None:
    queue, seen, other = Queue(), Seen(), Seen()
    lab.events.subscribe(seen, kinds="run", buffer=5, dispatcher=queue)
    lab.events.subscribe(other, kinds="run", buffer=10_000)
    last = [started(lab) for _ in range(50)][-1]
    other.until_run(last)
    queue.turn()
    assert seen.events[0].kind == GAP
    assert succeeded(seen.events)[-1] == last
    assert 5 <= len(seen.events) <= 11
    assert queue.empty, "one turn is handed over at a time"


def test_a_dispatcher_that_raises_is_tried_again_with_the_next_event(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    calls = threading.Semaphore(0)
    works: list[bool] = []

    def dispatcher(function: Callable[[], object]) -> None:
        calls.release()
        if not works:
            raise OSError
        function()

    events = lab.events.subscribe(seen, kinds="log", dispatcher=dispatcher)
    for _ in range(3):
        tell(lab, 1)
        assert calls.acquire(timeout=PATIENCE)
        assert not calls.acquire(timeout=0.05), "it is tried without any news"
    works.append(True)
    tell(lab, 1)
    seen.until(lambda events: len(events) == 4)
    works.clear()
    tell(lab, 1)
    assert calls.acquire(timeout=PATIENCE)
    assert calls.acquire(timeout=PATIENCE)
    events.close()
    assert not calls.acquire(timeout=0.05), "it is tried after it was closed"
    assert len([record for record in caplog.records if "callback" in record.getMessage()]) == 1


def test_a_dispatcher_that_calls_twice_or_calls_and_raises_repeats_and_reorders_nothing(lab: Lab) -> None:
    seen = Seen()

    def twice(function: Callable[[], object]) -> None:
        function()
        threading.Thread(target=function).start()
        raise OSError

    lab.events.subscribe(seen, kinds="log", dispatcher=twice)
    for _ in range(100):
        tell(lab, 3)
    seen.until(lambda events: len(events) == 300)
    assert [event.data["number"] for event in seen.events] == [0, 1, 2] * 100


def test_a_turn_is_taken_once_however_often_its_function_is_called(lab: Lab) -> None:
    queue, seen = Queue(), Seen()
    events = lab.events.subscribe(seen, kinds="log", dispatcher=queue)
    tell(lab, 1)
    turn = queue.came()
    for _ in range(3):
        turn()
    assert len(events._feed._parked) == 1, "one turn is waited for"
    tell(lab, 1)
    turn()
    assert len(seen.events) == 1
    queue.turn()
    assert len(seen.events) == 2


def test_closing_a_subscription_stops_its_callbacks_at_once_also_those_on_their_way(lab: Lab) -> None:
    queue, seen = Queue(), Seen()
    events = lab.events.subscribe(seen, kinds="log", dispatcher=queue)
    tell(lab, 10)
    late = queue.came()
    events.close()
    late()
    tell(lab, 10)
    assert not seen.events
    assert queue.empty
    assert not lab.ask(lambda: lab.events.heard)


# -- the end of a lab


def test_closing_a_lab_delivers_the_last_events_and_leaves_no_observers_thread(gate: Gate) -> None:
    seen, queued, queue = Seen(), Seen(), Queue()
    with (  # noqa: PT012 - the block is what is tested
        pytest.raises(ActorLabError, match="observers: worker 1 still runs what doesn't end"),
        Lab("test") as lab,
    ):
        lab.add("lamp", Lamp)
        lab.events.subscribe(seen)
        lab.events.subscribe(queued, dispatcher=queue)
        lab.events.subscribe(lambda _: gate.stop())
        lab.run(int)
        gate.reached()
    last = seen.until(lambda events: events[-1].kind == "closed")[-1]
    while not queued.events or queued.events[-1] != last:
        queue.turn()
    gate.open()


def test_a_lab_tells_which_callback_it_left_behind(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab("test")
    lab.events.subscribe(lambda _: gate.stop())
    lab.run(int)
    gate.reached()
    lab.close()
    assert "actorlab test: observers: worker 1 still runs what doesn't end" in caplog.text
    gate.open()


def test_an_observer_whose_dispatcher_has_gone_is_given_up_with_the_lab() -> None:
    refused = threading.Semaphore(0)
    loop = asyncio.new_event_loop()
    loop.close()

    def gone(function: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(function)
        finally:
            refused.release()

    lab = Lab("test")
    lab.events.subscribe(print, dispatcher=gone)
    lab.run(int)
    assert refused.acquire(timeout=PATIENCE)
    lab.close()
    while refused.acquire(timeout=0.05):
        assert threading.active_count() < 100, "it is tried again and again"


def test_what_bodies_emit_reaches_observers_as_it_was_emitted(lab: Lab) -> None:
    seen = Seen()
    lab.events.subscribe(seen, kinds="emit", subjects="*#*")
    sent = object()
    lab.run(lambda: emit("picture", sent))
    (event,) = seen.until(lambda events: len(events) == 1)
    assert event.data["name"] == "picture"
    assert event.data["data"] is sent
