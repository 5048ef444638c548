"""What the pure cores were told, written down as JSON and read again, rebuilds them as they were."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from actorlab.core import service_group as sg
from actorlab.core import supervision as sv
from actorlab.core.lease_table import LeaseTable, Mode, Request
from actorlab.core.plan import Plan
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunSpec, Window
from actorlab.core.run_state import RunState
from actorlab.core.service_group import ServiceGroupCore
from actorlab.core.supervision import Supervision
from actorlab.errors import ConfigError
from actorlab.replay import Cores, read_spec, written, written_policy, written_request, written_spec

NAMES = st.sampled_from(("laser", "meter", "oven"))
RUNS = st.sampled_from(("a#1", "b#2", "c#3", "d#4"))
POLICIES = st.sampled_from((
    RestartPolicy(),
    RestartPolicy(restart="always", limit=1, delay=0),
    RestartPolicy(limit=2, on=(ConnectionError, ConfigError)),
))  # fmt: skip
ERRORS = st.sampled_from((None, ConnectionError("unplugged"), ValueError("wrong"), ConfigError("no")))


class Journal:
    """Cores in another process: all they know came through JSON."""

    def __init__(self) -> None:
        self.cores = Cores()

    def tell(self, run: str, kind: str, payload: Any, now: float = 0.0) -> None:
        self.cores.tell(run, kind, json.loads(json.dumps(payload)), now)


requests = st.builds(
    Request,
    RUNS,
    st.lists(st.tuples(NAMES, st.sampled_from(Mode)), unique_by=lambda pair: pair[0]).map(tuple),
    st.sampled_from(((), ("runs",), ("runs", "tag:hot"))),
    st.sampled_from(((), (), ("key",))),
    st.sampled_from((False, False, True)),
    st.floats(-5, 5),
    st.booleans(),
)
holders = st.tuples(st.sampled_from(("release", "set_permanent")), RUNS)
ends = st.tuples(st.just("set_ending"), RUNS, st.booleans())
availability = st.tuples(st.just("set_available"), NAMES, st.booleans())


@given(st.lists(requests | holders | ends | availability | st.just(("go_on",)), max_size=30))
def test_a_lease_table_is_rebuilt(happenings: list[Any]) -> None:
    limits = {"runs": 2, "tag:hot": 1}
    table, journal = LeaseTable(limits), Journal()
    journal.tell("", "lease:limits", [limits])
    for now, happened in enumerate(happenings):
        kind = "request" if isinstance(happened, Request) else happened[0]
        payload: list[Any] = [written_request(happened)] if isinstance(happened, Request) else list(happened[1:])
        try:
            if isinstance(happened, Request):
                table.request(happened, now)
            else:
                getattr(table, happened[0])(*happened[1:], now)
        except (KeyError, ValueError):  # the lab doesn't ask for that
            continue
        journal.tell("", f"lease:{kind}", payload, now)
    again = journal.cores.leases
    assert (again.waiting(), again.reserved_for()) == (table.waiting(), table.reserved_for())
    assert [again.holders(name) for name in ("laser", "meter", "oven")] == [
        table.holders(name) for name in ("laser", "meter", "oven")
    ]


supervised = st.one_of(
    st.builds(sv.ChildAdded, NAMES, POLICIES),
    st.builds(sv.ChildUp, NAMES),
    st.builds(sv.ChildDown, NAMES, ERRORS),
    st.builds(sv.ChildLost, NAMES, st.just("hangs")),
    st.builds(sv.Reset, NAMES),
    st.just(sv.Tick()),
)


@given(st.lists(st.tuples(supervised, st.floats(0, 1)), max_size=30))
def test_the_supervision_of_devices_is_rebuilt(happenings: list[tuple[Any, float]]) -> None:
    supervision, journal = Supervision(), Journal()
    for now, (event, draw) in enumerate(happenings):
        supervision.handle(event, now, draw)
        kind, *fields = written(event)
        journal.tell("", f"device:{kind}", [*fields, draw], now)
    again = journal.cores.devices
    assert again.names == supervision.names
    for name in again.names:
        assert again.state(name) == supervision.state(name)
        assert again.restart_at(name) == supervision.restart_at(name)


served = st.one_of(
    st.builds(sg.Serve, NAMES, POLICIES),
    st.builds(sg.Began, NAMES),
    st.builds(sg.Stop, NAMES),
    st.builds(sg.Start, NAMES),
    st.just(sg.Tick()),
)


@given(st.lists(st.tuples(served, st.floats(0, 1)), max_size=30))
def test_a_group_of_services_is_rebuilt(happenings: list[tuple[Any, float]]) -> None:
    intensity = RestartPolicy(limit=2, period=5)
    group, journal = ServiceGroupCore("night", "one_for_all", intensity), Journal()
    journal.tell("", "service:group", ["night", "night", "one_for_all", written_policy(intensity)])
    for now, (event, draw) in enumerate(happenings):
        if getattr(event, "name", None) not in (None, *group.names) and not isinstance(event, sg.Serve):
            continue  # the lab knows which services there are
        group.handle(event, now, draw)
        kind, *fields = written(event)
        journal.tell("", f"service:{kind}", ["night", *fields, draw], now)
    again = journal.cores.groups["night"]
    assert again.names == group.names
    assert [again.standing(name) for name in again.names] == [group.standing(name) for name in group.names]


def test_all_that_a_run_knew_before_it_began_is_written() -> None:
    spec = RunSpec(
        Plan(((), (0,), (0, 1)), ((), (), (1,))), 3.0, 60.0, {1: RestartPolicy(on=(ConnectionError,))}, {0: 5.0},
        {2: None}, 2, ("laser", "oven"), True, {2: Window((1,), 5.0, "too late")}, {1: None}, {2: None},
        {0: RunState.SUCCEEDED},
    )  # fmt: skip
    assert read_spec(json.loads(json.dumps(written_spec(spec)))) == spec


def test_what_is_told_to_a_core_that_is_not_there_is_no_replay() -> None:
    with pytest.raises(KeyError):
        Journal().tell("sweep#1", "Begun", [])
    with pytest.raises(KeyError):
        Journal().tell("", "lease:rain", [])


def test_what_no_core_was_told_is_passed_over() -> None:
    journal = Journal()
    journal.tell("sweep#1", "value", [0, 1, 5])
    assert not journal.cores.runs


def test_an_error_whose_class_is_gone_says_the_same() -> None:
    journal = Journal()
    gone = type("Gone", (OSError,), {"__module__": "gone"})("unplugged")
    for event in (sv.ChildAdded("laser", RestartPolicy()), sv.ChildUp("laser"), sv.ChildDown("laser", gone)):
        kind, *fields = written(event)
        journal.tell("", f"device:{kind}", [*fields, 0.0])
    assert journal.cores.devices.state("laser") == "waiting"
