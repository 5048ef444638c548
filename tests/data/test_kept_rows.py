"""Rows that a journal has kept are exported as those of a run that has just ended."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.data import ArrayKeeper, Dataset, MovedRows, Row
from actorlab.errors import JournalError
from actorlab.journal import Journal, JournalReader

UNITS: Any = pint.application_registry


def through_a_journal(path: Path, *rows: dict[str, Any]) -> tuple[Dataset, Dataset]:
    """Return rows as they were recorded, and as another program reads them."""
    recorded = [Row(1.7e9 + number, f"body {number % 2}", row) for number, row in enumerate(rows)]
    with Journal.open(path) as journal:
        for row in recorded:
            journal.record("sweep#1", row.body, row.values, row.time)
        journal.flush()
    return Dataset(recorded), kept(path)


def kept(path: Path) -> Dataset:
    """Read rows with a reader of their own."""
    with JournalReader.open(path) as reader:
        rows = Dataset(MovedRows(reader.rows("sweep#1"), path.parent)).rows
    return Dataset(rows, lambda: {"run": "sweep#1"})


def test_a_unit_that_is_not_known_here_is_said_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    through_a_journal(path, {"power": UNITS.Quantity(1.5, "mW")})
    monkeypatch.setitem(sys.modules, "pint", None)
    with JournalReader.open(path) as reader:
        assert reader.rows("sweep#1").summary().columns == {"power": "milliwatt"}
        with pytest.raises(JournalError, match=r"'power' was recorded in milliwatt, .*pip install pint"):
            list(reader.rows("sweep#1"))


VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(), st.none(), st.just([1.0, 2.0]))
UNIT = st.sampled_from(["nm", "um", "m"])
QUANTITIES = st.builds(UNITS.Quantity, st.floats(-1e9, 1e9), UNIT)


def test_a_table_from_a_journal_is_that_of_the_run(tmp_path: Path) -> None:
    names = iter(range(1000))

    @settings(max_examples=15)
    @given(st.lists(st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "length": QUANTITIES}), max_size=8))
    def check(rows: list[dict[str, Any]]) -> None:
        live, read = through_a_journal(tmp_path / f"{next(names)}.db", *rows)
        one, other = live.to_pandas(), read.to_pandas()
        columns = [name for name in one.columns if not one[name].isna().all()]
        for name in columns:
            assert one[name].dtype == other[name].dtype
            assert list(map(repr, one[name])) == list(map(repr, other[name]))
        assert other.attrs["run"] == "sweep#1"
        assert one.attrs["units"] == other.attrs["units"]

    check()


def test_units_that_change_on_the_way_are_converted_and_never_mixed_up(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"x": 1.0 * UNITS.um}, {"x": 2.0 * UNITS.nm, "y": 1}, {"x": 3.0 * UNITS.um}]
    live, read = through_a_journal(tmp_path / "journal.db", *rows)
    assert read.to_pandas()["x"].tolist() == live.to_pandas()["x"].tolist() == [1.0, 0.002, 3.0]
    assert read.to_pandas().attrs["units"] == {"x": "µm"}
    assert [row.values["x"] for row in read.rows] == [row["x"] for row in rows]
    _, bad = through_a_journal(tmp_path / "bad.db", {"x": 1.0 * UNITS.um}, {"x": 2.0, "y": 1})
    with pytest.raises(ValueError, match="'x' was recorded in µm, but row 1 has no unit"):
        bad.to_pandas()


def test_a_column_of_a_journal_can_be_left_out(tmp_path: Path) -> None:
    _, read = through_a_journal(tmp_path / "journal.db", {"x": 1, "y": 2.0}, {"x": 3})
    assert len(read) == 2
    assert read.to_pandas(columns=["y"]).columns.tolist() == ["time", "step", "y"]
    assert math.isnan(read.to_pandas()["y"][1])
    assert read.column("y") == [2.0]
    with pytest.raises(ValueError, match="nothing was recorded as 'z'; there is x, y"):
        read.to_pandas(columns=["z"])


def test_arrays_in_a_store_are_found_beside_a_journal_that_was_moved(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    keeper = ArrayKeeper(tmp_path / "here" / "journal.zarr")
    images = [np.full((30, 40), number, dtype="u2") for number in range(3)]
    rows = [
        keeper.kept("sweep#1", {"image": image * UNITS.mV, "small": np.ones(3) * number})
        for number, image in enumerate(images)
    ]
    _, read = through_a_journal(tmp_path / "here" / "journal.db", *rows)
    assert np.array_equal(read.to_xarray()["image"], np.stack(images))
    (tmp_path / "here").rename(tmp_path / "there")
    found = kept(tmp_path / "there" / "journal.db").to_xarray()
    assert np.array_equal(found["image"], np.stack(images))
    assert found["image"].attrs == {"units": "mV"}
    assert found["small"].to_numpy().tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert isinstance(kept(tmp_path / "there" / "journal.db").to_pandas(), pd.DataFrame)
