"""See that what a driver logs and publishes arrives, and never holds it up."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.isolation.outbox import Outbox
from actorlab.isolation.side import DROPPED, LOGGED, NUMBER, PUBLISHED, READY, Frames
from actorlab.isolation.wire import HEADER
from tests.isolation.isolated_drivers import Meter
from tests.isolation.lab_side import PATIENCE, Made

Launch = Callable[..., Made]


class Kept(logging.Handler):
    """A handler that keeps what it gets, as soon as it may."""

    def __init__(self) -> None:
        super().__init__()
        self.records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self.open = threading.Event()
        self.open.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.open.wait(PATIENCE)
        self.records.put(record)

    def next(self) -> logging.LogRecord:
        return self.records.get(timeout=PATIENCE)


@contextmanager
def kept(name: str, level: int = logging.INFO) -> Generator[Kept]:
    logger, handler = logging.getLogger(name), Kept()
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


# -- logs


def test_log_records_arrive_under_their_name_and_above_the_level_that_is_set_here(launch: Launch) -> None:
    with kept("meters.mine") as handler:
        made = launch(Meter)
        made.child.call("say", logging.DEBUG, "too low")
        made.child.call("say", logging.INFO, "got %d of %s", 3, "five", where="lab 2")
        record = handler.next()
        logging.getLogger("meters.mine").setLevel(logging.ERROR)  # from now on
        made.child.call("say", logging.WARNING, "too low now")
        made.child.call("say", logging.ERROR, "high enough")
        assert handler.next().getMessage() == "high enough"
    assert (record.name, record.levelno, record.getMessage()) == ("meters.mine", logging.INFO, "got 3 of five")
    assert (record.process, record.processName, record.funcName) == (made.child.pid, "meter", "say")
    assert record.__dict__["where"] == "lab 2"
    assert handler.records.empty()


def test_a_record_whose_arguments_cannot_travel_is_formatted_there(launch: Launch) -> None:
    with kept("meters.mine") as handler:
        child = launch(Meter).child
        child.perform(_log_a_lock)
        record = handler.next()
    assert "lock" in record.getMessage()
    assert record.__dict__["held"].startswith("<unlocked")


def test_a_traceback_in_the_log_arrives_as_text(launch: Launch) -> None:
    with kept("meters.mine") as handler:
        launch(Meter).child.call("say_error")
        record = handler.next()
    assert record.exc_text is not None
    assert "ValueError: inside" in record.exc_text
    assert "ValueError: inside" in logging.Formatter().format(record)


def test_ten_thousand_lines_hold_nobody_up_though_nobody_takes_them(launch: Launch) -> None:
    with kept("meters.much") as handler:
        child = launch(Meter).child
        handler.open.clear()
        child.call("say_much", 10_000)
        assert child.call("power") == 1.0
        handler.open.set()
        lines = [handler.next().getMessage() for _ in range(10_000)]
    assert lines == [f"line {number}" for number in range(10_000)]


def test_what_was_logged_before_the_end_arrives(launch: Launch) -> None:
    with kept("meters.much") as handler:
        child = launch(Meter).child
        child.call("say_much", 200)
        child.close(PATIENCE)
        assert [handler.next().getMessage() for _ in range(200)][-1] == "line 199"


def test_a_handler_that_fails_does_not_end_the_listening(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    made = launch(Meter)

    def fail(stream: str, value: object) -> None:
        text = f"{stream}: {value}"
        raise ValueError(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.ears, "published", fail)
        made.child.call("publish", "frames", [1])
        made.child.kill()
        assert made.ears.dead.wait(PATIENCE)
    assert "meter: what its process said couldn't be handled" in caplog.text
    assert "ValueError: frames: 1" in caplog.text


def test_what_is_printed_is_printed_at_once(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    launch(Meter).child.perform(_print)
    assert capfd.readouterr().out == "from the driver\n"


def _print(_: Meter) -> None:
    sys.stdout.write("from the driver\n")


def _log_a_lock(_: Meter) -> None:
    lock = threading.Lock()
    logging.getLogger("meters.mine").warning("this is %s", lock, extra={"held": lock})


# -- streams


def test_published_values_arrive_in_order_from_any_thread(launch: Launch) -> None:
    made = launch(Meter)
    frame = np.arange(2**20, dtype=np.uint16)
    made.child.call("publish", "frames", [1, "two", frame, 4])
    got = [made.ears.values.get(timeout=PATIENCE) for _ in range(4)]
    assert [name for name, _ in got] == ["frames"] * 4
    assert [value for _, value in got[:2]] == [1, "two"]
    assert (got[2][1] == frame).all()
    got[2][1][0] = 5  # it is ours
    assert got[3][1] == 4


def test_a_value_that_cannot_be_pickled_is_an_error_of_who_publishes_it(launch: Launch) -> None:
    made = launch(Meter)
    with pytest.raises(TypeError, match="lock"):
        made.child.perform(_publish_a_lock)
    made.child.call("publish", "frames", [1])
    assert made.ears.values.get(timeout=PATIENCE) == ("frames", 1)


def _publish_a_lock(_: Meter) -> None:
    from actorlab.scope import current  # noqa: PLC0415 - it runs elsewhere

    current.get().publish("frames", threading.Lock())


# -- the outbox and its frames


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def read_all(sock: socket.socket, number: int) -> list[tuple[int, bytes]]:
    frames, got = Frames(), list[tuple[int, bytes]]()
    sock.settimeout(PATIENCE)
    while len(got) < number:
        data = sock.recv(1 << 16)
        assert data
        got += frames.feed(data)
    return got


def test_an_outbox_never_waits_and_drops_the_oldest_of_what_nobody_takes(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorlab.isolation.outbox.MOST", 1_000_000)
    outbox = Outbox(ends[0])
    body = bytes(10_000)
    for number in range(1_000):
        outbox.send(PUBLISHED, NUMBER.pack(number) + body)
    frames, numbers, dropped = Frames(), list[int](), 0
    ends[1].settimeout(PATIENCE)
    while not dropped:
        for kind, got in frames.feed(ends[1].recv(1 << 16)):
            if kind == DROPPED:
                (dropped,) = NUMBER.unpack(got)
            else:
                numbers.append(NUMBER.unpack_from(got)[0])
    assert len(numbers) + dropped == 1_000
    assert numbers == sorted(numbers)
    assert numbers[-1] == 999
    assert dropped > 800
    outbox.close()


def test_an_outbox_is_used_by_many_threads_and_by_itself(ends: tuple[socket.socket, socket.socket]) -> None:
    outbox = Outbox(ends[0])

    def send(name: int) -> None:
        for number in range(1_000):
            outbox.send(LOGGED, NUMBER.pack(name) + NUMBER.pack(number) + bytes(200))

    threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got = read_all(ends[1], 4_000)
    for thread in threads:
        thread.join()
    numbers = [(NUMBER.unpack_from(body)[0], NUMBER.unpack_from(body, 8)[0]) for _, body in got]
    for name in range(4):
        assert [number for who, number in numbers if who == name] == list(range(1_000))
    outbox.close()


def test_an_outbox_is_flushed_within_a_bound(ends: tuple[socket.socket, socket.socket]) -> None:
    outbox = Outbox(ends[0])
    outbox.send(LOGGED, bytes(1_000_000))
    outbox.flush(0.05)  # nobody reads
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(read_all, ends[1], 1)
        outbox.flush(PATIENCE)
        assert not outbox._begun
        assert len(read.result()[0][1]) == 1_000_000
    outbox.close()


def test_a_finaliser_that_sends_within_a_send_is_sent_as_well(ends: tuple[socket.socket, socket.socket]) -> None:
    outbox = Outbox(ends[0])
    assert outbox._writing.acquire(False)  # as if a send were in progress below us
    outbox.send(LOGGED, b"by the finaliser")
    outbox._writing.release()
    outbox.send(LOGGED, b"by the driver")
    assert [body for _, body in read_all(ends[1], 2)] == [b"by the finaliser", b"by the driver"]


def test_an_outbox_whose_lab_is_gone_takes_what_it_gets(ends: tuple[socket.socket, socket.socket]) -> None:
    outbox = Outbox(ends[0])
    ends[1].close()
    for _ in range(100):
        outbox.send(LOGGED, bytes(100_000))
    outbox.flush(PATIENCE)
    assert not outbox._waiting


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50))), st.lists(st.integers(1, 40), min_size=1))
def test_frames_are_found_wherever_the_stream_is_cut(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(HEADER.pack(len(body), kind) + body for kind, body in sent)
    frames, got = Frames(), list[tuple[int, bytes]]()
    while stream:
        for cut in cuts:
            got += frames.feed(stream[:cut])
            stream = stream[cut:]
    assert got == sent
    assert READY == 0
