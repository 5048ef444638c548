"""Decide the life of one run: its lease, its steps, their retries, and the order in which it ends.

A run is a plan of steps; a single task is a plan of one. Events and the time go in, actions come out, and nothing else
changes the state. However a run ends, it ends in this order: bodies, fence, clean-ups, safe states, release, terminal
state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, assert_never

from actorlab.core.plan import Countdown, Plan
from actorlab.core.restart import Restart, RestartLimiter, RestartPolicy
from actorlab.core.run_events import (
    ASK_LEASE,
    RELEASE_LEASE,
    Action,
    AlarmBody,
    AskDecision,
    Asked,
    AwaitDevices,
    Begun,
    BodyEnded,
    ChildBegun,
    ChildEnded,
    CleanupEnded,
    Decided,
    DevicesLost,
    DevicesReady,
    Drawn,
    End,
    Fence,
    FenceBody,
    FreeBodies,
    GraceOver,
    Granted,
    HoldBodies,
    MadeSafe,
    MakeSafe,
    Moved,
    Pause,
    Refused,
    Released,
    Resume,
    RetryDue,
    SetTimer,
    StartBody,
    StartCleanup,
    StepMoved,
    StepTimedOut,
    Stood,
    StopChildren,
    Stopped,
    WindowOver,
)
from actorlab.core.run_state import LEGAL, RunState
from actorlab.errors import AskDeadlock, ConfigError, NotLeased, RunTimeout, WorkflowError, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RunCore", "RunSpec"]

S = RunState


class OneStep:
    """Count down a plan of one step, which needs no counting."""

    __slots__ = ()
    left = 1

    def ready(self) -> list[int]:
        """Return the step."""
        return [0]

    def ended(self, index: int) -> list[int]:
        """Return nothing: nothing follows."""
        del index
        return []

    def skip(self, index: int) -> list[int]:
        """Return nothing: nothing follows."""
        del index
        return []


ONE_STEP: Final = OneStep()

USAGE_ERRORS: Final = (AskDeadlock, ConfigError, NotLeased, WorkflowError)
"""A retry would only meet them again."""


NO_ACTIONS: Final[list[Action]] = []
NOTHING: Final[Mapping[int, Any]] = {}  # nobody writes to it, as its type says
NO_ERRORS: Final[list[tuple[int, BaseException]]] = []  # nor to this, …
EMPTY: Final[dict[Any, Any]] = {}  # nobody writes to it, as no step begins without a lease


class Window(NamedTuple):
    """Say that a step must start within some seconds of the end of others; `text` is what is said if it doesn't."""

    after: tuple[int, ...]
    seconds: float
    text: str


def steps_behind(windows: Mapping[int, Window]) -> dict[int, list[int]]:
    """Return for each step those that must start soon after its end."""
    behind: dict[int, list[int]] = {}
    for step, window in windows.items():
        for other in window.after:
            behind.setdefault(other, []).append(step)
    return behind


class RunSpec(NamedTuple):
    """What is known of a run before it begins; times in seconds."""

    plan: Plan
    cancel_grace: float = 10.0
    timeout: float | None = None
    retries: Mapping[int, RestartPolicy] = NOTHING
    step_timeouts: Mapping[int, float] = NOTHING
    units: Mapping[int, None] = NOTHING
    """Steps that are runs of their own: they end by themselves within their own bound, and are never abandoned."""
    cleanups: int = 0
    devices: tuple[str, ...] = ()
    """The devices held exclusively, in the order in which they were added to the lab."""
    keep_going: bool = False
    windows: Mapping[int, Window] = NOTHING
    asking: Mapping[int, None] = NOTHING
    """Steps whose failure pauses the run, until an operator has decided what is to become of them."""
    late: Mapping[int, None] = NOTHING
    """Units that have to be drawn first: `StartBody` comes for each once to draw it, and once to run what is drawn."""
    passed: Mapping[int, RunState] = NOTHING
    """Steps that this execution goes past, with the state they have: what an earlier one, which was interrupted, did or
    what is left out now."""


class RunCore:
    """The state of one run; `handle` is its only writer."""

    __slots__ = (
        "_active",
        "_attempts",
        "_behind",
        "_children",
        "_cleaning",
        "_cleanups",
        "_countdown",
        "_drawn",
        "_fenced",
        "_held_back",
        "_late",
        "_limiters",
        "_many",
        "_out",
        "_retrying",
        "_standing",
        "_step_clocks",
        "_step_states",
        "_timeout_at",
        "_timeout_left",
        "_to_make_safe",
        "_told",
        "_undecided",
        "abandoned",
        "begun",
        "cause",
        "cleanup_errors",
        "error",
        "errors",
        "failed_step",
        "final",
        "pause_reason",
        "reason",
        "safe",
        "spec",
        "state",
        "unsafe",
    )

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.state = S.WAITING
        self.final = S.SUCCEEDED
        """How it will end, as far as is known."""
        self.cause = S.SUCCEEDED
        """What fixed how it ends; a body that had to be abandoned changes `final`, not this."""
        self.reason = ""
        self.error: BaseException | None = None
        self.errors = NO_ERRORS
        self.failed_step: int | None = None
        self.abandoned: tuple[int, ...] = ()
        self.cleanup_errors: tuple[tuple[int, BaseException], ...] = ()
        self.safe: tuple[str, ...] = ()
        self.unsafe: dict[str, BaseException] = {}
        self.pause_reason = ""
        self.begun = False
        self._many = spec.plan.size > 1
        self._told = False
        self._countdown = Countdown(spec.plan) if spec.plan.size != 1 else ONE_STEP
        # Many runs may wait for a lease: `_make_room` makes the dicts of those that have it.
        self._step_states: dict[int, RunState] = EMPTY
        self._attempts: dict[int, int] = EMPTY
        self._late: dict[int, None] = EMPTY
        self._drawn: dict[int, None] = EMPTY
        self._limiters: dict[int, RestartLimiter] = EMPTY
        self._active: dict[int, None] = EMPTY
        self._retrying: dict[int, list[str]] = EMPTY
        self._standing: dict[int, None] = EMPTY
        self._undecided: dict[int, BaseException] = EMPTY
        self._held_back: dict[int, None] = EMPTY
        self._behind = steps_behind(spec.windows) if spec.windows else NOTHING
        self._children = 0
        self._cleanups = spec.cleanups
        self._cleaning = -1
        self._to_make_safe: tuple[str, ...] = ()
        self._fenced = False
        self._timeout_at: float | None = None
        self._timeout_left = spec.timeout
        self._step_clocks: dict[int, float] = EMPTY  # when the time of a step is up; while paused, what is left of it
        self._out: list[Action] = NO_ACTIONS

    def handle(self, event: Any, now: float, told: bool = True) -> list[Action]:  # noqa: FBT001, FBT002 - on the hot path
        """Take one event and return the actions that follow from it, in order.

        Unless it is `told`, the moves of steps are left out: there are two for each, and mostly nobody listens.
        """
        out: list[Action] = []
        self._out = out
        self._told = told and self._many
        self.HANDLERS[event.__class__](self, event, now)
        self._out = NO_ACTIONS
        return out

    def step_state(self, step: int) -> RunState:
        """Return the state of a step; what hadn't begun when the run ended is skipped."""
        return self._step_states.get(step, S.SKIPPED if self.state.terminal else S.WAITING)

    def attempts(self, step: int) -> int:
        """Return how many times the body of a step was started."""
        return self._attempts.get(step, 0)

    @property
    def active(self) -> tuple[int, ...]:
        """Return the steps whose bodies run."""
        return tuple(self._active)

    @property
    def over(self) -> int:
        """Return how many of several steps have ended, or never will begin."""
        return self.spec.plan.size - self._countdown.left

    # -- beginning

    def _begin(self, event: Begun, now: float) -> None:
        del event, now
        self._out.append(ASK_LEASE)

    def _make_room(self) -> None:
        """Make the dicts in which steps are noted."""
        self._step_states = {}
        self._attempts = {}
        self._late = {}
        self._drawn = {}
        self._limiters = {}
        self._active = {}
        self._retrying = {}
        self._standing = {}
        self._undecided = {}
        self._step_clocks = {}
        self._held_back = {}
        self.errors = []

    def _granted(self, event: Granted, now: float) -> None:
        if self.state is not S.WAITING or self.final is not S.SUCCEEDED:  # stopped meanwhile: it gives the lease back
            return
        self._make_room()
        self._move(S.RUNNING)
        self._start_clock(now)
        if pause := self.pause_reason or event.pause:
            self._pause(Pause(pause), now)
        self._start_all(self._countdown.ready(), now)
        if not self._active:
            self._settle_if_still(now)

    def _refused(self, event: Refused, now: float) -> None:
        del now
        if self.state is S.WAITING:
            self._withdraw(S.TIMED_OUT if event.timed_out else S.FAILED, str(event.error), event.error)

    def _withdraw(self, state: RunState, reason: str, error: BaseException | None) -> None:
        """End a run that waits for its lease; once: the release may still be on its way."""
        if self.final is S.SUCCEEDED:
            self._fix(state, reason, error)
            self._out.append(RELEASE_LEASE)

    def _start_clock(self, now: float) -> None:
        left = self._timeout_left
        if left is not None:
            self._timeout_at = now + left
            reason = f"it took longer than its timeout of {self.spec.timeout} s"
            self._out.append(SetTimer(left, Stopped(S.TIMED_OUT, reason, counted=True)))

    # -- steps

    def _start_all(self, ready: list[int], now: float) -> None:
        for step in ready if not self.spec.passed else self._go_past(ready, self.spec.passed):
            self._start(step, now)

    def _go_past(self, ready: list[int], passed: Mapping[int, RunState]) -> list[int]:
        """Return the steps that begin instead of these, as some are done or left out."""
        self.begun = True
        beginning: list[int] = []
        for step in ready:  # grows while it is walked
            if step not in passed:
                beginning.append(step)
                continue
            self._move_step(step, passed[step])
            if passed[step] is not S.SUCCEEDED:
                for skipped in self._countdown.skip(step):
                    self._move_step(skipped, S.SKIPPED)
            ready.extend(self._countdown.ended(step))
        return sorted(beginning)

    def _start(self, step: int, now: float) -> None:
        if step in self._late:
            return
        if self.state is not S.RUNNING:  # pausing, paused: not now; ending: never
            self._held_back[step] = None
            return
        self.begun = True
        attempt = self._attempts[step] = self._attempts.get(step, 0) + (step not in self._drawn)
        self._active[step] = None
        self._move_step(step, S.RUNNING)
        self._out.append(StartBody(step, attempt))
        if self.spec.step_timeouts and attempt == 1 and step in self.spec.step_timeouts:
            self._start_step_clock(step, self.spec.step_timeouts[step], now)

    def _start_step_clock(self, step: int, seconds: float, now: float) -> None:
        self._step_clocks[step] = now + seconds
        self._out.append(SetTimer(seconds, StepTimedOut(step, self._attempts[step])))

    def _body_ended(self, event: BodyEnded, now: float) -> None:
        step, error = event.step, event.error
        if step not in self._active or event.attempt != self._attempts[step]:
            return  # it had been abandoned
        del self._active[step]
        if self._standing:
            self._standing.pop(step, None)
        alarmed = self._step_states[step] is S.CANCELLING
        if self.state is S.CANCELLING:
            self._move_step(step, S.CANCELLED)
        elif error is None and not alarmed:
            self._move_step(step, S.SUCCEEDED)
            self._start_all(self._countdown.ended(step), now)
            if self.spec.windows:
                self._open_windows(step)
        elif alarmed:
            self._step_failed(step, S.TIMED_OUT, self._step_timeout_error(step), now)
        elif not self._retry(step, error, event.draw, now) and not self._ask(step, error, now):
            self._step_failed(step, S.FAILED, error, now)
        self._settle_if_still(now)

    def _on_drawn(self, event: Drawn, now: float) -> None:
        """Go on with a step that is drawn now: at once, or after the pause."""
        step, attempt = event
        if step not in self._active or attempt != self._attempts[step]:
            return  # it had been abandoned
        if self._step_states[step] is S.CANCELLING:
            self._body_ended(BodyEnded(step, attempt), now)
            return
        self._drawn[step] = None
        if self.state is S.RUNNING:
            self._out.append(StartBody(step, attempt))
            return
        del self._active[step]
        self._move_step(step, S.WAITING)
        del self._step_states[step]  # it hasn't begun, should the run end now
        self._held_back[step] = None
        self._stand_if_all_do(now)

    def _ends_by_itself(self, step: int) -> bool:
        """Tell whether a step is a run of its own by now, which ends within its own bound."""
        return step in self.spec.units and (step not in self.spec.late or step in self._drawn)

    def _ask(self, step: int, error: BaseException | None, now: float) -> bool:
        """Pause for an operator's decision over a step that failed, if that is wanted."""
        if step not in self.spec.asking or not isinstance(error, Exception):
            return False
        self.errors.append((step, error))
        self._undecided[step] = error
        self._move_step(step, S.PAUSED)
        self._out.append(AskDecision(step, error))
        if self.state in (S.RUNNING, S.RETRYING):
            self._pause(Pause(f"it waits for a decision, since {text_of(error)}"), now)
        return True

    def _decided(self, event: Decided, now: float) -> None:
        error = self._undecided.pop(event.step, None)
        if error is None:
            return
        if not self._undecided:
            self._resume(Resume(), now)
        match event.choice:
            case "retry":
                self._start(event.step, now)
            case "skip":
                self._move_step(event.step, S.FAILED)  # it has, and the run goes on without it
                for skipped in self._countdown.skip(event.step):
                    self._move_step(skipped, S.SKIPPED)
                self._start_all(self._countdown.ended(event.step), now)
            case "abort":
                self._step_failed(event.step, S.FAILED, error, now)
            case _:
                assert_never(event.choice)
        self._settle_if_still(now)

    def _open_windows(self, ended: int) -> None:
        """Begin to count for those that must start soon after this step's end."""
        for step in self._behind.get(ended, ()):
            window = self.spec.windows[step]
            if all(self.step_state(other) is S.SUCCEEDED for other in window.after):
                self._out.append(SetTimer(window.seconds, WindowOver(step)))

    def _window_over(self, event: WindowOver, now: float) -> None:
        step = event.step
        begun = step in self._step_states
        if begun or self.state not in (S.RUNNING, S.PAUSING, S.PAUSED):
            return
        self._held_back.pop(step, None)
        self._late[step] = None
        self._step_failed(step, S.TIMED_OUT, RunTimeout(self.spec.windows[step].text), now)
        self._settle_if_still(now)

    def _retry(self, step: int, error: BaseException | None, draw: float, now: float) -> bool:
        policy = self.spec.retries.get(step)
        if policy is None or isinstance(error, USAGE_ERRORS):
            return False
        limiter = self._limiters.get(step)
        if limiter is None:
            limiter = self._limiters[step] = RestartLimiter(policy)
        verdict = limiter.ended(now, error, draw)
        if not isinstance(verdict, Restart):
            return False
        if error is not None:
            self.errors.append((step, error))
        self._retrying[step] = ["delay", "devices"]
        self._move_step(step, S.RETRYING)
        self._mirror(S.RETRYING)
        self._out.append(AwaitDevices(step))
        self._out.append(SetTimer(verdict.at - now, RetryDue(step, self._attempts[step])))
        return True

    def _retry_due(self, event: RetryDue, now: float) -> None:
        if self._attempts.get(event.step) == event.attempt:
            self._one_less(event.step, "delay", now)

    def _devices_ready(self, event: DevicesReady, now: float) -> None:
        self._one_less(event.step, "devices", now)

    def _one_less(self, step: int, what: str, now: float) -> None:
        missing = self._retrying.get(step)
        if missing is None or what not in missing:
            return
        missing.remove(what)
        if not missing:
            del self._retrying[step]
            self._mirror(S.RUNNING)
            self._start(step, now)

    def _devices_lost(self, event: DevicesLost, now: float) -> None:
        if self._retrying.pop(event.step, None) is not None:
            last = [error for step, error in self.errors if step == event.step][-1]
            self._mirror(S.RUNNING)
            self._step_failed(event.step, S.FAILED, last, now)
            self._settle_if_still(now)

    def _step_failed(self, step: int, state: RunState, error: BaseException | None, now: float) -> None:
        self._move_step(step, state)
        if error is not None and not (self.errors and self.errors[-1][1] is error):
            self.errors.append((step, error))
        for skipped in self._countdown.skip(step):
            self._move_step(skipped, S.SKIPPED)
        if self.spec.keep_going and self.state is not S.CANCELLING:
            self._fix(S.FAILED, "", error, step)
            self._start_all(self._countdown.ended(step), now)
        else:
            self._stop(S.FAILED, f"step {step} failed", error, step)

    def _step_timed_out(self, event: StepTimedOut, now: float) -> None:
        step = event.step
        state = self._step_states.get(step)
        if self.state is S.PAUSED or now < self._step_clocks[step] - 1e-6:  # the run was paused in the meantime
            return
        if state is S.RETRYING:
            self._retrying.pop(step, None)
            self._held_back.pop(step, None)
            self._mirror(S.RUNNING)
            self._step_failed(step, S.TIMED_OUT, self._step_timeout_error(step), now)
            self._settle_if_still(now)
        elif state is S.RUNNING:
            self._alarm(step, f"the step took longer than its timeout of {self.spec.step_timeouts[step]} s")
            if not self._ends_by_itself(step):
                self._out.append(SetTimer(self.spec.cancel_grace, GraceOver(step)))

    def _step_timeout_error(self, step: int) -> BaseException:
        return RunTimeout(
            f"the step took longer than its timeout of {self.spec.step_timeouts[step]} s, and was stopped"
        )

    # -- stopping

    def _stopped(self, event: Stopped, now: float) -> None:
        if event.hurry:  # also when the run ends already
            self._cleanups = 0
        if self.state is S.WAITING:
            self._withdraw(event.state, event.reason, event.error)
        elif event.counted and self._clock_stands(now):
            return
        elif self.state is not S.CANCELLING and not self.state.terminal and not self._fenced:
            self._stop(event.state, event.reason, event.error)
            self._settle_if_still(now)

    def _clock_stands(self, now: float) -> bool:
        """Tell whether a timeout that fires counts not yet: the run was paused in the meantime."""
        return self._timeout_at is None or now < self._timeout_at - 1e-6

    def _stop(self, state: RunState, reason: str, error: BaseException | None, step: int | None = None) -> None:
        if self.final is not S.SUCCEEDED and self.state is S.CANCELLING:
            return
        paused = self.state in (S.PAUSING, S.PAUSED)
        self._fix(state, reason, error, step)
        self._move(S.CANCELLING)
        self._forget_waiting_steps()
        if paused:
            self._out.append(FreeBodies())
        for active in self._active:
            self._alarm(active, reason)
        if self._children:
            self._out.append(StopChildren(reason))
        if self._active:
            self._out.append(SetTimer(self.spec.cancel_grace, GraceOver()))

    def _forget_waiting_steps(self) -> None:
        for step in self._undecided:
            self._move_step(step, S.CANCELLED)
        self._undecided.clear()
        for step in (*self._retrying, *self._held_back):
            if self._step_states.get(step) is S.RETRYING:
                self._move_step(step, S.CANCELLED)
        self._retrying.clear()
        self._held_back.clear()
        self._standing.clear()

    def _alarm(self, step: int, reason: str) -> None:
        if self._step_states[step] is not S.CANCELLING:  # a body is alarmed once: what it does in `finally` goes on
            self._move_step(step, S.CANCELLING)
            self._standing.pop(step, None)
            self._out.append(AlarmBody(step, reason))

    def _grace_over(self, event: GraceOver, now: float) -> None:
        if event.step >= 0:
            late = [event.step] if self._step_states.get(event.step) is S.CANCELLING else []
        else:
            late = [step for step in self._active if not self._ends_by_itself(step)]
        for step in late:
            del self._active[step]
            self._standing.pop(step, None)
            self.abandoned += (step,)
            self._out.append(FenceBody(step))
            if event.step < 0:
                self._move_step(step, S.ABANDONED)
            else:
                self._step_failed(step, S.ABANDONED, self._step_timeout_error(step), now)
        self._settle_if_still(now)

    def _fix(self, state: RunState, reason: str, error: BaseException | None, step: int | None = None) -> None:
        """Fix the outcome: the first cause stays."""
        if self.final is S.SUCCEEDED:
            self.final, self.reason, self.error, self.failed_step = state, reason, error, step
            self.cause = state

    # -- children

    def _child_begun(self, event: ChildBegun, now: float) -> None:
        del event, now
        self._children += 1

    def _child_ended(self, event: ChildEnded, now: float) -> None:
        del event
        self._children -= 1
        self._settle_if_still(now)

    # -- pausing

    def _pause(self, event: Pause, now: float) -> None:
        """Pause; a run that still waits for its lease begins paused."""
        if self.state is S.WAITING:
            self.pause_reason = event.reason
        if self.state not in (S.RUNNING, S.RETRYING) or self._fenced:
            return
        self.pause_reason = event.reason
        self._move(S.PAUSING)
        self._out.append(HoldBodies())
        self._stand_if_all_do(now)

    def _stood(self, event: Stood, now: float) -> None:
        if self.state is S.PAUSING and event.step in self._active:
            self._standing[event.step] = None
            self._stand_if_all_do(now)

    def _asked(self, event: Asked, now: float) -> None:
        self._pause(Pause(event.reason), now)
        self._stood(Stood(event.step), now)

    def _stand_if_all_do(self, now: float) -> None:
        if self.state is not S.PAUSING or len(self._standing) < len(self._active):
            return
        self._move(S.PAUSED)
        if self._timeout_at is not None:
            self._timeout_left, self._timeout_at = self._timeout_at - now, None
        if self._step_clocks:
            self._step_clocks = {step: due - now for step, due in self._step_clocks.items()}

    def _resume(self, event: Resume, now: float) -> None:
        del event
        if self.state is S.WAITING:
            self.pause_reason = ""
        if self.state not in (S.PAUSING, S.PAUSED) or self._undecided:
            return
        if self.state is S.PAUSED:
            self._start_clock(now)
            for step, left in self._step_clocks.items():
                self._start_step_clock(step, max(0.0, left), now)
        self.pause_reason = ""
        self._standing.clear()
        self._move(S.RUNNING)
        if self._retrying:
            self._mirror(S.RETRYING)
        self._out.append(FreeBodies())
        ready, self._held_back = self._held_back, {}
        for step in ready:
            self._start(step, now)

    # -- the end, in its order

    def _settle_if_still(self, now: float) -> None:
        """Go on to the end if nothing runs, waits for its retry, or is held back by a pause."""
        if self._active or self._children or self._retrying or self._held_back or self._undecided:
            self._stand_if_all_do(now)
            return
        if self._fenced or self.state is S.WAITING:
            return
        self._fenced = True
        if self.state in (S.PAUSING, S.PAUSED):  # nobody is left to stand, and clean-ups don't
            self.pause_reason = ""
            self._move(S.RUNNING)
            self._out.append(FreeBodies())
        if self.begun and self.state is not S.CANCELLING and self.final is not S.SUCCEEDED:
            self._move(S.CANCELLING)
        if self.final is not S.SUCCEEDED or self._cleanups:
            self._out.append(Fence())
        self._next_cleanup()

    def _next_cleanup(self) -> None:
        if self._cleanups and self.begun:
            self._cleanups -= 1
            self._cleaning = self._cleanups
            self._out.append(StartCleanup(self._cleaning))
        elif self.final is not S.SUCCEEDED and self.spec.devices:
            self._to_make_safe = self.spec.devices
            self._next_safe()
        else:
            self._out.append(RELEASE_LEASE)

    def _cleanup_ended(self, event: CleanupEnded, now: float) -> None:
        del now
        if event.number != self._cleaning:
            return  # it had been given up
        self._cleaning = -1
        if event.error is not None:
            self.cleanup_errors += ((event.number, event.error),)
            if self.final is S.SUCCEEDED:
                self._fix(S.FAILED, "a clean-up failed", event.error)
                self._move(S.CANCELLING)
        self._next_cleanup()

    def _next_safe(self) -> None:
        if self._to_make_safe:
            self._to_make_safe, device = self._to_make_safe[:-1], self._to_make_safe[-1]
            self._out.append(MakeSafe(device))
        else:
            self._out.append(RELEASE_LEASE)

    def _made_safe(self, event: MadeSafe, now: float) -> None:
        del now
        if event.error is None:
            self.safe += (event.device,)
        else:
            self.unsafe[event.device] = event.error
        self._next_safe()

    def _released(self, event: Released, now: float) -> None:
        del event, now
        if self.state.terminal:
            return
        if self.abandoned:
            self.final = S.ABANDONED
        self._move(self.final)
        self._out.append(End(self.final))

    # -- state

    def _move(self, new: RunState) -> None:
        old = self.state
        if new is old:
            return
        if new not in LEGAL[old]:
            message = f"a run can't go from {old} to {new}"
            raise AssertionError(message)
        self.state = new
        self._out.append(Moved(old, new))

    def _mirror(self, new: RunState) -> None:
        """Show on a run of one step that this step is being retried."""
        if self.spec.plan.size == 1 and self.state in (S.RUNNING, S.RETRYING):
            self._move(new)

    def _move_step(self, step: int, new: RunState) -> None:
        if self._told:
            self._out.append(StepMoved(step, self._step_states.get(step, S.WAITING), new))
        self._step_states[step] = new

    HANDLERS: ClassVar[dict[type, Callable[[RunCore, Any, float], None]]] = {
        Begun: _begin,
        Granted: _granted,
        Refused: _refused,
        BodyEnded: _body_ended,
        Stopped: _stopped,
        StepTimedOut: _step_timed_out,
        WindowOver: _window_over,
        GraceOver: _grace_over,
        RetryDue: _retry_due,
        DevicesReady: _devices_ready,
        DevicesLost: _devices_lost,
        ChildBegun: _child_begun,
        ChildEnded: _child_ended,
        CleanupEnded: _cleanup_ended,
        MadeSafe: _made_safe,
        Released: _released,
        Pause: _pause,
        Resume: _resume,
        Stood: _stood,
        Asked: _asked,
        Decided: _decided,
        Drawn: _on_drawn,
    }
