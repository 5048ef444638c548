"""Decide which services of a group live, and say how each of them stands.

A service is a task that never ends: each of its lives is a run, and `Supervision` says when the next one begins. This
adds what a run can tell of its end (it returned, it failed, somebody cancelled it, it couldn't be ended), and what
people want: stop this one, start it again, close everything.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never, get_args

from actorlab.core import supervision as sv
from actorlab.core.restart import RestartPolicy
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actorlab.core.supervision import Strategy

__all__ = [
    "Abandoned",
    "Action",
    "Began",
    "Begin",
    "Changed",
    "Close",
    "Closed",
    "End",
    "Ended",
    "Event",
    "Freed",
    "Refuse",
    "Remove",
    "Restart",
    "Serve",
    "ServiceGroupCore",
    "ServiceState",
    "Standing",
    "Start",
    "Stop",
    "StopLab",
    "Tick",
    "WakeAt",
]


class ServiceState(enum.StrEnum):
    """Where a service stands."""

    STARTING = "starting"
    """A life has begun, and waits for its devices."""
    RUNNING = "running"
    WAITING = "waiting"
    """The next life begins later, or when those before it in its group run."""
    STOPPING = "stopping"
    ENDED = "ended"
    """It returned, and its policy leaves it at that."""
    STOPPED = "stopped"
    """Somebody stopped it, or its run."""
    GAVE_UP = "gave_up"
    """It failed, and its policy doesn't start it again."""
    ABANDONED = "abandoned"
    """Its last life couldn't be ended: that may do nothing more, but no other one begins before it has ended."""

    @property
    def resting(self) -> bool:
        """Tell whether nothing happens before somebody starts it."""
        return self in RESTING


S = ServiceState
RESTING: Final = (S.ENDED, S.STOPPED, S.GAVE_UP, S.ABANDONED)
ALIVE: Final = ("starting", "up", "stopping")


class Standing(NamedTuple):
    """How a service stands: why it isn't running, when its next life begins, and the error of the last that failed."""

    state: ServiceState
    why: str = ""
    restarts: int = 0
    retry_at: float | None = None
    error: BaseException | None = None


# What happens ---------------------------------------------------------------------------------------------------------


class Serve(NamedTuple):
    """Somebody wants a new service, after all others in the order."""

    name: str
    policy: RestartPolicy


class Remove(NamedTuple):
    """Somebody wants a service that rests to be forgotten."""

    name: str


class Began(NamedTuple):
    """A life has its devices, and runs."""

    name: str


class Ended(NamedTuple):
    """A life has ended, and nothing of it runs any longer: with an error, or well.

    `cancelled` is why somebody has cancelled it: that is no failure, and nobody's wish to see it again.
    """

    name: str
    error: BaseException | None = None
    cancelled: str = ""


class Abandoned(NamedTuple):
    """A life couldn't be ended in time; it may do nothing more, but is still there."""

    name: str
    reason: str
    error: BaseException | None = None


class Freed(NamedTuple):
    """An abandoned life has ended after all."""

    name: str


class Stop(NamedTuple):
    """Somebody wants a service to rest, or (no name) all of them."""

    name: str = ""
    why: str = "it was stopped"


class Start(NamedTuple):
    """Somebody wants a service that rests or waits to begin now, or (no name) all of them."""

    name: str = ""


class Restart(NamedTuple):
    """Somebody wants a service to begin a new life."""

    name: str


class Close(NamedTuple):
    """Everything ends, for good."""

    why: str


class Tick(NamedTuple):
    """A time that was asked for by `WakeAt` has come."""


Event: TypeAlias = (
    Serve | Remove | Began | Ended | Abandoned | Freed | Stop | Start | Restart | Close | Tick
)  # fmt: skip


# What is to be done ---------------------------------------------------------------------------------------------------


class Begin(NamedTuple):
    """Begin a life; answer `Began`, and `Ended` or `Abandoned` in any case."""

    name: str


class End(NamedTuple):
    """End the life; answer `Ended` or `Abandoned`."""

    name: str
    why: str


class WakeAt(NamedTuple):
    """Send `Tick` at this time; one too many does no harm."""

    at: float


class Changed(NamedTuple):
    """Tell how a service stands now."""

    name: str


class Refuse(NamedTuple):
    """Tell whoever asked that it can't be done, and why; nothing has changed."""

    reason: str


class StopLab(NamedTuple):
    """Stop the whole lab, since a service failed for good."""

    name: str
    reason: str


class Closed(NamedTuple):
    """All have ended, but for those that were abandoned."""

    abandoned: tuple[str, ...]


Action: TypeAlias = Begin | End | WakeAt | Changed | Refuse | StopLab | Closed


# The decisions --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Known:
    """What the supervision doesn't know of a service."""

    policy: RestartPolicy
    lives: int = 0
    restarts: int = 0
    by_hand: bool = True  # somebody, and not the policy, wants the next life
    outcome: ServiceState | None = None  # how it came to rest, if it rests or is to rest
    lost: bool = False  # its last life was abandoned, and hasn't ended
    why: str = ""
    error: BaseException | None = None


class ServiceGroupCore:
    """The services of one group; `handle` is the only writer of its state.

    A group is supervised as in OTP. One without a name has one service, which gives up by itself; in a named one the
    group gives up with it, so that all others are stopped. A service that somebody stopped, or whose run somebody
    cancelled, rests until somebody starts it, whatever happens to the others.
    """

    def __init__(
        self, name: str = "", strategy: Strategy = "one_for_one", intensity: RestartPolicy | None = None
    ) -> None:
        """Begin without services. Raises `ConfigError` for a strategy that there isn't."""
        if strategy not in get_args(sv.Strategy):
            message = f"strategy={strategy!r} is none of {', '.join(map(repr, get_args(sv.Strategy)))}"
            raise ConfigError(message)
        self.name: Final = name
        self.strategy: Final = strategy
        self._intensity = intensity
        self._known: dict[str, Known] = {}
        self._supervision = self._new_supervision()
        self._fate = ""
        """Why everything stops, or has stopped; nothing, if it doesn't."""
        self._closing = False
        self._begin_anew = False
        self._out: list[Action] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The services, in their order."""
        return tuple(self._known)

    @property
    def gave_up(self) -> str:
        """Say why the group as a whole has given up; nothing, if it hasn't."""
        return "" if self._closing else self._fate

    def standing(self, name: str) -> Standing:
        """Return how a service stands; KeyError if there is none of this name."""
        known = self._known[name]
        state = self._state(name, known)
        why = known.why or (self._fate if state in (S.STOPPED, S.STOPPING) else "")
        retry_at = self._supervision.restart_at(name) if state is S.WAITING else None
        return Standing(state, why, known.restarts, retry_at, known.error)

    def handle(self, event: Event, now: float, draw: float = 0.0) -> list[Action]:
        """Take in what happened at `now`, and return what is to be done; `draw` (0 to 1) is the jitter's chance."""
        before = {name: self._shown(name) for name in self._known}
        out = self._out = []
        self._take(event, now, draw)
        if self._begin_anew and not self._closing:
            self._begin_again(now)
        out.extend(Changed(name) for name in self._known if before.get(name) != self._shown(name))
        return out

    def _take(self, event: Event, now: float, draw: float) -> None:  # noqa: C901, PLR0912 - one for each event
        """Change the state for one event."""
        match event:
            case Serve(name, policy):
                self._serve(name, policy, now)
            case Remove(name):
                self._remove(name, now)
            case Began(name):
                self._supervise(sv.ChildUp(name), now)
            case Ended():
                self._ended(event, now, draw)
            case Abandoned():
                self._abandoned(event, now)
            case Freed(name):
                self._known[name].lost = False
                self._supervise(sv.ChildDown(name), now)
            case Stop(name, why):
                for each in self._meant(name, reverse=True):
                    self._stop(each, why, now)
            case Start(name):
                self._start_all(name, now)
            case Restart(name):
                self._start(name, now, sv.RestartChild(name))
            case Close(why):
                self._close(why, now)
            case Tick():
                self._supervise(sv.Tick(), now)
            case _:
                assert_never(event)

    # What is wanted

    def _serve(self, name: str, policy: RestartPolicy, now: float) -> None:
        if self._fate:
            way_out = "" if self._closing else "; start the group first"
            self._out.append(Refuse(f"{name} can't be served: {self._fate}{way_out}"))
            return
        self._known[name] = Known(policy)
        self._supervise(sv.ChildAdded(name, policy), now)

    def _remove(self, name: str, now: float) -> None:
        state = self.standing(name).state
        if not state.resting or state is S.ABANDONED:
            self._out.append(Refuse(f"{name} is {state}"))
            return
        self._supervise(sv.ChildRemoved(name), now)
        del self._known[name]

    def _stop(self, name: str, why: str, now: float) -> None:
        self._begin_anew = False
        state = self.standing(name).state
        if not state.resting:
            self._known[name].outcome, self._known[name].why = S.STOPPED, why
        self._supervise(sv.Halt(name), now)

    def _start_all(self, name: str, now: float) -> None:
        if self._closing:
            self._out.append(Refuse(self._fate))
        elif not self._fate:
            for each in self._meant(name):
                self._start(each, now, sv.Reset(each))
        elif name:
            self._out.append(Refuse(f"{self._fate}; start the group, and with it all of its services"))
        elif lost := [other for other, known in self._known.items() if known.lost]:
            self._out.append(Refuse(f"{lost[0]} can't be started: {self._known[lost[0]].why}"))
        else:
            self._begin_anew = True  # once everything has stopped, if it is still stopping

    def _start(self, name: str, now: float, event: sv.Reset | sv.RestartChild) -> None:
        known = self._known[name]
        if known.lost:
            self._out.append(Refuse(f"{name} can't be started: {known.why}"))
            return
        running = self._supervision.state(name) in ("starting", "up") and not self._supervision.ending(name)
        if running and isinstance(event, sv.Reset):
            return
        if self._fate:
            self._out.append(Refuse(f"{name} can't be started: {self._fate}"))
            return
        known.by_hand, known.outcome, known.why = True, None, ""
        self._supervise(event, now)

    def _close(self, why: str, now: float) -> None:
        self._closing, self._fate, self._begin_anew = True, why, False
        self._supervise(sv.StopAll(), now)

    def _begin_again(self, now: float) -> None:
        """Begin all services anew after the group gave up, once nothing of them is left."""
        if any(self._supervision.state(name) in ALIVE for name in self._known):
            return
        if any(known.lost for known in self._known.values()):
            self._begin_anew = False
            return
        self._supervision, self._fate, self._begin_anew = self._new_supervision(), "", False
        for name, known in self._known.items():
            known.by_hand, known.outcome, known.why = True, None, ""
            self._supervise(sv.ChildAdded(name, known.policy), now)

    # How a life ended

    def _ended(self, event: Ended, now: float, draw: float) -> None:
        name, error, cancelled = event
        known = self._known[name]
        ending = self._supervision.ending(name)
        if error is not None:
            known.error = error
        if cancelled and self._supervision.state(name) != "stopping":  # not by us
            self._stop(name, cancelled, now)
            self._out[:] = [action for action in self._out if not isinstance(action, End)]  # it has ended already
        elif ending:
            known.outcome, known.why = S.STOPPED, known.why or self._fate or ending
        elif error is None:
            known.outcome, known.why = S.ENDED, "it returned"
        else:
            known.outcome, known.why = S.GAVE_UP, known.policy.declines(error)
        self._supervise(sv.ChildDown(name, error), now, draw)
        if self._supervision.state(name) == "waiting":
            known.outcome, known.why = None, ""

    def _abandoned(self, event: Abandoned, now: float) -> None:
        name, reason, error = event
        known = self._known[name]
        wanted = bool(self._supervision.ending(name))
        known.outcome, known.why = S.STOPPED if wanted else S.GAVE_UP, reason
        known.error = known.error if error is None else error
        known.lost = True
        self._supervise(sv.ChildLost(name, reason), now)
        if not wanted and not self.name and known.policy.then == "stop_lab":
            self._out.append(StopLab(name, f"{name} was abandoned: {reason}"))

    # The supervision

    def _supervise(self, event: sv.Event, now: float, draw: float = 0.0) -> None:
        """Let the supervision decide, and translate what is to be done."""
        failed = event.name if isinstance(event, (sv.ChildDown, sv.ChildLost)) else ""
        for action in self._supervision.handle(event, now, draw):
            match action:
                case sv.StartChild(name):
                    self._out.append(self._begin(name))
                case sv.StopChild(name, reason):
                    self._out.append(End(name, self._known[name].why or self._fate or reason))
                case sv.WakeAt(at):
                    self._out.append(WakeAt(at))
                case sv.Quarantine(name, reason):
                    self._known[name].why = reason
                case sv.Refuse(_, reason):
                    self._out.append(Refuse(reason))
                case sv.Escalate(reason):
                    self._escalate(failed, reason)
                case sv.AllStopped(lost):
                    self._out.extend([Closed(lost)] if self._closing else [])
                case _:
                    assert_never(action)

    def _begin(self, name: str) -> Begin:
        known = self._known[name]
        known.lives += 1
        known.restarts += 0 if known.by_hand else 1
        known.by_hand, known.outcome, known.why = False, None, ""
        return Begin(name)

    def _escalate(self, failed: str, reason: str) -> None:
        """Hear that the supervision can't help any more: the group gives up, and maybe the lab with it."""
        known = self._known[failed]
        known.why = reason
        grave = known.policy.then == "stop_lab" or (self._intensity is not None and self._intensity.then == "stop_lab")
        if self.name:
            self._fate = f"the group {self.name} gave up, since {reason}"
        if grave:
            self._out.append(StopLab(failed, self._fate or reason))

    def _new_supervision(self) -> sv.Supervision:
        beyond: sv.Beyond = "escalate" if self.name else "quarantine"
        return sv.Supervision(self.strategy, beyond=beyond, intensity=self._intensity)

    # How it stands

    def _shown(self, name: str) -> tuple[object, ...]:
        """Return what is told when it changes; errors are left out, since to compare them is their author's code."""
        return self.standing(name)[:4]

    def _meant(self, name: str, *, reverse: bool = False) -> Iterator[str]:
        names = [name] if name else list(self._known)
        return reversed(names) if reverse else iter(names)

    def _state(self, name: str, known: Known) -> ServiceState:
        state = self._supervision.state(name)
        match state:
            case "starting":
                return S.STARTING
            case "up":
                return S.RUNNING
            case "waiting":
                return S.WAITING
            case "stopping":
                return S.STOPPING
            case "down" | "quarantined":
                return S.ABANDONED if known.lost else known.outcome or S.STOPPED
            case _:
                assert_never(state)
