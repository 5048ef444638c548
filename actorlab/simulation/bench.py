"""Set up a bench of simulated instruments for a `with` block, and look at what they were told."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Final, Self

from actorlab.simulation.faults import Fault, FaultKind
from actorlab.simulation.instruments import INSTRUMENTS
from actorlab.simulation.physics import World
from actorlab.simulation.record import CommandRecord
from actorlab.simulation.server import Server, Station

__all__ = ["STANDARD_PORTS", "Bench"]

STANDARD_PORTS: Final = range(5025, 5025 + len(INSTRUMENTS))


class Bench:
    """Seven instruments that share one physics, each on a TCP socket of its own, in a `with` block.

    They are ``laser``, ``meter``, ``oven``, ``smu``, ``lamp``, ``spectrometer`` and ``stage``. `time_scale` is how many
    seconds of physics pass in one real second. `ports` are their ports, in this order; None takes free ones. `seed`
    fixes the noise of their measurements; `clock` (seconds) is what physics goes by.

    >>> from actorlab.simulation import Laser
    >>> with Bench() as bench, Laser(bench.resources["laser"]) as laser:
    ...     laser.set_current(20)
    ...     laser.current()
    20.0
    """

    def __init__(
        self,
        time_scale: float = 1.0,
        host: str = "127.0.0.1",
        ports: Sequence[int] | None = None,
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not time_scale > 0:
            message = f"Bench(time_scale={time_scale!r}): it must be more than 0"
            raise ValueError(message)
        if ports is not None and len(ports) != len(INSTRUMENTS):
            message = f"Bench(ports={ports!r}): {len(INSTRUMENTS)} are needed, for {', '.join(INSTRUMENTS)}"
            raise ValueError(message)
        self.time_scale = time_scale
        self._host = host
        self._ports = dict(zip(INSTRUMENTS, ports or (0,) * len(INSTRUMENTS), strict=True))
        self._seed = seed
        self._clock = clock
        self._record = CommandRecord(INSTRUMENTS)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def resources(self) -> Mapping[str, str]:
        """Return the VISA resource string of each instrument, by its name."""
        addresses = self._running().addresses()
        return MappingProxyType({name: f"TCPIP::{host}::{port}::SOCKET" for name, (host, port) in addresses.items()})

    def start(self) -> None:
        """Switch the instruments on. Raise `OSError` if a port is taken."""
        if self._server is not None:
            message = "the bench runs already"
            raise RuntimeError(message)
        with ExitStack() as opened:
            endpoints = {name: opened.enter_context(self._listen(port)) for name, port in self._ports.items()}
            opened.pop_all()  # all are open: the server closes them
        self._server = Server(self._set_up(endpoints))
        self._server.start()

    def close(self) -> None:
        """Switch the instruments off, and wait for the thread that served them."""
        server, self._server = self._server, None  # whoever comes second has nothing to close
        if server is not None:
            server.close()

    def serve_forever(self) -> None:
        """Wait until somebody closes the bench, or for Ctrl-C."""
        self._running().join()

    def executed(self, name: str) -> list[str]:
        """Return the commands and queries that an instrument has executed, in order."""
        return self._record.executed(self._known(name))

    def wait_executed(
        self, name: str, enough: int | str | Callable[[list[str]], bool] = 1, timeout: float = 5.0
    ) -> list[str]:
        """Wait until an instrument has executed enough: so many commands, this one, or what a function says of them.

        Return what it has executed; raise `TimeoutError` if it isn't enough within `timeout` seconds.
        """
        return self._record.wait(self._known(name), _sufficient(enough), timeout)

    def inject(self, name: str, kind: FaultKind, after: int = 0, seconds: float | None = None) -> None:
        """Have a fault strike an instrument at the command that comes after `after` others; it strikes once.

        - ``drop``: the connection is closed, and the command isn't executed;
        - ``hang``: the command is executed, but never answered; later ones on this connection aren't looked at, until
          `seconds` have passed or, without `seconds`, ever;
        - ``garbage``: the command is executed, and random bytes are answered in place of its answer;
        - ``slow``: the command is executed, and answered after `seconds`; later ones wait;
        - ``power_cycle``: the command isn't executed, all settings are forgotten, all connections are closed.

        The seconds are real ones.
        """
        fault = Fault(kind, after, seconds)
        self._known(name)
        self._running().plan(name, fault)

    def _listen(self, port: int) -> socket.socket:
        return socket.create_server((self._host, port))

    def _set_up(self, endpoints: Mapping[str, socket.socket]) -> dict[str, Station]:
        world, begin = World(), self._clock()

        def now() -> float:
            return (self._clock() - begin) * self.time_scale

        return {
            name: Station(name, kind(world, self._seed + number), self._record, now, endpoints[name])
            for number, (name, kind) in enumerate(INSTRUMENTS.items())
        }

    def _known(self, name: str) -> str:
        if name not in INSTRUMENTS:
            message = f"the bench has no {name!r}; it has {', '.join(INSTRUMENTS)}"
            raise ValueError(message)
        return name

    def _running(self) -> Server:
        if self._server is None:
            message = "the bench isn't running; enter its `with` block first"
            raise RuntimeError(message)
        return self._server


def _sufficient(enough: int | str | Callable[[list[str]], bool]) -> Callable[[list[str]], bool]:
    if isinstance(enough, int):
        return lambda commands: len(commands) >= enough
    if isinstance(enough, str):
        return lambda commands: enough in commands
    return enough
