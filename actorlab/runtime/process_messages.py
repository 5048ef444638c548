"""Name what the lab and a worker process say to each other about the body that runs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from actorlab.arguments import StandIn
from actorlab.driving.member import Member, Path
from actorlab.isolation.failure import Failure
from actorlab.isolation.messages import Looks

__all__ = [
    "CANCEL", "LOOK", "TOLD", "Ask", "AskOperator", "Asking",
    "Begin", "Checkpoint", "DeviceSeen", "Done", "Emit", "Ended",
    "Fetch", "Initialize", "Kept", "Leave", "Listen", "Logged", "Note", "OfRun", "Outcome", "Parameter", "Progressed",
    "Recorded", "Request", "Shield", "Sleep", "Spawn", "Stand", "Take", "Ticket", "ToChild", "ToLab", "Unshield", "Use",
]  # fmt: skip

# -- next to the requests, from the lab

LOOK: Final = 16
"""The body is to look whether it may go on, at its next checkpoint; with its number."""
CANCEL: Final = 17
"""The asynchronous body is to be cancelled; its number, then the reason."""
TOLD: Final = 18
"""What stands under a number has an outcome; the number, then a pickled `Failure` or None."""


# -- devices


class DeviceSeen(NamedTuple):
    """What is to be known of a device so that its proxy can be made in another process."""

    queries: tuple[str, ...]
    read_back: Mapping[str, Any]
    looks: Looks


class Kept(NamedTuple):
    """An object that stays with its device, by its number in the lab's process."""

    number: int
    cls: bytes
    origin: Path | None


class Ticket(StandIn):
    """Stand for a device, or for a part of one, on its way to the other process; objects in its path are `Kept`."""

    __slots__ = ("cls", "device", "path")

    def __init__(self, device: str, path: Path, cls: bytes) -> None:
        self.device = device
        self.path = path
        self.cls = cls

    def __reduce__(self) -> tuple[Any, ...]:
        return Ticket, (self.device, self.path, self.cls)


# -- to the process


class Initialize(NamedTuple):
    """Call this before the first body."""

    function: Callable[[], object]


class Begin(NamedTuple):
    """Run a body; `function` is pickled by itself, so that what can't be imported is told from the arguments."""

    number: int
    name: str
    run: tuple[str, str]
    """The id and the name of its run."""
    function: bytes
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    devices: Mapping[str, DeviceSeen]


class Ended(NamedTuple):
    """The request of a body has failed."""

    failure: Failure


ToChild = Initialize | Begin | Ended

# -- what a body tells, without an answer


class Progressed(NamedTuple):
    """How far it is."""

    done: float
    total: float | None
    message: str


class Recorded(NamedTuple):
    """A row, pickled, and when it was recorded (seconds since 1970)."""

    at: float
    values: bytes


class Logged(NamedTuple):
    """What it logs, its fields pickled."""

    event: str
    fields: bytes


Note = Progressed | Recorded | Logged

# -- what a body asks


class Use(NamedTuple):
    """Make a call of a device, and wait for its outcome."""

    device: str
    member: Member
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Ask(NamedTuple):
    """Send a call, and keep its reply under a number."""

    number: int
    call: Use


class Fetch(NamedTuple):
    """Return the outcome of the call under a number; or drop the call."""

    number: int
    drop: bool = False


class Listen(NamedTuple):
    """Listen to a stream, under a number."""

    number: int
    call: Use
    buffer: int
    pulled: bool


class Take(NamedTuple):
    """Wait for the next items of a stream; none says that it has ended."""

    number: int


class Leave(NamedTuple):
    """Listen no longer."""

    number: int


class Spawn(NamedTuple):
    """Start a child run, and keep it under a number; answered by its id and its name."""

    number: int
    function: bytes
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class OfRun(NamedTuple):
    """Use the run under a number (0: the body's own): read an attribute, or call a method with arguments."""

    number: int
    name: str
    args: tuple[Any, ...] | None
    kwargs: dict[str, Any]


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class Checkpoint(NamedTuple):
    """Let a cancellation or a pause take effect."""


class Stand(NamedTuple):
    """If the run is held, stand until it is freed, which will be told under this number."""

    number: int


class Shield(NamedTuple):
    """Keep a cancellation out for at most some seconds after it comes."""

    seconds: float


class Unshield(NamedTuple):
    """End that."""


class Emit(NamedTuple):
    """Tell whoever listens to the lab's events."""

    name: str
    data: Any
    acknowledged: float | None


class AskOperator(NamedTuple):
    """Ask whoever runs the lab."""

    question: str
    choices: tuple[str, ...]
    timeout: float | None


class Parameter(NamedTuple):
    """Declare a parameter of the run, and return what it is now."""

    name: str
    default: Any
    marks: tuple[Any, ...]


Asking = (
    Use | Ask | Fetch | Listen | Take | Leave | Spawn | OfRun | Sleep | Checkpoint | Stand | Shield | Unshield | Emit
    | AskOperator | Parameter
)  # fmt: skip


class Request(NamedTuple):
    """What a body has told meanwhile, and what it asks, if anything."""

    notes: tuple[Note, ...]
    what: Asking | None


class Done(NamedTuple):
    """The body, or the initializer, has ended well."""

    notes: tuple[Note, ...]
    value: Any


class Outcome(NamedTuple):
    """It has failed; `unread`: it wasn't even begun, since it couldn't be unpickled."""

    notes: tuple[Note, ...]
    failure: Failure
    unread: bool = False


ToLab = Request | Done | Outcome
