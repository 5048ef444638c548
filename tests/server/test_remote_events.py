"""A program hears what happens in a lab elsewhere, also after its connection was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import Client, ConfigError, Lab, Run, ServerUnavailable, emit, log, sleep
from actorlab.client.sse import Reader
from actorlab.core.backlog import Event
from actorlab.server import Server

PATIENCE = 5.0


def chatter(count: int) -> None:
    """Tell something so many times."""
    for number in range(count):
        emit("tick", number)


def talkative(gate: threading.Event) -> str:
    """Say something before and after a gate."""
    log("before", step=1)
    while not gate.is_set():
        sleep(0.01)
    log("after", step=2)
    return "done"


def up_to(events: Iterator[Event], run: Run[Any]) -> list[Event]:
    """Return the events up to the end of a run."""
    told: list[Event] = []
    for event in events:
        told.append(event)
        if event.subject == run.id and event.data.get("state") == "succeeded":
            return told
    pytest.fail(f"it ended: {told}")


def test_events_come_as_they_would_in_the_lab_itself(client: Client, lab: Lab) -> None:
    with client.events() as events:
        first = next(events)
        assert (first.kind, first.subject) == ("snapshot", "laser")
        with lab.events.subscribe(snapshot=False) as local:
            run = lab.start(chatter, 3)
            there = [event for event in up_to(events, run) if event.kind != "snapshot"]
            here = [event for _ in there if (event := local.get(PATIENCE)) is not None]
    assert [event[:4] for event in there] == [event[:4] for event in here]
    assert [event.data["data"] for event in there if event.kind == "emit"] == [0, 1, 2]


def test_after_a_lost_connection_events_go_on_without_a_gap(client: Client, lab: Lab) -> None:
    with client.events(kinds=["emit", "run"]) as events:
        told = up_to(events, lab.start(chatter, 5))
        for _ in range(3):
            assert events._answer is not None
            events._answer.cut()
            lab.run(chatter, 5)
            told += up_to(events, lab.start(chatter, 5))
    numbers = [event.sequence for event in told if event.sequence and event.kind != "snapshot"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [event.subject for event in told if event.kind == "reconnected"] == ["client"] * 3
    assert not [event for event in told if event.kind == "gap"]


def test_another_program_goes_on_where_one_has_stopped(client: Client, served: Any, lab: Lab) -> None:
    with client.events(kinds=["emit"]) as events:
        lab.run(chatter, 5)
        told = [next(events).data["data"] for _ in range(2)]
    with Client(served.url) as other, other.events(kinds="emit", last_id=events.last_id) as events:
        told += [next(events).data["data"] for _ in range(3)]
    assert told == [0, 1, 2, 3, 4]


def test_a_server_that_was_started_anew_is_found_again_and_says_that_something_is_missing(lab: Lab) -> None:
    server = Server(lab, port=0).start()
    port = int(server.url.rpartition(":")[2])
    with Client(server.url) as client, client.events() as events:
        run = lab.start(chatter, 1)
        up_to(events, run)
        server.stop()
        with Server(lab, port=port):
            assert [next(events).kind for _ in range(3)] == ["reconnected", "gap", "snapshot"]


def test_the_events_of_a_run_end_when_a_server_that_was_started_anew_does_not_know_it(lab: Lab) -> None:
    gate = threading.Event()
    server = Server(lab, port=0).start()
    port = int(server.url.rpartition(":")[2])
    with Client(server.url) as client:
        run = lab.start(talkative, gate)
        events = client.get(run.id).events()
        assert next(events).kind == "snapshot"
        server.stop()
        with Lab("anew") as anew, Server(anew, port=port), pytest.raises(ConfigError, match=f"no run '{run.id}'"):
            list(events)
    gate.set()
    run.result(PATIENCE)


def test_a_server_that_stays_away_is_told_in_time(lab: Lab) -> None:
    server = Server(lab, port=0).start()
    with Client(server.url) as client, client.events(away=0.2) as events:
        run = lab.start(chatter, 1)
        up_to(events, run)
        server.stop()
        with pytest.raises(ServerUnavailable, match=r"0\.2 s"):
            list(events)
        with pytest.raises(ServerUnavailable):
            next(iter(client.events()))


def test_close_ends_the_wait_for_events_from_another_thread(client: Client) -> None:
    events = client.events(kinds=["nothing"])
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(list, events)
        while events._answer is None:
            assert not heard.done()
        events.close()
        assert heard.result(PATIENCE) == []


def test_the_end_of_the_lab_ends_the_events(client: Client, lab: Lab) -> None:
    with client.events() as events:
        next(events)
        lab.close()
        assert list(events)[-1].kind == "end"


def test_the_events_of_a_run_end_with_it(client: Client, lab: Lab) -> None:
    gate = threading.Event()
    mine = client.get(lab.start(talkative, gate).id)
    lab.run(chatter, 3)
    events = mine.events()
    assert next(events).subject == mine.id
    gate.set()
    told = list(events)
    assert {event.subject for event in told} == {mine.id}
    assert told[-1].data["state"] == "succeeded"
    assert [event.data["state"] for event in mine.events()] == ["succeeded"]  # it has ended: a snapshot tells so


# -- logs


def test_the_log_of_a_run_is_there_during_it_and_after_it(client: Client, lab: Lab) -> None:
    gate = threading.Event()
    run = lab.start(talkative, gate)
    mine = client.get(run.id)
    with mine.follow_log() as lines:
        first = next(lines)
        assert (first.data, first.kind, first.subject) == ({"message": "before", "step": 1}, "log", run.id)
        gate.set()
        assert [line.data.get("message") for line in lines] == ["after", None]  # and how it ended
    run.result(PATIENCE)
    assert [line.data["message"] for line in mine.log()] == ["before", "after"]
    assert [line.data["message"] for line in mine.log(newest=1)] == ["after"]
    assert [line.data.get("message") for line in mine.follow_log(newest=1)] == ["after", None]
    with pytest.raises(ConfigError):
        client.get("nonsense#1").log()


def test_the_log_of_a_run_goes_on_after_a_lost_connection(client: Client, lab: Lab) -> None:
    gate = threading.Event()
    mine = client.get(lab.start(talkative, gate).id)
    with mine.follow_log() as lines:
        assert next(lines).data["message"] == "before"
        assert lines._answer is not None
        lines._answer.cut()
        gate.set()
        assert [line.kind for line in lines] == ["reconnected", "log", "end"]


class Slow:
    """It takes its time to say what it is."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def __repr__(self) -> str:
        self._gate.wait(PATIENCE)
        return "slow"


def tell_slow(gate: threading.Event) -> None:
    emit("slow", Slow(gate))


def test_a_line_that_is_told_late_comes_once(client: Client, lab: Lab) -> None:
    slow, gate = threading.Event(), threading.Event()
    with client.events() as early:
        next(early)
        lab.run(tell_slow, slow)  # what comes after this has to wait until it is written
        mine = client.get(lab.start(talkative, gate).id)
        while not mine.log():
            sleep(0.01)
        with mine.follow_log() as lines:
            assert next(lines).data["message"] == "before"
            slow.set()
            gate.set()
            assert [line.data.get("message") for line in lines] == ["after", None]


# -- server-sent events, cut anywhere

WORDS = st.text("abc :é", max_size=6).map(str.strip)


@given(told=st.lists(st.tuples(WORDS, WORDS, st.integers(0, 9)), max_size=6), data=st.data())
def test_server_sent_events_are_read_however_they_are_cut(
    told: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    text = "".join(f": so far\nid: {number}\nevent: {kind}\ndata: {said}\n\n" for kind, said, number in told).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    reader = Reader()
    heard = [message for piece in pieces for message in reader.feed(piece)]
    assert [tuple(message) for message in heard] == [
        (kind or "message", said, str(number)) for kind, said, number in told
    ]


def test_an_event_that_is_cut_off_does_not_count() -> None:
    reader = Reader()
    (message,) = reader.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert message.id == "1"
    assert [found.id for found in reader.feed(b"\n")] == ["2"]
