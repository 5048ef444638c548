"""What a lab does is told as spans: runs, attempts of steps, calls of devices, each within what it belongs to."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext, StatusCode

from actorlab import ConfigError, DeviceConfig, Lab, RunCancelled, Shared, checkpoint, log, query, sleep, task, workflow
from actorlab.runtime.tracing import KEPT

PATIENCE = 5.0


class Laser:
    """A laser that fails when it is asked to."""

    failures = 0

    def set(self, nanometres: float) -> float:
        return nanometres

    @query
    def power(self) -> float:
        return 1.0

    def flicker(self) -> None:
        self.failures += 1
        if self.failures < 3:
            message = f"flickers {self.failures}"
            raise ValueError(message)


@task
def tune(laser: Laser, nanometres: float) -> float:
    """Tune it."""
    return laser.set(nanometres)


@task(retries=2)
def steady(laser: Laser) -> None:
    """Try until it is steady."""
    laser.flicker()


@workflow
def inner(laser: Laser) -> None:
    """Be part of another."""
    tune(laser, 2.0)


@workflow
def outer(laser: Laser) -> None:
    """Have parts."""
    tune(laser, 1.0)
    inner(laser)


def ids(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span."""
    context: SpanContext | None = span.context
    assert context is not None
    return context


class Told:
    """The spans that a lab has told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return them in the order of their beginnings."""
        return sorted(
            self.exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, -(span.end_time or 0))
        )

    def named(self, name: str) -> list[ReadableSpan]:
        """Return those of a name."""
        return [span for span in self.spans if span.name == name]

    def path(self, span: ReadableSpan) -> str:
        """Write within what a span is."""
        around = {ids(other).span_id: other for other in self.spans}
        names = [span.name]
        while span.parent is not None:
            span = around[span.parent.span_id]
            names.insert(0, span.name)
        return " > ".join(names)

    @property
    def paths(self) -> list[str]:
        """Write all of them."""
        return sorted(map(self.path, self.spans))


@pytest.fixture
def told() -> Told:
    return Told()


def traced(told: Told, work: Callable[[Lab, Any], object], config: DeviceConfig | None = None) -> None:
    """Let a lab work, and close it."""
    with Lab("test", cancel_grace=1.0) as lab:
        lab.trace(told.provider)
        work(lab, lab.add("laser", (config or DeviceConfig())(Laser)))


def test_a_call_is_within_its_step_which_is_within_its_run(told: Told) -> None:
    traced(told, lambda lab, laser: lab.run(tune, laser, 1550.0))
    assert told.paths == ["tune", "tune > tune", "tune > tune > laser.set"]
    run, step, call = told.spans
    about = dict(run.attributes or {})
    assert about["actorlab.run"] == "tune#1"
    assert about["actorlab.devices"] == ("laser",)
    assert about["actorlab.state"] == "succeeded"
    assert [event.name for event in run.events] == ["running"]
    about = dict(call.attributes or {})
    assert (about["actorlab.run"], about["actorlab.step"]) == ("tune#1", "tune")
    assert (about["actorlab.device"], about["actorlab.member"], about["actorlab.query"]) == ("laser", "set", False)
    assert about["actorlab.fencing_token"] == "tune#1.1@laser.1"  # noqa: S105 - it gives nothing away
    assert {ids(span).trace_id for span in told.spans} == {ids(run).trace_id}
    assert (run.start_time or 0) <= (step.start_time or 0) <= (call.end_time or 0) <= (run.end_time or 0) + 2_000_000


def test_the_parts_of_workflows_are_within_the_steps_that_they_are(told: Told) -> None:
    traced(told, lambda lab, laser: lab.run(outer, laser))
    assert told.paths == [
        "outer",
        "outer > inner",
        "outer > inner > inner",
        "outer > inner > inner > tune",
        "outer > inner > inner > tune > laser.set",
        "outer > tune",
        "outer > tune > laser.set",
    ]


def test_each_attempt_is_a_span_and_the_failed_ones_say_why(told: Told) -> None:
    traced(told, lambda lab, laser: lab.run(steady, laser))
    attempts = [span for span in told.named("steady") if span.parent is not None]
    assert [dict(span.attributes or {})["actorlab.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert attempts[0].status.description == "ValueError: flickers 1"
    calls = told.named("laser.flicker")
    assert [span.status.description for span in calls] == ["ValueError: flickers 1", "ValueError: flickers 2", None]
    assert [event.name for event in calls[0].events] == ["exception"]
    assert [span.parent.span_id for span in calls if span.parent] == [ids(span).span_id for span in attempts]
    (run,) = [span for span in told.named("steady") if span.parent is None]
    assert run.status.status_code is StatusCode.UNSET, "it succeeded in the end"


def test_a_run_that_fails_is_an_error_and_one_that_is_cancelled_is_not(told: Told) -> None:
    begun = threading.Event()

    def fail() -> None:
        message = "no luck"
        raise LookupError(message)

    def wait() -> None:
        begun.set()
        while True:
            checkpoint()
            sleep(0.01)

    def work(lab: Lab, _: Any) -> None:
        with pytest.raises(LookupError):
            lab.run(fail)
        run = lab.start(wait)
        assert begun.wait(PATIENCE)
        run.cancel("enough")
        with pytest.raises(RunCancelled):
            run.result(PATIENCE)

    traced(told, work)
    assert {span.status.description for span in told.named("fail")} == {"LookupError: no luck"}
    waited = told.named("wait")
    assert {span.status.status_code for span in waited} == {StatusCode.UNSET}
    assert {str(dict(span.attributes or {})["actorlab.state"]) for span in waited} == {"cancelled"}


def test_a_run_belongs_to_the_span_in_which_it_was_asked_for_and_spans_of_a_body_to_its_step(told: Told) -> None:
    mine = told.provider.get_tracer("mine")

    def body(laser: Laser) -> None:
        with mine.start_as_current_span("within"):
            lab_.run(tune, laser, 1.0)

    async def asynchronous() -> None:
        with mine.start_as_current_span("awaited"):
            await asyncio.sleep(0)

    lab_: Any = None

    def work(lab: Lab, laser: Any) -> None:
        nonlocal lab_
        lab_ = lab
        with mine.start_as_current_span("script"):
            lab.run(body, laser)
            lab.run(asynchronous)

    traced(told, work)
    assert told.paths == [
        "script",
        "script > asynchronous",
        "script > asynchronous > asynchronous",
        "script > asynchronous > asynchronous > awaited",
        "script > body",
        "script > body > body",
        "script > body > body > within",
        "script > body > body > within > tune",
        "script > body > body > within > tune > tune",
        "script > body > body > within > tune > tune > laser.set",
    ]


@pytest.mark.parametrize("config", [DeviceConfig(), DeviceConfig(direct=True)], ids=["actor", "direct"])
def test_the_calls_of_all_who_hold_a_device_are_told_and_those_of_nobody_are_not(
    told: Told, config: DeviceConfig
) -> None:
    def look(laser: Shared[Laser]) -> float:
        return laser.power()

    def often(laser: Laser) -> None:
        for _ in range(3):
            laser.set(1.0)

    def work(lab: Lab, laser: Any) -> None:
        laser.power()
        lab.run(look, laser)
        lab.run(often, laser)
        with lab.lease(laser):
            laser.set(2.0)

    traced(told, work, config)
    assert [told.path(span) for span in told.spans if span.name.startswith("laser.")] == [
        "look > look > laser.power",
        *["often > often > laser.set"] * 3,
        "lease > lease > laser.set",
    ]


def test_logs_carry_the_ids_of_the_span_they_belong_to(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def body() -> None:
        log("here", detail=1)
        seen.append(trace.get_current_span().get_span_context().span_id)

    with caplog.at_level(logging.INFO, "actorlab"):
        traced(told, lambda lab, _: lab.run(body))
    (record,) = [vars(record) for record in caplog.records if record.message == "here"]
    (step,) = [span for span in told.named("body") if span.parent is not None]
    assert record["trace_id"] == trace.format_trace_id(ids(step).trace_id)
    assert record["span_id"] == trace.format_span_id(ids(step).span_id)
    assert (record["run"], record["step"], record["detail"]) == ("body#1", "body#1", 1)
    assert seen == [ids(step).span_id]


def test_a_sampler_that_drops_a_run_drops_all_of_it(told: Told) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(told.exporter))
    sampled: list[bool] = []

    def body(laser: Laser) -> None:
        laser.set(1.0)
        sampled.append(trace.get_current_span().get_span_context().trace_flags.sampled)

    with Lab() as lab:
        lab.trace(provider)
        lab.run(body, lab.add("laser", Laser))
    assert sampled == [False]
    assert told.spans == []


def test_a_processor_that_raises_or_blocks_holds_no_run_back(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()
    tried: list[str] = []

    class Bad(SpanProcessor):
        """One that does both."""

        def on_end(self, span: ReadableSpan) -> None:
            go_on.wait(PATIENCE)
            tried.append(span.name)
            message = f"can't take {span.name}"
            raise OSError(message)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Bad())
    with Lab() as lab:
        lab.trace(provider)
        laser = lab.add("laser", Laser)
        assert [lab.run(tune, laser, float(number)) for number in range(20)] == list(range(20))
        go_on.set()
    assert "can't take" in caplog.text
    assert len(tried) == 3 * 20, "one that fails hinders no other"


def test_two_labs_that_tell_one_provider_keep_their_spans_apart(told: Told) -> None:
    with Lab("same") as one, Lab("same") as two:
        for lab in (one, two):
            lab.trace(told.provider)
            lab.run(tune, lab.add("laser", Laser), 1.0)
    assert told.paths == sorted(2 * ["tune", "tune > tune", "tune > tune > laser.set"])
    assert len({ids(span).span_id for span in told.spans}) == 6


def test_of_runs_that_have_ended_only_so_many_are_known(told: Told) -> None:
    with Lab() as lab:
        lab.trace(told.provider)
        for _ in range(KEPT + 100):
            lab.run(int)
        tracing = lab.tracing
    assert tracing is not None
    assert len(tracing._runs) <= KEPT
    assert len(told.spans) == 2 * (KEPT + 100)


def test_what_cannot_be_traced_is_refused_saying_why(told: Told) -> None:
    with Lab() as lab:
        with pytest.raises(ConfigError, match="needs a TracerProvider"):
            lab.trace()
        lab.trace(told.provider)
        with pytest.raises(ConfigError, match="traced already"):
            lab.trace(told.provider)


def test_a_run_that_was_under_way_before_is_left_out(told: Told) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def early(laser: Laser) -> None:
        begun.set()
        go_on.wait(PATIENCE)
        laser.set(1.0)

    with Lab() as lab:
        run = lab.start(early, lab.add("laser", Laser))
        assert begun.wait(PATIENCE)
        lab.trace(told.provider)
        go_on.set()
        run.result(PATIENCE)
        lab.run(int)
    assert told.paths == ["int", "int > int"]
