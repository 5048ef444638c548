"""What a lab does while it is served is told to Prometheus, and only then counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actorlab import Client, Device, DeviceConfig, DeviceFault, Lab, RestartPolicy, Shared, query, stream, task
from actorlab.server import Server, Tokens, create_token
from actorlab.server.metering import METHODS

PATIENCE = 5.0
Sample = tuple[str, tuple[tuple[str, str], ...]]


class Meter(Device):
    """A meter that breaks when it is asked to."""

    def set_range(self, volts: float) -> float:
        return volts

    @query
    def read(self) -> float:
        return 1.0

    @stream
    def readings(self, count: int) -> Iterator[int]:
        yield from range(count)

    def refuse(self) -> None:
        message = "out of range"
        raise ValueError(message)

    def cut(self) -> None:
        message = "the line is dead"
        raise ConnectionResetError(message)

    def safe(self) -> None:
        """Do nothing."""


FRAGILE = DeviceConfig(restart=RestartPolicy(limit=0))
DIRECT = DeviceConfig(direct=True)


@task
def measure(meter: Meter, times: int) -> float:
    """Measure so many times."""
    return sum(meter.read() for _ in range(times))


@task
def set_often(meter: Meter, times: int) -> None:
    """Set it so many times."""
    for _ in range(times):
        meter.set_range(1.0)


@task
def look(meter: Shared[Meter]) -> float:
    """Measure beside others."""
    return meter.read()


def told(url: str, token: str = "") -> dict[Sample, float]:
    """Return what is told now, by name and labels."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name.removeprefix("actorlab_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def sample(name: str, **labels: str) -> Sample:
    """Name one sample."""
    return name, tuple(sorted(labels.items()))


def until(url: str, true: Callable[[dict[Sample, float]], bool]) -> dict[Sample, float]:
    """Ask until something is told; each question is a request, and takes its time."""
    end = time.monotonic() + PATIENCE
    while not true(now := told(url)):
        assert time.monotonic() < end, now
    return now


@pytest.fixture
def lab() -> Any:
    """Make a lab that ends quickly."""
    made = Lab("test", cancel_grace=1.0)
    yield made
    made.close()


def test_calls_are_counted_by_device_and_kind_with_how_long_they_took_and_whether_they_failed(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    with Server(lab, port=0) as server:
        lab.run(measure, meter, 3)
        lab.run(set_often, meter, 2)
        with pytest.raises(ValueError, match="out of range"):
            meter.refuse()
        now = told(server.url)
    of = {"device": "meter"}
    assert now[sample("device_call_seconds_count", **of, kind="query")] == 3
    assert now[sample("device_call_seconds_count", **of, kind="command")] == 3
    assert now[sample("device_call_seconds_bucket", **of, kind="query", le="+Inf")] == 3
    assert 0 < now[sample("device_call_seconds_sum", **of, kind="query")] < PATIENCE
    assert now[sample("device_call_errors_total", **of, kind="command")] == 1
    assert now[sample("device_call_errors_total", **of, kind="query")] == 0
    assert now[sample("device_busy_seconds_total", **of)] > 0


def test_also_calls_of_a_direct_device_and_of_one_that_is_added_later_are_counted(lab: Lab) -> None:
    direct = lab.add("direct", DIRECT(Meter))
    with Server(lab, port=0) as server:
        lab.run(set_often, direct, 5)
        lab.run(measure, lab.add("late", Meter), 2)
        now = told(server.url)
    assert now[sample("device_call_seconds_count", device="direct", kind="command")] == 5
    assert now[sample("device_call_seconds_count", device="late", kind="query")] == 2


def test_a_direct_device_is_counted_from_the_moment_the_server_is_there(lab: Lab) -> None:
    direct = lab.add("direct", DIRECT(Meter))
    begun, go_on = threading.Event(), threading.Event()

    @task
    def on_and_on(meter: Meter) -> None:
        meter.set_range(1.0)
        meter.set_range(2.0)
        begun.set()
        go_on.wait(PATIENCE)
        for _ in range(4):
            meter.set_range(3.0)

    run = lab.start(on_and_on, direct)
    assert begun.wait(PATIENCE)
    with Server(lab, port=0) as server:
        told(server.url)
        go_on.set()
        run.result(PATIENCE)
        assert told(server.url)[sample("device_call_seconds_count", device="direct", kind="command")] == 4


def test_nothing_is_listened_to_before_and_after_the_server(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    cell = lab.cells["meter"]
    plain = cell.note
    server = Server(lab, port=0)
    lab.ask(lambda: None)
    assert lab.events.heard
    assert cell.listeners
    with server:
        lab.run(measure, meter, 1)
    lab.ask(lambda: None)
    assert not lab.events.heard
    assert not cell.listeners
    assert cell.note == plain


def test_runs_are_counted_by_task_and_end_and_those_under_way_by_state(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    begun, go_on = threading.Event(), threading.Event()

    @task
    def hold(meter: Meter) -> None:
        del meter
        begun.set()
        go_on.wait(PATIENCE)

    with Server(lab, port=0) as server:
        lab.run(measure, meter, 1)
        first = lab.start(hold, meter)
        assert begun.wait(PATIENCE)
        second = lab.start(measure, meter, 1)
        now = until(server.url, lambda now: now[sample("runs_under_way", state="waiting")] == 1)
        assert now[sample("runs_under_way", state="running")] == 1
        assert now[sample("device_leases_held", device="meter")] == 1
        assert now[sample("device_lease_queue_length", device="meter")] == 1
        go_on.set()
        first.result(PATIENCE)
        second.result(PATIENCE)
        ended = sample("runs_total", task="measure", state="succeeded")
        now = until(server.url, lambda now: now.get(ended) == 2)
        assert now[sample("lease_wait_seconds_count", task="measure", outcome="granted")] == 2
        assert now[sample("device_lease_queue_length", device="meter")] == 0
        assert now[sample("device_leases_held", device="meter")] == 0
        assert sum(now[sample("runs_under_way", state=state)] for state in ("waiting", "running")) == 0


def test_queries_of_a_shared_device_are_counted_and_all_who_hold_it(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    begun, go_on = threading.Semaphore(0), threading.Event()

    @task
    def watch(meter: Shared[Meter]) -> None:
        meter.read()
        begun.release()
        go_on.wait(PATIENCE)

    with Server(lab, port=0) as server:
        runs = [lab.start(watch, meter) for _ in range(2)]
        assert all(begun.acquire(timeout=PATIENCE) for _ in runs)
        assert told(server.url)[sample("device_leases_held", device="meter")] == 2
        go_on.set()
        for run in runs:
            run.result(PATIENCE)
        assert told(server.url)[sample("device_call_seconds_count", device="meter", kind="query")] == 2


def test_restarts_reconnects_and_quarantines_are_counted_per_device(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    with Server(lab, port=0) as server:
        meter.read()
        lab.restart("meter")
        now = until(server.url, lambda now: now[sample("device_reconnects_total", device="meter")] == 1)
        assert now[sample("device_restarts_total", device="meter")] == 1
        assert now[sample("device_state", device="meter", state="idle")] == 1
        assert now[sample("device_state", device="meter", state="quarantined")] == 0
        lab.remove("meter")
        assert not any(("device", "meter") in labels for _, labels in told(server.url))


def test_a_device_that_is_given_up_is_counted_as_quarantined(lab: Lab) -> None:
    meter = lab.add("meter", FRAGILE(Meter))
    with Server(lab, port=0) as server:
        with pytest.raises(DeviceFault):
            meter.cut()
        now = until(server.url, lambda now: now[sample("device_quarantines_total", device="meter")] == 1)
        assert now[sample("device_state", device="meter", state="quarantined")] == 1
        lab.reset("meter")
        until(server.url, lambda now: now[sample("device_reconnects_total", device="meter")] == 1)


def test_items_of_a_stream_that_a_listener_was_too_slow_for_are_counted(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    with Server(lab, port=0) as server:
        items = iter(meter.readings(100).buffered(2))
        until(server.url, lambda now: now[sample("device_state", device="meter", state="idle")] == 1)
        lost = [item.dropped for item in items][-1]
        assert lost > 0
        assert told(server.url)[sample("device_stream_items_dropped_total", device="meter")] == lost


def test_an_emergency_stop_is_counted(lab: Lab) -> None:
    lab.add("meter", Meter)
    with Server(lab, port=0) as server:
        lab.emergency_stop("smoke").result(PATIENCE)
        until(server.url, lambda now: now[sample("emergency_stops_total")] == 1)


def test_requests_are_counted_by_the_template_of_their_route_and_their_status(lab: Lab) -> None:
    lab.add("meter", Meter)
    lab.register(measure)
    with Server(lab, port=0) as server, Client(server.url) as client:
        for number in range(3):
            httpx.get(f"{server.url}/devices/none{number}")
            httpx.get(f"{server.url}/nowhere/{number}")
        httpx.request("PROPFIND", f"{server.url}/pot")
        run = client.start("measure", meter="meter", times=1)
        assert run.result(PATIENCE) == 1.0
        now = told(server.url)
    assert now[sample("http_requests_total", method="GET", route="/devices/{name}", status="404")] == 3
    assert now[sample("http_requests_total", method="GET", route="", status="404")] == 3
    assert now[sample("http_requests_total", method="other", route="", status="404")] == 1
    assert now[sample("http_requests_total", method="POST", route="/runs", status="201")] == 1
    assert now[sample("http_request_seconds_count", method="POST", route="/runs")] == 1
    assert not any(run.id in value for _, labels in now for _, value in labels)
    assert {dict(labels)["method"] for name, labels in now if name == "http_requests_total"} <= {*METHODS, "other"}


def test_events_that_an_observer_leaves_unread_are_counted_also_when_it_has_gone(lab: Lab) -> None:
    lab.add("meter", Meter)
    with Server(lab, port=0) as server, lab.events.subscribe(buffer=1) as stalled:
        for _ in range(10):
            lab.run(measure, lab.device("meter"), 1)
        dropped = stalled.dropped
        assert dropped > 0
        assert told(server.url)[sample("events_dropped_total")] == dropped
        stalled.close()
        until(server.url, lambda now: now[sample("events_dropped_total")] == dropped)


def test_a_journal_tells_its_backlog_and_a_lab_without_one_none(lab: Lab, tmp_path: Path) -> None:
    with Lab("kept", journal=tmp_path / "journal.db") as kept, Server(kept, port=0) as server:
        now = told(server.url)
        assert now[sample("journal_well")] == 1
        assert now[sample("journal_backlog")] >= 0
    with Server(lab, port=0) as server:
        assert sample("journal_well") not in told(server.url)


def test_with_tokens_it_takes_a_viewer_to_see_it(lab: Lab, tmp_path: Path) -> None:
    token = create_token(tmp_path / "tokens.json", "prometheus", "viewer")
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        assert sample("lab_info", lab="test") in told(server.url, token)


def test_openmetrics_is_told_to_those_who_ask_for_it(lab: Lab) -> None:
    lab.add('meter "x"\n\\', Meter)
    with Server(lab, port=0) as server:
        accept = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"
        answer = httpx.get(f"{server.url}/metrics", headers={"accept": accept})
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        assert 'actorlab_device_mailbox_depth{device="meter \\"x\\"\\n\\\\"} 0.0' in answer.text
        assert sample("device_mailbox_depth", device='meter "x"\n\\') in told(server.url)


def test_two_servers_of_one_lab_count_for_themselves(lab: Lab) -> None:
    meter = lab.add("meter", Meter)
    with Server(lab, port=0) as first:
        lab.run(measure, meter, 2)
        with Server(lab, port=0) as second:
            lab.run(measure, meter, 1)
            calls = sample("device_call_seconds_count", device="meter", kind="query")
            assert (told(first.url)[calls], told(second.url)[calls]) == (3, 1)
