"""Know one device by its name, through all its lives: who may use it, where its mailbox is, how it stands."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorLabError, DeviceFault, DeviceQuarantined, DeviceUnavailable
from actorlab.kernel import Mailbox
from actorlab.runtime.listening import Listener
from actorlab.runtime.periodics import Periodics
from actorlab.runtime.proxy import ProxyFactory, part
from actorlab.runtime.recorder import Recorder
from actorlab.runtime.streaming import Streams
from actorlab.runtime.told_calls import told_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.core.overflow import MailboxPolicy
    from actorlab.device import DeviceConfig
    from actorlab.driving.member import Member, Path
    from actorlab.driving.shape import Shape
    from actorlab.driving.travel import Stays
    from actorlab.runtime.body import Hold
    from actorlab.runtime.device_actor import DeviceActor
    from actorlab.runtime.lab_actor import LabActor
    from actorlab.runtime.production import Wanted
    from actorlab.runtime.told_calls import CallListener
    from actorlab.streams import Listening

__all__ = ["APART", "NOBODY", "Cell", "DeviceState", "LifeMailbox"]


class DeviceState(enum.StrEnum):
    """How a device stands; `code` is that of SECoP (https://sampleenvironment.github.io/secop-site/)."""

    CONNECTING = "connecting"
    IDLE = "idle"
    BUSY = "busy"
    RESTARTING = "restarting"
    QUARANTINED = "quarantined"
    DISCONNECTING = "disconnecting"
    DISCONNECTED = "disconnected"
    CLOSED = "closed"

    @property
    def code(self) -> int:
        """Return SECoP's status code: 0 disabled, 100 idle, 200 warning, 300 busy, 400 error."""
        return SECOP[self]


SECOP: Final = {
    DeviceState.CONNECTING: 300,
    DeviceState.IDLE: 100,
    DeviceState.BUSY: 300,
    DeviceState.RESTARTING: 200,
    DeviceState.QUARANTINED: 400,
    DeviceState.DISCONNECTING: 300,
    DeviceState.DISCONNECTED: 0,
    DeviceState.CLOSED: 0,
}

APART: Final = (DeviceState.DISCONNECTING, DeviceState.DISCONNECTED)
"""Somebody has disconnected it, and it stays so until somebody connects it."""

NOBODY: Final = None
"""The token of a device that nobody holds: it accepts calls from outside runs."""
VETO: Final = object()
"""The token of a device to which interlocks refuse all commands: nobody's."""


class LifeMailbox(Mailbox):
    """The mailbox of one life of a device, which is numbered from 1."""

    def __init__(self, name: str, bound: int | MailboxPolicy, life: int) -> None:
        super().__init__(name, bound)
        self.life = life


class Cell:
    """What is shared of a device between the threads, each attribute with one writer.

    `token` is the fencing token: the device's actor accepts exactly it. LabActor's thread alone writes it (grant, loan,
    return, release, fence), before the grant is announced; the actor reads it as each call begins, so it takes effect
    at once.
    """

    __slots__ = (
        "__weakref__", "abandoned", "actor", "args", "cls", "config", "factory", "holder", "kwargs", "lab_actor",
        "last_error", "life", "listeners", "mailbox", "name", "note", "order", "owes_safe", "periodics", "proxies",
        "recorder", "restarts", "retry_at", "rightful", "shapes", "shared_by", "since", "standing", "streams", "token",
        "vetoes", "why",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        order: int,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        config: DeviceConfig,
        lab_actor: LabActor,
    ) -> None:
        self.name = name
        self.order = order
        self.factory = factory
        self.args = args
        self.kwargs = kwargs
        self.config = config
        self.lab_actor = lab_actor
        self.cls: type = factory if isinstance(factory, type) else object
        self.token: object | None = NOBODY
        self.rightful: object | None = NOBODY
        """The token that the leases give; `token` is the same, unless there are vetoes."""
        self.vetoes: dict[object, str] = {}
        """Which interlocks refuse every command, and why; replaced, never changed."""
        self.holder = ""
        self.shared_by: tuple[str, ...] = ()
        self.life = 0
        self.mailbox = LifeMailbox(name, config.mailbox, 0)
        self.mailbox.close()
        self.actor: DeviceActor | None = None
        self.standing = DeviceState.CONNECTING
        self.why = ""
        self.retry_at: float | None = None
        self.last_error: BaseException | None = None
        self.restarts = 0
        self.owes_safe = False
        self.since = time.time()
        self.recorder = Recorder()
        self.note: Callable[..., None] = self.recorder.note
        """What notes each call; it is another one while somebody listens to all calls."""
        self.listeners: tuple[CallListener, ...] = ()
        self.abandoned: tuple[DeviceActor, ...] = ()
        """Lives that were given up; those whose threads have ended since are still among them."""
        self.proxies = ProxyFactory(config.queries, config.read_back)
        self.shapes: dict[Path, tuple[int, Shape]] = {}
        """What was seen of the device's parts, and in which life."""
        self.streams = Streams(self)
        self.periodics = Periodics(self)

    def entitle(self, token: object | None) -> None:
        """Accept this token and no other from now on, unless there are vetoes; for the deciding thread."""
        self.rightful = token
        before = self.token
        self.token = VETO if self.vetoes else token
        passes = getattr(before, "passes", None)
        if passes:  # a pass for direct calls: it is taken after the token has changed
            passes.clear()
        self.streams.entitled()

    def tell_calls(self, listeners: tuple[CallListener, ...]) -> None:
        """Tell every call to these from now on; for the deciding thread."""
        self.listeners = listeners
        self.note = told_note(self.name, self.recorder, listeners) if listeners else self.recorder.note
        passes = getattr(self.token, "passes", None)
        if passes:  # the next direct call comes by the mailbox, and the one after it is told as well
            passes.clear()

    def veto(self, by: object, why: str) -> None:
        """Refuse every command until `by` allows them again; for the deciding thread."""
        self.vetoes = {**self.vetoes, by: why}
        self.entitle(self.rightful)

    def allow(self, by: object) -> None:
        """Take back the veto of `by`, if there is one; for the deciding thread."""
        if by in self.vetoes:
            self.vetoes = {other: why for other, why in self.vetoes.items() if other is not by}
            self.entitle(self.rightful)

    def vetoed(self, member: Member) -> DeviceUnavailable:
        """Make the error for a command that is vetoed."""
        why = "; ".join(self.vetoes.values()) or "it was refused for a reason that has gone since"
        return DeviceUnavailable(f"{self.name}.{member.name} is a command, and {why}; queries are answered")

    def part(self, hold: Hold | None, member: Member, args: tuple[Any, ...], found: Stays) -> Any:
        """Make the proxy of an object that stayed with the device."""
        return part(self, hold, member, args, found)

    def listen(self, hold: Hold | None, wanted: Wanted, buffer: int) -> Listening[Any]:
        """Begin to listen to a stream of the device."""
        return Listener(self, hold, wanted, buffer)

    @property
    def state(self) -> DeviceState:
        """Return how the device stands; idle or busy is asked of its actor's own stack."""
        actor = self.actor
        if self.standing is DeviceState.IDLE and actor is not None:
            if actor.fault is not None:  # the lab hasn't heard of it yet, but whoever called it has
                return DeviceState.RESTARTING
            if actor.at_work:
                return DeviceState.BUSY
        return self.standing

    @property
    def fault(self) -> BaseException | None:
        """Return by what the device failed just now, or failed last; None: it never did, or it is forgotten."""
        fault = self.actor.fault if self.actor is not None else None  # the lab may not have heard of it yet
        return self.last_error if fault is None else fault

    def unavailable(self) -> ActorLabError:
        """Make the error for a call that the device can't take now."""
        fault = self.actor.fault if self.actor is not None else None
        why = f"{type(fault).__name__}: {fault}" if fault is not None else self.why
        cause = f" ({why})" if why else ""
        match self.standing:
            case DeviceState.QUARANTINED:
                text = f"{self.name} is quarantined{cause}: look at it, then call lab.reset({self.name!r})"
                error: ActorLabError = DeviceQuarantined(text)
            case DeviceState.DISCONNECTING | DeviceState.DISCONNECTED:
                text = f"{self.name} is {self.standing.value}: lab.connect({self.name!r}) connects it again"
                error = DeviceUnavailable(text)
            case DeviceState.CLOSED:
                error = DeviceUnavailable(f"{self.name} is closed: its lab has ended, or it was removed")
            case DeviceState.CONNECTING:
                error = DeviceUnavailable(f"{self.name} is still connecting{cause}", self.retry_at)
            case _:
                left = "" if self.retry_at is None else f", in {max(0.0, self.retry_at - time.monotonic()):.1f} s"
                error = DeviceUnavailable(f"{self.name} has failed{cause} and is being restarted{left}", self.retry_at)
        error.__cause__ = self.fault
        return error

    def restarted(self) -> DeviceFault:
        """Make the error for the first command to a device that restarted since its run last used it."""
        cause = f" ({self.why})" if self.why else ""
        text = f"{self.name} has restarted{cause} since this run last used it: what was set on it before may be gone"
        return DeviceFault(text)
