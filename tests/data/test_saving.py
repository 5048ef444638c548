"""What `save` has saved `load` gives back as it was, with what it was about."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import getpass
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from actorlab.data import load, save
from actorlab.data.surroundings import git_state, surroundings
from actorlab.encoding import loaded
from actorlab.errors import ConfigError, EncodingError

UNITS: Any = pint.application_registry
NAMES = ["data.json", "data.h5"]


class Mode(enum.Enum):
    FAST = 1


@dataclasses.dataclass
class Point:
    x: float
    y: Any


NUMBERS = st.one_of(
    stn.boolean_dtypes(), stn.integer_dtypes(endianness="?"), stn.floating_dtypes(endianness="?"),
    stn.complex_number_dtypes(endianness="?"), stn.unicode_string_dtypes(),
)  # fmt: skip
ARRAYS = stn.arrays(NUMBERS, stn.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(), ARRAYS,
    st.datetimes(), st.just(Mode.FAST), st.builds(np.float32, st.floats(width=32)), st.builds(np.int8, st.just(-3)),
    st.builds(lambda value: UNITS.Quantity(value, "nm"), st.one_of(st.floats(allow_nan=False), stn.arrays("f8", 3))),
)  # fmt: skip
KEYS = st.one_of(st.text(max_size=4), st.sampled_from(["a/b", ".", "", "$", "metadata"]))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), st.tuples(inner, inner),
        st.dictionaries(st.integers(), inner, max_size=2), st.builds(Point, st.floats(), inner),
    ),
    max_leaves=6,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same, NaN being NaN, and of the same types."""
    if isinstance(one, dict):
        one, other = list(one.items()), list(other.items())
    elif isinstance(one, Point):
        one, other = [one.x, one.y], [other.x, other.y]
    elif hasattr(one, "magnitude"):
        one, other = [str(one.units), one.magnitude], [str(other.units), other.magnitude]
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        equal_nan = one.dtype.kind in "fc"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=equal_nan)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@pytest.mark.parametrize("name", NAMES)
def test_any_data_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    @settings(max_examples=50)
    @given(TREES, KEYS, LEAVES)
    def check(data: Any, key: str, value: Any) -> None:
        save(path, data, overwrite=True, **{f"my_{key}": value})
        found, metadata = load(path)
        assert same(found, data)
        assert same(metadata[f"my_{key}"], value)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_say_where_the_data_come_from(name: str, tmp_path: Path) -> None:
    save(tmp_path / name, {"power": [1.0]}, sample="B7", operator="Ada")
    metadata = load(tmp_path / name).metadata
    assert (metadata["sample"], metadata["operator"]) == ("B7", "Ada")
    assert metadata["host"] == socket.gethostname()
    assert metadata["python"] == platform.python_version()
    assert metadata["versions"]["numpy"] == np.__version__
    assert abs(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(metadata["time"])) < dt.timedelta(minutes=1)


def test_arrays_are_datasets_that_any_program_reads(tmp_path: Path) -> None:
    image = np.arange(6, dtype=">u2").reshape(2, 3)
    data = {"run": {"image": image, "note": "µ", "trace": np.arange(3.0) * UNITS.mV}, "all": [image, {"x": 1}]}
    save(tmp_path / "data.h5", data, sample="B7")
    with h5py.File(tmp_path / "data.h5") as file:
        found: Any = file["data"]
        assert np.array_equal(found["run/image"][...], image)
        assert found["run/note"].asstr()[()] == "µ"
        assert found["run/trace"].attrs["units"] == "millivolt"
        assert np.array_equal(found["all/0"][...], image)
        assert file.attrs["sample"] == "B7"
    assert list(load(tmp_path / "data.h5").data["run"]) == ["image", "note", "trace"]


def test_the_json_is_for_people_too(tmp_path: Path) -> None:
    save(tmp_path / "data.json", {"powers": [1.5, 2]}, sample="B7")
    tree = json.loads((tmp_path / "data.json").read_text("utf-8"))
    assert tree["data"] == {"powers": [1.5, 2]}
    assert tree["metadata"]["sample"] == "B7"
    assert '\n"data": {"powers":[1.5,2]}' in (tmp_path / "data.json").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_data_is_named_and_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save(path, 1)
    with pytest.raises(EncodingError, match=r"data\['a'\]\[1\].*object can't be written down"):
        save(path, {"a": [np.ones(3), object()]}, overwrite=True)
    with pytest.raises(EncodingError, match=r"metadata\['lock'\]"):
        save(path, 1, overwrite=True, lock=object())
    assert load(path).data == 1
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - the names are wanted


@pytest.mark.parametrize("name", NAMES)
def test_data_that_hold_themselves_are_refused(name: str, tmp_path: Path) -> None:
    data: dict[str, Any] = {"a": np.ones(2)}
    data["self"] = [data]
    with pytest.raises(EncodingError, match=r"holds itself|more than \d+ containers"):
        save(tmp_path / name, data)
    deep: Any = np.ones(2)
    for _ in range(200):
        deep = [deep]
    with pytest.raises(EncodingError, match=r"more than \d+ containers"):
        save(tmp_path / name, deep)


@pytest.mark.parametrize("name", NAMES)
def test_an_existing_file_is_replaced_only_if_one_says_so(name: str, tmp_path: Path) -> None:
    save(tmp_path / name, 1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(tmp_path / name, 2)
    assert load(tmp_path / name).data == 1


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data are saved as \.json, \.h5 or \.hdf5"):
        save(tmp_path / "data.txt", 1)
    with pytest.raises(ConfigError, match="data are saved as"):
        load(tmp_path / "data")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_something_else_wrote_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=name):
        load(path)
    for content in (b"", b"[1, 2]", b'{"format": "other"}', b"\x89HDF\r\n\x1a\n", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises((EncodingError, OSError), match=name):
            load(path)


def test_an_hdf5_file_of_others_and_one_of_a_newer_version_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["data"] = 1
    with pytest.raises(EncodingError, match=r"wasn't made by actorlab\.data\.save"):
        load(tmp_path / "data.h5")
    save(tmp_path / "new.json", 1)
    text = (tmp_path / "new.json").read_text("utf-8").replace('"version": 1', '"version": 2')
    (tmp_path / "new.json").write_text(text, "utf-8")
    with pytest.raises(EncodingError, match="format version 2, and this actorlab reads up to 1: upgrade it"):
        load(tmp_path / "new.json")


def test_loading_for_strangers_imports_nothing(tmp_path: Path) -> None:
    save(tmp_path / "data.json", collections.OrderedDict(a=Point(1, 2)))
    text = (tmp_path / "data.json").read_text("utf-8").replace(__name__, "antigravity")
    (tmp_path / "data.json").write_text(text, "utf-8")
    with pytest.raises(EncodingError, match="antigravity"):
        load(tmp_path / "data.json", resolve=loaded)
    assert "antigravity" not in sys.modules


def test_json_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    save(tmp_path / "data.json", {"a": np.ones(3)})
    assert load(tmp_path / "data.json").data["a"].tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match=r'h5py.*pip install "actorlab\[data\]"'):
        save(tmp_path / "data.h5", 1)


# -- git


def run_git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)  # noqa: S607 - the git there is


def test_the_commit_and_whether_anything_differs_from_it_is_known(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    run_git(tmp_path, "init")
    assert git_state(tmp_path) is None
    (tmp_path / "sweep.py").write_text("1")
    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "commit", "-m", "Sweep")
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "sweep.py").write_text("2")
    assert git_state(tmp_path) == {"commit": state["commit"], "dirty": True}


def test_without_git_or_a_name_of_the_user_the_rest_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(getpass, "getuser", unknown)
    found = surroundings()
    assert found["git"] is None
    assert found["user"]
    assert found["host"] == socket.gethostname()
