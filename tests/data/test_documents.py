"""Any run can be told as documents of Bluesky's event model, which its own tools accept and read."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import event_model
import numpy as np
import pint
import pytest
from bluesky_live.bluesky_run import BlueskyRun, DocumentCache
from dask import config
from event_model import DocumentNames, schema_validators
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab import Lab, record
from actorlab.data import Dataset, Row
from actorlab.errors import ConfigError

Make = Callable[..., Dataset]
UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry()


def read_back(data: Dataset) -> BlueskyRun:
    """Read the documents as databroker did: Bluesky's own reader makes xarray datasets of them."""
    cache = DocumentCache()
    for name, document in data.to_documents():
        cache(name, document)
    return BlueskyRun(cache)


@pytest.fixture(autouse=True)
def dask_starts_no_threads() -> Iterator[None]:
    """Have Bluesky's reader compute where it is called."""
    with config.set(scheduler="synchronous"):
        yield


def of_kind(data: Dataset, kind: str) -> list[dict[str, Any]]:
    return [document for name, document in data.to_documents() if name == kind]


def test_bluesky_reads_what_was_recorded(dataset: Make) -> None:
    images = [np.full((2, 3), number) for number in range(4)]
    data = dataset(
        *({"wavelength": (1550 + n) * UNITS.nm, "power": n / 2, "image": image} for n, image in enumerate(images))
    )
    found = read_back(data)
    assert list(found) == ["primary"]
    table = found["primary"].read()
    assert table["power"].to_numpy().tolist() == [0, 0.5, 1, 1.5]
    assert table["wavelength"].to_numpy().tolist() == [1550, 1551, 1552, 1553]
    assert np.array_equal(table["image"].to_numpy(), np.stack(images))
    assert table["step"].to_numpy().tolist() == ["sweep#1"] * 4
    assert table["time"].to_numpy().tolist() == [row.time for row in data]
    assert of_kind(data, "descriptor")[0]["data_keys"]["wavelength"]["units"] == "nm"


def test_rows_with_other_columns_make_streams_of_their_own(dataset: Make) -> None:
    data = dataset({"a": 1}, {"b": 1.5}, {"a": 2, "b": None}, {"trace": [1, 2]}, {"trace": [1, 2, 3]})
    found = read_back(data)
    assert list(found) == ["primary", "stream_2", "stream_3", "stream_4"]
    assert found["primary"].read()["a"].to_numpy().tolist() == [1, 2]
    (stop,) = of_kind(data, "stop")
    assert stop["num_events"] == {"primary": 2, "stream_2": 1, "stream_3": 1, "stream_4": 1}


VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(), st.complex_numbers(), st.none(), st.just([1.0, 2.0]),
    st.just([1j]), st.just({"x": 1}),
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5), st.text(), st.floats())
def test_every_document_is_valid_and_belongs_to_the_others(rows: list[dict[str, Any]], key: str, value: float) -> None:
    rows_ = [Row(float(number), "sweep#1", row) for number, row in enumerate(rows)]
    data = Dataset(rows_, lambda: {"run": "sweep#12", "state": "succeeded", key: value})
    seen: Counter[str] = Counter()

    def factory(*_: Any) -> Any:
        return [lambda kind, _: seen.update([kind])], []

    router = event_model.RunRouter([factory])
    for name, document in data.to_documents():
        schema_validators[DocumentNames[name]].validate(document)
        router(name, document)
    assert seen["start"] == seen["stop"] == 1
    assert seen["event"] + seen["event_page"] == len(rows)
    events = [document for name, document in data.to_documents() if name == "event"]
    assert [event["time"] for event in events] == [row.time for row in rows_]


def test_the_start_and_the_stop_say_what_the_run_was(dataset: Make) -> None:
    about = {"run": "sweep#12", "name": "sweep", "lab": "optics", "parameters": {"gain": 2}, "operator.name": "Ada"}
    (start,) = of_kind(dataset({"a": 1}, **about), "start")
    assert start["plan_name"] == "sweep"
    assert start["scan_id"] == 12
    assert start["actorlab"]["parameters"] == {"gain": 2}
    assert start["actorlab"]["operator_name"] == "Ada"
    for state, status in (("succeeded", "success"), ("failed", "fail"), ("cancelled", "abort"), ("timed_out", "abort")):
        (stop,) = of_kind(dataset({"a": 1}, state=state, reason="why"), "stop")
        assert (stop["exit_status"], stop["reason"]) == (status, "why")
    assert not of_kind(dataset({"a": 1}, state="running"), "stop")


def test_the_same_rows_have_the_same_ids_and_other_runs_have_others(dataset: Make) -> None:
    def ids(**about: Any) -> list[str]:
        return [document["uid"] for _, document in dataset({"a": 1}, {"b": 1}, **about).to_documents()]

    assert ids(run="sweep#1") == ids(run="sweep#1")
    assert not set(ids(run="sweep#1")) & set(ids(run="sweep#2"))
    assert len(set(ids())) == len(ids())


def test_names_that_bluesky_has_itself_are_changed(dataset: Make) -> None:
    (first,) = of_kind(dataset({"time": 1, "seq_num": 2}), "event")
    assert (first["data"]["time_2"], first["data"]["seq_num_2"]) == (1, 2)
    assert not {"time", "seq_num"} & first["data"].keys()


def test_what_has_no_type_there_is_json_or_two_numbers(dataset: Make) -> None:
    (first, *_) = of_kind(dataset({"a": {"x": 1}, "z": 1 + 2j, "s": [1j, 2]}), "event")
    assert json.loads(first["data"]["a"]) == {"x": 1}
    assert (first["data"]["z_real"], first["data"]["z_imag"]) == (1, 2)
    assert first["data"]["s_imag"].tolist() == [1, 0]


def test_a_run_of_a_lab_can_be_told() -> None:
    def sweep() -> None:
        for number in range(3):
            record(number=number, power=number / 2)

    with Lab(name="optics") as lab:
        run = lab.start(sweep)
        run.result()
        found = read_back(run.data)
        assert found.metadata["start"]["plan_name"] == "sweep"
        assert found.metadata["start"]["time"] <= found.metadata["stop"]["time"]
        assert found["primary"].read()["power"].to_numpy().tolist() == [0, 0.5, 1]


def test_a_missing_package_names_the_extra(dataset: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "event_model", None)
    with pytest.raises(ConfigError, match=r'to_documents\(\) needs event_model.*pip install "actorlab\[bluesky\]"'):
        list(dataset({"a": 1}).to_documents())
