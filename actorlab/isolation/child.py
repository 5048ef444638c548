"""Use a driver that lives in a process of its own, as if it were here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, Final, Protocol, Self, assert_never

from actorlab.core.restart import RestartPolicy
from actorlab.device import DeviceConfig
from actorlab.driving.hooks import Hooks
from actorlab.driving.member import Member, Path, current, invoke
from actorlab.driving.shape import Shape, looked
from actorlab.driving.travel import Stays
from actorlab.errors import ActorLabError, ConfigError
from actorlab.isolation.dying import ProcessDied
from actorlab.isolation.failure import Failure, failure_of, restored
from actorlab.isolation.launcher import OwnProcess, check_system
from actorlab.isolation.listener import Heard, Listener
from actorlab.isolation.messages import Act, Asleep, Awake, Bye, Failed, Left, Look, Looks, Make, ToDriver, ToLab
from actorlab.isolation.packing import as_class
from actorlab.isolation.wire import MESSAGE, PLAIN, Frame

__all__ = ["Child", "Heard", "Meanwhile"]

DRIVER_PROGRAM: Final = "actorlab.isolation.inside"
"""The module whose `main` a driver's process runs."""
MOST_KNOWN: Final = 10_000
"""So many members are known to the process by a number."""
INTERRUPT_PATIENCE: Final = 2.0
"""So many seconds an interrupt hook has until nobody waits for it any more."""
LAST_PATIENCE: Final = 1.0
"""So many seconds a process that was killed has to be gone, before it is left to the system."""


class Meanwhile(Protocol):
    """Be what an actor does for its driver while a call is in progress; on the actor's thread."""

    def sleep(self, seconds: float) -> None:
        """Wait for the driver; what is raised here, is raised in the driver. It may make further calls."""
        ...

    def enter_exchange(self) -> None:
        """Answer nobody else in the sleep that follows."""
        ...

    def leave_exchange(self) -> None:
        """End that."""
        ...


class Untold(ConfigError):
    """A request hasn't reached the driver, since something in it can't travel."""


class Key:
    """The number under which an object stays in the process; the process forgets the object with it."""

    __slots__ = ("_forgotten", "number")

    def __init__(self, number: int, forgotten: deque[int]) -> None:
        self.number = number
        self._forgotten = forgotten

    def __del__(self) -> None:
        self._forgotten.append(self.number)


class Child:
    """A driver's object in its own process, with the same methods as `InThread`.

    The object is made and used by one thread; `interrupt`, `stack` and `kill` are for any thread, also before the
    object is made.
    """

    kind: type = object
    """The class of the object."""
    hooks: Hooks

    def __init__(self, name: str, config: DeviceConfig, life: int, meanwhile: Meanwhile, heard: Heard) -> None:
        self.name = name
        self.life = life
        self._config = config
        self._meanwhile = meanwhile
        self._known: dict[Member, int] = {}
        self._numbers = count(1)
        self._forgotten: deque[int] = deque()
        check_system(name)
        bounds = {"timeout": config.timeout, "safe_timeout": config.safe_timeout}
        self._process = OwnProcess(name, DRIVER_PROGRAM, bounds)
        self._wire = self._process.wire
        try:
            self._listener = Listener(self._process, heard)
        except BaseException:
            self._process.kill()
            if self._process.wait(LAST_PATIENCE):
                self._process.close()
            raise
        self.pid = self._process.pid

    @classmethod
    def launch(
        cls,
        name: str,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        config: DeviceConfig,
        life: int,
        meanwhile: Meanwhile,
        heard: Heard,
    ) -> Self:
        """Start a process and make the object in it; if that fails, nothing of it is left.

        Raises:
            ConfigError: the factory or an argument can't travel, or a hook that was named is missing.
            ProcessDied: the process has ended meanwhile.
            BaseException: what the factory has raised.

        """
        child = cls(name, config, life, meanwhile, heard)
        try:
            child.make(factory, args, kwargs)
        except BaseException:
            child.close(1.0)
            raise
        return child

    def make(self, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Make the object; the errors are those of `launch`."""
        needed = replace(self._config, restart=RestartPolicy(), faults=())  # there may be errors that can't travel
        self.kind = seen(self._ask(Make(factory, args, dict(kwargs), needed, self.life), "")).cls
        self.hooks = Hooks.of(self.kind, self._config)

    # -- what it is asked

    @property
    def shape(self) -> Shape:
        """Look at the object."""
        return self.look(())

    def look(self, path: Path) -> Shape:
        """Look at a part of the object."""
        return seen(self._ask(Look(self._by_number(path)), "look"))

    def hook(self, hook: str) -> Any:
        """Call a hook by its meaning, if the driver has it; what it returns is None, unless it is data."""
        return self.act(Member(hook, query=False, action=invoke, path=(("hook", hook),)), (), {})

    def act(self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a member says, and return the value if it is data, else a `Stays`.

        Raises:
            ConfigError: an argument can't travel.
            DeviceFault: the member belongs to an object of an earlier life.
            ProcessDied: the process has ended meanwhile.
            BaseException: what the driver has raised, with its traceback as a note.

        """
        if member.action is looked:
            return self.look(member.path)
        number = self._number_of(member)
        if number <= 0 or self._forgotten:
            return self._act_in_full(member, number, args, kwargs)
        try:
            frame = self._wire.frame(PLAIN, (number, args, kwargs))
        except Exception as error:  # the boundary: it is the arguments' own code
            raise untold(self.name, member.name, error) from error
        return self._answer(frame, member.name)

    def _number_of(self, member: Member) -> int:
        """Return the number by which the process knows a member, 0 if it doesn't, -1 if it can't."""
        try:
            return self._known.get(member, 0)
        except TypeError:  # an item whose key has no hash
            return -1

    def _act_in_full(self, member: Member, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a member says that the process doesn't know yet, or when it is to forget something."""
        path = self._by_number(member.path)
        if path is not member.path or number < 0 or len(self._known) >= MOST_KNOWN:
            number = 0
        else:
            number = self._known[member] = number or next(self._numbers)
        forget = tuple([self._forgotten.popleft() for _ in range(len(self._forgotten))])
        request = Act(number, member.name, member.action, path, args, kwargs, forget)
        try:
            return self._ask(request, member.name)
        except Untold:
            self._forgotten.extend(forget)
            if number:
                self._known.pop(member, None)
            raise

    def _by_number(self, path: Path) -> Path:
        """Return a path with the numbers of the objects that stayed in place of the objects."""
        if not any(kind == "object" for kind, _ in path):
            return path
        steps = current(path, self.life)
        return tuple([(kind, key.part.number if kind == "object" else key) for kind, key in steps])

    # -- how it is asked

    def _ask(self, request: ToDriver, what: str) -> Any:
        """Send a request and return its answer; `what` is its name for an error."""
        try:
            frame = self._wire.frame(MESSAGE, request)
        except Exception as error:  # the boundary: it is the arguments' own code
            raise untold(self.name, what, error) from error
        return self._answer(frame, what)

    def _answer(self, frame: Frame, what: str) -> Any:
        """Send a frame and return the answer; meanwhile the driver may sleep, and others be served."""
        while True:
            kind, body = self._swap(frame)
            try:
                value = self._wire.load(kind, body)
            except Exception as error:
                text = f"{self.name}: what it returned can't be read here: {type(error).__name__}: {error}"
                raise ActorLabError(text) from error
            if kind & MESSAGE == PLAIN:
                return value
            told: ToLab = value
            match told:
                case Asleep():
                    frame = self._wire.frame(MESSAGE, Awake(self._sleep(told)))
                case Left(number, cls, whole):
                    return self._stays(number, cls, whole=whole)
                case Looks():
                    return told
                case Failed(failure, unread):
                    raised = restored(failure, f"the process of {self.name}")
                    if unread:
                        raise untold(self.name, what, raised) from raised
                    raise raised
                case _:
                    assert_never(told)

    def _swap(self, frame: Frame) -> tuple[int, Any]:
        """Send a frame and wait for the next one."""
        try:
            self._wire.send(frame)
            received = self._wire.receive()
        except OSError:
            received = None
        except BaseException:  # it would be out of step
            self.kill()
            raise
        if received is None:
            raise self._process.died()
        return received

    def _sleep(self, asleep: Asleep) -> Failure | None:
        """Let the actor do something else for a while; return what that has raised."""
        try:
            if asleep.exchange:
                self._meanwhile.enter_exchange()
            try:
                self._meanwhile.sleep(asleep.seconds)
            finally:
                if asleep.exchange:
                    self._meanwhile.leave_exchange()
        except BaseException as error:  # noqa: BLE001 - the boundary: it goes to the driver
            return failure_of(error)
        return None

    def _stays(self, number: int, cls: bytes, *, whole: bool) -> Stays:
        stays = Stays(Key(number, self._forgotten), self.life)
        stays.cls = as_class(cls)
        stays.origin = () if whole else None
        return stays

    # -- for any thread

    def interrupt(self) -> None:
        """Run the driver's interrupt hook, on another thread than the call in progress; bounded."""
        self._listener.interrupt(INTERRUPT_PATIENCE)

    def stack(self) -> str:
        """Return where the driver is, the most recent call last; empty if it is idle, or can't be asked."""
        return self._process.stack() if self._listener.ready else ""

    def death(self) -> ProcessDied:
        """Make the error that says how the process has ended."""
        return self._process.died()

    def kill(self) -> None:
        """End the process at once; a call in progress raises `ProcessDied`."""
        self._process.kill()

    # -- its end

    def close(self, seconds: float) -> None:
        """End the process, after `disconnect`: by itself within some seconds, or else by force; and give all back.

        By the thread that uses the driver; nothing may be asked afterwards.
        """
        if self._listener.closing:
            return
        self._listener.closing = True
        with suppress(OSError):
            self._wire.send(self._wire.frame(MESSAGE, Bye()))
        if not self._process.wait(seconds):
            self.kill()
        if self._listener.join(LAST_PATIENCE):
            self._process.close()


def seen(looks: Looks) -> Shape:
    """Return the shape that a process has told of."""
    parts = {step: as_class(cls) for step, cls in looks.parts}
    return Shape(as_class(looks.cls), looks.names, parts, looks.keys, looks.settable)


def untold(device: str, what: str, error: BaseException) -> Untold:
    """Make the error for a request that can't travel."""
    subject = f"{device}.{what}: an argument" if what else f"{device}: its factory, or an argument of it,"
    why = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        why += "; put it where a new Python can import it (it gets the `sys.path` of this one)"
    return Untold(f"{subject} can't travel to its process: {why}")
