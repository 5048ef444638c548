"""Values come through server and client as they were; what can't be told is an error of that one answer."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from actorlab import Client, Lab, query, record, task
from actorlab.errors import EncodingError
from actorlab.server import Server

from .conftest import Served

PATIENCE = 5.0
pint: Any = pytest.importorskip("pint")
UNITS = pint.get_application_registry()


class Mode(enum.Enum):
    """How it is done."""

    FAST = "fast"
    FINE = "fine"


class Point(NamedTuple):
    """Where it is."""

    x: float
    y: float


@dataclass
class Sample:
    """What is measured."""

    name: str
    at: Point
    modes: list[Mode] = field(default_factory=list[Mode])


class Settings(BaseModel):
    """How it is measured."""

    mode: Mode
    gains: dict[str, float]


VALUES: list[Any] = [
    None, True, 0, -(2**200), 1.5, "", "µ\n\0", b"\x00\xff", bytearray(b"a"),
    float("inf"), -float("inf"), 1 + 2j, (), (1, (2,)), {1, 2}, frozenset({"a"}), range(1, 9, 2), {1: "one", "$": 5},
    {(1, 2): {"nested": [None, {"$": "tuple"}]}},
    dt.datetime(2026, 11, 21, 12, 0, 0, 5, dt.UTC), dt.date(2026, 1, 1), dt.time(1, 2),
    dt.timedelta(days=-1, seconds=3),
    decimal.Decimal("1.10"), fractions.Fraction(-1, 3), uuid.UUID(int=7), pathlib.PurePosixPath("a/b"),
    5.5 * UNITS.volt, UNITS.Quantity(np.arange(3.0), "meter/second**2"),
]  # fmt: skip
OURS: list[Any] = [
    Mode.FINE, Point(1.0, -0.0), Sample("wafer", Point(0.5, math.inf), [Mode.FAST]),
    Settings(mode=Mode.FAST, gains={"a": 1e-300}), [Mode.FAST, {"point": Point(1, 2)}],
]  # fmt: skip
"""What has classes of ours: it is told, but not taken from strangers."""


class Echo:
    """A device that gives back what it is given."""

    kept: Any = None

    @query
    def ours(self, number: int) -> Any:
        return OURS[number]

    @query
    def echo(self, value: Any) -> Any:
        return value


@task
def echoed(value: Any) -> Any:
    """Give back what is given."""
    return value


@task
def measured() -> Any:
    """Return what has classes of ours, and record it."""
    record(points=OURS[1], mode=OURS[0], sample=OURS[2])
    return OURS


@task
def recorded() -> object:
    """Record what is data and what isn't, and return what isn't."""
    record(level=1.0)
    record(lock=threading.Lock())
    record(level=2.0)
    return threading.Lock()


@pytest.fixture
def echo(lab: Lab) -> Any:
    """Serve such a device."""
    lab.register(echoed, measured, recorded)
    lab.add("echo", Echo)
    with Server(lab, port=0) as server, Client(server.url, timeout=20) as client:
        yield client


def test_values_come_back_as_they_were_by_call_attribute_and_run(echo: Client) -> None:
    device: Any = echo.device("echo")
    for value in VALUES:
        back = device.echo(value)
        assert (type(back), repr(back)) == (type(value), repr(value))
        device.kept = value
        assert type(device.kept) is type(value)
    back = echo.run("echoed", VALUES)
    assert str(back) == str(VALUES)


def test_values_of_classes_of_ours_come_back_as_they_were(echo: Client) -> None:
    device: Any = echo.device("echo")
    for number, value in enumerate(OURS):
        back = device.ours(number)
        assert (type(back), back) == (type(value), value)
    run = echo.start("measured")
    assert run.result(PATIENCE) == OURS
    (row,) = run.rows()
    assert row["values"] == {"points": OURS[1], "mode": OURS[0], "sample": OURS[2]}
    with pytest.raises(EncodingError, match="Mode"):
        device.echo(Mode.FINE)


def test_no_number_is_changed(echo: Client) -> None:
    device: Any = echo.device("echo")
    assert math.isnan(device.echo(float("nan")))
    assert math.copysign(1, device.echo(-0.0)) == -1
    assert type(device.echo(np.float32(0.1))) is np.float32
    for array in (
        np.array([[1, 2], [3, 4]], dtype=">i2"), np.zeros((0, 3)), np.array([np.nan, np.inf]), np.array(1 + 2j),
        np.array(["2026-11-21"], dtype="datetime64[D]"), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.asfortranarray(np.ones((2, 3))), np.array([True, False]),
    ):  # fmt: skip
        back = device.echo(array)
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert back.tobytes() == array.tobytes()


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner),
        max_leaves=8,
    )
)
@settings(
    max_examples=40, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_whatever_is_nested_comes_back(echo: Client, value: Any) -> None:
    device: Any = echo.device("echo")
    assert repr(device.echo(value)) == repr(value)


def test_what_is_no_data_is_an_error_of_that_answer_only(echo: Client) -> None:
    run = echo.start("recorded")
    with pytest.raises(EncodingError, match="lock"):
        run.result(PATIENCE)
    rows = list(run.rows())
    assert [row["values"] for row in rows] == [{"level": 1.0}, None, {"level": 2.0}]
    assert "lock" in str(rows[1]["error"])
    assert [known.id for known in echo.runs] == [run.id]
    assert run.describe()["state"] == "succeeded"


def test_what_no_json_can_say_of_parameters_does_not_spoil_the_list(served: Served, client: Client) -> None:
    endless: list[Any] = []
    endless.append(endless)
    served.lab.register(echoed)
    for odd in (float("nan"), threading.Lock(), endless, {1: object()}, b"\xff", "\ud800"):
        served.lab.start(echoed, odd).exception(PATIENCE)
    assert len(client.runs) == 6
    assert all(run.describe()["state"] == "succeeded" for run in client.runs)
