"""Name what can happen to a run, and what is to be done about it: the events and the actions of its core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from actorlab.core.run_state import RunState

__all__ = [
    "ASK_LEASE",
    "RELEASE_LEASE",
    "Action",
    "AlarmBody",
    "AskDecision",
    "AskLease",
    "Asked",
    "AwaitDevices",
    "Begun",
    "BodyEnded",
    "ChildBegun",
    "ChildEnded",
    "Choice",
    "CleanupEnded",
    "Decided",
    "DevicesLost",
    "DevicesReady",
    "Drawn",
    "End",
    "Event",
    "Fence",
    "FenceBody",
    "FreeBodies",
    "GraceOver",
    "Granted",
    "HoldBodies",
    "MadeSafe",
    "MakeSafe",
    "Moved",
    "Pause",
    "Refused",
    "ReleaseLease",
    "Released",
    "Resume",
    "RetryDue",
    "SetTimer",
    "StartBody",
    "StartCleanup",
    "StepMoved",
    "StepTimedOut",
    "Stood",
    "StopChildren",
    "Stopped",
    "WindowOver",
]


Choice: TypeAlias = Literal["retry", "skip", "abort"]


# -- events


class Begun(NamedTuple):
    """The run is asked to begin."""


class Granted(NamedTuple):
    """It has its lease; with a reason for a pause it begins paused."""

    pause: str = ""


class Refused(NamedTuple):
    """It can't have its lease, ever or in time."""

    error: BaseException
    timed_out: bool = False


class BodyEnded(NamedTuple):
    """A body of a step returned (`error` is None) or raised."""

    step: int
    attempt: int
    error: BaseException | None = None
    draw: float = 0.0


class Drawn(NamedTuple):
    """A step that had to be drawn first is drawn."""

    step: int
    attempt: int


class Stopped(NamedTuple):
    """Somebody or something ends the run: the first such event fixes how."""

    state: RunState
    reason: str
    error: BaseException | None = None
    counted: bool = False
    """It is the run's own timeout, which stands still while the run is paused."""
    hurry: bool = False
    """Leave the clean-ups out: an emergency stop."""


class StepTimedOut(NamedTuple):
    """One step took longer than its own limit."""

    step: int
    attempt: int


class WindowOver(NamedTuple):
    """The time within which a step had to start after another one's end has passed."""

    step: int


class GraceOver(NamedTuple):
    """The time in which alarmed bodies could end has passed, for one step or (-1) for the run."""

    step: int = -1


class RetryDue(NamedTuple):
    """The delay before a retry has passed."""

    step: int
    attempt: int


class DevicesReady(NamedTuple):
    """The devices of a step that waits for its retry serve again."""

    step: int


class DevicesLost(NamedTuple):
    """They won't come back."""

    step: int


class ChildBegun(NamedTuple):
    """A body started a child run."""


class ChildEnded(NamedTuple):
    """A child run of a body has ended."""


class CleanupEnded(NamedTuple):
    """A clean-up step has ended, well or not."""

    number: int
    error: BaseException | None = None


class MadeSafe(NamedTuple):
    """A device was made safe, or couldn't be."""

    device: str
    error: BaseException | None = None


class Released(NamedTuple):
    """The lease was given back."""


class Pause(NamedTuple):
    """Somebody wants the run to stand still."""

    reason: str


class Resume(NamedTuple):
    """Somebody wants it to go on."""


class Stood(NamedTuple):
    """The body of a step stands at a checkpoint."""

    step: int


class Asked(NamedTuple):
    """The body of a step asks an operator, and stands until it is answered."""

    step: int
    reason: str


class Decided(NamedTuple):
    """An operator has decided over a step that failed: try it again, go on without it, or let the run fail."""

    step: int
    choice: Choice


Event: TypeAlias = (
    Begun | Granted | Refused | BodyEnded | Stopped | StepTimedOut | WindowOver | GraceOver | RetryDue | DevicesReady
    | DevicesLost | ChildBegun | ChildEnded | CleanupEnded | MadeSafe | Released | Pause | Resume | Stood | Asked
    | Decided | Drawn
)  # fmt: skip


# -- actions


class AskLease(NamedTuple):
    """Ask for the lease."""


class StartBody(NamedTuple):
    """Start a body of a step."""

    step: int
    attempt: int


class AlarmBody(NamedTuple):
    """Let the body of a step meet `Cancelled` at its next checkpoint, and interrupt its calls."""

    step: int
    reason: str


class StopChildren(NamedTuple):
    """Stop the child runs."""

    reason: str


class FenceBody(NamedTuple):
    """Take everything from the body of a step: it is abandoned."""

    step: int


class Fence(NamedTuple):
    """Take every device from every body of the run."""


class SetTimer(NamedTuple):
    """Send `event` after some seconds."""

    seconds: float
    event: Any


class AwaitDevices(NamedTuple):
    """Tell when the devices of a step serve again, or that they won't."""

    step: int


class AskDecision(NamedTuple):
    """Ask an operator what is to become of a step that failed."""

    step: int
    error: BaseException


class HoldBodies(NamedTuple):
    """Let bodies stand at their next pause point."""


class FreeBodies(NamedTuple):
    """Let them go on."""


class StartCleanup(NamedTuple):
    """Start a clean-up step."""

    number: int


class MakeSafe(NamedTuple):
    """Make a device safe."""

    device: str


class ReleaseLease(NamedTuple):
    """Give the lease back, or withdraw the request for it."""


class End(NamedTuple):
    """Publish how it ended."""

    state: RunState


class Moved(NamedTuple):
    """The run's state changed."""

    old: RunState
    new: RunState


class StepMoved(NamedTuple):
    """A step's state changed."""

    step: int
    old: RunState
    new: RunState


Action: TypeAlias = (
    AskLease | AskDecision | StartBody | AlarmBody | StopChildren | FenceBody | Fence | SetTimer | AwaitDevices |
    HoldBodies | FreeBodies | StartCleanup | MakeSafe | ReleaseLease | End | Moved | StepMoved
)  # fmt: skip

ASK_LEASE: Final = AskLease()
RELEASE_LEASE: Final = ReleaseLease()
