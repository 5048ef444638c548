"""Serve SCPI instruments on loopback TCP sockets, all of them from one thread."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, assert_never

from actorlab.simulation.faults import Fault, FaultPlan
from actorlab.simulation.instruments import Instrument
from actorlab.simulation.record import CommandRecord

__all__ = ["Server", "Station"]

LONGEST_COMMAND: Final = 1 << 16
GARBAGE_BYTES: Final = 24


class Station:
    """One instrument on its socket, with the connections it has and the faults it will have.

    Everything here happens on the server's thread, except `address`.
    """

    def __init__(
        self,
        name: str,
        instrument: Instrument,
        record: CommandRecord,
        clock: Callable[[], float],
        endpoint: socket.socket,
    ) -> None:
        host, port = endpoint.getsockname()[:2]
        self.address: tuple[str, int] = (host, port)
        self.name = name
        self.faults = FaultPlan()
        self.endpoint = endpoint
        self.connections: list[Connection] = []
        self.noise = random.Random(name)  # noqa: S311  # it makes garbage, not secrets
        self._instrument = instrument
        self._record = record
        self._clock = clock

    def execute(self, command: str) -> bytes | None:
        """Execute a command and note it; return its answer, if it has one."""
        self._record.add(self.name, command)
        return self._instrument.execute(command, self._clock())

    def power_cycle(self) -> None:
        """Forget all settings and drop all connections."""
        self._instrument.power_cycle(self._clock())
        for connection in tuple(self.connections):
            connection.abort()

    def garbage(self) -> bytes:
        """Return what no answer begins with, some noise, and an end of line."""
        return b"\xff" + self.noise.randbytes(GARBAGE_BYTES) + b"\n"


class Connection(asyncio.Protocol):
    """One client of an instrument: its commands are executed one after the other, each whole line when it has come."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TCP has no other kind
        self._transport = transport
        # asyncio does it only for sockets made with an explicit protocol number; without it, the second of two answers
        # waits for the delayed acknowledgement of the first (40 ms).
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._station.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and what it still waits for."""
        del exc
        self._transport = None
        self._station.connections.remove(self)
        if self._silence is not None:
            self._silence.cancel()

    def data_received(self, data: bytes) -> None:
        """Execute what has come."""
        self._received += data
        if len(self._received) > LONGEST_COMMAND:
            self.abort()
        self._work()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None  # asyncio says that it is lost only later

    def _work(self) -> None:
        while self._transport is not None and not self._silent and b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            command = line.decode("ascii", "replace").strip()
            if command:
                self._meet(self._station.faults.next(), command)

    def _meet(self, fault: Fault | None, command: str) -> None:
        if fault is None:
            self._answer(self._station.execute(command))
            return
        match fault.kind:
            case "drop":
                self.abort()
            case "power_cycle":
                self._station.power_cycle()
            case "hang":
                self._station.execute(command)
                self._be_silent(fault.seconds, None)
            case "slow":
                self._be_silent(fault.seconds, self._station.execute(command))
            case "garbage":
                self._station.execute(command)
                self._write(self._station.garbage())
            case _ as never:
                assert_never(never)

    def _be_silent(self, seconds: float | None, answer: bytes | None) -> None:
        """Neither answer nor execute anything for some seconds (None: ever), then answer, if there is an answer."""
        self._silent = True
        if seconds is not None:
            self._silence = asyncio.get_running_loop().call_later(seconds, self._end_silence, answer)

    def _end_silence(self, answer: bytes | None) -> None:
        self._silent, self._silence = False, None
        self._answer(answer)
        self._work()

    def _answer(self, answer: bytes | None) -> None:
        if answer is not None:
            self._write(answer + b"\n")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class Server:
    """A thread with an event loop, which serves some stations until it is closed."""

    def __init__(self, stations: Mapping[str, Station]) -> None:
        self._stations = stations
        self._thread = threading.Thread(target=self._run, name="actorlab-bench", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        self._ready.wait()

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Return host and port of each station."""
        return {name: station.address for name, station in self._stations.items()}

    def close(self) -> None:
        """Drop all connections, stop listening, and wait for the thread's end."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
        self.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def plan(self, name: str, fault: Fault) -> None:
        """Have a fault strike an instrument; when this returns, it is in force."""
        assert self._loop is not None, "the server hasn't been started"  # noqa: S101  # the bench starts it at once
        asyncio.run_coroutine_threadsafe(self._plan(name, fault), self._loop).result()

    async def _plan(self, name: str, fault: Fault) -> None:
        self._stations[name].faults.add(fault)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(partial(Connection, station), sock=station.endpoint)
            for station in self._stations.values()
        ]
        self._loop = loop
        self._ready.set()
        await self._closing.wait()
        for server in servers:
            server.close()
        for station in self._stations.values():
            for connection in tuple(station.connections):
                connection.abort()
        await asyncio.sleep(0)  # the loop says "lost" to the connections in its next turn
