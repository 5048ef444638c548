"""Say what went wrong, who was involved and what to do about it: every error of actorlab."""

from __future__ import annotations

__all__ = [
    "ActorLabError",
    "ActorStopped",
    "AskDeadlock",
    "CallTimeout",
    "Cancelled",
    "ConfigError",
    "DeviceBusy",
    "DeviceFault",
    "DeviceQuarantined",
    "DeviceUnavailable",
    "EncodingError",
    "JournalError",
    "JournalInUse",
    "LeaseLost",
    "LeaseTimeout",
    "MailboxFull",
    "NotAllowed",
    "NotLeased",
    "NotReached",
    "RunCancelled",
    "RunTimeout",
    "ServerUnavailable",
    "WorkerDied",
    "WorkflowError",
    "repr_of",
    "text_of",
]


class Cancelled(BaseException):
    """Reach a body at its next checkpoint, when its run is cancelled.

    It derives from `BaseException`, so that ``except Exception`` in a body doesn't swallow it.
    """


class ActorLabError(Exception):
    """Be the common base of the errors which actorlab raises itself.

    `safe` and `unsafe` name the devices that were, or could not be, made safe after the failure.
    """

    safe: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()


class ConfigError(ActorLabError):
    """Something was put together wrongly: mend the program or the file that is named."""


class EncodingError(ActorLabError):
    """A value can't be written down, or what was written can't be read: the message says where in it, and why."""


class JournalError(ActorLabError):
    """The journal can't be opened, read or written: the message says why, and what to do."""


class JournalInUse(JournalError):
    """Another lab writes this journal: end that one, read only, or ask it; `holder` says who has it."""

    def __init__(self, message: str, holder: object = None) -> None:
        super().__init__(message)
        self.holder = holder


class DeviceBusy(ActorLabError):
    """Somebody else holds the device: wait for the holder, or ask it to end."""


class DeviceUnavailable(ActorLabError):
    """The device is restarting or can't be reached now: try again at `retry_at` (monotonic seconds), where known."""

    def __init__(self, message: str, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class DeviceQuarantined(DeviceUnavailable):
    """The device failed too often or hangs: look at it, then call ``lab.reset(name)``."""


class DeviceFault(ActorLabError):
    """The device broke, or restarted since it was last used: what was set on it before may be gone."""


class CallTimeout(ActorLabError):
    """A call to a device took longer than its limit; `stack` is where it was stuck, if it had begun."""

    def __init__(self, message: str, stack: str = "") -> None:
        super().__init__(message)
        self.stack = stack


class NotReached(ActorLabError):
    """A value was set, but reading it back says something else: `wanted` and `found` tell what."""

    def __init__(self, message: str, *, wanted: object = None, found: object = None) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.found = found


class NotLeased(ActorLabError):
    """A body used a device which its run doesn't hold: pass the device as an argument."""


class LeaseTimeout(ActorLabError):
    """The devices weren't free within the time allowed: the message says who holds them."""


class LeaseLost(ActorLabError):
    """The lease was revoked or has expired: the devices belong to somebody else now."""


class WorkflowError(ActorLabError):
    """A workflow can't be drawn, or doesn't make sense: the message says which step, and what to do."""


class RunCancelled(ActorLabError):
    """The run was cancelled, and its work has stopped.

    `reason` is the canceller's word, `abandoned` names bodies that could not be stopped in time, with their stacks, and
    `partial` is what the body returned all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        safe: tuple[str, ...] = (),
        unsafe: tuple[str, ...] = (),
        abandoned: tuple[str, ...] = (),
        partial: object = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.safe = safe
        self.unsafe = unsafe
        self.abandoned = abandoned
        self.partial = partial


class RunTimeout(RunCancelled):
    """The run took longer than its `timeout` or `deadline`, and was stopped."""


class WorkerDied(ActorLabError):
    """The worker process in which a body ran has ended by itself, and the body with it; it is replaced."""


class MailboxFull(ActorLabError):
    """Too many calls wait for the device: send fewer at a time, or wait for the replies."""


class AskDeadlock(ActorLabError):
    """The wait could never end, because what is waited for waits for the one who asks."""


class NotAllowed(ActorLabError):
    """The server doesn't know who asks, or this role isn't enough: ask its operator for a token that is."""


class ServerUnavailable(ActorLabError):
    """The lab's server can't be reached, or has answered something else than a lab's server does."""


class ActorStopped(ActorLabError):
    """The actor had stopped before it came to this message, so the message was not executed."""


def text_of(error: BaseException) -> str:
    """Write any error with its class; its text is its author's own code, which may fail as well."""
    kind = type(error).__name__
    try:
        return f"{kind}: {error}".removesuffix(": ")
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # noqa: BLE001 - the boundary to the author's code
        return f"{kind}: (its text can't be written: {type(failure).__name__})"


def repr_of(error: BaseException) -> str:
    """Write any error as Python does, or by its class alone if its author's code fails at that."""
    try:
        return repr(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - as above
        return f"{type(error).__name__}(…)"
