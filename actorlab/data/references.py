"""Stand for an array that is kept in a store, until somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actorlab.data.extras import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ArrayRef", "chunk_key", "read_all"]


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """An array in a store of arrays: `numpy.asarray(ref)` and `ref.read()` read it, and nothing else does.

    `store` is the folder, `path` the array in it, `index` its place along the first axis; `shape`, `dtype` and `unit`
    ("" for none) are those of the one array that is meant.
    """

    store: str
    path: str
    index: int
    shape: tuple[int, ...]
    dtype: str
    unit: str = ""

    def read(self) -> NDArray[Any]:
        """Return the array.

        Raises:
            ConfigError: the extra `data` isn't installed.
            FileNotFoundError: the store isn't there any more, or the array isn't in it.

        """
        return next(iter(read_all([self])))

    def beside(self, folder: str | Path) -> ArrayRef:
        """Return the same reference to the store of the same name in `folder`, to which it was moved."""
        return replace(self, store=str(Path(folder) / Path(self.store).name))

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Let numpy read it."""
        if copy is False:
            text = f"{self} has to be read into new memory"
            raise ValueError(text)
        found = self.read()
        return found if dtype is None else found.astype(dtype)

    def __str__(self) -> str:
        return f"{self.store}/{self.path}[{self.index}]"


def read_all(references: Iterable[ArrayRef]) -> Iterator[NDArray[Any]]:
    """Read one array after the other; each array of a store is opened once."""
    opened: dict[tuple[str, str], Any] = {}
    for reference in references:
        key = reference.store, reference.path
        array = opened.get(key)
        if array is None or reference.index >= array.shape[0]:  # it may have grown since
            array = opened[key] = open_array(reference)
        yield one_of(array, reference)


def open_array(reference: ArrayRef) -> Any:
    """Open the array of a store that a reference leads to."""
    zarr = needs("zarr", "reading a recorded array")
    try:
        return zarr.open_array(reference.store, path=reference.path, mode="r", zarr_format=3)
    except FileNotFoundError as error:
        text = f"{reference} can't be read: {gone(reference)}"
        raise FileNotFoundError(text) from error


def gone(reference: ArrayRef) -> str:
    """Say what is missing, and what may be done about it."""
    if Path(reference.store).is_dir():
        return f"there is no array {reference.path!r} in the store"
    return "the store isn't there; if it was moved, `ref.beside(folder)` says where to"


def one_of(array: Any, reference: ArrayRef) -> NDArray[Any]:
    """Read one array out of those along the first axis.

    A part that is missing would be read as zeros.
    """
    part = Path(reference.store, reference.path, chunk_key(reference.index, len(reference.shape)))
    if reference.index >= array.shape[0] or not (part.exists() or 0 in reference.shape):
        text = f"{reference} can't be read: its data aren't in the store"
        raise FileNotFoundError(text)
    found: NDArray[Any] = array[reference.index]
    return found


def chunk_key(index: int, axes: int) -> str:
    """Return where the one chunk of an array lies, below the array's folder: the default key of Zarr v3."""
    return "/".join(["c", str(index), *("0" for _ in range(axes))])
