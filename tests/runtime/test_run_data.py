"""`run.data` is the scientist's table of what the bodies of a run have recorded."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pint
import pytest
from zarr.core.sync import cleanup_resources

from actorlab import Lab, parameter, record, task, workflow
from actorlab.core.run_state import RunState
from actorlab.data import ArrayRef, Dataset
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader

UNITS: Any = pint.application_registry


@pytest.fixture(autouse=True)
def zarr_ends_its_threads() -> Iterator[None]:
    """End the threads that Zarr keeps for the next time."""
    yield
    cleanup_resources()


def sweep(points: int) -> int:
    gain = parameter("gain", 2.0)
    for number in range(points):
        record(number=number, power=number * gain)
    return points


def test_a_run_gives_what_its_body_recorded() -> None:
    with Lab(name="optics") as lab:
        run = lab.start(sweep, 3)
        run.result()
        frame = run.data.to_pandas()
        assert frame["power"].tolist() == [0.0, 2.0, 4.0]
        assert set(frame["step"]) == {run.id}
        about = run.data.attributes
        assert about["run"] == run.id
        assert about["name"] == "sweep"
        assert about["state"] == RunState.SUCCEEDED
        assert about["parameters"] == {"gain": 2.0}
        assert about["lab"] == "optics"
        assert about["began"] <= about["ended"]
        assert abs(dt.datetime.fromisoformat(about["began"]).timestamp() - run.data.rows[0].time) < 5
        assert repr(run.data) == f"<3 rows of {run.id}>"


@task
def first() -> int:
    record(a=1)
    return 1


@task
def second(value: int) -> int:
    record(b=value + 1)
    return value


@workflow
def both() -> int:
    return second(first())


def test_the_rows_of_a_workflow_say_which_step_recorded_them() -> None:
    with Lab() as lab:
        run = lab.start(both)
        run.result()
        assert run.data.to_pandas()["step"].tolist() == [f"{run.id}/first", f"{run.id}/second"]


def test_the_data_of_a_run_that_goes_on_can_be_exported(tmp_path: Path) -> None:
    recorded, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        record(a=1)
        recorded.set()
        go_on.wait(5)
        record(a=2)

    with Lab() as lab:
        run = lab.start(slow)
        data = run.data
        assert recorded.wait(5)
        data.to_hdf5(tmp_path / "data.h5")
        with h5py.File(tmp_path / "data.h5") as file:
            assert file.attrs["state"] == "running"
            found: Any = file["a"]
            assert len(found) == len(data) == 1
        go_on.set()
        run.result()
        assert data.column("a") == [1, 2]


def test_what_was_recorded_stays_as_it_was() -> None:
    def reuse() -> None:
        frame, trace, limits = np.zeros(3), [0.0], {"low": [0]}
        for number in range(3):
            frame += 1
            trace[0] = number
            limits["low"][0] = number
            record(frame=frame, trace=trace, limits=limits, both=(trace, frame), length=frame * UNITS.nm)
        frame[:] = -1

    with Lab() as lab:
        run = lab.start(reuse)
        run.result()
        data = run.data
    assert [value.tolist() for value in data.column("frame")] == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert data.column("trace") == [[0], [1], [2]]
    assert data.column("limits") == [{"low": [0]}, {"low": [1]}, {"low": [2]}]
    assert [both[1].tolist() for both in data.column("both")] == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert data.to_xarray()["length"].to_numpy()[2].tolist() == [3, 3, 3]


def test_a_run_that_recorded_nothing_has_an_empty_table() -> None:
    with Lab() as lab:
        run = lab.start(lambda: None)
        run.result()
        assert run.data.rows == ()
        assert run.data.to_pandas().columns.tolist() == ["time", "step"]


class Camera:
    def image(self, number: int) -> Any:
        return np.full((40, 50), number, dtype="u2")


def images(device: Camera) -> None:
    for number in range(3):
        record(image=device.image(number) * UNITS.mV, number=number)


def test_images_are_kept_beside_the_journal_and_found_by_others(tmp_path: Path) -> None:
    with Lab(journal=tmp_path / "lab.db") as lab:
        run = lab.start(images, lab.add("camera", Camera))
        run.result()
        assert all(isinstance(image, ArrayRef) for image in run.data.column("image"))
        live = run.data.to_xarray()["image"]
    with JournalReader.open(tmp_path / "lab.db") as reader:
        kept = Dataset(reader.rows(run.id)).to_xarray()["image"]
    for found in (live, kept):
        assert found.attrs == {"units": "mV"}
        assert found.to_numpy()[:, 0, 0].tolist() == [0, 1, 2]
    assert (tmp_path / "lab.zarr" / run.id / "image" / "zarr.json").is_file()


def test_an_image_that_cannot_be_kept_fails_its_run(tmp_path: Path) -> None:
    (tmp_path / "lab.zarr").touch()
    with Lab(journal=tmp_path / "lab.db") as lab:
        run = lab.start(images, lab.add("camera", Camera))
        with pytest.raises(ConfigError, match=r"lab\.zarr is no store of arrays"):
            run.result()
        assert len(run.data) == 0
