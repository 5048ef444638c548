"""Write and read data of numpy, pint and pydantic; a package is looked for only once somebody has imported it."""

from __future__ import annotations

import base64
import math
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from actorlab.encoding import frames
from actorlab.encoding.refusing import Unreadable, article, class_of, refuse

if TYPE_CHECKING:
    from actorlab.encoding.reading import Reader
    from actorlab.encoding.writing import Writer

__all__ = ["READERS", "writer_for"]

PLAIN_NUMBERS: Final = ("?", "b", "h", "i", "l", "q", "B", "H", "I", "L", "Q", "e", "f", "d")
"""The characters of those numpy types that a plain Python number holds exactly."""


def writer_for(kind: type) -> Callable[[Writer, Any], Any] | None:
    """Find how to write values of a class, if it is one of these packages'.

    Raises:
        Refused: it is one of theirs, but not data.

    """
    for package, name, write in KINDS:
        base = getattr(sys.modules.get(package), name, None)
        if isinstance(base, type) and issubclass(kind, base):
            return write
    return None


# -- numpy


def numpy() -> Any:
    """Import numpy."""
    return import_module("numpy")


def array(writer: Writer, value: Any) -> Any:
    """Write an array as the bytes that it has in memory, in its own order."""
    np = numpy()
    if type(value) is not np.ndarray:
        way = "write its data and its mask apart" if isinstance(value, np.ma.MaskedArray) else "use numpy.asarray(…)"
        refuse(f"{article(class_of(value))} can't be written down: {way}")
    found: Any = value
    order: Any = "F" if found.flags.f_contiguous and not found.flags.c_contiguous else "C"
    return {
        "$": "ndarray",
        "dtype": described(found.dtype),
        "shape": list(found.shape),
        **({"order": "F"} if order == "F" and not writer.canonical else {}),
        "base64": base64.b64encode(found.tobytes("C" if writer.canonical else order)).decode(),
    }  # fmt: skip


def scalar(writer: Writer, value: Any) -> Any:
    """Write a scalar by its value, or where no Python number holds that, by its bytes."""
    dtype: Any = value.dtype
    if dtype.char in PLAIN_NUMBERS and dtype.isnative:
        return {"$": "numpy", "dtype": dtype.str, "value": writer.write(value.item())}
    return {"$": "numpy", "dtype": described(dtype), "base64": base64.b64encode(value.tobytes()).decode()}


def described(dtype: Any) -> Any:
    """Describe a type of elements, so that `dtype_of` finds it again.

    Raises:
        Refused: its elements aren't bytes.

    """
    np = numpy()
    if dtype.hasobject or dtype.char == "T":
        refuse("an array of Python objects can't be written down: make it a list, or give it a numeric dtype")
    description = in_lists(np.lib.format.dtype_to_descr(np.dtype(dtype)))
    if dtype_of(description) != dtype:
        refuse(f"an array of {dtype} can't be written down: give it a plain dtype")
    return description


def in_lists(description: Any) -> Any:
    """Write a description as JSON has it: without tuples."""
    if class_of(description) in {list, tuple}:
        return [in_lists(part) for part in description]
    return description


def dtype_of(description: Any) -> Any:
    """Find the type of elements that was described."""
    np = numpy()
    return np.lib.format.descr_to_dtype(in_tuples(description))


def in_tuples(description: Any) -> Any:
    """Turn the fields, names and shapes of a description into tuples again."""
    if isinstance(description, str):
        return description
    return [tuple(field_part(part) for part in field) for field in description]


def field_part(part: Any) -> Any:
    """Read a part of a field: a name (or title and name), a type, or a shape."""
    if class_of(part) is not list:
        return part
    return in_tuples(part) if part and class_of(part[0]) is list else tuple(part)


EMPTY: Final = 1_000_000


def read_array(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read an array, into memory of its own."""
    del reader
    np = numpy()
    dtype, shape = dtype_of(tree["dtype"]), tuple(tree["shape"])
    held = bytearray(base64.b64decode(tree["base64"], validate=True))
    if dtype.itemsize * math.prod(shape) == 0:
        if math.prod(shape) > EMPTY:  # of items that have no bytes, but get some
            text = f"{shape} items without bytes were hardly written by `encode`"
            raise Unreadable(text)
        return np.zeros(shape, dtype, order=tree.get("order", "C"))
    return np.frombuffer(held, dtype).reshape(shape, order=tree.get("order", "C"))


def read_scalar(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read a scalar."""
    np = numpy()
    dtype = dtype_of(tree["dtype"])
    if "value" in tree:
        return dtype.type(reader.read(tree["value"]))
    held = base64.b64decode(tree["base64"], validate=True)
    return np.frombuffer(held, dtype)[0] if dtype.itemsize else dtype.type()


# -- pint


def quantity(writer: Writer, value: Any) -> Any:
    """Write a quantity by its magnitude and the name of its unit."""
    return {"$": "quantity", "magnitude": writer.at(".magnitude", value.magnitude), "unit": str(value.units)}


def unit(writer: Writer, value: Any) -> Any:
    """Write a unit by its name."""
    del writer
    return {"$": "unit", "unit": str(value)}


def registry() -> Any:
    """Return the program's registry of units."""
    try:
        pint: Any = import_module("pint")
    except ImportError as error:
        text = "quantities need pint: `pip install pint`"
        raise Unreadable(text) from error
    return pint.get_application_registry()


NAME: Final = r"[^\W\d]?[°%‰]?[\w⁻]*(?:\s*(?:\*\*|\^)\s*[-+]?\d{1,4}(?:\.\d+)?)?"
UNIT: Final = re.compile(rf"\s*(?:1|(?!\d){NAME})(?:\s*[*/·]\s*(?!\d){NAME})*\s*")
"""What pint writes for a unit: names and their powers. Its reader would also reckon 10**10**10, and never end."""


def unit_of(name: str) -> Any:
    """Find a unit by its name."""
    units = registry()
    if not UNIT.fullmatch(name):
        text = f"{name!r} is no unit as pint writes it"
        raise Unreadable(text)
    try:
        return units.Unit(name)
    except Exception as error:  # pint raises what its parser and its tables raise
        text = f"pint knows no unit {name!r}: {error}"
        raise Unreadable(text) from error


def read_quantity(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read a quantity, of the program's registry."""
    found = unit_of(tree["unit"])
    return registry().Quantity(reader.read(tree["magnitude"]), found)


# -- pydantic


def model(writer: Writer, value: Any) -> Any:
    """Write what a model holds, as it is: nothing is converted or validated."""
    tree = writer.named("model", class_of(value), fields=writer.fields(value.__dict__))
    extra, private, given = value.__pydantic_extra__, value.__pydantic_private__, value.__pydantic_fields_set__
    if extra:
        tree["extra"] = writer.fields(extra)
    if writer.canonical:
        return tree
    if private:
        tree["private"] = writer.fields(private)
    return tree | {"set": sorted(given)}


def read_model(reader: Reader, tree: dict[str, Any]) -> Any:
    """Read a model without validating it again: it was valid when it was written."""
    base: Any = import_module("pydantic").BaseModel
    cls: Any = reader.found(tree["class"], base)
    values = reader.fields(cls, tree["fields"], {*cls.model_fields, *cls.__dict__})
    for name, field in cls.model_fields.items():
        if name not in values:
            if field.is_required():
                text = f"{cls.__qualname__} has got a field {name!r} without a default since this was written"
                raise Unreadable(text)
            values[name] = field.get_default(call_default_factory=True)
    made = cls.__new__(cls)
    extra = {name: reader.read(value) for name, value in tree.get("extra", {}).items()}
    private = {name: reader.read(value) for name, value in tree.get("private", {}).items()}
    state = {
        "__dict__": values,
        "__pydantic_extra__": extra if extra or cls.model_config.get("extra") == "allow" else None,
        "__pydantic_fields_set__": set(tree["set"]),
        "__pydantic_private__": private or ({} if cls.__private_attributes__ else None),
    }
    base.__setstate__(made, state)
    return made


KINDS: Final[tuple[tuple[str, str, Callable[[Writer, Any], Any]], ...]] = (
    ("numpy", "ndarray", array),
    ("numpy", "generic", scalar),
    ("pydantic", "BaseModel", model),
    ("pint", "Quantity", quantity),
    ("pint", "Unit", unit),
    *[
        ("pandas", name, frames.written)
        for name in ("DataFrame", "Series", "Index", "Timestamp", "Timedelta", "Interval")
    ],
    ("pandas._libs.tslibs.nattype", "NaTType", frames.written),
    ("pandas._libs.missing", "NAType", frames.written),
)
READERS: Final[dict[str, Callable[[Reader, dict[str, Any]], Any]]] = {
    "ndarray": read_array,
    "numpy": read_scalar,
    "quantity": read_quantity,
    "unit": lambda _, tree: unit_of(tree["unit"]),
    "model": read_model,
    **dict.fromkeys(("frame", "series", "index", "missing", "timestamp", "span"), frames.read),
}
