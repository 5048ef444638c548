"""What was recorded comes back from every format with its values, units, gaps and attributes."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import sys
from collections.abc import Callable
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pint
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.data import ArrayRef, Dataset, Row
from actorlab.data.writing import replacing
from actorlab.encoding import decode
from actorlab.errors import ConfigError

Make = Callable[..., Dataset]
UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry()
FORMATS = ["data.h5", "data.nc", "data.zarr"]


def plain_rows(*rows: dict[str, Any]) -> Dataset:
    return Dataset([Row(1.7e9 + number, "sweep#1", row) for number, row in enumerate(rows)], dict)


# -- reading back, as the documentation says


def read_back(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a file, with None for what is missing."""
    return {name: values_of(data, attributes) for name, (data, attributes) in raw(path).items()}


def raw(path: Path) -> dict[str, tuple[list[Any], dict[str, Any]]]:
    """Return data and attributes of each variable along the rows."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return {name: (texts(it), dict(it.attrs)) for name, it in file.items() if it.dims[0].label == "row"}
    with opened(path, decode_cf=False) as dataset:
        along_rows = {name: it for name, it in dataset.variables.items() if it.dims[0] == "row"}
        return {str(name): (it.to_numpy().tolist(), dict(it.attrs)) for name, it in along_rows.items()}


def opened(path: Path, *, decode_cf: bool = True) -> xr.Dataset:
    """Open a file as a user of xarray does."""
    if path.suffix == ".nc":
        return xr.open_dataset(path, decode_cf=decode_cf)
    return xr.open_dataset(path, engine="zarr", consolidated=False, decode_cf=decode_cf)


def texts(it: Any) -> list[Any]:
    found: list[Any] = (it.asstr() if h5py.check_string_dtype(it.dtype) else it)[...].tolist()
    return found


def values_of(data: list[Any], attributes: dict[str, Any]) -> list[Any]:
    if "missing" in attributes:
        data = [None if value == attributes["missing"] else value for value in data]
    if attributes.get("encoding") == "json":
        data = [value if value is None else json.loads(value) for value in data]
    kind = "boolean" if attributes.get("dtype") == "bool" else str(attributes.get("type"))
    gaps = [None if isinstance(value, float) and math.isnan(value) else value for value in data]
    return [value if value is None else KINDS.get(kind, as_it_is)(value) for value in gaps]


def as_it_is(value: Any) -> Any:
    return value


KINDS: dict[str, Callable[[Any], Any]] = {"integer": int, "boolean": bool}


FINITE = st.floats(allow_nan=True, allow_infinity=True)
COLUMNS = st.sampled_from([
    FINITE,
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(),
    st.text(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
    st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False)),
])  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> list[Any]:
    values = draw(COLUMNS)
    return draw(st.lists(st.one_of(st.none(), values) if draw(st.booleans()) else values, min_size=1, max_size=6))


def same(found: list[Any], wanted: list[Any]) -> bool:
    wanted = [None if isinstance(value, float) and math.isnan(value) else value for value in wanted]
    return found == wanted and all(
        type(one) is type(other) or {type(one), type(other)} <= {int, float}
        for one, other in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_comes_back_from_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    @settings(max_examples=20)
    @given(columns())
    def check(values: list[Any]) -> None:
        plain_rows(*({"value": value} for value in values)).export(path, overwrite=True)
        assert same(read_back(path)["value"], values)

    check()


@settings(max_examples=100)
@given(columns())
def test_every_value_comes_back_from_a_frame(values: list[Any]) -> None:
    frame = plain_rows(*({"value": value} for value in values)).to_pandas()
    found = [None if pd.isna(value) else value for value in frame["value"].astype(object)]
    assert same(found, values)


def test_every_value_comes_back_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"

    @settings(max_examples=60)
    @given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1), st.lists(st.text(), min_size=1))
    def check(numbers: list[float | None], notes: list[str]) -> None:
        rows = [{"number": number, "note": note} for number, note in zip(numbers, notes, strict=False)]
        plain_rows(*rows).to_csv(path, overwrite=True)
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        read = json.loads if described(path)[3]["datatype"] == "json" else str
        assert [float(row["number"]) if row["number"] else None for row in found] == [row["number"] for row in rows]
        assert [read(row["note"]) for row in found] == [row["note"] for row in rows]

    check()


def described(path: Path) -> list[dict[str, str]]:
    about = json.loads(path.with_name(f"{path.name}-metadata.json").read_text("utf-8"))
    columns: list[dict[str, str]] = about["tableSchema"]["columns"]
    return columns


# -- units


def test_quantities_come_out_in_the_unit_of_the_first(dataset: Make, tmp_path: Path) -> None:
    data = dataset({"wavelength": 1550 * UNITS.nm}, {"wavelength": 1.551 * UNITS.um}, {"wavelength": math.nan})
    frame = data.to_pandas()
    assert frame["wavelength"][:2].tolist() == [1550.0, 1551.0]
    assert frame.attrs["units"] == {"wavelength": "nm"}
    assert data.to_xarray()["wavelength"].attrs == {"units": "nm"}
    for name in FORMATS:
        data.export(tmp_path / name)
        assert raw(tmp_path / name)["wavelength"][1]["units"] == "nm"
    data.to_csv(tmp_path / "data.csv")
    assert (tmp_path / "data.csv").read_text("utf-8").splitlines()[0] == "time,step,wavelength [nm]"
    assert described(tmp_path / "data.csv")[2]["unit"] == "nm"


@pytest.mark.parametrize("other", [UNITS.Quantity(3, "dB"), 3.0, UNITS.Quantity(3, "s")])
def test_a_unit_that_cannot_be_converted_is_refused_by_name_and_row(dataset: Make, other: Any) -> None:
    data = dataset({"power": 1.0 * UNITS.mW, "other": 1}, {"power": other, "other": 2})
    with pytest.raises(ValueError, match=r"'power' was recorded in mW, but row 1 has .*columns="):
        data.to_pandas()
    assert data.to_pandas(columns=["other"])["other"].tolist() == [1, 2]


def test_an_array_with_a_unit_keeps_it(dataset: Make) -> None:
    data = dataset({"trace": np.arange(3.0) * UNITS.mV}, {"trace": np.arange(3.0) * UNITS.V})
    found = data.to_xarray()["trace"]
    assert found.attrs == {"units": "mV"}
    assert found.to_numpy().tolist() == [[0, 1, 2], [0, 1000, 2000]]


# -- arrays


def test_arrays_have_axes_of_their_own_and_keep_their_type(dataset: Make, tmp_path: Path) -> None:
    images = [np.full((4, 5), number, dtype="u2") for number in range(3)]
    data = dataset(*({"image": image, "n": 1} for image in images))
    for name in FORMATS:
        data.export(tmp_path / name)
        found = array_of(tmp_path / name, "image")
        assert found.dtype == np.dtype("u2")
        assert np.array_equal(found, np.stack(images))
    assert data.to_xarray()["image"].dims == ("row", "image_0", "image_1")
    assert np.array_equal(data.to_pandas()["image"][2], images[2])


def array_of(path: Path, name: str) -> Any:
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            found: Any = file[name]
            return found[...]
    with opened(path) as dataset:
        return dataset[name].to_numpy()


@pytest.mark.parametrize("name", FORMATS)
def test_arrays_of_some_rows_say_of_which_and_take_no_room_for_the_others(
    name: str, dataset: Make, tmp_path: Path
) -> None:
    data = dataset({"n": 1}, {"trace": [1.0, 2.0]}, {"n": 2}, {"trace": [3, 4]}, {"trace": [5.0]})
    path = tmp_path / name
    data.export(path)
    assert array_of(path, "trace").tolist() == [[1, 2], [3, 4]]
    assert array_of(path, "trace_row").tolist() == [1, 3]
    assert array_of(path, "trace_2").tolist() == [[5]]
    assert array_of(path, "trace_2_row").tolist() == [4]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", ">f4", "f8", "g", "c8", "c16"])
def test_arrays_of_every_type_of_numbers_can_be_exported(name: str, dtype: str, dataset: Make, tmp_path: Path) -> None:
    array = np.array([[0, 1], [1, 0]], dtype=dtype)
    path = tmp_path / name
    dataset({"a": array}, {"a": array}).export(path)
    if array.dtype.kind == "c" and name == "data.nc":
        found = array_of(path, "a_real") + 1j * array_of(path, "a_imag")
    else:
        found = array_of(path, "a")
        assert found.dtype.kind == array.dtype.kind
    assert found.tolist() == [array.tolist()] * 2


@pytest.mark.parametrize("name", FORMATS)
def test_empty_arrays_and_no_rows_at_all_can_be_exported(name: str, dataset: Make, tmp_path: Path) -> None:
    dataset().export(tmp_path / name)
    assert array_of(tmp_path / name, "time").shape == (0,)
    dataset({"a": [], "b": np.empty((0, 3))}, {"a": []}).export(tmp_path / name, overwrite=True)
    assert array_of(tmp_path / name, "b").shape == (1, 0, 3)
    assert len(dataset().to_pandas()) == len(dataset().to_xarray()["time"]) == 0


def test_csv_refuses_arrays_and_says_what_takes_them(dataset: Make, tmp_path: Path) -> None:
    data = dataset({"image": np.ones((2, 2)), "n": 1})
    with pytest.raises(ValueError, match=r"'image' holds arrays.*to_hdf5.*columns="):
        data.to_csv(tmp_path / "data.csv")
    assert not list(tmp_path.iterdir())
    data.to_csv(tmp_path / "data.csv", columns=["n"])


def test_complex_numbers_come_back(dataset: Make, tmp_path: Path) -> None:
    data = dataset({"z": 1 + 2j}, {"z": 3.5}, {"z": -1j})
    for name in ("data.h5", "data.zarr"):
        data.export(tmp_path / name)
        assert array_of(tmp_path / name, "z").tolist() == [1 + 2j, 3.5, -1j]
    data.export(tmp_path / "data.nc")
    assert array_of(tmp_path / "data.nc", "z_imag").tolist() == [2, 0, -1]
    data.export(tmp_path / "data.csv")
    assert "\n2023-11-14T22:13:20.000000+00:00,sweep#1,1+2j" in (tmp_path / "data.csv").read_text("utf-8").replace(
        "\r", ""
    )


# -- what else is recorded


class Colour(Enum):
    RED = 1


class Gain(IntEnum):
    HIGH = 10


class Mode(StrEnum):
    FAST = "fast"


class Volts(float):
    pass


def test_enums_numpy_scalars_and_subclasses_are_plain_values(dataset: Make, tmp_path: Path) -> None:
    row = {"colour": Colour.RED, "gain": Gain.HIGH, "mode": Mode.FAST, "volts": Volts(2.5), "n": np.uint8(7)}
    row |= {"ok": np.bool_(True), "one": np.array(3), "long": np.longdouble(1.5), "at": np.float32(0.25)}
    dataset(row).to_hdf5(tmp_path / "data.h5")
    found = {name: values[0] for name, values in read_back(tmp_path / "data.h5").items()}
    assert {name: found[name] for name in row} == {
        "colour": "RED", "gain": 10, "mode": "fast", "volts": 2.5, "n": 7, "ok": True, "one": 3,
        "long": 1.5, "at": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("name", [*FORMATS, "data.csv"])
def test_what_has_no_type_in_a_file_is_json(name: str, dataset: Make, tmp_path: Path) -> None:
    values = [{"x": [1, "b"]}, "text", [[1], [2, 3]], (1, "b"), dt.date(2026, 1, 2)]
    dataset(*({"a": value} for value in values), {"a": len}).export(tmp_path / name)
    if name != "data.csv":
        found = read_back(tmp_path / name)["a"]
        assert [decode(value) for value in found[:5]] == values
        assert found[5] == "<built-in function len>"


def test_rows_may_differ_in_their_columns(dataset: Make) -> None:
    frame = dataset({"a": 1}, {"b": True}, {"a": 3, "b": None}).to_pandas()
    assert frame["a"].dtype == "Int64"
    assert frame["b"].dtype == "boolean"
    assert frame["a"].isna().tolist() == [False, True, False]
    assert frame["b"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize("name", FORMATS)
def test_any_name_can_be_exported(name: str, dataset: Make, tmp_path: Path) -> None:
    row = {"row": 1, "time": 2, "step": 3, "": 4, ".": 5, "..": 6, "a/b": 7, "a_b": 8, "__x": 9, "T": 10, "t": 11}
    row |= {" ": 12, "µ\udc80": 13, "zarr.json": 15, "c": 16, "x" * 300: 17, "row_time": 18}
    dataset(row).export(tmp_path / name)
    found = raw(tmp_path / name)
    values = {attributes.get("column", key): data[0] for key, (data, attributes) in found.items()}
    assert {key.encode("utf-8", "backslashreplace").decode(): row[key] for key in row}.items() <= values.items()
    assert {"row_row_time", "row_step"} <= found.keys()
    frame = dataset(row).to_pandas()
    assert frame["time"].tolist() == [2]


def test_times_and_steps_stand_with_each_row(dataset: Make, tmp_path: Path) -> None:
    data = dataset({"a": 1}, {"a": 2})
    assert data.to_pandas()["step"].tolist() == ["sweep#1"] * 2
    assert str(data.to_pandas()["time"][1]) == "2023-11-14 22:13:21+00:00"
    assert str(data.to_xarray()["time"].to_numpy()[1]) == "2023-11-14T22:13:21.000000000"
    for name in ("data.nc", "data.zarr"):
        data.export(tmp_path / name)
        with opened(tmp_path / name) as found:
            assert {"time", "step"} <= set(found.coords)
            assert str(found["time"].to_numpy()[1]) == "2023-11-14T22:13:21.000000000"
            assert found["step"].to_numpy().tolist() == ["sweep#1"] * 2


def test_attributes_say_what_the_data_are_about(dataset: Make, tmp_path: Path) -> None:
    data = dataset({"a": 1}, run="sweep#1", parameters={"gain": 2}, nothing=None, big=2**70, operator="µ\udc80\0")
    assert data.attributes["parameters"] == {"gain": 2}
    assert data.to_pandas().attrs["run"] == "sweep#1"
    wanted = {"run": "sweep#1", "parameters": '{"gain":2}', "big": str(2**70), "operator": "µ\\udc80\\x00"}
    assert data.to_xarray().attrs == wanted
    data.to_hdf5(tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5") as file:
        assert dict(file.attrs) == wanted
    data.to_netcdf(tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as found:
        assert found.attrs == wanted


# -- files


@pytest.mark.parametrize("name", [*FORMATS, "data.csv"])
def test_an_existing_file_is_replaced_only_if_one_says_so(name: str, dataset: Make, tmp_path: Path) -> None:
    path = tmp_path / name
    dataset({"a": 1}).export(path)
    with pytest.raises(FileExistsError, match=r"exists: .*overwrite=True"):
        dataset({"a": 2}).export(path)
    dataset({"a": 3}).export(path, overwrite=True)
    found = path.read_text("utf-8").split(",")[-1].strip() if name == "data.csv" else read_back(path)["a"][0]
    assert int(found) == 3
    assert len(list(tmp_path.iterdir())) == (2 if name == "data.csv" else 1)


@pytest.mark.parametrize("name", [*FORMATS, "data.csv"])
def test_what_fails_half_way_leaves_what_was_there(name: str, dataset: Make, tmp_path: Path) -> None:
    path = tmp_path / name
    dataset({"a": 1}).export(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((TypeError, ValueError, FileNotFoundError)):
        dataset({"a": gone()}, {"a": gone()} if name != "data.csv" else {"a": np.ones(3)}).export(path, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def gone() -> Any:
    return ArrayRef("nowhere.zarr", "a", 0, (2,), "f8")


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_appears_while_a_file_is_written_is_not_replaced(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "data"

    def write() -> None:
        with replacing(path, overwrite=False) as partial:
            make(partial)
            make(path)
            (partial / "new" if partial.is_dir() else partial).write_text("new")

    with pytest.raises(FileExistsError, match="overwrite=True"):
        write()
    assert list(tmp_path.iterdir()) == [path]
    assert not list(path.iterdir()) if path.is_dir() else not path.read_text()


def test_a_name_without_a_format_or_a_folder_is_refused(dataset: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no format ends so; choose one of .csv, .h5"):
        dataset({"a": 1}).export(tmp_path / "data.xyz")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        dataset({"a": 1}).export(tmp_path / "nowhere" / "data.csv")
    with pytest.raises(ValueError, match="nothing was recorded as 'b'; there is a"):
        dataset({"a": 1}).to_csv(tmp_path / "data.csv", columns=["b"])


def test_a_file_has_the_rights_that_any_new_file_has(dataset: Make, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    for name in ("data.h5", "data.nc", "data.csv"):
        dataset({"a": 1}).export(tmp_path / name)
        assert (tmp_path / name).stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("package", ["pandas", "xarray", "h5py", "h5netcdf", "zarr"])
def test_a_missing_package_names_the_extra(
    package: str, dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    data = dataset({"a": 1})
    export: dict[str, Callable[[], object]] = {
        "pandas": data.to_pandas,
        "xarray": data.to_xarray,
        "h5py": lambda: data.to_hdf5(tmp_path / "data.h5"),
        "h5netcdf": lambda: data.to_netcdf(tmp_path / "data.nc"),
        "zarr": lambda: data.to_zarr(tmp_path / "data.zarr"),
    }
    with pytest.raises(ConfigError, match=rf'{package}.*pip install "actorlab\[data\]"'):
        export[package]()


def test_csv_needs_no_extra(dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pandas", "xarray", "h5py", "h5netcdf", "zarr"):
        monkeypatch.setitem(sys.modules, package, None)
    dataset({"a": 1}).to_csv(tmp_path / "data.csv")
