"""Run an actor on its own thread: start barrier, bounded asks, stop before the backlog, death watch after teardown."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import pykka

from actorlab.errors import ActorStopped, AskDeadlock, CallTimeout
from actorlab.kernel.mailbox import Mailbox
from actorlab.kernel.message import HOLDER, SYSTEM, Enveloped, Message, PykkaFuture, Stop, is_stop
from actorlab.kernel.reply import FOREVER, Reply

__all__ = ["Actor", "Ask", "Down", "ThreadActor"]

monotonic = time.monotonic
here = threading.local()
logger = logging.getLogger("actorlab")


@dataclass(frozen=True, slots=True)
class Down:
    """How an actor ended; told after its teardown, when its port or file is free again."""

    actor: str
    reason: Literal["stopped", "not started", "crashed"]
    error: BaseException | None = None


class Ask(Message):
    """A message with some content, for `on_receive`."""

    __slots__ = ("content",)

    def __init__(self, content: Any, lane: int = HOLDER) -> None:
        super().__init__(lane)
        self.content = content


class Tell(Ask):
    """A message that nobody waits for."""

    __slots__ = ()


class Actor(pykka.Actor):
    """A pykka actor by its documented points for new actor types, kept out of pykka's module-level registry.

    A deciding actor has an address but no thread of its own, and doesn't call this constructor: pykka's makes a URN and
    an event, which cost more than a whole message.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__name__
        super().__init__()

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # pykka's is a staticmethod; ours wants the name
        return Mailbox(self.name)

    @staticmethod
    def _create_future() -> Any:
        return PykkaFuture()

    def _start_actor_loop(self) -> None:
        """Have no thread."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Any]:
        """Do what pykka's verb does, but for the registration."""
        actor = cls(*args, **kwargs)
        actor._start_actor_loop()
        return actor.actor_ref

    def __str__(self) -> str:
        return self.name


class ThreadActor(Actor):
    """An actor with a thread.

    `launch` returns when `on_start` has run, or raises what it raised. An error in `on_receive` goes to the asker; one
    that nobody asked for goes to `on_error`; a `BaseException` that isn't an `Exception` ends this actor, and no other.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.mailbox: Mailbox = self.actor_inbox  # type: ignore[assignment]  # what _create_actor_inbox made
        self.ready: Reply[None] = Reply()
        self.down: Reply[Down] = Reply()
        self.thread: threading.Thread | None = None
        self.waits_for: Message | None = None
        self.mailbox.answer_stop = self._answer_stop

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Any]:
        """Do what pykka's verb does, but for the registration; an error in `on_start` is raised here."""
        return cls.launch(*args, **kwargs).actor_ref

    @classmethod
    def launch(cls, *args: Any, **kwargs: Any) -> Self:
        """Make and start the actor, and return when it is ready.

        Raises:
            Exception: what `on_start` raised; the actor has ended then.

        """
        actor = cls(*args, **kwargs)
        try:
            actor._start_actor_loop()
            actor.ready.result()
        except BaseException:  # KeyboardInterrupt too: nobody would own its thread
            actor.stop_soon()
            raise
        return actor

    def begin(self) -> None:
        """Start the thread; `ready` tells when `on_start` has run."""
        self._start_actor_loop()

    def _start_actor_loop(self) -> None:
        self.thread = threading.Thread(target=self._actor_loop, daemon=True, name=self.name)
        self.thread.start()

    # -- asking

    def ask(self, content: Any, *, waiting: float | None = None, running: float | None = None) -> Any:
        """Send a message and wait for its answer.

        `waiting` bounds the time until it begins: on expiry it is dropped and never begins. `running` bounds the time
        from its begin. Both in seconds.

        Raises:
            AskDeadlock: the answer would wait for the asker itself.
            CallTimeout: a limit has passed; the message says which.
            ActorStopped: the actor stopped before it came to the message.

        """
        message = Ask(content)
        message.target = self
        self.mailbox.put(message)  # bounded by its thread, which waits
        try:
            return waiting_for(message, partial(wait_within, message, waiting, running))
        finally:
            del message  # the traceback of an error would keep this frame alive, and it the error

    def send(self, content: Any, lane: int = HOLDER) -> Message:
        """Send a message and return its reply at once; a bound mailbox holds the sender back.

        Raises:
            ActorStopped: the actor has stopped.
            AskDeadlock: the mailbox is full, and waits for the sender itself.

        """
        message = Ask(content, lane)
        message.target = self
        while (space := self.mailbox.put_asked(message)) is not None:
            waiting_for(message, space.wait)
        return message

    def tell(self, content: Any) -> None:
        """Send a message and don't wait; what it raises goes to `on_error`."""
        self.mailbox.put(Tell(content))

    def stop_soon(self) -> Reply[Down]:
        """Ask the actor to end after the message in hand, and return the reply that says when it has."""
        try:
            self.mailbox.put(Stop())
        except ActorStopped:
            return self.down
        return self.down

    def watch(self, callback: Callable[[Down], object]) -> None:
        """Call back when the actor has ended, also if it has already."""
        self.down.when_done(lambda reply: callback(reply.outcome()))

    # -- what a subclass overrides

    def on_error(self, error: BaseException) -> None:
        """Take an error of a message that nobody waits for."""
        logger.error("Unhandled exception in %s", self, exc_info=error)

    def execute(self, message: Any) -> None:
        """Answer one message."""
        if message.number:
            self.mailbox.count_begun(message.number)
        if not message.begin():
            return
        try:
            message.finish(self._handle_receive(message.content), None)
        except Exception as error:  # noqa: BLE001 - the thread boundary: it goes to whoever asked
            self._failed(message, error)
        except BaseException as error:
            self._failed(message, error)
            raise
        finally:
            del message  # its error's traceback would keep this frame alive, and it the error

    def _failed(self, message: Any, error: BaseException) -> None:
        message.finish(None, error)
        if message.__class__ is Tell or (message.__class__ is Enveloped and message.reply_to is None):
            self._report(error)

    def _report(self, error: BaseException) -> None:
        try:
            self.on_error(error)
        except Exception:  # the boundary to a subclass's own code, on a thread that has to go on
            logger.exception("on_error of %s failed", self)

    # -- the thread

    def _actor_loop(self) -> None:
        here.actor = self
        down = Down(self.name, "stopped")
        try:
            try:
                self.on_start()
            except BaseException as error:
                down = Down(self.name, "not started", error)
                raise
            self.ready.finish(None, None)
            self._serve()
        except BaseException as error:  # noqa: BLE001 - the thread boundary
            if down.reason == "stopped":
                down = Down(self.name, "crashed", error)
        finally:
            self._end(down)

    def _serve(self) -> None:
        get, execute = self.mailbox.get, self.execute
        while True:
            message = get()
            if message.lane == SYSTEM and is_stop(message):
                self._answer_stop(message)
                return
            execute(message)
            del message  # an idle actor keeps neither its last message nor its result

    def _end(self, down: Down) -> None:
        self.mailbox.close()
        if down.reason != "not started":
            try:
                self.on_stop()
            except BaseException as error:  # noqa: BLE001 - the thread boundary
                down = Down(self.name, "crashed", down.error or error)
        self.actor_stopped.set()
        self.ready.finish(None, down.error or ActorStopped(f"{self.name} has stopped"))
        self.down.finish(down, None)
        self.mailbox.forget()

    def _answer_stop(self, stop: Message) -> None:
        """Answer when the port or file is free again."""
        stop.begin()  # who waits for it may lose patience, but it can't be dropped any more
        self.down.when_done(lambda _: stop.finish(None, None))


def waiting_for(message: Message, wait: Callable[[], Any]) -> Any:
    """Wait; if this is an actor's thread, so that others see for what, and not if it could never end.

    Raises:
        AskDeadlock: the message's target waits for this actor.

    """
    asker: ThreadActor | None = getattr(here, "actor", None)
    outer = None if asker is None else asker.waits_for  # a finaliser may ask while its thread waits
    try:
        if asker is not None:
            asker.waits_for = message
            refuse_cycle(asker, message)
        return wait()
    finally:
        if asker is not None:
            asker.waits_for = outer
        del message, wait  # as in `ask`


def wait_within(message: Message, waiting: float | None, running: float | None) -> Any:
    """Wait for an answer within two limits (seconds): until it begins, and from its begin.

    Raises:
        CallTimeout: one of them has passed.

    """
    sent = monotonic()
    while not message.done():
        if message.begun:
            left = None if running is None else message.begun + running - monotonic()
        else:
            left = None if waiting is None else sent + waiting - monotonic()
        if left is not None and left <= 0:
            give_up(message, waiting, running)
            continue
        message.wait(FOREVER if left is None and running is None else min_of(left, running))
    try:
        return message.outcome()
    finally:
        del message  # as in `ask`


def min_of(left: float | None, running: float | None) -> float:
    """Look again after what is left; a message that hasn't begun can't run out before `running` from now."""
    return min(limit for limit in (left, running) if limit is not None)


def give_up(message: Message, waiting: float | None, running: float | None) -> None:
    """Drop a message that hasn't begun; raise if it has."""
    never = CallTimeout(f"{message.target}: not begun within {waiting} s, and now it never will")
    if message.drop(never) or message.done() or running is None:
        return
    if message.begun + running <= monotonic():
        text = f"{message.target}: no answer within {running} s of its begin"
        raise CallTimeout(text)


def refuse_cycle(asker: ThreadActor, message: Message) -> None:
    """Walk the chain of who waits for whom, and raise if it leads back to the asker."""
    path: list[ThreadActor] = [asker]
    waits: Message | None = message
    while waits is not None and waits.target is not None and not waits.done():
        target: ThreadActor = waits.target
        if target is asker:
            names = " -> ".join(actor.name for actor in [*path, asker])
            error = AskDeadlock(f"{names}: this wait could never end; send the message without waiting for it")
            message.drop(error)
            raise error
        if target in path:  # a cycle of others: they refuse it themselves
            return
        path.append(target)
        waits = target.waits_for
