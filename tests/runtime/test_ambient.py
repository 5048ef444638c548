"""What a body tells and is told while it runs: phases, progress, events, rows, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from actorlab import (
    ConfigError,
    Lab,
    Range,
    Unit,
    checkpoint,
    emit,
    parameter,
    phase,
    progress,
    record,
    track,
)
from actorlab.runtime.events import Subscription


def told(events: Subscription, kind: str, count: int) -> list[dict[str, Any]]:
    """Return the data of the next events of a kind."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        event = events.get(timeout=5)
        assert event is not None, f"only {found} came"
        if event.kind == kind:
            found.append(event.data)
    return found


def test_phases_roll_up_into_one_figure_with_a_message_that_says_where(lab: Lab, gate: Any) -> None:
    def body() -> None:
        with phase("warming up", weight=0.25):
            progress(1, 2, "heater")
        with phase("measuring"):
            for number in track(range(4), "points"):
                if number == 2:
                    gate.stop()

    run = lab.start(body)
    gate.reached()
    seen = run.progress
    assert seen is not None
    assert seen.fraction == pytest.approx(0.25 + 0.75 * 0.5)
    assert seen.message == "measuring: points"
    gate.open()
    run.result(5)
    seen = run.progress
    assert seen is not None
    assert seen.fraction == pytest.approx(1.0)


def test_progress_events_are_coalesced_and_the_first_and_the_last_always_come(lab: Lab) -> None:
    events = lab.events.subscribe()
    lab.run(lambda: list(track(range(20_000), "counting")))
    seen: list[dict[str, Any]] = []
    while (event := events.get(timeout=0.2)) is not None:
        if event.kind == "progress":
            seen.append(event.data)
    assert seen[-1]["done"] == 20_000
    assert len(seen) < 100, "twenty thousand steps, and at most ten events in each second"


def test_an_event_of_a_body_waits_for_its_acknowledgement(lab: Lab) -> None:
    events = lab.events.subscribe()
    run = lab.start(lambda: emit("frame", {"shape": (2, 3)}, acknowledged=5))
    (data,) = told(events, "emit", 1)
    assert (data["name"], data["data"]) == ("frame", {"shape": (2, 3)})
    assert not run.done()
    data["acknowledge"]("taken")
    assert run.result(5) == "taken"


def test_an_event_that_nobody_acknowledges_is_an_error_that_names_it(lab: Lab) -> None:
    with pytest.raises(TimeoutError, match=r"nobody acknowledged 'frame' within 0\.01 s"):
        lab.run(lambda: emit("frame", acknowledged=0.01))
    assert lab.run(lambda: emit("frame")) is None


def test_rows_are_kept_in_order_and_can_be_read_while_the_run_goes_on(lab: Lab, gate: Any) -> None:
    def body() -> None:
        for nm in (1550, 1551):
            record(wavelength=nm, power=nm / 1000)
        gate.stop()
        record(note="last")

    run = lab.start(body)
    gate.reached()
    assert run.data.column("power") == [1.55, 1.551]
    gate.open()
    run.result(5)
    assert [row.values for row in run.data] == [
        {"wavelength": 1550, "power": 1.55},
        {"wavelength": 1551, "power": 1.551},
        {"note": "last"},
    ]


def test_a_parameter_is_read_anew_and_may_be_set_while_the_run_goes_on(lab: Lab, gate: Any) -> None:
    def body() -> list[float]:
        seen = [parameter("gain", 1.0, Range(0, 10), Unit("dB"))]
        gate.stop()
        seen.append(parameter("gain", 1.0))
        return seen

    run = lab.start(body)
    gate.reached()
    assert run.parameters == {"gain": 1.0}
    run.set(gain=3)
    gate.open()
    assert run.result(5) == [1.0, 3.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gain": 11}, "gain = 11, but it takes 0 to 10"),
        ({"gain": "loud"}, "gain"),
        ({"loudness": 1}, "no parameter 'loudness'; it has gain"),
        ({"gain": 2, "loudness": 1}, "no parameter"),
    ],
    ids=str,
)
def test_what_cant_be_set_is_refused_and_changes_nothing(
    lab: Lab, gate: Any, change: dict[str, Any], said: str
) -> None:
    def body() -> float:
        parameter("gain", 1.0, Range(0, 10))
        gate.stop()
        return parameter("gain", 1.0)

    run = lab.start(body)
    gate.reached()
    with pytest.raises(ConfigError, match=said):
        run.set(**change)
    gate.open()
    assert run.result(5) == 1.0


def test_all_of_it_means_something_without_a_lab() -> None:
    with phase("alone", weight=0.5):
        record(power=1)
        checkpoint()
        assert parameter("gain", 2.5) == 2.5
        assert emit("frame", 1, acknowledged=1) is None
