"""Tell what a lab does as spans of OpenTelemetry: a run, each attempt of its steps, each call of a device.

The spans are made from the lab's events, in a thread that watches them: whoever exports them holds nobody back. Their
ids are known before, so that logs and other programs can name them while they are open.
"""

from __future__ import annotations

import copy
import time
from collections import OrderedDict, deque
from contextlib import ExitStack
from hashlib import blake2b
from importlib.metadata import version
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVarTuple

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from actorlab.core.span_tree import LOST, WHOLE, Action, Close, Mark, Open, Place, SpanTree
from actorlab.errors import ConfigError, text_of
from actorlab.runtime.delivering import Complaints

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.trace import Span, SpanContext

    from actorlab.runtime.body import Body
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.subscriptions import Subscription
    from actorlab.runtime.told_calls import ToldCall

__all__ = ["Tracing"]

Ts = TypeVarTuple("Ts")

BUFFER: Final = 50_000
"""So many events, and so many calls, may wait to be told; what is more is dropped, and that is logged."""
KEPT: Final = 1000
"""Of so many runs that have ended the ids are known: their last calls are told a little later."""
TURN: Final = 0.2
BAD: Final = frozenset({"failed", "timed_out", "abandoned"})
monotonic = time.monotonic


class Traced(NamedTuple):
    """What is known of a run's span before it opens."""

    trace_id: int
    parent: SpanContext | None
    flags: trace.TraceFlags
    state: trace.TraceState | None
    attributes: dict[str, Any]


class NextIds(IdGenerator):
    """The ids of the span that is made next."""

    def __init__(self, usual: IdGenerator) -> None:
        self.usual = usual
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        """Return the id of its trace."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """Return its own."""
        return self.span_id

    def is_trace_id_random(self) -> bool:
        """Say whether traces get random ids."""
        return bool(getattr(self.usual, "is_trace_id_random", lambda: False)())


class Tracing:
    """The spans of one lab, from `begin` until the lab has closed."""

    def __init__(self, lab: Lab, provider: trace.TracerProvider | None) -> None:
        tracer = (provider or trace.get_tracer_provider()).get_tracer("actorlab", version("actorlab"))
        if not isinstance(tracer, Tracer):
            text = (
                "lab.trace() needs a TracerProvider of OpenTelemetry's SDK, and there is none: give it one, or call "
                "opentelemetry.trace.set_tracer_provider first"
            )
            raise ConfigError(text)
        self._lab = lab
        self._tracer = copy.copy(tracer)  # a provider gives one to all who ask by this name, and its ids are ours
        self._ids = self._tracer.id_generator = NextIds(tracer.id_generator)
        self._key = token_bytes(16)
        self._tree = SpanTree()
        self._spans: dict[Place, Span] = {}
        self._runs: OrderedDict[str, Traced] = OrderedDict()
        """Those that haven't ended, and some that have; written by the deciding thread, and forgotten by the other."""
        self._ended: deque[str] = deque()
        self._calls: deque[ToldCall] = deque(maxlen=BUFFER)
        self._called = 0
        self._told = 0
        self._complaints = Complaints("a span processor of OpenTelemetry")

    def begin(self) -> None:
        """Begin to tell runs that begin from now on."""
        lab = self._lab
        events = lab.events.subscribe(kinds=("run", "step"), buffer=BUFFER, snapshot=False)
        lab.decider.post(lab.lab_actor.calls.add, self._count)
        closing = lab.events.subscribe(kinds="closed", snapshot=False)
        lab.decider.post(lab.observers.put, lambda: self._follow(events, closing))

    # -- the deciding thread

    def announced(self, actor: RunActor) -> None:
        """Take note of a run before its first event is told: to which trace it belongs, and what is around it."""
        parent = self._parent_of(actor)
        trace_id = self._ids.usual.generate_trace_id() if parent is None else parent.trace_id
        attributes = attributes_of(actor)
        around = contexts.Context() if parent is None else in_context(parent)
        decided = self._tracer.sampler.should_sample(
            around, trace_id, actor.name, trace.SpanKind.INTERNAL, attributes, ()
        )
        flags = trace.TraceFlags(int(decided.decision is Decision.RECORD_AND_SAMPLE))
        self._runs[actor.id] = Traced(trace_id, parent, flags, decided.trace_state, attributes)

    def _parent_of(self, actor: RunActor) -> SpanContext | None:
        """Return what a run belongs to: the step that it is, or whatever was under way where it was asked for."""
        around, body = actor.parent, actor.parent_body
        if around is not None and body is None:
            step = actor.place.get("step", 0)
            return self.context_of(Place(around.id, step, around.core.attempts(step)))
        asked = None if actor.context is None else actor.context.run(trace.get_current_span).get_span_context()
        if asked is not None and asked.is_valid:
            return asked
        return None if body is None else self.context_of(place_of(body))

    # -- any thread

    def context_of(self, place: Place) -> SpanContext | None:
        """Return the ids of a span, also before it opens; None if its run isn't traced."""
        run = self._runs.get(place.run)
        if run is None:
            return None
        return trace.SpanContext(run.trace_id, self._span_id(run, place), is_remote=False, trace_flags=run.flags,
                                 trace_state=run.state)  # fmt: skip

    def ids_of(self, body: Body) -> dict[str, str]:
        """Return what a log says of the span to which a body belongs."""
        found = self.context_of(place_of(body))
        if found is None:
            return {}
        return {"trace_id": trace.format_trace_id(found.trace_id), "span_id": trace.format_span_id(found.span_id)}

    def within(self, context: contextvars.Context, body: Body) -> contextvars.Context:
        """Return a context in which the span of a body is the present one."""
        found = self.context_of(place_of(body))
        if found is not None:
            context.run(lambda: contexts.attach(trace.set_span_in_context(trace.NonRecordingSpan(found))))
        return context

    @staticmethod
    def continue_from(headers: Mapping[str, str]) -> None:
        """Let what is started in this context belong to the trace that a request names."""
        if "traceparent" in headers:
            contexts.attach(propagate.extract(headers))

    def _span_id(self, run: Traced, place: Place) -> int:
        """Return the id of a span; a run that is resumed keeps its own id, but is another span in another trace."""
        said = repr((run.trace_id, *place)).encode(errors="replace")
        digest = blake2b(said, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest) or 1

    def _count(self, call: ToldCall) -> None:
        if getattr(call.by, "body", None) is not None:  # only what runs do: others look at devices all the time
            self._calls.append(call)
            self._called += 1

    # -- the thread that tells

    def _follow(self, events: Subscription, closing: Subscription) -> None:
        """Tell what happens, until the lab has closed; a thread that woke up for each event would cost every run."""
        over = False
        with ExitStack() as at_end:
            at_end.callback(events.close)
            at_end.callback(closing.close)
            while not over:
                over = events.closed
                closing.get(TURN)
                self._tell_some(events)
            self._carry_out(self._tree.close_all(time.time()))

    def _tell_some(self, events: Subscription) -> None:
        """Tell what has happened; a call's run was told before the call was made, so it is known by then."""
        count = len(self._calls)
        while (event := events.get(0.0)) is not None:
            self._carry_out(self._tree.take(event))
        self._tell_calls(count)

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Open():
                    self._safely(self._open, action)
                case Mark(place, what, at):
                    if place in self._spans:
                        self._spans[place].add_event(what, timestamp=nanoseconds(at))
                case Close():
                    self._safely(self._close, action)

    def _safely(self, tell: Callable[[*Ts], object], *args: *Ts) -> None:
        """Tell one thing, and go on with the next if that fails: processors of spans are the user's."""
        try:
            tell(*args)
        except Exception as error:  # noqa: BLE001 - the boundary to the user's code
            self._complaints.tell(error)

    def _open(self, action: Open) -> None:
        place, run = action.place, self._runs.get(action.place.run)
        if run is None:
            return
        if place[1:] == WHOLE:
            parent, attributes = run.parent, run.attributes
        else:
            parent = self.context_of(Place(place.run, *WHOLE))
            attributes = about_step(place, action.name)
        self._spans[place] = self._start(action.name, self._span_id(run, place), run, parent, action.at, attributes)

    def _start(
        self, name: str, span_id: int, run: Traced, parent: SpanContext | None, at: float, attributes: dict[str, Any],
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    ) -> Span:  # fmt: skip
        self._ids.trace_id, self._ids.span_id = run.trace_id, span_id
        around = contexts.Context() if parent is None else in_context(parent)
        return self._tracer.start_span(name, around, kind, attributes, start_time=nanoseconds(at))

    def _close(self, action: Close) -> None:
        place, at, state, error = action
        span = self._spans.pop(place, None)
        if place[1:] == WHOLE:
            self._forget_later(place.run)
        if span is not None:
            span.set_attribute("actorlab.state", state)
            if state in BAD:
                span.set_status(trace.Status(trace.StatusCode.ERROR, error or state))
            span.end(nanoseconds(at))
        if state == LOST:
            self._complaints.tell(ConfigError(f"the end of {place.run} was missed: too much happens to be traced"))

    def _forget_later(self, run: str) -> None:
        """Forget the runs that ended before the last so many, and those of which not even the begin was heard."""
        self._ended.append(run)
        while len(self._ended) > KEPT:
            self._runs.pop(self._ended.popleft(), None)
        while len(self._runs) > BUFFER:
            self._runs.popitem(last=False)

    def _tell_calls(self, count: int) -> None:
        offset = time.time() - monotonic()
        for _ in range(count):
            call = self._calls.popleft()
            self._told += 1
            self._safely(self._tell_call, call, call.by.body, offset)
        missed = self._called - self._told - len(self._calls)
        if missed > 0:
            self._told += missed
            self._complaints.tell(ConfigError(f"{missed} calls of devices were too many to be traced"))

    def _tell_call(self, call: ToldCall, body: Body, offset: float) -> None:
        run = self._runs.get(body.actor.id)
        parent = self.context_of(place_of(body))
        if run is None or parent is None:
            return
        span_id = self._ids.usual.generate_span_id()
        attributes = about_call(call, body)
        name = f"{call.device}.{call.member.name}"
        span = self._start(name, span_id, run, parent, call.began + offset, attributes, trace.SpanKind.CLIENT)
        ended = nanoseconds(call.ended + offset)
        if call.error is not None:
            span.record_exception(call.error, timestamp=ended)
            span.set_status(trace.Status(trace.StatusCode.ERROR, text_of(call.error)))
        span.end(ended)


def place_of(body: Body) -> Place:
    """Return of what a body's span is; a clean-up belongs to its run."""
    if body.index < 0:
        return Place(body.actor.id, *WHOLE)
    return Place(body.actor.id, body.index, body.attempt)


def attributes_of(actor: RunActor) -> dict[str, Any]:
    """Return what is said of a run."""
    return {
        "actorlab.lab": actor.lab.name,
        "actorlab.run": actor.id,
        "actorlab.task": actor.name,
        "actorlab.devices": tuple(cell.name for cell in actor.cells),
    }


def about_step(place: Place, name: str) -> dict[str, Any]:
    """Return what is said of an attempt of a step."""
    return {
        "actorlab.run": place.run, "actorlab.step": name, "actorlab.step.index": place.step,
        "actorlab.attempt": place.attempt,
    }  # fmt: skip


def about_call(call: ToldCall, body: Body) -> dict[str, Any]:
    """Return what is said of a call: whose it is, and under which fencing token it was sent."""
    return {
        "actorlab.run": body.actor.id, "actorlab.step": step_of(body), "actorlab.device": call.device,
        "actorlab.member": call.member.on(), "actorlab.query": call.member.query,
        "actorlab.fencing_token": f"{body.name}.{body.attempt}@{call.device}.{call.by.life}",
    }  # fmt: skip


def step_of(body: Body) -> str:
    """Return the name of the step, or clean-up, that a body is of."""
    return body.name.removeprefix(f"{body.actor.id}/") if body.name != body.actor.id else body.actor.name


def in_context(span: SpanContext) -> contexts.Context:
    """Return a context in which a span is the present one."""
    return trace.set_span_in_context(trace.NonRecordingSpan(span), contexts.Context())


def nanoseconds(seconds: float) -> int:
    """Return a time as OpenTelemetry writes it."""
    return int(seconds * 1e9)
