"""Write data down as JSON, and read them back the same: values of runs, what travels over HTTP, digests of arguments.

Plain JSON stays as it is; everything else becomes an object whose key ``"$"`` says what it is::

    (1, 2.5)               {"$": "tuple", "items": [1, 2.5]}
    float("nan")           {"$": "float", "value": "nan"}
    Point(1, 2)            {"$": "dataclass", "class": "lab.points:Point", "fields": {"x": 1, "y": 2}}
    {"$": 5, 2: "two"}     {"$": "dict", "items": [["$", 5], [2, "two"]]}

Numbers, text, bytes, containers, times, paths, enums, named tuples, dataclasses, pydantic models, exceptions, numpy
arrays and scalars, pint quantities and pandas frames are data. A value that stands twice in another is written twice.

Classes are named ``module:qualname``, and found again by importing the module, or by the `resolve` that is given.
Reading runs no code of the values: it makes dataclasses, models, enums, named tuples and exceptions without their
constructors. Importing a module does run it, so what strangers have sent is read with ``resolve=loaded`` or `only`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from actorlab.encoding.names import Resolve, imported, loaded, only, only_ours
from actorlab.encoding.reading import Reader
from actorlab.encoding.stand_in import StandIn, StandInError
from actorlab.encoding.writing import Writer
from actorlab.errors import EncodingError

__all__ = [
    "Resolve",
    "StandIn",
    "StandInError",
    "decode",
    "digest",
    "dumps",
    "encode",
    "imported",
    "loaded",
    "loads",
    "only",
    "only_ours",
    "text_of_tree",
]


def encode(value: object, name: str = "value", *, lenient: bool = False) -> Any:
    """Return what JSON can hold of a value: `decode` makes an equal one of it.

    With `lenient`, what isn't data is replaced by its class and why it can't be written, and read as a `StandIn`.

    Raises:
        EncodingError: something in it isn't data; it says where, beginning with `name`.

    """
    return Writer(name, lenient=lenient).write_all(value)


def decode(tree: object, *, resolve: Resolve = imported, lenient: bool = False) -> Any:
    """Return the value that was encoded.

    With `lenient`, a `StandIn` is put where a class can't be found or has changed, or something is unknown.

    Raises:
        EncodingError: a class can't be found or has changed, or this isn't what `encode` returned.

    """
    return Reader(resolve, lenient=lenient).read_all(tree)


def dumps(value: object, name: str = "value", *, lenient: bool = False) -> str:
    """Encode a value as JSON text, in ASCII.

    Raises:
        EncodingError: as `encode`.

    """
    return text_of_tree(encode(value, name, lenient=lenient))


def loads(text: str | bytes, *, resolve: Resolve = imported, lenient: bool = False) -> Any:
    """Return the value that `dumps` has written.

    Raises:
        EncodingError: as `decode`.

    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"this isn't JSON as `dumps` writes it: {error}"
        raise EncodingError(message) from error
    return decode(tree, resolve=resolve, lenient=lenient)


def text_of_tree(tree: object) -> str:
    """Write what `encode` returned as JSON text."""
    return json.dumps(tree, separators=(",", ":"), allow_nan=False)


def digest(value: object, name: str = "value", home: str = "") -> str:
    """Return the SHA-256 of a value, in hexadecimal digits: equal for equal values, whatever the order of their dicts.

    Classes of the module `home` are named without it: a program that is imported has another name than one that runs.

    Raises:
        EncodingError: as `encode`.

    """
    tree = Writer(name, canonical=True).write_all(value)
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False, sort_keys=True)
    if home:
        text = text.replace(f'"class":"{home}:', '"class":":')
    return hashlib.sha256(text.encode()).hexdigest()
