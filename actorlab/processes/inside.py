"""Be a worker process: run one body after another, and ask the lab for what each needs of it."""

from __future__ import annotations

import socket
from _thread import allocate_lock
from collections import deque
from itertools import count
from time import monotonic
from typing import Any, Final, NoReturn

from actorlab.arguments import find_devices
from actorlab.body_kinds import kind_of, starter_of
from actorlab.errors import ActorLabError, Cancelled, WorkflowError
from actorlab.isolation.failure import failure_of, restored
from actorlab.isolation.inside import FLUSH_PATIENCE, hush, keep_to_ourselves, log_to_lab, take_signals
from actorlab.isolation.memory import Slots
from actorlab.isolation.outbox import Outbox
from actorlab.isolation.side import READY
from actorlab.isolation.wire import MESSAGE, PLAIN, Frame, Wire
from actorlab.kernel import Reply
from actorlab.processes.devices import Devices
from actorlab.processes.scope import AsyncScope, BodyScope
from actorlab.processes.watchdog import Watchdog
from actorlab.runtime import process_messages as ms
from actorlab.runtime.process_packing import unpacked_function
from actorlab.scope import current

__all__ = ["Inside", "main"]

BETWEEN_NOTES: Final = 0.1
"""Seconds between two times at which what a body tells is sent by itself."""
MANY: Final = 1000
"""So many notes at most wait to be sent."""


class Inside:
    """Run bodies on the main thread; any thread may ask the lab, one at a time."""

    def __init__(self, name: str, wire: Wire, outbox: Outbox) -> None:
        self.name = name
        self.outbox = outbox
        self.devices = Devices(self)
        self.scope: BodyScope | None = None
        self.gone = False
        """There is no lab any more."""
        self.looked_for = 0
        """The body that is to look whether it may go on."""
        self.cancelled: tuple[int, str] = (0, "")
        """The asynchronous body that is to end, and why."""
        self.numbers = count(1)
        self.told: dict[int, Reply[None]] = {}
        """What the lab will tell the outcome of."""
        self.wake_watchdog: Any = None
        self._wire = wire
        # One request at a time is on the wire, and no request after a body's last word.
        self._asking = allocate_lock()
        # Notes are added by any thread of the body, and taken by whoever sends them.
        self._noting = allocate_lock()
        self._notes: deque[ms.Note] = deque()
        self._sent = 0.0

    # -- its life

    def serve(self) -> None:
        """Run what the lab sends until it is gone, or dismisses us."""
        while (received := self._wire.receive()) is not None:
            try:
                what = self._wire.load(*received)
            except BaseException as error:  # noqa: BLE001 - the boundary: unpickling imports modules, which run any code
                self._send(ms.Outcome((), failure_of(error), unread=True))
                continue
            match what:
                case ms.Initialize(function):
                    self._initialize(function)
                case ms.Begin():
                    self._run(what)
                case _:
                    text = f"{what!r} isn't to be said here"
                    raise ActorLabError(text)
            del what, received  # an idle process keeps no argument alive

    def _send(self, what: ms.ToLab) -> None:
        try:
            self._wire.send(self._wire.frame(MESSAGE, what))
        except OSError:
            self.gone = True

    def _initialize(self, function: Any) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            self._send(ms.Outcome((), failure_of(error)))
        else:
            self._send(ms.Done((), None))

    # -- a body

    def _run(self, begin: ms.Begin) -> None:
        """Run a body, and tell how it ended."""
        try:
            self.devices.begin(begin.devices)
            function = unpacked_function(begin.function)
            args, kwargs = self.devices.incoming(begin.args, begin.kwargs)
            kind = kind_of(function)
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            self._send(ms.Outcome((), failure_of(error), unread=True))
            return
        scope = (AsyncScope if kind.on_loop else BodyScope)(self, begin)
        self.scope = scope
        before = current.set(scope)
        value, failure = None, None
        try:
            if isinstance(scope, AsyncScope):
                value = scope.run_on_loop(function, kind, args, kwargs)
            else:
                value = starter_of(function, kind)(*args, **kwargs)
            if find_devices((value,), {}):
                text = f"{begin.name} returned a device: devices stay in the lab, so pass the device to whoever uses it"
                raise WorkflowError(text)  # noqa: TRY301 - as the body's own
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the lab
            failure = failure_of(error)
        finally:
            current.reset(before)
        self._end(begin.name, value, failure)

    def _end(self, name: str, value: Any, failure: Any) -> None:
        """Say how a body ended; nothing may be asked in its name afterwards."""
        with self._asking:
            self.scope = None
            self.told.clear()
            notes = self._take_notes()
            frame = self._wire.frame(MESSAGE, ms.Outcome(notes, failure)) if failure else self._last(name, notes, value)
            try:
                self._wire.send(frame)
            except OSError:
                self.gone = True

    def _last(self, name: str, notes: tuple[ms.Note, ...], value: Any) -> Frame:
        """Return the frame with the value of a body."""
        try:
            return self._wire.frame(MESSAGE, ms.Done(notes, value))
        except Exception as error:  # noqa: BLE001 - the boundary: it is the value's own code
            text = f"{name} returned a {type(value).__name__}, which can't travel to the lab"
            failure = failure_of(ActorLabError(f"{text}: {type(error).__name__}: {error}"))
            return self._wire.frame(MESSAGE, ms.Outcome(notes, failure))

    # -- what it asks

    def ask(self, what: ms.Asking | None) -> Any:
        """Ask the lab in the body's name, and return the answer.

        Raises:
            Cancelled: the run was cancelled, or the lab is gone.
            ActorLabError: what is asked can't travel.
            BaseException: what it has led to.

        """
        with self._asking:
            if self.gone:
                self.refuse()
            notes = self._take_notes()
            try:
                frame = self._wire.frame(PLAIN, ms.Request(notes, what))
            except Exception as error:
                self._notes.extendleft(reversed(notes))
                why = f"{type(error).__name__}: {error}"
                text = f"something in what was asked of the lab ({type(what).__name__}) can't travel there: {why}"
                raise ActorLabError(text) from error
            kind, body = self._swap(frame)
        value = self._wire.load(kind, body)
        if not kind & MESSAGE:
            return self.devices.incoming_value(value)
        raise restored(value.failure)

    def _swap(self, frame: Any) -> tuple[int, Any]:
        try:
            self._wire.send(frame)
            received = self._wire.receive()
        except OSError:
            received = None
        if received is None:
            self.gone = True
            self.refuse()
        return received

    def refuse(self) -> NoReturn:
        """Refuse to go on without a lab.

        Raises:
            Cancelled: always.

        """
        text = "the lab has ended"
        raise Cancelled(text)

    def awaited(self) -> tuple[int, Reply[None]]:
        """Return a new number, and what is finished when the lab tells of it."""
        number = next(self.numbers)
        reply = self.told[number] = Reply()
        return number, reply

    # -- what it tells

    def note(self, note: ms.Note) -> None:
        """Tell the lab something, now or soon; progress that is overtaken isn't sent."""
        with self._noting:
            notes = self._notes
            if type(note) is ms.Progressed and len(notes) > 1 and type(notes[-1]) is type(notes[-2]) is ms.Progressed:
                notes[-1] = note
            else:
                notes.append(note)
            waits = len(notes)
        if waits > MANY or monotonic() >= self._sent + BETWEEN_NOTES:
            self.ask(None)
        elif waits == 1:
            self.wake_watchdog()

    def _take_notes(self) -> tuple[ms.Note, ...]:
        with self._noting:
            notes = tuple(self._notes)
            self._notes.clear()
        if notes:
            self._sent = monotonic()
        return notes

    @property
    def has_notes(self) -> bool:
        """Tell whether something waits to be sent."""
        return bool(self._notes)

    def flush(self) -> None:
        """Send what waits, if nobody asks just now: who does, sends it along."""
        if not self._notes or not self._asking.acquire(False):
            return
        try:
            if self.scope is None or self.gone:
                return
            self._swap(self._wire.frame(PLAIN, ms.Request(self._take_notes(), None)))
        finally:
            self._asking.release()


def main(start: dict[str, Any]) -> int:
    """Serve one lab, and return the exit code when it has dismissed us or is gone."""
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
        try:
            inside.serve()
        except Cancelled:  # by a signal, at the very end of a body
            inside.gone = True
        watchdog.served()
        hush()
        outbox.flush(FLUSH_PATIENCE)
        outbox.close()
        watchdog.end()
        wire.close()
    return 0
