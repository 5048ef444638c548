"""Tasks and device classes by their names: found, registered, started with checked arguments, described."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pytest

from actorlab import ConfigError, Device, Lab, Range, Shared, Unit, query, sleep, task, workflow

PATIENCE = 5.0


class Laser(Device):
    """A laser."""

    def __init__(self, address: str = "none") -> None:
        self.address = address
        self.nm = 0.0

    def set(self, nm: float) -> None:
        """Set the wavelength."""
        self.nm = nm

    @query
    def where(self) -> str:
        """Return the address."""
        return self.address


class Meter(Device):
    """A meter."""


@dataclass
class Plan:
    """What is to be done, and when."""

    points: list[float]
    day: date


@task(category="core")
def sweep(laser: Laser, points: list[float], meter: Meter | None = None) -> tuple[float, ...]:
    """Sweep a laser."""
    for point in points:
        laser.set(point)
    assert meter is None or isinstance(meter, Meter)
    return tuple(points)


@task
def several(lasers: list[Laser], base: Shared[Meter], plan: Plan, *days: date, **others: Meter) -> Any:
    """Take all kinds of arguments."""
    return [laser.where() for laser in lasers], isinstance(base, Meter), plan, days, sorted(others)


@task
def tune(nm: Annotated[float, Unit("nm"), Range(1500, 1600)], image: npt.NDArray[np.float64], anything) -> Any:  # type: ignore[no-untyped-def]  # noqa: ANN001 - as people write it
    """Take numbers within limits, arrays, and what has no hint."""
    return nm, image.sum(), anything


@workflow
def twice(laser: Laser) -> list[tuple[float, ...]]:
    """Sweep twice."""
    return [sweep(laser, [1.0]), sweep(laser, [2.0])]


@pytest.fixture(autouse=True)
def forget(tmp_path: Path) -> Iterator[None]:
    """Take away what discovery has imported."""
    yield
    for name in [name for name in sys.modules if quote(str(tmp_path), safe="") in name]:
        del sys.modules[name]


@pytest.fixture
def known(lab: Lab) -> Lab:
    """Return a lab with devices that knows tasks."""
    lab.register(sweep, several, tune, twice, Laser, Meter)
    lab.add("laser", lab.device_type("Laser"), "GPIB::1")
    lab.add("meter", Meter)
    return lab


# -- starting


def test_a_task_is_run_by_its_name_on_devices_by_theirs(known: Lab) -> None:
    assert known.run("sweep", "laser", [1, 2], meter="meter") == (1.0, 2.0)
    run = known.start("sweep", points=[3.0], laser="laser")
    assert run.result(PATIENCE) == (3.0,)
    assert (run.name, run.devices) == ("sweep", ("laser",))
    assert known.device("laser").nm == 3.0
    assert known.run("twice", "laser") == [(1.0,), (2.0,)]


def test_a_proxy_is_as_good_as_a_name_and_a_callable_needs_none(known: Lab) -> None:
    laser = known.device("laser")
    assert known.run("sweep", laser, [1.0]) == known.run(sweep, laser, [1.0]) == (1.0,)


def test_values_become_what_the_hints_say_wherever_devices_stand(known: Lab) -> None:
    plan = {"points": ["1", 2], "day": "2026-11-21"}
    value = known.run("several", ["laser"], "meter", plan, "2026-11-22", spare="meter")
    assert value == (["GPIB::1"], True, Plan([1.0, 2.0], date(2026, 11, 21)), (date(2026, 11, 22),), ["spare"])


def test_arrays_and_what_has_no_hint_stay_as_they_are(known: Lab) -> None:
    given = object()
    assert known.run("tune", 1550.0, np.ones(3), given) == (1550.0, 3.0, given)


def test_a_service_and_a_child_run_have_names_as_well(known: Lab) -> None:
    def naps(seconds: float) -> None:
        sleep(seconds)

    known.register(naps)
    service = known.serve("naps", "3600")
    assert service.name == "naps"
    service.stop()
    assert known.run(lambda laser: known.run("sweep", laser, [7.0]), known.device("laser")) == (7.0,)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (("swep",), {}, "the lab knows no task 'swep'; did you mean 'sweep'?"),
        (("sweep", "lazer", [1]), {}, "laser: the lab has no device named 'lazer' (Laser is wanted); did you mean 'la"),
        (("sweep", "meter", [1]), {}, "laser: Laser is wanted, and <meter: Meter> is another device"),
        (("sweep", 3, [1]), {}, "laser: a device of the lab is wanted (Laser), or its name, not 3"),
        (("sweep", "laser", [1]), {"meter": "laser"}, "meter: Meter is wanted"),
        (("sweep", "laser", [1, "x"]), {}, "points.1: input should be a valid number"),
        (("sweep", "laser"), {"point": [1]}, "it has no parameter 'point'; did you mean 'points'?"),
        (("sweep", "laser"), {}, "missing a required argument: 'points'; it takes laser, points, meter"),
        (("several", ["laser", "x"], "meter", {"points": []}), {}, "lasers.1: the lab has no device named 'x'"),
        (("several", ["laser"], "meter", {"points": []}), {}, "plan.day: field required"),
        (("several", [], "meter", {"points": [], "day": "x"}, "y"), {}, "days.0: input should be a valid date"),
        (("tune", 1700, np.ones(1), 0), {}, "1700"),
        (("tune", 1550, [1.0], 0), {}, "image: input should be an instance of ndarray"),
    ],
)
def test_what_is_wrong_is_named_before_anything_begins(known: Lab, args: Any, kwargs: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known.start(*args, **kwargs)
    assert said in str(caught.value)
    assert known.runs == ()
    assert known.start(int).id == "int#1", "and it took no number"


def test_all_mistakes_are_told_at_once(known: Lab) -> None:
    with pytest.raises(ConfigError) as caught:
        known.run("sweep", "lazer", ["x", "y"])
    assert str(caught.value).count(": ") >= 4
    assert "points.1" in str(caught.value)


# -- knowing


def test_an_empty_lab_says_how_names_become_known(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"knows no task 'sweep'; it knows none: lab\.discover\(…\) or lab\.register"):
        lab.run("sweep")
    with pytest.raises(ConfigError, match=r"knows no type of device 'Laser'"):
        lab.device_type("Laser")
    assert (lab.tasks, lab.device_types) == ({}, {})


def test_registering_takes_each_name_once_and_only_what_can_be_started_or_made(lab: Lab) -> None:
    lab.register(sweep, Laser)
    lab.register(sweep, Laser)
    assert (lab.tasks, lab.device_types) == ({"sweep": sweep}, {"Laser": Laser})
    with pytest.raises(ConfigError, match="has that name already"):
        lab.register(task(several.function).options(name="sweep"))
    with pytest.raises(ConfigError, match=r"lab\.register\(3\): it takes"):
        lab.register(3)  # type: ignore[arg-type]
    assert lab.tasks == {"sweep": sweep}, "as before"


def test_a_lab_discovers_more_each_time_and_keeps_the_first_of_a_name(lab: Lab, tmp_path: Path) -> None:
    for folder, value in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        text = f"""
            from actorlab import Device, task
            class Probe(Device):
                value = {value}
            @task
            def measure() -> int:
                return {value}
            @task
            def only_{folder}(probe: Probe) -> int:
                return probe.value
        """
        (tmp_path / folder / "tasks.py").write_text(dedent(text))
    quiet: dict[str, Any] = {"entry_points": False, "environment": None}
    assert not lab.discover(folders=tmp_path / "one", **quiet).problems
    found = lab.discover(folders=tmp_path / "two", **quiet)
    assert sorted(lab.tasks) == ["measure", "only_one", "only_two"]
    assert lab.run("measure") == 1
    assert ["has that name already" in str(problem) for problem in found.problems] == [True, True]
    lab.discover(folders=tmp_path / "two", override=["measure"], **quiet)
    assert lab.run("measure") == 2
    lab.add("probe", lab.device_type("Probe"))
    assert lab.run("only_one", "probe") == 1
    with pytest.raises(ConfigError, match="required, but not found: missing"):
        lab.discover(folders=tmp_path / "two", required=["missing"], **quiet)


def test_a_task_is_described_with_its_parameters(known: Lab) -> None:
    described = known.describe_task("sweep")
    assert {name: described[name] for name in ("name", "kind", "category", "description", "found_in")} == {
        "name": "sweep", "kind": "task", "category": "core", "description": "Sweep a laser.",
        "found_in": "lab.register",
    }  # fmt: skip
    assert described["place"].startswith(__file__)
    parameters = described["parameters"]
    assert parameters["properties"]["laser"]["device"] == "Laser"
    assert parameters["required"] == ["laser", "points"]
    with pytest.raises(ConfigError, match="did you mean 'twice'"):
        known.describe_task("twic")
