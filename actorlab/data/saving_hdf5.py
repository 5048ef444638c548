"""Save nested data as groups and datasets of HDF5, and read them back the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from actorlab.data.columns import NUMERIC, storable
from actorlab.data.extras import needs
from actorlab.data.saving import FORMAT, VERSION, Saved, is_dict, not_ours, refuse_others
from actorlab.data.variables import flat
from actorlab.encoding import Resolve, decode, encode
from actorlab.encoding.refusing import class_of
from actorlab.errors import EncodingError
from actorlab.quantities.limits import is_quantity

__all__ = ["read_hdf5", "write_hdf5"]

KIND: Final = "kind"
"""The attribute that says what a group or dataset was."""
UNIT: Final = "units"
LEVELS: Final = 50
"""So deep may containers with arrays stand in one another: HDF5 itself goes no deeper than about a hundred."""
CONTAINERS: Final[tuple[type[Any], ...]] = (dict, list, tuple)
PLAIN: Final[dict[type, str]] = {bool: "bool", int: "int", float: "float", complex: "complex"}
WIDEST: Final = 2**63


def write_hdf5(path: Path, data: Any, metadata: dict[str, Any]) -> None:
    """Write data below ``/data``, the metadata as attributes of the file, and all of them as JSON in ``metadata``."""
    h5py = needs("h5py", "saving as HDF5")
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs.update({**flat(metadata), "format": FORMAT, "version": VERSION})
        put(file, "metadata", as_text(metadata, "metadata"), "json")
        write(file, "data", data, "data", LEVELS)


def read_hdf5(path: Path, resolve: Resolve) -> Saved:
    """Read what `write_hdf5` has written."""
    h5py = needs("h5py", "loading HDF5")
    if not path.exists():
        text = f"there is no file {path}"
        raise FileNotFoundError(text)
    if not h5py.is_hdf5(path):
        raise not_ours(path)
    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("version")
            refuse_others(path, file.attrs.get("format"), version if version is None else int(version))
            return Saved(read(file["data"], resolve), read(file["metadata"], resolve))
    except EncodingError as error:
        if str(path) in str(error):
            raise
        text = f"{path}: {error}"
        raise EncodingError(text) from error
    except (KeyError, OSError) as error:  # h5py's messages don't name the file
        text = f"{path} is damaged: {error}"
        raise EncodingError(text) from error


# -- writing


def write(group: Any, name: str, value: Any, place: str, levels: int) -> None:
    """Write a value as what HDF5 has for it; what it has nothing for as JSON. `place` is how messages call it."""
    kind = class_of(value)
    if kind in PLAIN and not (kind is int and not -WIDEST <= value < WIDEST):
        put(group, name, value, PLAIN[kind])
    elif kind is str and storable(value):
        put(group, name, value, "str")
    elif is_numbers(value):
        put(group, name, value, "ndarray")
    elif has_unit(value):
        put(group, name, value.magnitude, "quantity").attrs[UNIT] = str(value.units)
    elif kind is dict and all(is_name(key) for key in value):
        write_items(group, name, "dict", {key: (value[key], f"{place}[{key!r}]") for key in value}, place, levels)
    elif kind in (list, tuple) and holds_arrays(value, levels):
        items = {str(number): (item, f"{place}[{number}]") for number, item in enumerate(value)}
        write_items(group, name, kind.__name__, items, place, levels)
    else:
        put(group, name, as_text(value, place), "json")


def write_items(group: Any, name: str, kind: str, items: dict[str, tuple[Any, str]], place: str, levels: int) -> None:
    """Write a container as a group, in its order."""
    if not levels:
        text = f"{place}: more than {LEVELS} containers stand in one another here: flatten it"
        raise EncodingError(text)
    made = group.create_group(name, track_order=True)
    made.attrs[KIND] = kind
    for key, (item, where) in items.items():
        write(made, key, item, where, levels - 1)


def put(group: Any, name: str, value: Any, kind: str) -> Any:
    """Write one dataset."""
    made = group.create_dataset(name, data=value)
    made.attrs[KIND] = kind
    return made


def as_text(value: Any, place: str) -> str:
    """Write a value as JSON in ASCII."""
    return json.dumps(encode(value, place), separators=(",", ":"), allow_nan=False)


def is_numbers(value: Any) -> bool:
    """Tell whether a value is an array that HDF5 has a type for."""
    return type(value) is np.ndarray and value.dtype.kind in NUMERIC


def has_unit(value: Any) -> bool:
    """Tell whether a value is an array with a unit."""
    return is_quantity(value) and is_numbers(value.magnitude)


def is_name(key: object) -> bool:
    """Tell whether HDF5 can call something so."""
    return type(key) is str and storable(key) and "/" not in key and key not in ("", ".")


def holds_arrays(value: Any, levels: int) -> bool:
    """Tell whether there are arrays in a value, at any depth that can be written."""
    if type(value) not in CONTAINERS:
        return is_numbers(value) or has_unit(value)
    items: list[Any] = list(value.values() if is_dict(value) else value)
    return bool(levels) and any(holds_arrays(item, levels - 1) for item in items)


# -- reading


def read(node: Any, resolve: Resolve) -> Any:
    """Read a group or a dataset."""
    match node.attrs[KIND]:
        case "dict":
            return {key: read(item, resolve) for key, item in node.items()}
        case "list" | "tuple" as kind:
            items = [read(node[str(number)], resolve) for number in range(len(node))]
            return items if kind == "list" else tuple(items)
        case "json":
            return decode(json.loads(node.asstr()[()]), resolve=resolve)
        case kind:
            return READ[kind](node)


def read_quantity(node: Any) -> Any:
    """Read an array with a unit, as a quantity of the program's registry."""
    unit = decode({"$": "quantity", "magnitude": 0, "unit": str(node.attrs[UNIT])})
    return type(unit)(read_array(node), unit.units)


def read_array(node: Any) -> Any:
    """Read an array in its own order of bytes, which h5py drops where the array is a single number."""
    return np.asarray(node[()], dtype=node.dtype)


READ: Final[dict[str, Callable[[Any], Any]]] = {
    "bool": lambda node: bool(node[()]),
    "int": lambda node: int(node[()]),
    "float": lambda node: float(node[()]),
    "complex": lambda node: complex(node[()]),
    "str": lambda node: str(node.asstr()[()]),
    "ndarray": read_array,
    "quantity": read_quantity,
}
