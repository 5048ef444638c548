"""Be the process of a driver: make its object and answer the lab, until it says goodbye or is gone."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from _thread import get_ident
from typing import Any, Final, assert_never

from actorlab.driving.in_thread import InThread
from actorlab.driving.member import Member, Path
from actorlab.driving.shape import NO_SHAPE, Shape
from actorlab.driving.travel import Stays, is_data
from actorlab.errors import ActorLabError, Cancelled, ConfigError
from actorlab.isolation.failure import failure_of, restored
from actorlab.isolation.farewell import Watchdog
from actorlab.isolation.inside_scope import ChildScope
from actorlab.isolation.logs import LogSender, set_levels
from actorlab.isolation.memory import Slots
from actorlab.isolation.messages import Act, Asleep, Awake, Bye, Failed, Left, Look, Looks, Make, ToDriver
from actorlab.isolation.outbox import Outbox
from actorlab.isolation.packing import pack, travelling_class
from actorlab.isolation.side import READY
from actorlab.isolation.wire import MESSAGE, PLAIN, Frame, Wire
from actorlab.scope import current

__all__ = ["Inside", "main"]
FLUSH_PATIENCE: Final = 1.0


class LabGoneError(Exception):
    """End serving, as nobody is there any more."""


class Inside:
    """Answer the lab on the main thread: one request at a time, others within it only while the driver sleeps."""

    def __init__(self, name: str, wire: Wire, outbox: Outbox) -> None:
        self.name = name
        self.outbox = outbox
        self.driver: InThread | None = None
        self.busy = 0
        """So many calls are in progress, each but the first within the sleep of another."""
        self.receiving = False
        """The driver isn't at work: it sleeps, or there is no call."""
        self.exchanges = 0
        self.gone = False
        """There is no lab any more."""
        self.cut = False
        """A call was ended by force, so that the instrument may be out of step."""
        self._wire = wire
        self._main = get_ident()
        self._members: dict[int, Member] = {}
        self._kept: dict[int, Stays] = {}
        self._count = 0
        self._hooks: set[str] = set()
        """Those that were called."""

    def serve(self) -> None:
        """Answer until the lab says goodbye, or is gone."""
        try:
            while not isinstance(self._answer_next(), Bye):
                pass
        except LabGoneError:
            self.gone = True

    def _answer_next(self) -> Awake | Bye | None:
        """Wait for a request and answer it; what needs no answer is returned."""
        self.receiving = True
        received = self._wire.receive()
        if received is None:
            raise LabGoneError
        self.receiving = False
        kind, body = received
        try:
            request = self._wire.load(kind, body)
        except BaseException as error:  # noqa: BLE001 - the boundary: unpickling imports modules, which run any code
            self._send(self._failed(error, unread=True))
            return None
        if kind & MESSAGE == PLAIN:
            number, args, kwargs = request
            self._send(self._act(self._members[number], args, kwargs))
            return None
        return self._answer_message(request)

    def _answer_message(self, request: ToDriver) -> Awake | Bye | None:
        if self.gone:  # while it was read, which may have taken long
            raise LabGoneError
        match request:
            case Awake() | Bye():
                return request
            case Make():
                self._send(self._make(request))
            case Look(path):
                self._send(self._look(path))
            case Act():
                self._send(self._act_in_full(request))
            case _:
                assert_never(request)
        return None

    def _send(self, frame: Frame) -> None:
        try:
            self._wire.send(frame)
        except OSError as error:
            raise LabGoneError from error

    # -- what is asked

    def _make(self, make: Make) -> Frame:
        self.busy += 1
        try:
            self.driver = InThread(make.factory, make.args, make.kwargs, make.config, make.life)
            check_class(self.driver.kind)
            return self._wire.frame(MESSAGE, looks_of(NO_SHAPE._replace(cls=self.driver.kind)))
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            return self._failed(error)
        finally:
            self.busy -= 1

    def _look(self, path: Path) -> Frame:
        try:
            return self._wire.frame(MESSAGE, looks_of(self._made().look(self._with_kept(path))))
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            return self._failed(error)

    def _act_in_full(self, act: Act) -> Frame:
        for number in act.forget:
            self._kept.pop(number, None)
        member = Member(act.name, query=False, action=act.action, path=self._with_kept(act.path))
        if act.number:
            self._members[act.number] = member
        return self._act(member, act.args, act.kwargs)

    def _with_kept(self, path: Path) -> Path:
        """Return a path with the objects that stayed in place of their numbers."""
        return tuple([(kind, self._kept[key] if kind == "object" else key) for kind, key in path])

    def _act(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Frame:
        """Do what a member says, and return the frame that tells of its outcome."""
        self.busy += 1
        try:
            if member.path and member.path[0][0] == "hook":
                value = self._hook(member.path[0][1])
            else:
                value = self._made().act(member, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            return self._failed(error)
        finally:
            self.busy -= 1
        if value.__class__ is Stays:
            return self._keep(value)
        try:
            return self._wire.frame(PLAIN, value)
        except Exception as error:  # noqa: BLE001 - the boundary: it is the value's own code
            text = f"{self.name}.{member.name} returned a {type(value).__name__} which can't be sent to the lab"
            return self._failed(ActorLabError(f"{text}: {type(error).__name__}: {error}"))

    def _made(self) -> InThread:
        if self.driver is None:
            text = f"the object of {self.name} hasn't been made"
            raise ActorLabError(text)
        return self.driver

    def _hook(self, hook: str) -> Any:
        self._hooks.add(hook)
        value = self._made().hook(hook)
        return value if is_data(value) else None

    def _keep(self, stays: Stays) -> Frame:
        self._count += 1
        self._kept[self._count] = stays
        return self._wire.frame(MESSAGE, Left(self._count, travelling_class(stays.cls), stays.origin == ()))

    def _failed(self, error: BaseException, *, unread: bool = False) -> Frame:
        return self._wire.frame(MESSAGE, Failed(failure_of(error), unread))

    # -- what the driver does meanwhile

    def sleep(self, seconds: float) -> None:
        """Wait inside the driver; the lab may ask others meanwhile.

        Raises:
            Cancelled: the calling run was cancelled, the device must be made safe, or the lab is gone.

        """
        if get_ident() != self._main or not self.busy:
            time.sleep(seconds)  # a thread of the driver's own, or the farewell
            return
        if not self.gone:
            self._sleep(seconds)
        if self.gone:
            text = "the lab has ended"
            raise Cancelled(text)

    def _sleep(self, seconds: float) -> None:
        try:
            self._send(self._wire.frame(MESSAGE, Asleep(seconds, self.exchanges > 0)))
            while not isinstance(told := self._answer_next(), Awake):
                pass
        except LabGoneError:
            self.gone, self.receiving = True, False
            return
        if told.failure is not None:
            raise restored(told.failure)

    # -- the end

    def leave(self) -> None:
        """Make the instrument safe and disconnect, whatever fails at that; nothing if the lab has done it."""
        if self.driver is None or "disconnect" in self._hooks:
            return
        opened = "connect" in self._hooks or not self.driver.hooks.has("connect")
        safe = (["resync"] if self.cut else []) + ["make_safe"]
        for hook in (safe if opened else []) + ["disconnect"]:
            try:
                self.driver.hook(hook)
            except BaseException:  # noqa: BLE001 - the boundary: the next one counts as well
                traceback.print_exc()


def check_class(kind: type) -> None:
    """Refuse a class that the lab can't import, as its proxy is made there."""
    try:
        pack(kind)
    except Exception as error:
        text = f"the factory has made a {kind.__qualname__}, and the lab can't know that class: {error}"
        raise ConfigError(text) from error


def looks_of(shape: Shape) -> Looks:
    """Return a shape ready to be sent, without the items whose keys can't be."""
    named = {cls: travelling_class(cls) for cls in {shape.cls, *shape.parts.values()}}
    parts = [(step, named[cls]) for step, cls in shape.parts.items() if can_travel(step)]
    keys = shape.keys if can_travel(shape.keys) else tuple(filter(can_travel, shape.keys))
    return Looks(named[shape.cls], shape.names, tuple(parts), keys, shape.settable)


def can_travel(value: Any) -> bool:
    """Tell whether a value can be pickled."""
    try:
        pack(value)
    except Exception:  # noqa: BLE001 - the boundary: it is the value's own code
        return False
    return True


def main(start: dict[str, Any]) -> int:
    """Serve one driver, and return the exit code when all has been done that is to be done in this process."""
    take_signals(start["dump"])
    with socket.socket(fileno=start["calls"]) as calls, socket.socket(fileno=start["side"]) as side:
        keep_to_ourselves(start)
        wire = Wire(calls, Slots(start["outgoing"]), Slots(start["incoming"]))
        outbox = Outbox(side)
        inside = Inside(start["name"], wire, outbox)
        watchdog = Watchdog(inside, wire, side, start)
        watchdog.start()
        outbox.send(READY, b"")
        log_to_lab(outbox, start)
        current.set(ChildScope(inside))
        try:
            inside.serve()
        except Cancelled:  # by a signal, at the very end of a call
            inside.gone = True
        watchdog.served()
        if inside.gone:
            hush()
            inside.leave()
        outbox.flush(FLUSH_PATIENCE)
        outbox.close()
        watchdog.end()
        wire.close()
    return watchdog.exit_code


def take_signals(dump: int) -> None:
    """Say where we are when asked or crashing, and leave the terminal's signals to the lab."""
    faulthandler.enable(dump, all_threads=False)
    faulthandler.register(signal.SIGUSR1, dump, all_threads=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def keep_to_ourselves(start: dict[str, Any]) -> None:
    """Keep what the driver starts from inheriting our descriptors."""
    for name in ("calls", "side", "outgoing", "incoming", "dump"):
        os.set_inheritable(start[name], False)


def log_to_lab(outbox: Outbox, start: dict[str, Any]) -> None:
    """Send what is logged to the lab; what is printed comes line by line, as nobody knows when this process ends."""
    set_levels(start["levels"], start["disabled"])
    logging.getLogger().addHandler(LogSender(outbox, start["name"]))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def hush() -> None:
    """Let what is printed vanish where nobody reads any more: printing may not fail in the farewell."""
    for fd in (1, 2):
        waits = select.poll()
        waits.register(fd, 0)
        if waits.poll(0):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, fd)
            os.close(nothing)
