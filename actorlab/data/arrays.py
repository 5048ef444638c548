"""Keep recorded arrays in a Zarr v3 group: there before anything refers to them, readable while they grow."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from actorlab.data.extras import needs
from actorlab.data.names import Names
from actorlab.data.references import ArrayRef, chunk_key
from actorlab.data.writing import sync_one
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ArrayStore", "folder_of"]

OPEN: Final = 64
"""So many columns are kept open."""
WRITE_ALL: Final = {"write_empty_chunks": True}
"""An array of zeros is written as any other: what isn't there is lost, and not zeros."""


class ArrayStore:
    """A folder with an array for each column of each run, ``<run>/<column>``, which grows along its first axis.

    Any thread may append. One process writes; others may read what references lead to at the same time. What differs
    in shape, type or unit from what the column had before gets an array of its own, ``<column>_2``. Floats of more than
    eight bytes are rounded to eight.

    With `durable`, an array is on the disk, and not only on its way there, when `append` returns.

    Raises:
        ConfigError: the extra `data` isn't installed.

    """

    def __init__(self, path: str | Path, *, durable: bool = False) -> None:
        self.path = Path(path).absolute()
        self._zarr = needs("zarr", f"the store of arrays {self.path}")
        self._durable = durable
        self._lock = threading.Lock()  # a column grows by one array at a time, whichever thread has it
        self._opened: dict[tuple[Any, ...], Any] = {}
        self._root: Any = None

    def append(self, run: str, column: str, value: NDArray[Any], unit: str = "") -> ArrayRef:
        """Keep an array, and return the reference that is to stand in its row.

        Raises:
            ConfigError: it doesn't hold numbers, or at the store's path is something else.
            OSError: the disk is full, or out of reach; what was kept before is still there.

        """
        from actorlab.data.files import zarr_type  # noqa: PLC0415 - numpy takes long to import

        if value.dtype.kind not in "biufc":
            text = f"{run} recorded {column!r} as an array of {value.dtype}: a store of arrays holds numbers"
            raise ConfigError(text)
        value = value.astype(zarr_type(value.dtype).newbyteorder("="), copy=False)
        key = run, column, value.shape, value.dtype, unit
        with self._lock:
            array = self._opened.get(key) or self._open(*key)
            self._opened.pop(key, None)  # until it is clear that nothing went wrong
            index: int = array.shape[0]
            array.resize((index + 1, *value.shape))
            array[index] = value
            if self._durable:
                self._sync(array.path, index, value.ndim, begun=not index)
            self._opened[key] = array
            if len(self._opened) > OPEN:
                del self._opened[next(iter(self._opened))]  # the one that waited longest for its next array
        return ArrayRef(str(self.path), array.path, index, value.shape, value.dtype.str, unit)

    def _open(self, run: str, column: str, shape: tuple[int, ...], dtype: Any, unit: str) -> Any:
        """Open the array of a column, or make it."""
        group = self._group().require_group(folder_of(run))
        about = {"column": column, "run": run, **({"units": unit} if unit else {})}
        names = Names()
        for name, array in group.arrays():
            names.take(name)
            if dict(array.attrs) == about and array.shape[1:] == shape and array.dtype == dtype:
                return self._writable(array.path)
        made = group.create_array(
            names.new(column), shape=(0, *shape), chunks=(1, *(max(1, length) for length in shape)), dtype=dtype,
            attributes=about,
        )  # fmt: skip
        return self._writable(made.path)

    def _writable(self, path: str) -> Any:
        return self._zarr.open_array(self.path, path=path, mode="r+", zarr_format=3).with_config(WRITE_ALL)

    def _group(self) -> Any:
        """Open the store, or make it where nothing is."""
        if self._root is None:
            if self.path.exists() and not (self.path / "zarr.json").is_file() and not is_empty(self.path):
                text = f"{self.path} is no store of arrays: move it away, or choose another path"
                raise ConfigError(text)
            self._root = self._zarr.open_group(self.path, mode="a", zarr_format=3)
        return self._root

    def _sync(self, path: str, index: int, axes: int, *, begun: bool) -> None:
        """Wait until an array, and all the names that lead to it, are on the disk."""
        folder = self.path / path
        chunk = folder / chunk_key(index, axes)
        places = [chunk, folder / "zarr.json"]
        if begun:
            places += [self.path / "zarr.json", folder.parent / "zarr.json", folder.parent, self.path, self.path.parent]
        while chunk != folder:
            chunk = chunk.parent
            places.append(chunk)
        for place in places:
            if place.exists():  # an array without elements has no chunk
                sync_one(place)


def folder_of(run: str) -> str:
    """Return the name of a run's folder: no other run has the same."""
    name = quote(run, safe=" #+=@,()")
    if name.startswith((".", "__")) or name == "zarr.json":
        return f"%{ord(name[0]):02X}{name[1:]}"
    return name


def is_empty(path: Path) -> bool:
    """Tell whether a folder has nothing in it."""
    return path.is_dir() and next(path.iterdir(), None) is None
