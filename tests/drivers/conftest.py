"""Be the other side of a connection, an instrument that a test plays; and run what waits on a thread of its own."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from actorlab.drivers import SerialTransport, SocketTransport
from actorlab.drivers.transport import Transport

PATIENCE = 5.0


def elsewhere(function: Callable[[], object]) -> Future[Any]:
    """Run a function on a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test looks at it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class Heard:
    """What an instrument was told, line by line."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._more = threading.Condition()

    def add(self, line: bytes) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait(self, count: int) -> None:
        """Wait until there are so many lines."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= count, PATIENCE), f"only {self.lines}"


class FarSide(ABC):
    """The other side of one connection. Nothing waits longer than `PATIENCE`."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._quit, self._told_to_quit = socket.socketpair()

    @abstractmethod
    def transport(self, **options: Any) -> Transport:
        """Make the near side's transport."""

    @abstractmethod
    def meet(self) -> None:
        """Take the connection in."""

    @abstractmethod
    def descriptor(self) -> int:
        """Return where the bytes come and go."""

    @abstractmethod
    def leave(self) -> None:
        """Break the connection, as an instrument that is switched off does."""

    def close(self) -> None:
        """Give back everything."""
        self.leave()
        self._quit.close()
        self._told_to_quit.close()

    def send(self, data: bytes) -> None:
        """Send all of it, as fast as the near side takes it."""
        rest = memoryview(data)
        while rest:
            _, ready, _ = select.select([], [self.descriptor()], [], PATIENCE)
            assert ready, f"the near side doesn't take {len(rest)} bytes"
            rest = rest[os.write(self.descriptor(), rest[:1024]) :]

    def receive(self, count: int) -> bytes:
        """Wait for so many bytes."""
        while len(self._received) < count:
            ready, _, _ = select.select([self.descriptor()], [], [], PATIENCE)
            assert ready, f"only {len(self._received)} bytes came"
            self._received += os.read(self.descriptor(), 1 << 16)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def expect(self, message: bytes) -> None:
        """Wait for this message, and for nothing else."""
        assert self.receive(len(message)) == message

    @contextmanager
    def answering(self, answers: Mapping[bytes, bytes]) -> Generator[Heard]:
        """Answer each line on a thread, over any number of connections; give what was heard."""
        heard = Heard()
        serving = elsewhere(lambda: self._serve(answers, heard))
        try:
            yield heard
        finally:
            self._quit.send(b"!")
            assert serving.exception(PATIENCE) is None

    def _serve(self, answers: Mapping[bytes, bytes], heard: Heard) -> None:
        while self._met():
            while self._comes(self.descriptor()) and (piece := os.read(self.descriptor(), 1 << 16)):
                self._received += piece
                while b"\n" in self._received:
                    line, self._received = self._received.split(b"\n", 1)
                    heard.add(bytes(line))
                    self.send(answers.get(bytes(line), b""))
            self._received.clear()

    def _met(self) -> bool:
        """Take the next connection in; say no if there won't be one."""
        return self._comes(self.descriptor())

    def _comes(self, descriptor: int) -> bool:
        """Wait until something comes; say no if it is time to quit."""
        quit_ = self._told_to_quit.fileno()
        ready, _, _ = select.select([descriptor, quit_], [], [])
        return quit_ not in ready


class FarSocket(FarSide):
    """A TCP server for one client at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._connection: socket.socket | None = None

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def transport(self, **options: Any) -> SocketTransport:
        return SocketTransport("127.0.0.1", self.port, **options)

    def meet(self) -> None:
        self.leave()
        self._connection, _ = self._listener.accept()
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def descriptor(self) -> int:
        assert self._connection is not None, "meet() first"
        return self._connection.fileno()

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def close(self) -> None:
        super().close()
        self._listener.close()

    def _met(self) -> bool:
        comes = self._comes(self._listener.fileno())
        if comes:
            self.meet()
        return comes


class FarTerminal(FarSide):
    """The master of a pseudo-terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def transport(self, **options: Any) -> SerialTransport:
        return SerialTransport(self.path, **options)

    def meet(self) -> None:
        return

    def descriptor(self) -> int:
        return self._master

    def leave(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def close(self) -> None:
        super().close()
        os.close(self._slave)


@pytest.fixture(params=[FarSocket, FarTerminal], ids=["socket", "serial"])
def far(request: pytest.FixtureRequest) -> Iterator[FarSide]:
    """Set up the other side of a socket, and of a serial port."""
    made: FarSide = request.param()
    yield made
    made.close()


@pytest.fixture
def far_socket() -> Iterator[FarSocket]:
    made = FarSocket()
    yield made
    made.close()


@pytest.fixture
def far_terminal() -> Iterator[FarTerminal]:
    made = FarTerminal()
    yield made
    made.close()


@pytest.fixture
def near(far: FarSide) -> Iterator[Transport]:
    """Open the near side."""
    with far.transport(timeout=PATIENCE) as transport:
        far.meet()
        yield transport


@pytest.fixture
def repeatedly() -> Callable[[Callable[[], object], Future[Any]], None]:
    """Do something again and again until a future is done."""

    def repeat(action: Callable[[], object], future: Future[Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not future.done():
            action()
            assert time.monotonic() < end, "it took no notice"

    return repeat
