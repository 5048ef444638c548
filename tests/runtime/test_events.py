"""lab.events: a snapshot, then every change; whoever listens hurts nobody, and is told what was missed."""

from __future__ import annotations

import asyncio
import fnmatch
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVarTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import (
    AskDeadlock,
    ConfigError,
    Lab,
    RunCancelled,
    RunState,
    WorkflowError,
    log,
    progress,
    task,
    track,
    workflow,
)
from actorlab.core.backlog import GAP, SNAPSHOT
from actorlab.runtime.decider import Decider
from actorlab.runtime.events import Event, EventLog, Subscription
from actorlab.runtime.feed import Feed, choice
from actorlab.runtime.standings import Standing, error_in_words

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

PATIENCE = 5.0
Ts = TypeVarTuple("Ts")


class Lamp:
    """A device that does nothing."""

    def set(self, level: float) -> float:
        return level


class Reader:
    """Reads to the end in a thread of its own."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.seen: list[Event] = []
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(events,), name="actorlab test: reader", daemon=True)
        self._thread.start()

    def _read(self, events: Iterator[Event]) -> None:
        for event in events:
            self.seen.append(event)
            self._begun.set()

    def begun(self) -> None:
        assert self._begun.wait(PATIENCE), "no event came"

    def ended(self) -> list[Event]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the iteration didn't end"
        return self.seen


def drained(events: Subscription) -> list[Event]:
    found: list[Event] = []
    while (event := events.get(0)) is not None:
        found.append(event)
    return found


def numbers(events: list[Event]) -> list[int]:
    return [event.sequence for event in events]


# -- the log by itself


def test_nobody_is_heard_until_somebody_listens() -> None:
    log = EventLog()
    assert not log.heard
    events = log.subscribe()
    assert log.heard
    events.close()
    assert not log.heard


def test_changes_have_rising_numbers_and_all_that_was_told() -> None:
    log = EventLog()
    events = log.subscribe()
    log.add("laser", "device", state="idle")
    log.tell("sweep#1", "run", {"state": "running"})
    first, second = drained(events)
    assert (first.sequence, first.subject, first.kind, first.data) == (1, "laser", "device", {"state": "idle"})
    assert (second.sequence, second.subject, second.kind, second.data) == (2, "sweep#1", "run", {"state": "running"})
    assert first.time <= second.time


@pytest.mark.parametrize(
    ("kinds", "subjects", "expected"),
    [
        ("run", None, [1, 3]),
        (["run", "step"], None, [1, 2, 3]),
        ([], None, []),
        (None, "sweep#3", [1]),
        (None, "sweep#3/*", [2, 5]),
        (None, ["sweep#3", "sweep#3/*"], [1, 2, 5]),
        (None, "sweep#[12]*", []),
        (None, "sweep#*", [1, 2, 3, 5]),
        ("step", "sweep#3*", [2]),
        (None, ["laser", "laser"], [4]),
        (None, "l?ser", [4]),
    ],
)
def test_kinds_and_subjects_choose_exactly_or_by_pattern(kinds: Any, subjects: Any, expected: list[int]) -> None:
    log = EventLog()
    events = log.subscribe(kinds=kinds, subjects=subjects)
    log.add("sweep#3", "run")
    log.add("sweep#3/measure", "step")
    log.add("sweep#31", "run")
    log.add("laser", "device")
    log.add("sweep#3/measure", "log")
    assert numbers(drained(events)) == expected


NAMES = st.text("ab#/*?[]!", max_size=6)


@given(st.lists(NAMES, max_size=4), NAMES)
def test_a_subject_is_wanted_if_it_is_one_of_those_named_or_matches_one_as_a_file_name(
    subjects: list[str], subject: str
) -> None:
    wanted = choice(None, subjects)
    assert wanted is not None
    expected = subject in subjects or any(fnmatch.fnmatchcase(subject, pattern) for pattern in subjects)
    assert wanted(subject, "run") is expected


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"buffer": 0}, "buffer=0"),
        ({"buffer": 2.5}, "whole number"),
        ({"dispatcher": print}, "without a callback"),
        ({"callback": 1000}, "function that takes an event"),
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused_with_its_reason(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EventLog().subscribe(**wrong)
    assert reason in str(caught.value)


def test_a_log_without_a_lab_says_that_it_calls_nobody_back() -> None:
    with pytest.raises(ConfigError, match="no lab which could call it"):
        EventLog().subscribe(print)


def test_what_is_missed_is_said_in_its_place_and_counted() -> None:
    log = EventLog()
    events = log.subscribe(buffer=10)
    for _ in range(100):
        log.add("sweep#1", "log")
    gap, *rest = drained(events)
    assert gap.kind == GAP
    assert gap.data == {"missed": events.dropped, "first": 1, "last": events.dropped}
    assert numbers(rest) == list(range(events.dropped + 1, 101))
    assert 10 <= len(rest) <= 20


def test_a_subscriber_that_never_reads_costs_no_more_than_its_buffer() -> None:
    log = EventLog()
    events = log.subscribe(buffer=50)
    for number in range(10_000):
        log.add(f"run#{number}", "progress")
        assert len(events._feed._backlog) <= 2 * 50 + 1
    assert events.dropped >= 10_000 - 101


def test_progress_gives_way_before_any_state_does() -> None:
    log = EventLog()
    events = log.subscribe(buffer=10)
    log.add("sweep#1", "run", state="running")
    for done in range(1000):
        log.add("sweep#1/measure", "progress", done=done, index=0)
        log.add("sweep#1/measure", "progress", done=done, index=1)
    log.add("sweep#1", "run", state="succeeded")
    seen = drained(events)
    assert events.dropped == 0
    assert [event.data["state"] for event in seen if event.kind == "run"] == ["running", "succeeded"]
    last = {event.data["index"]: event.data["done"] for event in seen if event.kind == "progress"}
    assert last == {0: 999, 1: 999}


# -- ends


def test_close_ends_a_waiting_reader_at_once_from_another_thread() -> None:
    log = EventLog()
    events = log.subscribe()
    reader = Reader(iter(events))
    log.add("laser", "device")
    reader.begun()
    events.close()
    assert numbers(reader.ended()) == [1]
    assert events.get() is None
    assert events.closed


def test_close_ends_an_iteration_though_there_is_more_which_can_be_read_afterwards() -> None:
    log = EventLog()
    events = log.subscribe()
    for _ in range(5):
        log.add("laser", "device")
    seen: list[int] = []
    for event in events:
        seen.append(event.sequence)
        if event.sequence == 2:
            events.close()
    log.add("laser", "device")
    assert seen == [1, 2]
    assert numbers(list(events)) == [3, 4, 5]


def test_a_with_block_closes_its_subscription() -> None:
    log = EventLog()
    with log.subscribe() as events:
        log.add("laser", "device")
    assert not log.heard
    assert numbers(list(events)) == [1]


def test_an_iteration_that_is_left_unsubscribes_and_so_does_a_forgotten_subscription() -> None:
    log = EventLog(standings=lambda: [Standing("laser", "device", dict)])
    for event in log:
        assert (event.subject, log.heard) == ("laser", True)
        break
    gc.collect()
    assert not log.heard
    forgotten = log.subscribe()
    assert log.heard
    del forgotten
    gc.collect()
    assert not log.heard


def test_a_log_that_closes_lets_each_reader_finish() -> None:
    log = EventLog()
    events = log.subscribe()
    reader = Reader(iter(log))
    log.add("laser", "device")
    reader.begun()
    log.add("laser", "device")
    log.close()
    assert numbers(reader.ended()) == [1, 2]
    assert numbers(list(events)) == [1, 2]
    assert not log.heard
    assert list(log.subscribe()) == []


def by_iteration(events: Subscription) -> list[Event]:
    return list(events)


def by_get(events: Subscription) -> list[Event]:
    return list(iter(events.get, None))


def by_loop(events: Subscription) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in events]

    return asyncio.run(collect())


@pytest.mark.parametrize("read", [by_iteration, by_get, by_loop])
def test_the_last_event_is_not_lost_to_the_end_that_comes_right_after_it(
    read: Callable[[Subscription], list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog()
    take = Feed.take
    before: list[Event | None] = []

    def last_moment(feed: Feed) -> Event | None:
        before.append(take(feed))
        if len(before) == 1:  # there was nothing, and now there is, and the end as well
            log.add("laser", "device")
            log.close()
        return before[-1]

    monkeypatch.setattr(Feed, "take", last_moment)
    assert numbers(read(log.subscribe())) == [1]
    assert before[0] is None


def test_nothing_comes_after_close_though_the_lab_has_not_heard_of_it_yet() -> None:
    log = EventLog()
    events = log.subscribe()
    events._feed.close()
    assert log.heard
    log.add("laser", "device")
    assert events.get() is None


def test_get_waits_no_longer_than_it_is_told() -> None:
    events = EventLog().subscribe()
    assert events.get(0) is None
    assert events.get(0.01) is None
    assert events.get(-1) is None
    assert not events._feed._parked


# -- races


def test_readers_with_small_buffers_lose_nothing_that_no_gap_tells_of() -> None:
    log = EventLog()
    count = 30_000
    subscriptions = [log.subscribe(buffer=size) for size in (1, 2, 7, 100, 2 * count)]
    readers = [Reader(iter(events)) for events in subscriptions]
    for number in range(count):
        log.tell("sweep#1", "log", {"number": number})
    log.close()
    for reader, events in zip(readers, subscriptions, strict=True):
        seen = reader.ended()
        assert numbers(seen) == sorted(set(numbers(seen)))
        expected = 1
        for event in seen:
            if event.kind == GAP:
                assert event.data["first"] == expected
                assert event.data["missed"] == event.data["last"] - event.data["first"] + 1
            else:
                assert event.sequence == expected
            expected = event.sequence + 1
        assert expected == count + 1
        assert events.dropped == sum(event.data["missed"] for event in seen if event.kind == GAP)


def test_readers_of_one_subscription_share_its_events() -> None:
    log = EventLog()
    events = log.subscribe(buffer=20_000)
    readers = [Reader(iter(events)) for _ in range(4)]
    for _ in range(5000):
        log.add("sweep#1", "log")
    log.close()
    seen = [number for reader in readers for number in numbers(reader.ended())]
    assert sorted(seen) == list(range(1, 5001))


def test_subscribers_that_come_and_go_disturb_nobody(lab: Lab) -> None:
    steady = Reader(iter(lab.events.subscribe(buffer=100_000)))
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for _ in lab.events:
                break
            lab.events.subscribe(snapshot=False).close()
            lab.events.subscribe(lambda _: None, buffer=1).close()

    visitors = [threading.Thread(target=come_and_go) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    for _ in range(200):
        lab.run(int)
    stop.set()
    for visitor in visitors:
        visitor.join(PATIENCE)
        assert not visitor.is_alive()
    gc.collect()
    assert lab.ask(lambda: len(lab.events._feeds)) == 1
    lab.close()
    seen = [event for event in steady.ended() if event.kind != SNAPSHOT]
    assert numbers(seen) == list(range(seen[0].sequence, seen[0].sequence + len(seen)))
    assert sum(event.data.get("state") == RunState.SUCCEEDED for event in seen) == 200


# -- event loops


def test_events_come_to_several_event_loops_at_once(lab: Lab) -> None:
    found: dict[int, list[Event]] = {}
    ready = threading.Barrier(4)

    async def listen(number: int) -> None:
        events = lab.events.subscribe(snapshot=False)
        await asyncio.to_thread(ready.wait, PATIENCE)
        async for event in events:
            found.setdefault(number, []).append(event)

    threads = [threading.Thread(target=asyncio.run, args=(listen(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    for _ in range(50):
        lab.run(int)
    lab.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(found) == 3
    for seen in found.values():
        assert numbers(seen) == list(range(1, 152)), "the runs', and that the lab has closed"


def test_a_cancelled_wait_takes_no_event_with_it() -> None:
    log = EventLog()

    async def listen() -> list[int]:
        events = aiter(log.subscribe())
        seen: list[int] = []
        for number in range(100):
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            deeds: list[Callable[[], object]] = [waiting.cancel, lambda: log.add("sweep#1", "log")]
            for deed in deeds if number % 2 else reversed(deeds):
                deed()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                seen.append(waiting.result().sequence)
        log.close()
        return [*seen, *[event.sequence async for event in events]]

    assert asyncio.run(listen()) == list(range(1, 101))


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often it is woken by other threads."""

    wakes = 0

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.wakes += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_an_event_loop_is_woken_once_for_a_batch() -> None:
    log = EventLog()
    loop = CountingLoop()

    async def listen() -> list[int]:
        events = log.subscribe(buffer=1000)
        task = asyncio.ensure_future(collect(events))
        await asyncio.sleep(0)  # it waits now
        teller = threading.Thread(target=tell, args=(log, 500))
        teller.start()
        teller.join(PATIENCE)  # this loop stands still meanwhile
        return await task

    async def collect(events: Subscription) -> list[int]:
        seen: list[int] = []
        async for event in events:
            seen.append(event.sequence)
            if len(seen) == 500:
                break
        return seen

    try:
        assert loop.run_until_complete(listen()) == list(range(1, 501))
        assert loop.wakes == 1
    finally:
        loop.close()


def tell(log: EventLog, count: int) -> None:
    for _ in range(count):
        log.add("sweep#1", "log")


def test_an_asynchronous_iteration_that_is_left_unsubscribes(lab: Lab) -> None:
    async def look() -> None:
        async for event in lab.events:
            assert event.kind == SNAPSHOT
            break

    lab.run(int)
    asyncio.run(look())
    gc.collect()
    assert not lab.ask(lambda: lab.events.heard)


def test_a_loop_that_was_closed_while_a_task_waited_unsubscribes_with_the_next_event(lab: Lab) -> None:
    loop = asyncio.new_event_loop()
    events = lab.events.subscribe()
    waiting = loop.create_task(anext_of(events))
    loop.run_until_complete(asyncio.sleep(0))
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to keep quiet of it
    loop.close()
    del events, waiting
    lab.run(int)
    gc.collect()
    assert not lab.ask(lambda: lab.events.heard)


async def anext_of(events: Subscription) -> Event:
    return await anext(aiter(events))


def test_closing_ends_asynchronous_iterations_too(lab: Lab) -> None:
    async def listen() -> int:
        events = lab.events.subscribe()
        asyncio.get_running_loop().call_later(0.01, events.close)
        return len([event async for event in events])

    assert asyncio.run(listen()) == 0


# -- in bodies


def test_waiting_for_events_in_a_body_is_a_checkpoint(lab: Lab) -> None:
    begun = threading.Event()

    def listen() -> None:
        for _ in lab.events:
            begun.set()

    run = lab.start(listen)
    assert begun.wait(PATIENCE)
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(PATIENCE)


def test_on_the_labs_loop_events_are_awaited_and_a_wait_that_blocks_is_refused(lab: Lab) -> None:
    async def listen() -> str:
        events = lab.events.subscribe(kinds="log")
        with pytest.raises(AskDeadlock, match="nothing may block"):
            events.get()
        log("hello")
        async for event in events:
            return str(event.data["message"])
        return ""

    assert lab.start(listen).result(PATIENCE) == "hello"


def test_while_a_workflow_is_drawn_nobody_waits_for_events(lab: Lab) -> None:
    @workflow
    def wrong() -> None:
        lab.events.subscribe(snapshot=False).get()

    with pytest.raises(WorkflowError):
        lab.run(wrong)


# -- a lab's snapshot


def test_a_snapshot_tells_how_devices_and_runs_stand(lab: Lab, gate: Gate) -> None:
    lamp = lab.add("lamp", Lamp)

    def sweep(lamp: Lamp) -> None:
        lamp.set(1)
        progress(3, 10, "sweeping")
        gate.stop()

    def spoil() -> None:
        message = "no light"
        raise ValueError(message)

    assert lab.start(spoil).exception(PATIENCE) is not None
    run = lab.start(sweep, lamp)
    gate.reached()
    told = {event.subject: event for event in drained(lab.events.subscribe())}
    assert {event.kind for event in told.values()} == {SNAPSHOT}
    assert list(told) == ["lamp", "spoil#1", run.id]
    lamp_stands, spoilt, sweeping = (event.data for event in told.values())
    assert (lamp_stands["of"], lamp_stands["state"], lamp_stands["holder"]) == ("device", "idle", run.id)
    assert (spoilt["of"], spoilt["state"], spoilt["error"]) == ("run", RunState.FAILED, "ValueError: no light")
    assert (sweeping["state"], sweeping["devices"], sweeping["error"]) == (RunState.RUNNING, ["lamp"], None)
    assert (sweeping["progress"]["done"], sweeping["progress"]["total"]) == (3, 10)


def test_a_snapshot_tells_the_states_of_a_workflows_steps_as_its_events_number_them(lab: Lab, gate: Gate) -> None:
    @task
    def quick(number: int) -> int:
        return number

    @task
    def slow(number: int) -> int:
        gate.stop()
        return number

    @workflow
    def both() -> int:
        return slow(quick(1))

    run = lab.start(both)
    gate.reached()
    events = lab.events.subscribe(subjects=[run.id, f"{run.id}/*"])
    steps: list[str] = events.get(PATIENCE).data["steps"]  # type: ignore[union-attr]  # there is one
    assert steps == [RunState.SUCCEEDED, RunState.RUNNING]
    gate.open()
    run.result(PATIENCE)
    for event in drained(events):
        if event.kind == "step":
            steps[event.data["index"]] = event.data["state"]
    assert steps == [RunState.SUCCEEDED, RunState.SUCCEEDED]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"kinds": "device"}, ["lamp"]),
        ({"kinds": ["run", "progress"]}, ["int#1"]),
        ({"kinds": SNAPSHOT}, ["lamp", "int#1"]),
        ({"kinds": "log"}, []),
        ({"subjects": "int#*"}, ["int#1"]),
        ({"snapshot": False}, []),
    ],
)
def test_what_is_chosen_is_chosen_from_the_snapshot_too(lab: Lab, chosen: dict[str, Any], expected: list[str]) -> None:
    lab.add("lamp", Lamp)
    lab.run(int)
    assert [event.subject for event in drained(lab.events.subscribe(**chosen))] == expected


def test_a_snapshot_and_the_changes_after_it_are_the_whole_truth_while_everything_moves(lab: Lab) -> None:
    lamps = [lab.add(f"lamp{number}", Lamp) for number in range(3)]
    stop = threading.Event()
    subscriptions: list[Subscription] = []

    def sweep(lamp: Lamp) -> None:
        for level in track(range(3)):
            lamp.set(level)

    def work() -> None:
        while not stop.is_set():
            runs = [lab.start(sweep, lamp) for lamp in lamps]
            runs[0].cancel("enough")
            for run in runs:
                run.exception(PATIENCE)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(60):
        subscriptions.append(lab.events.subscribe(buffer=1_000_000))
        lab.run(int)
    stop.set()
    for worker in workers:
        worker.join(PATIENCE)
        assert not worker.is_alive()
    lab.close()
    truth = {run.id: run.state for run in lab.runs}
    for events in subscriptions:
        states = followed(list(events))
        assert {name: state for name, state in states.items() if name in truth} == truth


def followed(seen: list[Event]) -> dict[str, RunState]:
    """Return the states of all runs at the end, by a snapshot and what changed after it, and see that both fit."""
    snapshot = [event for event in seen if event.kind == SNAPSHOT]
    changes = seen[len(snapshot) :]
    begin = snapshot[0].sequence
    assert {event.sequence for event in snapshot} == {begin}
    assert numbers(changes) == list(range(begin + 1, begin + 1 + len(changes))), "nothing lost, nothing twice"
    states: dict[str, RunState] = {event.subject: event.data["state"] for event in snapshot}
    for event in changes:
        if event.kind == "run":
            known = states.get(event.subject)
            assert event.data["state"] != known, "the snapshot has what came after it"
            assert (known is None) == (event.data["state"] == RunState.WAITING), "it lacks what came before it"
            states[event.subject] = event.data["state"]
    return states


def test_an_error_whose_text_fails_spoils_no_snapshot() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_in_words(Silent()) == "Silent: (its text can't be written: RuntimeError)"


def test_a_snapshot_that_fails_is_its_subscribers_error_and_nobody_elses() -> None:
    panics: list[BaseException] = []
    decider = Decider("actorlab test", panics.append)
    decider.start()
    wrong = [True]

    def standings() -> Iterator[Standing]:
        if wrong[0]:
            message = "planted"
            raise ValueError(message)
        yield Standing("laser", "device", dict)

    log = EventLog(decider, None, standings)
    with pytest.raises(ValueError, match="planted"):
        log.subscribe()

    async def listen() -> None:
        async for _ in log:
            pass

    with pytest.raises(ValueError, match="planted"):
        asyncio.run(listen())
    wrong[0] = False
    assert [event.subject for event in drained(log.subscribe())] == ["laser"]
    decider.close()
    decider.thread.join(PATIENCE)
    assert not panics


# -- the end of a lab


def test_iterations_end_with_the_lab_after_its_last_event(lab: Lab) -> None:
    lab.add("lamp", Lamp)
    in_thread = Reader(iter(lab.events))
    in_loop: list[Event] = []

    async def listen() -> None:
        in_loop.extend([event async for event in lab.events])

    loop = threading.Thread(target=asyncio.run, args=(listen(),))
    loop.start()
    waiting = lab.events.subscribe(kinds="never")
    got: list[Event | None] = []
    getter = threading.Thread(target=lambda: got.append(waiting.get()))
    getter.start()
    in_thread.begun()
    lab.run(int)
    lab.close()
    for thread in (loop, getter):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert got == [None]
    before, last = in_thread.ended()[-2:]
    assert (before.subject, before.data["state"]) == ("lamp", "closed")
    assert (last.subject, last.kind, last.data) == ("lab", "closed", {"left": ()})
    assert in_loop[-1] == in_thread.seen[-1]


def test_a_closed_lab_still_tells_how_it_ended() -> None:
    with Lab("test") as lab:
        lab.add("lamp", Lamp)
        lab.run(int)
    told = [(event.subject, event.data["state"]) for event in lab.events]
    assert told == [("lamp", "closed"), ("int#1", RunState.SUCCEEDED)]


FORK = """
import os
from actorlab import ActorLabError, Lab

with Lab() as lab:
    if not (child := os.fork()):
        try:
            lab.events.subscribe()
        except ActorLabError as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_in_a_forked_child_nobody_waits_for_events_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    assert "in a forked child nobody tells events" in done.stdout


INTERRUPTED = """
import queue, random, signal, threading, time
from actorlab import Lab

main = threading.get_ident()
attempts, armed = queue.SimpleQueue(), []

def interrupt(number, frame):
    if armed:
        armed.clear()
        raise KeyboardInterrupt

def pester():
    while True:
        seconds = attempts.get()
        while armed:  # a signal that comes just before a wait doesn't end that
            time.sleep(seconds)
            signal.pthread_kill(main, signal.SIGINT)

signal.signal(signal.SIGINT, interrupt)
with Lab() as lab:
    threading.Thread(target=pester, daemon=True).start()
    for attempt in range(400):
        events = lab.events.subscribe(buffer=2, snapshot=attempt % 2 == 0)
        armed.append(True)
        try:
            attempts.put(random.uniform(0, 0.002))
            lab.start(int)
            for event in events:
                if event.kind == "run" and event.data["state"] == "succeeded":
                    lab.start(int)
                events.get(0)
                events.get(0.0001)
        except KeyboardInterrupt:
            pass
    events = lab.events.subscribe()
    lab.run(int)
    print(events.get(5) is not None)
"""


def test_ctrl_c_at_any_moment_of_reading_wedges_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
