"""Take the arrays out of what is recorded, and put references to them in their place."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any, Final

from actorlab.data.arrays import ArrayStore
from actorlab.errors import ConfigError

__all__ = ["LARGE", "SMALL", "ArrayKeeper"]

SMALL: Final = 1 << 10
"""Arrays of fewer bytes stay in their rows."""
LARGE: Final = 1 << 20
"""Where there is no store it is said once that arrays of more bytes stay in their rows."""


class ArrayKeeper:
    """Keep the arrays of recorded rows in a store at `path`, which is made when the first one comes.

    Without the extra `data` they stay in their rows.
    """

    def __init__(self, path: str | Path, *, durable: bool = False) -> None:
        self._path = Path(path)
        self._durable = durable
        self._store: ArrayStore | None = None
        self._missing: ConfigError | None = None
        self._told = False
        self._lock = threading.Lock()  # two stores at one path would write over one another

    def kept(self, run: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a row, with references in the place of arrays of numbers that aren't small.

        Raises:
            ConfigError: at the store's path is something else.
            OSError: the disk is full, or out of reach.

        """
        large = [name for name, value in values.items() if getattr(value, "nbytes", 0) >= SMALL]
        if not large:
            return values
        arrays = {name: found for name in large if (found := array_of(values[name])) is not None}
        store = self._opened() if arrays else None
        if store is None:
            self._tell(run, arrays)
            return values
        return values | {name: store.append(run, name, *found) for name, found in arrays.items()}

    def _opened(self) -> ArrayStore | None:
        with self._lock:
            if self._store is None and self._missing is None:
                try:
                    self._store = ArrayStore(self._path, durable=self._durable)
                except ConfigError as error:
                    self._missing = error
            return self._store

    def _tell(self, run: str, arrays: dict[str, tuple[Any, str]]) -> None:
        """Say once that rows get large."""
        name = next((name for name, (array, _) in arrays.items() if array.nbytes >= LARGE), None)
        if name is not None and not self._told:
            self._told = True
            text = "%s records %r as an array of %s bytes, and rows aren't made for that: %s"
            logging.getLogger("actorlab").warning(text, run, name, arrays[name][0].nbytes, self._missing)


def array_of(value: Any) -> tuple[Any, str] | None:
    """Return an array of numbers and its unit, or None if a value is nothing of the kind."""
    numpy = sys.modules["numpy"]  # something that has bytes has come from it, or from its friends
    from actorlab.data.columns import NUMERIC, unit_text  # noqa: PLC0415 - numpy takes long to import

    magnitude = getattr(value, "magnitude", value)
    if not isinstance(magnitude, numpy.ndarray) or magnitude.dtype.kind not in NUMERIC:
        return None
    return magnitude, "" if magnitude is value else unit_text(value.units)
