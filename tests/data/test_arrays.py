"""Recorded arrays are in a store before anything refers to them, and stay there whatever happens."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pint
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from actorlab.data import ArrayKeeper, ArrayRef, ArrayStore, Dataset, Row
from actorlab.data.arrays import OPEN, folder_of
from actorlab.errors import ConfigError

UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry()


def test_an_array_comes_back_by_its_reference(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    images = [np.full((3, 4), number, dtype="u2") for number in range(3)]
    references = [store.append("sweep#1", "image", image) for image in images]
    assert references[2] == ArrayRef(str(tmp_path / "lab.zarr"), "sweep#1/image", 2, (3, 4), "<u2")
    for image, reference in zip(images, references, strict=True):
        assert np.array_equal(reference.read(), image)
        assert np.array_equal(np.asarray(reference), image)
    assert np.asarray(references[1], dtype=float).dtype == np.dtype("f8")
    found: Any = zarr.open_group(tmp_path / "lab.zarr", mode="r")["sweep#1/image"]
    assert found.shape == (3, 3, 4)
    assert dict(found.attrs) == {"column": "image", "run": "sweep#1"}


NUMBERS = st.one_of(
    stn.boolean_dtypes(),
    stn.integer_dtypes(endianness="?"),
    stn.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    stn.complex_number_dtypes(),
)
ARRAYS = stn.arrays(NUMBERS, stn.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))


def test_any_array_of_numbers_comes_back_as_it_was(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")

    @settings(max_examples=20)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", "a_2", "/"]), ARRAYS, st.sampled_from(["", "nm"])), min_size=1, max_size=4
        )
    )
    def check(recorded: list[tuple[str, Any, str]]) -> None:
        references = [store.append("run", *it) for it in recorded]
        for (_, array, unit), reference in zip(recorded, references, strict=True):
            assert reference.unit == unit
            assert reference.read().shape == reference.shape == array.shape
            assert reference.read().dtype == np.dtype(reference.dtype) == array.dtype.newbyteorder("=")
            assert np.array_equal(reference.read(), array, equal_nan=array.dtype.kind in "fc")

    check()


def test_a_store_that_is_opened_again_goes_on_where_it_was(tmp_path: Path) -> None:
    first = ArrayStore(tmp_path / "lab.zarr").append("sweep#1", "trace", np.zeros(3))
    again = ArrayStore(tmp_path / "lab.zarr").append("sweep#1", "trace", np.ones(3))
    assert (first.path, again.path) == ("sweep#1/trace",) * 2
    assert (first.index, again.index) == (0, 1)
    assert first.read().tolist() == [0, 0, 0]


def test_what_differs_in_shape_type_or_unit_gets_an_array_of_its_own(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    ones = np.ones(3)
    recorded = [(ones, ""), (np.ones(4), ""), (ones.astype("f4"), ""), (ones, "nm"), (ones, "")]
    paths = [store.append("r", "a", *it).path for it in recorded]
    assert paths == ["r/a", "r/a_2", "r/a_3", "r/a_4", "r/a"]


@pytest.mark.parametrize("run", ["sweep#1", "a/b", "../up", ".", "__x#1", "zarr.json", "µ %2F", "a b"])
def test_a_run_of_any_name_has_a_folder_of_its_own(run: str, tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    reference = store.append(run, "a", np.ones(3))
    assert reference.read().tolist() == [1, 1, 1]
    assert (tmp_path / "lab.zarr" / folder_of(run) / "a" / "c").is_dir()


@given(st.lists(st.text(st.characters(codec="utf-8")), unique=True))
def test_no_two_runs_share_a_folder(runs: list[str]) -> None:
    assert len({folder_of(run) for run in runs}) == len(runs)


def test_more_columns_than_are_kept_open_go_on_where_they_were(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    for place in range(2):
        for number in range(OPEN + 2):
            assert store.append("r", f"c{number}", np.full(2, place)).index == place
    assert len(store._opened) == OPEN


def test_threads_may_append_at_the_same_time(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    found: list[tuple[int, ArrayRef]] = []

    def record(number: int) -> None:
        for _ in range(10):
            reference = store.append("r", "a", np.full(200, number))
            found.append((number, reference))

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reference.index for _, reference in found) == list(range(40))
    assert all((reference.read() == number).all() for number, reference in found)


def append_for_ever(path: str, told: Any) -> None:
    store = ArrayStore(path, durable=True)
    number = 0
    while True:
        told.send(store.append("r", "a", np.full((50, 50), number)))
        number += 1


def test_another_process_reads_what_is_being_written_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    writer = context.Process(target=append_for_ever, args=(str(tmp_path / "lab.zarr"), there))
    writer.start()
    there.close()
    references: list[ArrayRef] = []
    try:
        while len(references) < 10:
            assert here.poll(30)
            references.append(here.recv())
            assert (references[-1].read() == len(references) - 1).all()
    finally:
        writer.kill()
        writer.join()
    try:
        while here.poll(0):
            references.append(here.recv())
    except EOFError:
        pass
    here.close()
    assert all((reference.read() == number).all() for number, reference in enumerate(references))
    again = ArrayStore(tmp_path / "lab.zarr").append("r", "a", np.full((50, 50), -1))
    assert again.index >= len(references)
    assert (again.read() == -1).all()


def test_what_is_missing_is_said_and_never_read_as_zeros(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    reference = store.append("r", "a", np.zeros(3))
    assert reference.read().tolist() == [0, 0, 0]
    with pytest.raises(FileNotFoundError, match=r"r/a\[7\] can't be read: its data aren't in the store"):
        replace(reference, index=7).read()
    with pytest.raises(FileNotFoundError, match="there is no array 'r/b' in the store"):
        replace(reference, path="r/b").read()
    shutil.rmtree(tmp_path / "lab.zarr" / "r" / "a" / "c" / "0")
    with pytest.raises(FileNotFoundError, match="its data aren't in the store"):
        reference.read()


def test_a_store_may_be_moved(tmp_path: Path) -> None:
    reference = ArrayStore(tmp_path / "lab.zarr").append("r", "a", np.ones(3))
    (tmp_path / "other").mkdir()
    (tmp_path / "lab.zarr").rename(tmp_path / "other" / "lab.zarr")
    with pytest.raises(FileNotFoundError, match=r"the store isn't there; if it was moved, `ref.beside"):
        reference.read()
    assert reference.beside(tmp_path / "other").read().tolist() == [1, 1, 1]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ArrayStore(tmp_path)
    with pytest.raises(ConfigError, match="is no store of arrays: move it away"):
        store.append("r", "a", np.ones(3))
    with pytest.raises(ConfigError, match="is no store of arrays"):
        ArrayStore(tmp_path / "file").append("r", "a", np.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_array_of_no_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="r recorded 'a' as an array of object"):
        ArrayStore(tmp_path / "lab.zarr").append("r", "a", np.array([None]))


def test_an_error_in_between_leaves_a_hole_and_no_mistake(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "lab.zarr")
    first = store.append("r", "a", np.ones(3))
    folder = tmp_path / "lab.zarr" / "r" / "a" / "c"
    (folder / "1").touch()  # where a folder has to be
    with pytest.raises(OSError, match="1"):
        store.append("r", "a", np.ones(3))
    (folder / "1").unlink()
    third = store.append("r", "a", np.full(3, 3.0))
    assert third.index == 2
    assert first.read().tolist() == [1, 1, 1]
    assert third.read().tolist() == [3, 3, 3]


# -- rows


def test_arrays_of_rows_are_kept_and_exported(tmp_path: Path) -> None:
    keeper = ArrayKeeper(tmp_path / "lab.zarr")
    images = [np.full((40, 50), number, dtype="u2") for number in range(3)]
    rows = [
        Row(float(number), "r", keeper.kept("r", {"n": number, "image": image * UNITS.mV}))
        for number, image in enumerate(images)
    ]
    assert all(type(row.values["image"]) is ArrayRef for row in rows)
    data = Dataset(rows)
    found = data.to_xarray()["image"]
    assert found.attrs == {"units": "mV"}
    assert np.array_equal(found, np.stack(images))
    for name in ("data.h5", "data.nc", "data.zarr"):
        data.export(tmp_path / name)
    data.to_csv(tmp_path / "data.csv")
    assert f"0,{tmp_path / 'lab.zarr'}/r/image[0]" in (tmp_path / "data.csv").read_text("utf-8")
    assert np.array_equal(np.asarray(data.to_pandas()["image"][2]), images[2])


def test_what_is_small_or_no_array_of_numbers_stays_in_its_row(tmp_path: Path) -> None:
    keeper = ArrayKeeper(tmp_path / "lab.zarr")
    values = {
        "a": np.ones(3),
        "b": 1.0,
        "c": "x" * 5000,
        "d": np.array(["x" * 1000]),
        "e": 3 * UNITS.nm,
        "f": b"x" * 5000,
    }
    assert keeper.kept("r", values) is values
    assert not (tmp_path / "lab.zarr").exists()


def test_without_zarr_arrays_stay_in_their_rows_and_large_ones_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    keeper = ArrayKeeper(tmp_path / "lab.zarr")
    values = {"small": np.ones(1000), "large": np.ones(200_000)}
    with caplog.at_level(logging.WARNING, "actorlab"):
        assert keeper.kept("sweep#1", values) is values
        assert keeper.kept("sweep#1", values) is values
    assert len(caplog.messages) == 1
    assert "sweep#1 records 'large' as an array of 1600000 bytes" in caplog.messages[0]
    assert 'pip install "actorlab[data]"' in caplog.messages[0]
