"""A trace goes on through a lab's server: from the program that asks to the device that is called."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from actorlab import Client, Lab, task
from actorlab.client.traceparent import with_trace
from actorlab.server import Server

PATIENCE = 5.0


class Laser:
    """A laser."""

    def set(self, nanometres: float) -> float:
        return nanometres


@task
def tune(laser: Laser, nanometres: float) -> float:
    """Tune it."""
    return laser.set(nanometres)


def ids(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span."""
    context: SpanContext | None = span.context
    assert context is not None
    return context


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab("test", cancel_grace=1.0)
    made.register(tune)
    made.add("laser", Laser)
    yield made
    made.close()


def started(url: str, **headers: str) -> None:
    """Have a run done by a plain request."""
    body = {"task": "tune", "parameters": {"laser": "laser", "nanometres": 1.0}}
    made = httpx.post(f"{url}/runs", json=body, headers=headers)
    assert made.status_code == 201, made.text
    run = made.json()["id"].replace("#", "%23")
    assert httpx.get(f"{url}/runs/{run}/result", params={"wait": PATIENCE}).status_code == 200


def test_a_run_belongs_to_the_span_of_the_program_that_asked_for_it_by_the_client(
    lab: Lab, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    lab.trace(provider)
    with Server(lab, port=0) as server, Client(server.url) as client:
        with provider.get_tracer("script").start_as_current_span("script") as mine:
            assert client.run("tune", laser="laser", nanometres=1.0) == 1.0
        client.run("tune", laser="laser", nanometres=1.0)
    lab.close()
    runs = [span for span in exporter.get_finished_spans() if "actorlab.task" in (span.attributes or {})]
    parents = [None if span.parent is None else span.parent.span_id for span in runs]
    assert parents == [mine.get_span_context().span_id, None]


def test_the_header_of_a_request_says_to_which_trace_its_run_belongs(
    lab: Lab, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    lab.trace(provider)
    with Server(lab, port=0) as server:
        started(server.url, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        started(server.url)
        started(server.url, traceparent="nonsense")
        started(server.url, traceparent="00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00")
    lab.close()
    spans = exporter.get_finished_spans()
    traces: dict[str, set[int]] = {}
    for span in spans:
        traces.setdefault(str((span.attributes or {})["actorlab.run"]), set()).add(ids(span).trace_id)
    assert traces["tune#1"] == {0x0AF7651916CD43DD8448EB211C80319C}
    assert len(traces["tune#2"]) == len(traces["tune#3"]) == 1
    assert traces["tune#2"] != traces["tune#1"] != traces["tune#3"] != traces["tune#2"]
    assert "tune#4" not in traces, "whoever asked doesn't sample it"
    (run,) = [span for span in spans if span.parent is not None and span.parent.is_remote]
    assert run.parent is not None
    assert run.parent.span_id == 0xB7AD6B7169203331


def test_a_lab_that_is_not_traced_takes_no_notice_of_such_headers(lab: Lab) -> None:
    with Server(lab, port=0) as server:
        started(server.url, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def test_a_client_names_the_span_that_is_under_way_and_nothing_where_there_is_none(provider: TracerProvider) -> None:
    assert with_trace({"Other": "kept"}) == {"Other": "kept"}
    with provider.get_tracer("script").start_as_current_span("script"):
        named = with_trace({"Other": "kept"}) or {}
    assert named["Other"] == "kept"
    assert named["traceparent"].startswith("00-")
