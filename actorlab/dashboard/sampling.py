"""Read the values that browsers show, once for all of them, by queries that begin at once or not at all."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, Never

from anyio import CapacityLimiter, to_thread

from actorlab.core.live_values import LiveValues
from actorlab.errors import NotLeased, text_of
from actorlab.runtime.calls import send_outside, wait_on
from actorlab.runtime.cell import DeviceState
from actorlab.scope import Scope, current
from actorlab.server.telling import plain

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab

__all__ = ["Samples", "Series", "numeric_queries"]

TURN: Final = 0.25
WAITING: Final = 0.2
"""A query that hasn't begun after so many seconds never does: somebody else was quicker."""
THREADS: Final = 8
KEPT: Final = 180
LONGEST_TEXT: Final = 60
monotonic = time.monotonic


@dataclass(slots=True)
class Series:
    """What is known of one value: the numbers of the last minutes, the newest as text, why it can't be read."""

    points: deque[tuple[float, float]] = field(default_factory=lambda: deque[tuple[float, float]](maxlen=KEPT))
    """Seconds since 1970, and the number."""
    text: str = ""
    time: float = 0.0
    error: str = ""


class Samples:
    """The values that somebody looks at; in the event loop, but for the reading itself."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._core = LiveValues()
        self._series: dict[tuple[str, str], Series] = {}
        self._threads = CapacityLimiter(THREADS)
        self._reading: set[asyncio.Task[None]] = set()
        self._chosen: dict[str, tuple[str, ...]] = {}
        self._beside: set[str] = set()

    def chosen(self, device: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the members of a device whose values are shown."""
        return self._chosen.get(device, default)

    def choose(self, device: str, members: tuple[str, ...], *, beside: bool = False) -> None:
        """Show the values of these members of a device, in all browsers; also `beside` the tasks that use it."""
        self._chosen[device] = members
        (self._beside.add if beside else self._beside.discard)(device)

    def beside(self, device: str) -> bool:
        """Tell whether a device is asked also while a task uses it."""
        return device in self._beside

    def look(self, device: str, member: str) -> Series:
        """Return what is known of a value, and have it read now and then for some seconds."""
        self._core.look(device, member, monotonic())
        return self._series.setdefault((device, member), Series())

    async def take(self) -> None:
        """Read what is due, until this is cancelled."""
        while True:
            cells = list(self._lab.cells.items())
            free = {name for name, cell in cells if is_free(cell, beside=name in self._beside)}
            for device, member in self._core.begin(free, monotonic()):
                task = asyncio.create_task(self._read(device, member))
                self._reading.add(task)
                task.add_done_callback(self._reading.discard)
            await asyncio.sleep(TURN)

    async def _read(self, device: str, member: str) -> None:
        well, scope = False, Glancing()
        series = self._series.setdefault((device, member), Series())
        try:
            value = await to_thread.run_sync(
                glance, self._lab, device, member, scope, limiter=self._threads, abandon_on_cancel=True
            )
            note(series, value, time.time())
            well = True
        except NotNow:
            well = True  # somebody else was quicker, and that is as it should be
        except Exception as error:  # noqa: BLE001 - the boundary to a driver: it is shown at the value
            series.error = text_of(error)
        finally:
            self._core.ended(device, monotonic(), took=scope.took, well=well)


def is_free(cell: Cell, *, beside: bool) -> bool:
    """Tell whether a query is in nobody's way: nobody holds the device, and nothing is asked of it.

    Where it may be asked `beside` the tasks that use it, it is enough that nothing else waits: the query is dropped
    unless it can begin soon, as in a driver's `sleep`.
    """
    if cell.mailbox.closed or cell.mailbox.waiting:
        return False
    if beside:
        return cell.state in {DeviceState.IDLE, DeviceState.BUSY}
    return not cell.holder and not cell.shared_by and cell.state is DeviceState.IDLE


def note(series: Series, value: Any, now: float) -> None:
    """Keep a value that was read."""
    series.error = ""
    series.time = now
    number = number_in(value)
    if number is not None and math.isfinite(number):
        series.points.append((now, number))
    text = str(plain(value)) if number is None or isinstance(value, bool) else f"{number:.6g}"
    series.text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def number_in(value: Any) -> float | None:
    """Return a value as a number, if it is one."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    value = getattr(value, "magnitude", value)  # of a quantity; its unit is in the description
    return float(value) if isinstance(value, Real) else None


def numeric_queries(description: dict[str, Any]) -> tuple[str, ...]:
    """Return the queries of a device that give a number and need no argument."""
    members = description["members"].items()
    return tuple(
        [name for name, told in members if not name.isupper() and is_numeric(told)]
    )  # CONSTANTS stay as they are


def is_numeric(told: dict[str, Any]) -> bool:
    """Tell whether a member is a query that gives a number and needs no argument."""
    if not told.get("query"):
        return False
    if told["kind"] == "method":
        return not told["parameters"].get("required") and told["returns"].get("type") in {"number", "integer"}
    return bool(told.get("readable")) and told.get("schema", {}).get("type") in {"number", "integer"}


# -- in a thread


def glance(lab: Lab, device: str, member: str, scope: Glancing) -> Any:
    """Read a value, if that can begin at once."""
    token = current.set(scope)
    try:
        found = getattr(lab.device(device), member)
        return found() if callable(found) else found
    finally:
        current.reset(token)


class Glancing(Scope):
    """What may be done to read a value: queries that begin at once or not at all."""

    __slots__ = ("took",)

    def __init__(self) -> None:
        self.took = 0.0
        """So many seconds the device has spent."""

    def hold_for(self, cell: Cell, member: Member) -> Glance:
        """Let queries through.

        Raises:
            NotLeased: it is a command.

        """
        if not member.query:
            text = f"{cell.name}.{member.name} is a command, and the dashboard reads values by queries only"
            raise NotLeased(text)
        return Glance(cell, self)

    def forbid(self, what: str) -> Never:
        """Refuse to wait for anything else."""
        text = f"a value is read by a query, and not by {what}"
        raise NotLeased(text)


class Glance:
    """The dashboard's use of one device."""

    __slots__ = ("_cell", "_scope")

    def __init__(self, cell: Cell, scope: Glancing) -> None:
        self._cell = cell
        self._scope = scope

    def call(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the device, behind everybody else, and wait for the answer."""
        call = send_outside(self._cell, member, args, kwargs)
        wait_on(call, self._cell, self._cell.config.timeout, WAITING, None)
        if not call.begun:
            raise NotNow
        self._scope.took += monotonic() - call.begun
        return call.result(0)


class NotNow(Exception):
    """The device had something else to do."""
