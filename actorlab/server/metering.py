"""Count for Prometheus what a lab does while it is served; nobody else pays for it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from actorlab.core import tally
from actorlab.core.tally import KINDS, EventTally
from actorlab.errors import ConfigError
from actorlab.server.metric_families import told_calls, told_counts, told_devices, told_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from actorlab.runtime.events import Subscription
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.later import Later
    from actorlab.runtime.told_calls import ToldCall

__all__ = ["CallTally", "Meter"]

DURATIONS: Final = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)
BUFFER: Final = 20_000
PERIOD: Final = 1.0
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class CallTally:
    """The calls of one device of one kind, each counted by the one thread that is at the device then."""

    __slots__ = ("errors", "seconds")

    def __init__(self) -> None:
        self.errors = 0
        self.seconds = tally.Histogram(DURATIONS)

    def add(self, call: ToldCall) -> None:
        """Count a call."""
        self.seconds.add(call.ended - call.began)
        self.errors += call.error is not None


class Meter:
    """What is counted of a lab, and of the requests to its server; `begin` before the first, `end` after the last."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._events = EventTally()
        self._calls: dict[tuple[str, str], CallTally] = {}
        self._listening: Subscription | None = None
        self._next: Later[None] | None = None
        # Whoever asks counts what was told since the last time, and several may ask; a mailbox would need a reader.
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests = Counter(
            "actorlab_http_requests", "Requests, by the route's template and the status of the answer.",
            ("method", "route", "status"), registry=self._registry,
        )  # fmt: skip
        self._answering = Histogram(
            "actorlab_http_request_seconds", "Seconds until an answer began.", ("method", "route"),
            registry=self._registry, buckets=DURATIONS,
        )  # fmt: skip

    def begin(self) -> None:
        """Begin to count."""
        if self._listening is None:
            self._listening = self._lab.events.subscribe(kinds=KINDS, buffer=BUFFER)
            self._lab.decider.post(self._lab.lab_actor.calls.add, self._count)
            self._take_regularly()

    def end(self) -> None:
        """Count no longer."""
        if self._listening is not None:
            self._listening.close()
            if self._next is not None:
                self._next.cancel()
            self._lab.decider.post(self._lab.lab_actor.calls.remove, self._count)

    # -- what is counted

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request; `route` is a template, or nothing where there is no such route, and no time to be told."""
        verb = method if method in METHODS else "other"
        self._requests.labels(verb, route, str(status)).inc()
        if seconds is not None:
            self._answering.labels(verb, route).observe(seconds)

    def _take_regularly(self) -> None:
        """Count now and then, also if nobody asks: a thread that woke up for each event would cost every run a lot."""
        self._take()
        with suppress(ConfigError):  # the lab is closing
            self._next = self._lab.later(PERIOD, self._take_regularly)

    def _take(self) -> None:
        """Count what was told since the last time."""
        with self._lock:
            while self._listening is not None and (event := self._listening.get(0.0)) is not None:
                self._events.take(event)

    def _count(self, call: ToldCall) -> None:
        key = call.device, kind_of(call.member)
        counted = self._calls.get(key)
        if counted is None:
            counted = self._calls.setdefault(key, CallTally())
        counted.add(call)

    # -- what is told

    def text(self, accept: str) -> tuple[bytes, str]:
        """Write everything in the format that is accepted, and say which that is."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    def describe(self) -> tuple[Metric, ...]:
        """Say nothing before it is asked: names are known from what is told."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Tell everything, as it stands now."""
        lab = self._lab
        self._take()
        for device, kind in list(self._calls):
            if device not in lab.cells:
                del self._calls[device, kind]
        yield from told_calls(self._calls)
        yield from told_devices(lab)
        yield from told_lab(lab)
        with self._lock:
            yield from told_counts(self._events, list(lab.cells))


def kind_of(member: Any) -> str:
    """Return of which kind a call is: a hook of the driver, a query, or a command."""
    if member.path and member.path[0][0] == "hook":
        return "hook"
    return "query" if member.query else "command"
