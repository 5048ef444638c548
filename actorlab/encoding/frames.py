"""Write and read what pandas has: frames, series, indexes, and its moments and spans of time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from actorlab.encoding.refusing import Unreadable, class_of, refuse

if TYPE_CHECKING:
    from actorlab.encoding.reading import Reader
    from actorlab.encoding.writing import Writer

__all__ = ["read", "written"]

BY_ITEMS: Final = ("Int", "UInt", "Float", "boolean", "string", "str")
"""How the dtypes begin whose values are written one by one, with None for what is missing."""


def pandas() -> Any:
    """Import pandas.

    Raises:
        Unreadable: it isn't installed.

    """
    try:
        return import_module("pandas")
    except ImportError as error:
        text = "frames need pandas: `pip install pandas`"
        raise Unreadable(text) from error


# -- writing


def written(writer: Writer, value: Any) -> Any:
    """Write a frame, a series, an index, or a moment or span of time."""
    pd = pandas()
    if isinstance(value, pd.DataFrame):
        columns = [writer_of_values(writer, value.iloc[:, place].array) for place in range(value.shape[1])]
        parts = {"columns": index(writer, value.columns), "index": index(writer, value.index), "data": columns}
        return {"$": "frame", **parts, **attributes(writer, value)}
    if isinstance(value, pd.Series):
        name, data = writer.at(".name", value.name), writer_of_values(writer, value.array)
        parts = {"name": name, "index": index(writer, value.index), "data": data}
        return {"$": "series", **parts, **attributes(writer, value)}
    if isinstance(value, pd.Index):
        return index(writer, value)
    return moment(value, pd)


def moment(value: Any, pd: Any) -> Any:
    """Write a moment, a span of time, or what stands where something is missing."""
    if value is pd.NaT or value is pd.NA:
        return {"$": "missing", "name": "NaT" if value is pd.NaT else "NA"}
    if isinstance(value, pd.Timestamp):
        zone = {} if value.tzinfo is None else {"zone": str(value.tz)}
        return {"$": "timestamp", "value": value.as_unit("ns").value, "unit": value.unit, **zone}
    if isinstance(value, pd.Timedelta):
        return {"$": "span", "value": value.as_unit("ns").value, "unit": value.unit}
    return refuse(f"a pandas {class_of(value).__name__} can't be written down: make it a frame, a series or an array")


def attributes(writer: Writer, value: Any) -> dict[str, Any]:
    """Write what was said about a frame."""
    return {"attrs": writer.at(".attrs", value.attrs)} if value.attrs else {}


def index(writer: Writer, value: Any) -> dict[str, Any]:
    """Write an index with its name."""
    pd = pandas()
    names = writer.at(".names", list(value.names))
    if isinstance(value, pd.RangeIndex):
        return {"$": "index", "names": names, "range": [value.start, value.stop, value.step]}
    if isinstance(value, pd.MultiIndex):
        levels = [index(writer, level) for level in value.levels]
        return {"$": "index", "names": names, "levels": levels, "codes": [codes.tolist() for codes in value.codes]}
    frequency = getattr(value, "freqstr", None)
    tree = {"$": "index", "names": names, "data": writer_of_values(writer, value.array)}
    return tree | ({"frequency": frequency} if isinstance(frequency, str) else {})


def writer_of_values(writer: Writer, values: Any) -> dict[str, Any]:
    """Write the values of a column."""
    pd, dtype = pandas(), values.dtype
    name = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = values.codes.tolist()
        return {
            "dtype": "category",
            "categories": index(writer, values.categories),
            "codes": codes,
            "ordered": values.ordered,
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        plain = values.tz_convert("UTC").tz_localize(None).to_numpy()
        return {"dtype": "zoned", "zone": str(dtype.tz), "array": writer.write(plain)}
    if name == "object":
        return {"dtype": name, "items": writer.items(list(values))}
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and "NumpyEADtype" not in class_of(dtype).__name__:
        if not name.startswith(BY_ITEMS) or "[" in name:
            return refuse(f"a pandas column of {name} can't be written down: give it a plain dtype")
        return {"dtype": name, "items": [None if pd.isna(item) else plain_item(item) for item in values]}
    return {"dtype": "numpy", "array": writer.write(values.to_numpy())}


def plain_item(item: Any) -> Any:
    """Return the plain Python value of an item."""
    return item.item() if hasattr(item, "item") else item


# -- reading


def read(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read what `written` has written."""
    pd = pandas()
    match tree["$"]:
        case "frame":
            rows, columns = read_index(reader, tree["index"]), read_index(reader, tree["columns"])
            data = {place: pd.Series(read_values(reader, each), index=rows) for place, each in enumerate(tree["data"])}
            made = pd.DataFrame(data, index=rows)
            made.columns = columns
        case "series":
            rows = read_index(reader, tree["index"])
            made = pd.Series(read_values(reader, tree["data"]), index=rows, name=reader.read(tree["name"]))
        case "index":
            return read_index(reader, tree)
        case "missing":
            return pd.NaT if tree["name"] == "NaT" else pd.NA
        case "timestamp":
            at = pd.Timestamp(tree["value"], unit="ns", tz="UTC" if "zone" in tree else None)
            return (at.tz_convert(tree["zone"]) if "zone" in tree else at).as_unit(tree["unit"])
        case _:
            return pd.Timedelta(tree["value"], unit="ns").as_unit(tree["unit"])
    if "attrs" in tree:
        made.attrs = reader.read(tree["attrs"])
    return made


def read_index(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read an index."""
    pd, names = pandas(), reader.read(tree["names"])
    if "range" in tree:
        return pd.RangeIndex(*tree["range"], name=names[0])
    if "levels" in tree:
        levels = [read_index(reader, level) for level in tree["levels"]]
        return pd.MultiIndex(levels=levels, codes=tree["codes"], names=names)
    values = read_values(reader, tree["data"])
    if "frequency" in tree:
        kind = {"M": pd.DatetimeIndex, "m": pd.TimedeltaIndex}[values.dtype.kind]
        return kind(values, freq=tree["frequency"], name=names[0])
    return pd.Index(values, name=names[0], dtype=values.dtype)


def read_values(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read the values of a column."""
    pd = pandas()
    match tree["dtype"]:
        case "numpy":
            return reader.read(tree["array"])
        case "zoned":
            return pd.DatetimeIndex(reader.read(tree["array"])).tz_localize("UTC").tz_convert(tree["zone"]).array
        case "category":
            categories = read_index(reader, tree["categories"])
            return pd.Categorical.from_codes(tree["codes"], categories, ordered=tree["ordered"])
        case "object":
            made = import_module("numpy").empty(len(tree["items"]), object)
            made[:] = reader.items(tree["items"])
            return made
        case name:
            return pd.array(reader.items(tree["items"]), dtype=name)
