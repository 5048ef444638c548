"""Write the figures of a lab as Prometheus' families: what is known anyway is looked up when it is asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from actorlab.core.run_state import RunState
from actorlab.runtime.cell import DeviceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from actorlab.core.tally import EventTally
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.server.metering import CallTally

__all__ = ["told_calls", "told_counts", "told_devices", "told_lab"]


def told_calls(calls: Mapping[tuple[str, str], CallTally]) -> Iterator[Metric]:
    """Tell how often devices were called, and how long that took."""
    seconds = HistogramMetricFamily(
        "actorlab_device_call_seconds",
        "Seconds that calls of a device took, by kind: query, command or hook (such as make_safe).",
        labels=("device", "kind"),
    )
    errors = CounterMetricFamily(
        "actorlab_device_call_errors", "Calls of a device that raised.", labels=("device", "kind")
    )
    for (device, kind), counted in list(calls.items()):
        seconds.add_metric((label(device), kind), counted.seconds.cumulated, counted.seconds.total)
        errors.add_metric((label(device), kind), counted.errors)
    yield seconds
    yield errors


def told_devices(lab: Lab) -> Iterator[Metric]:
    """Tell how each device stands."""
    cells = list(lab.cells.values())
    yield states_of(cells)
    queues = lab.lab_actor.leases.queues
    counters: dict[tuple[str, str], Callable[[Cell], float]] = {
        ("busy_seconds", "Seconds in which a device was at a call."): lambda cell: cell.recorder.busy,
        ("restarts", "Restarts of a device since it was added."): lambda cell: cell.restarts,
        ("stream_items_dropped", "Items of a device's streams that listeners missed."): lambda cell: (
            cell.streams.dropped
        ),
    }
    gauges: dict[tuple[str, str], Callable[[Cell], float]] = {
        ("mailbox_depth", "Calls that wait for a device."): lambda cell: (
            0 if cell.mailbox.closed else cell.mailbox.waiting
        ),
        ("leases_held", "Runs that hold a device: several if it is shared."): lambda cell: (
            len(cell.shared_by) or bool(cell.holder)
        ),
        ("lease_queue_length", "Runs that wait for a device."): lambda cell: queues[cell.name],
    }
    for kind, families in ((CounterMetricFamily, counters), (GaugeMetricFamily, gauges)):
        for (name, text), look in families.items():
            yield of_cells(kind(f"actorlab_device_{name}", text, labels=("device",)), cells, look)


def of_cells(family: Any, cells: list[Cell], look: Callable[[Cell], float]) -> Metric:
    """Fill a family with a figure of each device."""
    for cell in cells:
        family.add_metric((label(cell.name),), look(cell))
    metric: Metric = family
    return metric


def states_of(cells: list[Cell]) -> Metric:
    """Tell the state of each device: 1 for the one it is in."""
    family = GaugeMetricFamily("actorlab_device_state", "1 for the state a device is in.", labels=("device", "state"))
    for cell in cells:
        now = cell.state
        for state in DeviceState:
            family.add_metric((label(cell.name), state.value), state is now)
    return family


def told_lab(lab: Lab) -> Iterator[Metric]:
    """Tell how the lab stands: its runs, its events, its journal."""
    yield InfoMetricFamily("actorlab_lab", "The lab.", {"lab": label(lab.name)})
    under_way = lab.ask(lambda: lab.book.under_way)
    states = Counter(actor.core.state for actor in under_way)
    runs = GaugeMetricFamily("actorlab_runs_under_way", "Runs that haven't ended, by state.", labels=("state",))
    for state in RunState:
        if not state.terminal:
            runs.add_metric((state.value,), states[state])
    yield runs
    yield CounterMetricFamily(
        "actorlab_events_dropped", "Events that observers missed, since they didn't read them.", lab.events.dropped
    )
    if lab.journalling is not None:
        journal = lab.journalling.journal
        yield GaugeMetricFamily("actorlab_journal_backlog", "What isn't written to the journal yet.", journal.backlog)
        yield GaugeMetricFamily("actorlab_journal_well", "1 while the journal can be written.", journal.trouble is None)


def told_counts(events: EventTally, devices: list[str]) -> Iterator[Metric]:
    """Tell what was counted of the lab's events."""
    runs = CounterMetricFamily("actorlab_runs", "Runs that have ended, by task and state.", labels=("task", "state"))
    for (name, state), count in events.ended.items():
        runs.add_metric((label(name), state), count)
    waits = HistogramMetricFamily(
        "actorlab_lease_wait_seconds", "Seconds that runs waited for their devices.", labels=("task", "outcome")
    )
    for (name, outcome), histogram in events.waits.items():
        waits.add_metric((label(name), outcome), histogram.cumulated, histogram.total)
    yield from (runs, waits)
    for name, text, counts in (
        ("quarantines", "How often a device was quarantined.", events.quarantines),
        ("reconnects", "How often a device has connected again.", events.reconnects),
    ):
        family = CounterMetricFamily(f"actorlab_device_{name}", text, labels=("device",))
        for device in devices:
            family.add_metric((label(device),), counts[device])
        yield family
    for name, text, count in (
        ("emergency_stops", "Emergency stops.", events.emergency_stops),
        ("journal_troubles", "How often the journal couldn't be written.", events.journal_troubles),
        ("metrics_events_missed", "Events that weren't counted: other figures may be too low.", events.missed),
    ):
        yield CounterMetricFamily(f"actorlab_{name}", text, count)


def label(text: str) -> str:
    """Return text that can be written in any case."""
    return text.encode(errors="replace").decode()
