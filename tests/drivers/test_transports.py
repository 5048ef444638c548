"""A transport's waits are bounded and can be ended; its connection survives that; no byte is lost or comes twice."""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import CallTimeout, Device, DeviceConfig, DeviceFault, DeviceUnavailable, Lab, RestartPolicy, ask, query
from actorlab.drivers import Interrupted, SerialTransport, SocketTransport, socket_transport
from actorlab.drivers.interruptible import InterruptibleWait
from actorlab.drivers.socket_transport import Address
from actorlab.drivers.transport import Transport
from actorlab.errors import ConfigError
from actorlab.scope import Scope, current
from tests.drivers.conftest import PATIENCE, FarSide, FarSocket, FarTerminal, elsewhere

SHORT = 0.05
LARGE = 1 << 18
RACES = 500
MOMENTS = 50
Repeatedly = Callable[[Callable[[], object], Future[Any]], None]


# -- what arrives


def test_a_query_returns_what_comes_before_the_terminator(near: Transport, far: FarSide) -> None:
    asking = elsewhere(lambda: near.query(b"TEMP?\n"))
    far.expect(b"TEMP?\n")
    far.send(b"23.5\n")

    assert asking.result(PATIENCE) == b"23.5"


def test_a_query_does_not_take_what_came_unasked_for_its_answer(near: Transport, far: FarSide) -> None:
    far.send(b"unasked\nand")
    assert near.read_until(b"as") == b"un"
    asking = elsewhere(lambda: near.query(b"TEMP?\n"))
    far.expect(b"TEMP?\n")
    far.send(b"23.5\n")

    assert asking.result(PATIENCE) == b"23.5"


def test_several_answers_in_one_piece_are_told_apart(near: Transport, far: FarSide) -> None:
    far.send(b"1\n2\r\n3;four")

    assert near.read_until() == b"1"
    assert near.read_until(b"\r\n") == b"2"
    assert near.read_until(b";") == b"3"
    assert near.read_exactly(4) == b"four"
    assert near.read_exactly(0) == b""


def test_a_partial_answer_waits_for_its_rest(near: Transport, far: FarSide) -> None:
    far.send(b"23.")
    with pytest.raises(TimeoutError, match=r"still owes b'\\n'; came: b'23\.'"):
        near.read_until(seconds=SHORT)
    with pytest.raises(TimeoutError, match=r"still owes 4 bytes; came: b'23\.'"):
        near.read_exactly(4, seconds=SHORT)
    far.send(b"5\n")

    assert near.read_until() == b"23.5"


def test_silence_is_bounded_by_the_timeout_and_says_who_was_silent(near: Transport) -> None:
    near.timeout = SHORT
    with pytest.raises(TimeoutError) as error:
        near.query(b"TEMP?\n")

    assert str(error.value) == f"{near!r} was silent for 0.05 s and still owes b'\\n'; came: nothing"
    assert error.value.filename is None, "it counts as a fault"


def test_garbage_without_an_end_is_thrown_away(near: Transport, far: FarSide) -> None:
    garbage = bytes(byte for byte in range(256) if byte != 10)
    far.send(garbage)
    with pytest.raises(TimeoutError, match="and 195 more"):
        near.read_until(seconds=SHORT)
    far.send(garbage)
    near.discard()
    asking = elsewhere(lambda: near.query(b"TEMP?\n"))
    far.expect(b"TEMP?\n")
    far.send(b"23.5\n")

    assert asking.result(PATIENCE).endswith(b"23.5")


def test_large_blocks_arrive_whole_in_both_directions(near: Transport, far: FarSide) -> None:
    block = random.Random(1).randbytes(LARGE)

    receiving = elsewhere(lambda: far.receive(LARGE))
    near.write(block)
    assert receiving.result(PATIENCE) == block

    sending = elsewhere(lambda: far.send(block + b"\n"))
    assert near.read_exactly(LARGE) == block
    assert near.read_until() == b""
    sending.result(PATIENCE)


def test_an_instrument_that_takes_nothing_is_told_from_one_that_is_slow(near: Transport) -> None:
    near.timeout = SHORT

    with pytest.raises(TimeoutError, match=r"took \d+ of 67108864 bytes and then none for 0.05 s"):
        near.write(bytes(1 << 26))


def test_the_other_side_closing_in_the_middle_of_an_answer_is_noticed_at_once(near: Transport, far: FarSide) -> None:
    reading = elsewhere(near.read_until)
    far.send(b"23")
    far.leave()

    with pytest.raises(ConnectionResetError, match="the connection"):
        reading.result(PATIENCE)
    for use in (near.read_until, near.discard, lambda: near.query(b"?\n")):
        with pytest.raises(ConnectionResetError):
            use()


def test_what_came_before_the_other_side_closed_is_still_read(far_socket: FarSocket) -> None:
    with far_socket.transport() as transport:
        far_socket.meet()
        far_socket.send(b"last words\n")
        far_socket.leave()

        assert transport.read_until() == b"last words"


def test_a_read_until_nothing_is_refused(near: Transport) -> None:
    near.terminator = b""
    with pytest.raises(ValueError, match="use read_exactly"):
        near.read_until()


class Pieces(Transport):
    """A transport to which bytes come in given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(1, b"\n")
        self._pieces = iter(pieces)
        self._always, self._readable = socket.socketpair()
        self._readable.send(b"!")

    def _open_port(self, wait: InterruptibleWait) -> Pieces:
        del wait
        return self

    def _close_port(self) -> None:
        """Leave it to `finish`: a transport is closed before it is opened, too."""

    def fileno(self) -> int:
        return self._always.fileno()

    def send(self, data: memoryview, /) -> int:
        return len(data)

    def recv(self, size: int, /) -> bytes:
        piece = next(self._pieces)
        assert len(piece) <= size
        return piece

    def finish(self) -> None:
        self.close()
        self._always.close()
        self._readable.close()


@given(
    messages=st.lists(st.lists(st.sampled_from([b"a", b"\r", b"\n\r"])).map(b"".join), max_size=6),
    cuts=st.lists(st.integers(1, 5), min_size=1),
)
def test_messages_are_the_same_wherever_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(message.replace(b"\r\n", b"") + b"\r\n" for message in messages)
    expected = stream.split(b"\r\n")[:-1]
    transport = Pieces(list(pieces(stream, cuts)))
    transport.open()
    try:
        assert [transport.read_until(b"\r\n") for _ in expected] == expected
    finally:
        transport.finish()


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        yield stream[at : at + size]
        at += size


# -- interrupts


def test_an_interrupt_ends_a_read_at_once_and_the_connection_survives(near: Transport, far: FarSide) -> None:
    asking = elsewhere(lambda: near.query(b"TEMP?\n"))
    far.expect(b"TEMP?\n")
    began = time.monotonic()
    near.interrupt()

    with pytest.raises(Interrupted, match="was interrupted"):
        asking.result(PATIENCE)
    assert time.monotonic() - began < 1
    for use in (near.read_until, near.discard, lambda: near.write(b"?"), lambda: near.read_exactly(1)):
        with pytest.raises(Interrupted):
            use()

    near.rearm()
    far.send(b"23.5\n")
    assert near.read_until() == b"23.5", "the connection is the same"


def test_an_interrupt_ends_a_write_that_nobody_takes(near: Transport) -> None:
    writing = elsewhere(lambda: near.write(bytes(1 << 26)))
    near.interrupt()

    with pytest.raises(Interrupted):
        writing.result(PATIENCE)


def test_a_partial_answer_survives_an_interrupt(near: Transport, far: FarSide) -> None:
    far.send(b"23.")
    assert near.read_exactly(1) == b"2"
    reading = elsewhere(near.read_until)
    near.interrupt()
    with pytest.raises(Interrupted):
        reading.result(PATIENCE)

    near.rearm()
    far.send(b"5\n")
    assert near.read_until() == b"3.5"


def test_many_interrupts_need_one_rearming_and_never_wait(near: Transport, far: FarSide) -> None:
    for _ in range(5000):
        near.interrupt()
    near.rearm()
    far.send(b"23.5\n")

    assert near.read_until() == b"23.5"


def test_interrupting_what_is_not_open_does_nothing(far: FarSide) -> None:
    transport = far.transport()
    transport.interrupt()
    transport.rearm()
    transport.open()
    far.meet()
    transport.write(b"1")
    transport.interrupt()
    transport.close()
    transport.interrupt()
    transport.open()
    far.meet()
    transport.write(b"2")
    transport.close()


def test_an_interrupt_near_the_end_of_a_query_never_hits_the_next_one(far: FarSide) -> None:
    """In each try an interrupt comes at another moment of a query; who was interrupted gets back into step."""
    answers = {f"{i}?".encode(): f"{i}\n".encode() for i in range(2 * RACES)}
    with far.answering(answers), far.transport(timeout=PATIENCE) as near:
        ends = Counter(interrupted(near, i) for i in range(RACES))

    assert ends[True] >= RACES // MOMENTS, "those which were interrupted before they began"
    assert ends[False] >= RACES // MOMENTS, "those which had ended"


def interrupted(near: Transport, i: int) -> bool:
    """Interrupt a query at a moment that depends on `i`, and query again; say whether it was in time."""
    if i % MOMENTS == 0:
        near.interrupt()
    asking = elsewhere(lambda: near.query(f"{i}?\n".encode()))
    wait([asking], moment(i))
    near.interrupt()
    error = asking.exception(PATIENCE)
    assert isinstance(error, Interrupted) or asking.result() == f"{i}".encode()
    near.rearm()
    near.write(f"{RACES + i}?\n".encode())
    while near.read_until() != f"{RACES + i}".encode():
        pass
    assert near.query(f"{i}?\n".encode()) == f"{i}".encode()
    return error is not None


def moment(i: int) -> float:
    """Return seconds that lie before, around and after the end of a query."""
    return PATIENCE if i % MOMENTS == MOMENTS - 1 else i % MOMENTS * 2e-5


# -- opening and closing


def test_use_without_open_is_refused(far: FarSide) -> None:
    transport = far.transport()
    for use in (transport.read_until, transport.discard, lambda: transport.write(b"?")):
        with pytest.raises(ConnectionError, match=r"is not open: call open\(\) first"):
            use()
    transport.close()


def test_a_transport_that_is_opened_anew_knows_nothing_of_before(near: Transport, far: FarSide) -> None:
    far.send(b"from before")
    assert near.read_exactly(4) == b"from"
    near.interrupt()
    near.open()
    far.meet()
    far.send(b"new\n")

    assert near.read_until() == b"new"


def test_an_opening_that_fails_leaves_nothing_open(far: FarSide) -> None:
    transport = far.transport()
    if isinstance(far, FarSocket):
        far.close()  # so that it is refused
    before = open_files()
    with far.transport() if isinstance(far, FarTerminal) else nullcontext():  # so that it is in use
        during = open_files()
        with pytest.raises(OSError, match="can't be opened"):
            transport.open()
        assert open_files() == during
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_timeout_that_bounds_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SocketTransport\('h', 1\): timeout=0 must be more than 0 seconds"):
        SocketTransport("h", 1, timeout=0)


def test_a_query_is_an_exchange(near: Transport, far: FarSide) -> None:
    log: list[str] = []

    class Noting(Scope):
        @contextmanager
        def exchange(self) -> Generator[None]:
            log.append("begins")
            yield
            log.append("ends")

    def ask_in_scope() -> bytes:
        current.set(Noting())
        return near.query(b"TEMP?\n")

    asking = elsewhere(ask_in_scope)
    far.expect(b"TEMP?\n")
    assert log == ["begins"]
    far.send(b"23.5\n")
    assert asking.result(PATIENCE) == b"23.5"
    assert log == ["begins", "ends"]


# -- sockets


@pytest.fixture
def nobody_answers() -> Iterator[int]:
    """Give a port at which connections are neither accepted nor refused, as the queue for them is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


def test_opening_is_bounded(nobody_answers: int) -> None:
    with pytest.raises(TimeoutError, match=r"did not open within 0\.05 s; is it switched on"):
        SocketTransport("127.0.0.1", nobody_answers, timeout=SHORT).open()


def test_opening_can_be_interrupted(nobody_answers: int, repeatedly: Repeatedly) -> None:
    transport = SocketTransport("127.0.0.1", nobody_answers, timeout=60)
    opening = elsewhere(transport.open)
    repeatedly(transport.interrupt, opening)

    with pytest.raises(Interrupted):
        opening.result(0)
    with pytest.raises(ConnectionError, match="not open"):
        transport.write(b"?")


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    with pytest.raises(ConnectionRefusedError, match="can't be opened: Connection refused; is it switched on"):
        SocketTransport("127.0.0.1", port).open()


def test_a_host_by_name_is_found(far_socket: FarSocket) -> None:
    with SocketTransport("localhost", far_socket.port) as transport:
        far_socket.meet()
        transport.write(b"hello")
        far_socket.expect(b"hello")


def test_a_host_with_several_addresses_is_tried_at_each(far_socket: FarSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()
    addresses = [Address(socket.AF_INET, closed), Address(socket.AF_INET, ("127.0.0.1", far_socket.port))]
    monkeypatch.setattr(socket_transport, "_resolved", lambda *_: addresses)
    before = open_files()
    with SocketTransport("chiller.local", 5025) as transport:
        far_socket.meet()
        transport.write(b"hello")
        far_socket.expect(b"hello")
        far_socket.leave()
    assert open_files() == before


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConnectionError, match=r"nobody knows this host .*; check it, or give the IP address"):
        SocketTransport("a..b", 5025).open()


def test_a_port_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="port=70000 must be 1 to 65535"):
        SocketTransport("127.0.0.1", 70000)


class NameServer:
    """A name server that says nothing until it is let, and then that it doesn't know."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, host: str, port: int, flags: int = 0) -> list[Any]:
        del host, port
        if not flags:
            self.asked.set()
            assert self.may_answer.wait(PATIENCE)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket_transport, "_resolved", server)
    yield server
    server.may_answer.set()


def test_a_name_that_nobody_knows_is_refused(name_server: NameServer) -> None:
    name_server.may_answer.set()
    with pytest.raises(ConnectionError, match=r"nobody knows this host .*Name or service not known"):
        SocketTransport("chiller.local", 5025).open()


@pytest.mark.usefixtures("name_server")
def test_a_name_server_that_is_silent_is_not_waited_for_longer_than_the_timeout() -> None:
    with pytest.raises(TimeoutError, match=r"no name server knew its address within 0\.05 s"):
        SocketTransport("chiller.local", 5025, timeout=SHORT).open()


def test_the_wait_for_a_name_server_can_be_interrupted(name_server: NameServer) -> None:
    transport = SocketTransport("chiller.local", 5025, timeout=60)
    opening = elsewhere(transport.open)
    assert name_server.asked.wait(PATIENCE)
    transport.interrupt()

    with pytest.raises(Interrupted):
        opening.result(PATIENCE)


# -- serial ports


def test_a_serial_port_is_opened_by_one_only(far_terminal: FarTerminal) -> None:
    with far_terminal.transport(), pytest.raises(ConnectionError, match="another program uses it"):
        far_terminal.transport().open()
    with far_terminal.transport():
        pass


def test_a_serial_port_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(ConnectionError, match=r"No such file.*is it plugged in\? python -m serial\.tools\.list_ports"):
        SerialTransport("/dev/nothing-there").open()


def test_what_is_no_serial_port_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConnectionError, match="is it a serial port"):
        SerialTransport(str(file)).open()


def test_settings_that_no_port_has_are_a_mistake_of_the_program(far_terminal: FarTerminal) -> None:
    with pytest.raises(ConfigError, match="Not a valid stop bit size: 3"):
        far_terminal.transport(stopbits=3).open()


def test_the_settings_reach_the_port(far_terminal: FarTerminal) -> None:
    settings: dict[str, Any] = {"baudrate": 19200, "bytesize": 7, "parity": "E", "stopbits": 2, "xonxoff": True}
    with far_terminal.transport(**settings) as transport:
        assert transport._serial is not None
        opened = transport._serial.get_settings()

    assert {name: opened[name] for name in settings} == settings


def test_a_missing_pyserial_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)

    with pytest.raises(ConfigError, match=r'pip install "actorlab\[serial\]"'):
        SerialTransport("/dev/ttyUSB0").open()


class SlowPort:
    """A port that has not sent everything yet."""

    def __init__(self, waiting: list[int]) -> None:
        self.log: list[str] = []
        self._waiting = waiting

    @property
    def out_waiting(self) -> int:
        return self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]

    def reset_output_buffer(self) -> None:
        self.log.append("thrown away")

    def close(self) -> None:
        self.log.append("closed")


@pytest.mark.parametrize(("waiting", "log"), [([9, 5, 0], ["closed"]), ([9], ["thrown away", "closed"])])
def test_closing_lets_a_last_command_out_but_waits_no_longer_than_the_timeout(
    waiting: list[int], log: list[str]
) -> None:
    transport = SerialTransport("/dev/ttyUSB0", timeout=SHORT)
    port: Any = SlowPort(waiting)
    transport._serial = port
    transport.close()

    assert port.log == log


# -- in a lab


class Chiller(Device):
    """A driver such as people write who have no VISA."""

    def __init__(self, transport: Transport, log: list[str]) -> None:
        self._transport = transport
        self._log = log

    def connect(self) -> None:
        self._log.append("connect")
        self._transport.open()

    def disconnect(self) -> None:
        self._transport.close()

    def interrupt(self) -> None:
        self._transport.interrupt()

    def resync(self) -> None:
        self._log.append("resync")
        self._transport.rearm()
        self._transport.write(b"*IDN?\n")
        while self._transport.read_until() != b"chiller":
            pass

    @query
    def temperature(self) -> float:
        return float(self._transport.query(b"TEMP?\n"))

    def hang(self) -> bytes:
        return self._transport.query(b"HANG?\n")


ANSWERS = {b"*IDN?": b"chiller\n", b"TEMP?": b"23.5\n"}


def test_a_read_that_hangs_ends_at_the_running_limit_and_the_next_call_works(far: FarSide) -> None:
    log: list[str] = []
    configured = DeviceConfig(timeout=0.2)(Chiller)
    with far.answering(ANSWERS), Lab(cancel_grace=0.3) as lab:
        device = lab.add("chiller", configured, far.transport(timeout=PATIENCE), log)
        for _ in range(3):
            with pytest.raises(CallTimeout, match=r"chiller\.hang took longer than its limit of 0\.2 s"):
                device.hang()
            assert device.temperature() == 23.5

    assert log == ["connect", "resync", "resync", "resync"], "the connection survived"


def test_an_instrument_that_falls_silent_is_a_fault_and_is_connected_anew(far: FarSide) -> None:
    log: list[str] = []
    configured = DeviceConfig(restart=RestartPolicy(delay=0.01))(Chiller)
    with far.answering(ANSWERS), Lab(cancel_grace=0.3) as lab:
        device = lab.add("chiller", configured, far.transport(timeout=0.3), log)
        with pytest.raises(DeviceFault, match=r"chiller failed in hang: TimeoutError: .* was silent for 0\.3 s"):
            device.hang()
        assert once_more(device) == 23.5

    assert log == ["connect", "connect"]


def once_more(device: Any) -> float:
    """Ask until the device has come back."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return float(device.temperature())
        except (DeviceFault, DeviceUnavailable):
            assert time.monotonic() < end, "it doesn't come back"


def test_cancelled_calls_in_a_lab_never_hit_the_next_one(far: FarSide) -> None:
    """In each try the cancellation comes at another moment after the instrument was asked."""
    log: list[str] = []
    with far.answering(ANSWERS) as heard, Lab(cancel_grace=0.3) as lab:
        device = lab.add("chiller", Chiller, far.transport(timeout=PATIENCE), log)
        for i in range(RACES):
            before = len(heard.lines)
            reply = ask(device.hang if i % MOMENTS == 0 else device.temperature)
            heard.wait(before + 1)
            reply.wait(moment(i))
            reply.cancel()
            assert device.temperature() == 23.5

    assert log.count("connect") == 1
    assert heard.lines.count(b"*IDN?") == log.count("resync") >= RACES // MOMENTS
