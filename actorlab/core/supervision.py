"""Decide which child starts, stops and starts again, in what order; carrying it out is somebody else's work.

The strategies are those of OTP's supervisor (https://www.erlang.org/doc/system/sup_princ.html), with `always`,
`on_failure` and `never` for its permanent, transient and temporary children. Unlike OTP's, a supervisor here may also
quarantine a child instead of failing with it, and it never kills: a child whose end can't be known is lost, and has no
further life before somebody reports the end of the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, assert_never

from actorlab.core.restart import GiveUp, Leave, Restart, RestartLimiter
from actorlab.errors import ConfigError, repr_of

if TYPE_CHECKING:
    from actorlab.core.restart import Decision, RestartPolicy

__all__ = [
    "Action",
    "AllStopped",
    "Beyond",
    "ChildAdded",
    "ChildDown",
    "ChildLost",
    "ChildRemoved",
    "ChildState",
    "ChildUp",
    "Escalate",
    "Event",
    "Halt",
    "Quarantine",
    "Refuse",
    "Reset",
    "RestartChild",
    "StartChild",
    "StopAll",
    "StopChild",
    "Strategy",
    "Supervision",
    "Tick",
    "WakeAt",
]

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
Beyond: TypeAlias = Literal["quarantine", "escalate"]
ChildState: TypeAlias = Literal["starting", "up", "waiting", "stopping", "down", "quarantined"]


# What happens ---------------------------------------------------------------------------------------------------------


class ChildAdded(NamedTuple):
    """Somebody wants a new child, after all others in the order.

    The failures of a `patient` one count only once it has been up: until then it is tried again and again.
    """

    name: str
    policy: RestartPolicy
    patient: bool = False


class ChildRemoved(NamedTuple):
    """Somebody wants the child gone: it is stopped, then forgotten."""

    name: str


class ChildUp(NamedTuple):
    """The child has started."""

    name: str


class ChildDown(NamedTuple):
    """The child's life has ended, well (no error) or not: nothing of it runs any longer.

    The end of a lost child is reported in the same way, also when it is an operator who answers for it.
    """

    name: str
    error: BaseException | None = None


class ChildLost(NamedTuple):
    """The child doesn't react, so it was given up; whether it has ended can't be known."""

    name: str
    reason: str


class Halt(NamedTuple):
    """Somebody wants the child to stay down, whatever happens to the others, until it is reset."""

    name: str


class Reset(NamedTuple):
    """Somebody answers for the child: forget its failures and start it, if it isn't running.

    One that is just being halted begins a new life when that has ended.
    """

    name: str


class RestartChild(NamedTuple):
    """Somebody wants the child to begin a new life, though the present one is well; its failures are forgotten."""

    name: str


class StopAll(NamedTuple):
    """Everything is to stop, for good."""


class Tick(NamedTuple):
    """A time that was asked for by `WakeAt` has come."""


Event: TypeAlias = (
    ChildAdded | ChildRemoved | ChildUp | ChildDown | ChildLost | Halt | Reset | RestartChild | StopAll | Tick
)


# What is to be done ---------------------------------------------------------------------------------------------------


class StartChild(NamedTuple):
    """Begin a new life of the child now; answer `ChildUp`, or `ChildDown` with the error."""

    name: str


class StopChild(NamedTuple):
    """End the child's life; answer `ChildDown`, or `ChildLost` when it can't be ended in time."""

    name: str
    reason: str


class WakeAt(NamedTuple):
    """Send `Tick` at this time; one too many does no harm."""

    at: float


class Quarantine(NamedTuple):
    """Refuse to use the child until it is reset."""

    name: str
    reason: str


class Refuse(NamedTuple):
    """Tell whoever asked that it can't be done, and why; nothing has changed."""

    name: str
    reason: str


class Escalate(NamedTuple):
    """Tell whoever stands above that this supervisor can't help any more.

    A supervisor that escalates beyond the policy stops its children by itself, and `AllStopped` follows; one that
    quarantines has a child with ``then="stop_lab"``, and goes on until it hears `StopAll`.
    """

    reason: str


class AllStopped(NamedTuple):
    """Every child has ended, but for the lost ones that are named."""

    lost: tuple[str, ...]


Action: TypeAlias = StartChild | StopChild | WakeAt | Quarantine | Refuse | Escalate | AllStopped


# What is known of a child ---------------------------------------------------------------------------------------------

Life: TypeAlias = Literal["none", "starting", "up", "stopping", "lost"]
Wish: TypeAlias = Literal["run", "rest", "quarantine", "gone"]


@dataclass(slots=True)
class _Child:
    """What a child does (`life`), and what it shall do when this life has ended (`wish`)."""

    name: str
    policy: RestartPolicy
    limiter: RestartLimiter
    life: Life = "none"
    wish: Wish = "run"
    ending: bool = False  # this life is to end, or is being ended: its end is no failure
    at: float = 0.0  # no new life before this time
    patient: bool = False  # it hasn't been up yet, and its failures until then don't count
    halted: bool = False  # somebody wants it down, so others' failures don't start it
    counted: float | None = None  # the time from which its last restart counts
    reason: str = ""  # why it is ending

    @property
    def runs(self) -> bool:
        return self.life in ("starting", "up", "stopping")

    @property
    def wants_life(self) -> bool:
        return self.life == "none" and self.wish == "run"

    @property
    def state(self) -> ChildState:
        match self.life:
            case "lost":
                return "quarantined"
            case "none":
                return _RESTING[self.wish]
            case "starting" | "up" | "stopping":
                return self.life
            case _:
                assert_never(self.life)

    def end(self, wish: Wish, reason: str) -> None:
        """Have this life ended, if there is one, and say what comes after it."""
        self.ending = self.life in ("starting", "up", "stopping")
        self.wish, self.reason = wish, reason

    def ended(self) -> None:
        self.life, self.ending = "none", False

    def take_place(self, now: float) -> None:
        """Have its restart count from now on: it may have waited for its turn, or for what it needs."""
        if self.counted is not None:
            self.limiter.took_place(self.counted, now)
            self.counted = now


_RESTING: dict[Wish, ChildState] = {"run": "waiting", "rest": "down", "quarantine": "quarantined", "gone": "down"}


# The decisions --------------------------------------------------------------------------------------------------------


class Supervision:
    """Decide over some children, which start in the order they were added, and stop in reverse, one by one.

    ``one_for_one`` restarts the child that failed; its children are independent, so none waits for another to be up.
    ``one_for_all`` first stops all others, and ``rest_for_one`` those added after it; then they start again in order,
    each when those before it are up.

    `beyond` says what happens when a child fails more often than its policy allows: it is quarantined (as the devices
    of a lab, only for ``one_for_one``), or the supervisor stops all and escalates. With `intensity` the restarts of all
    children are counted together against that policy's limit, period and delays, and of a child's own policy only
    `restart` and `on` matter. A child with ``restart="never"`` that is stopped for the sake of another stays down.

    The end of a life during its stopping is expected, whatever the error. Reports about what no longer exists are
    ignored; requests that can't be granted are answered by `Refuse`. Raises `ConfigError` for contradictory settings.
    """

    def __init__(
        self,
        strategy: Strategy = "one_for_one",
        *,
        beyond: Beyond = "quarantine",
        intensity: RestartPolicy | None = None,
    ) -> None:
        """Begin without children."""
        if beyond == "quarantine" and (strategy != "one_for_one" or intensity is not None):
            group = "children that share an intensity" if strategy == "one_for_one" else strategy
            message = f"Supervision: beyond='quarantine' leaves {group} without one of them; use beyond='escalate'"
            raise ConfigError(message)
        self._strategy: Strategy = strategy
        self._beyond: Beyond = beyond
        self._shared = None if intensity is None else RestartLimiter(_counting(intensity))
        self._children: dict[str, _Child] = {}
        self._closing = False
        self._announced = False

    @property
    def names(self) -> tuple[str, ...]:
        """The children, in their order."""
        return tuple(self._children)

    def state(self, name: str) -> ChildState:
        """Return what the child does; raises `KeyError` if there is none of this name."""
        return self._children[name].state

    def restart_at(self, name: str) -> float | None:
        """Return the earliest time of a waiting child's next life, or None if it isn't waiting."""
        child = self._children[name]
        return child.at if child.state == "waiting" else None

    def ending(self, name: str) -> str:
        """Say why the child's life is to end, or is being ended; nothing, if it isn't."""
        child = self._children[name]
        return child.reason if child.ending else ""

    def handle(self, event: Event, now: float, draw: float = 0.0) -> list[Action]:
        """Take in what happened at `now`, and return what is to be done; `draw` (0 to 1) is the jitter's chance."""
        return [*self._take(event, now, draw), *self._stops(), *self._starts(now), *self._farewell()]

    def _take(self, event: Event, now: float, draw: float) -> list[Action]:  # noqa: C901, PLR0911 - one for each event
        """Change the state for one event (longer than ten lines, since it is the table of all of them)."""
        match event:
            case ChildAdded():
                return self._added(event, now)
            case ChildRemoved(name):
                return self._removed(name)
            case ChildUp(name):
                return self._up(name, now)
            case ChildDown(name, error):
                return self._down(name, error, now, draw)
            case ChildLost(name, reason):
                return self._lost(name, reason)
            case Halt(name):
                return self._halt(name)
            case Reset(name):
                return self._reset(name, now)
            case RestartChild(name):
                return self._restart(name, now)
            case StopAll():
                return self._close("everything stops")
            case Tick():
                return []
            case _:
                assert_never(event)

    # Requests

    def _added(self, new: ChildAdded, now: float) -> list[Action]:
        name, policy = new.name, new.policy
        if self._closing:
            return [Refuse(name, f"'{name}' can't be added, since everything stops")]
        if (old := self._children.get(name)) is not None:
            return [Refuse(name, _taken(old))]
        limiter = self._shared or RestartLimiter(replace(policy, limit=None) if new.patient else policy)
        self._children[name] = _Child(name, policy, limiter, at=now, patient=new.patient)
        return []

    def _removed(self, name: str) -> list[Action]:
        child = self._children.get(name)
        if child is None:
            return [Refuse(name, f"'{name}' can't be removed, since there is none of this name")]
        child.end("gone", f"'{name}' is removed")
        self._forget_if_gone(child)
        return []

    def _halt(self, name: str) -> list[Action]:
        child = self._children.get(name)
        if child is None:
            return [Refuse(name, f"'{name}' can't be halted, since there is none of this name")]
        child.halted = True
        if child.wish == "run":
            child.end("rest", f"'{name}' is halted")
        return []

    def _reset(self, name: str, now: float) -> list[Action]:
        child = self._children.get(name)
        if child is None:
            return [Refuse(name, f"'{name}' can't be reset, since there is none of this name")]
        being_halted = child.halted and child.ending
        if self._closing or child.life == "lost" or (child.runs and not being_halted):
            return [Refuse(name, _not_resettable(child))]
        child.wish, child.at, child.halted, child.counted = "run", now, False, None
        if child.limiter is not self._shared:
            child.limiter.reset()
        return []

    def _restart(self, name: str, now: float) -> list[Action]:
        child = self._children.get(name)
        if child is None or not child.runs or child.halted or self._closing:
            return self._reset(name, now)
        if child.wish == "run" and not child.ending:
            child.end("run", f"'{name}' is restarted")
            child.at, child.counted = now, None
            if child.limiter is not self._shared:
                child.limiter.reset()
        return []

    # Reports

    def _up(self, name: str, now: float) -> list[Action]:
        child = self._children.get(name)
        if child is not None and child.life == "starting":
            child.life = "up"
            child.take_place(now)
            if child.patient and self._shared is None:
                child.limiter = RestartLimiter(child.policy)
            child.patient = False
        return []

    def _down(self, name: str, error: BaseException | None, now: float, draw: float) -> list[Action]:
        child = self._children.get(name)
        if child is None or child.life == "none":
            return []
        expected = child.ending or child.life == "lost"
        child.ended()
        if expected:
            self._forget_if_gone(child)
            return []
        return self._decided(child, error, _decision(child, error, now, draw))

    def _lost(self, name: str, reason: str) -> list[Action]:
        child = self._children.get(name)
        if child is None or not child.runs:
            return []
        child.life, child.ending = "lost", False
        if child.wish == "gone" or child.halted or self._beyond == "quarantine":
            escalation = list[Action]()
        else:
            escalation = self._escalate(f"'{name}' is lost: {reason}")
        child.wish = "gone" if child.wish == "gone" else "quarantine"
        return [Quarantine(name, reason), *escalation]

    def _decided(self, child: _Child, error: BaseException | None, decision: Decision) -> list[Action]:
        match decision:
            case Restart(at):
                child.counted = at
                self._begin_again(child, at)
                return [WakeAt(at)]
            case Leave(reason):
                return self._leave(child, error, reason)
            case GiveUp(reason):
                return self._give_up(child, reason)
            case _:
                assert_never(decision)

    def _leave(self, child: _Child, error: BaseException | None, reason: str) -> list[Action]:
        """Have a child stay down; one that failed is quarantined, where that is what happens beyond a policy."""
        if error is None:
            child.wish = "rest"
            return []
        if self._beyond == "quarantine":
            return self._give_up(child, reason)
        child.wish = "rest"
        grave = child.policy.then == "stop_lab"
        return self._escalate(f"'{child.name}' failed with {repr_of(error)}, and {reason}") if grave else []

    def _begin_again(self, failed: _Child, at: float) -> None:
        failed.wish, failed.at = "run", at
        for child in self._companions(failed):
            # A child that must not restart, but hasn't had its first life yet, still gets it.
            again: Wish = "run" if child.wants_life or child.policy.restart != "never" else "rest"
            if child.wish != "gone" and not child.halted:
                child.end(again, f"'{failed.name}' failed, and starts again together with it")
                child.at = max(child.at, at)

    def _companions(self, failed: _Child) -> list[_Child]:
        """Return the others that stop and start together with the failed one."""
        children = list(self._children.values())
        match self._strategy:
            case "one_for_one":
                return []
            case "one_for_all":
                return [child for child in children if child is not failed]
            case "rest_for_one":
                return children[children.index(failed) + 1 :]
            case _:
                assert_never(self._strategy)

    def _give_up(self, child: _Child, reason: str) -> list[Action]:
        if self._beyond == "escalate":
            child.wish = "rest"
            return self._escalate(f"'{child.name}' failed, and {reason}")
        child.wish = "quarantine"
        escalation = self._escalate(f"'{child.name}' failed, and {reason}") if child.policy.then == "stop_lab" else []
        return [Quarantine(child.name, reason), *escalation]

    def _escalate(self, reason: str) -> list[Action]:
        if self._closing:
            return []
        if self._beyond == "escalate":
            self._close(reason)
        return [Escalate(reason)]

    def _close(self, reason: str) -> list[Action]:
        self._closing, self._announced = True, False
        for child in self._children.values():
            child.end("rest" if child.wish == "run" else child.wish, reason)
        return []

    def _forget_if_gone(self, child: _Child) -> None:
        # A lost child is remembered: a new one of its name would be a second life beside the first.
        if child.wish == "gone" and child.life == "none":
            del self._children[child.name]

    # What follows from the state

    def _stops(self) -> list[Action]:
        """Stop the last child that has to end, unless another one is just being stopped."""
        children = list(self._children.values())
        if any(child.life == "stopping" for child in children):
            return []
        for child in reversed(children):
            if child.ending:
                child.life = "stopping"
                return [StopChild(child.name, child.reason)]
        return []

    def _starts(self, now: float) -> list[Action]:
        ready = [child for child in self._eligible() if child.wants_life and child.at <= now]
        for child in ready:
            child.life = "starting"
            child.take_place(now)
        return [StartChild(child.name) for child in ready]

    def _eligible(self) -> list[_Child]:
        """Return those whose turn it is: all, if independent; else the first that isn't up, if none has to stop."""
        children = list(self._children.values())
        if self._strategy == "one_for_one":
            return children
        if any(child.ending for child in children):
            return []
        return [child for child in children if child.wants_life or child.life == "starting"][:1]

    def _farewell(self) -> list[Action]:
        if not self._closing or self._announced or any(child.runs for child in self._children.values()):
            return []
        self._announced = True
        return [AllStopped(tuple(child.name for child in self._children.values() if child.life == "lost"))]


def _counting(intensity: RestartPolicy) -> RestartPolicy:
    """Return the policy that counts every failure: whether one is worth a restart, the child's own policy has said."""
    return replace(intensity, restart="always", on=(BaseException,))


def _decision(child: _Child, error: BaseException | None, now: float, draw: float) -> Decision:
    if reason := child.policy.declines(error):
        return Leave(reason)
    return child.limiter.ended(now, error, draw)


def _taken(old: _Child) -> str:
    if old.wish == "gone":
        return f"'{old.name}' can't be added again, since the one that was removed hasn't ended yet"
    return f"'{old.name}' can't be added, since there is one of this name already"


def _not_resettable(child: _Child) -> str:
    if child.life == "lost":
        return f"'{child.name}' can't be reset, since its old life hasn't ended: free what it hangs in, or end it"
    why = f"it is {child.state}" if child.runs else "everything stops"
    return f"'{child.name}' can't be reset, since {why}"
