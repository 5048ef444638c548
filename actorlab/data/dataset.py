"""Give what was recorded to the scientist's tools: pandas, xarray, CSV, HDF5, netCDF, Zarr, Bluesky."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actorlab.data.rows import Row, RowSource
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from actorlab.data.table import Table

__all__ = ["Dataset"]

PathLike = str | os.PathLike[str]


class Dataset:
    """Rows that were recorded, and `attributes` that say what they are about.

    While the run goes on there are more each time one looks; an export has those of its moment. The exports to files
    write all of it or nothing, and replace an existing file only with ``overwrite=True``; ``columns=[…]`` exports only
    some. What they need comes with the extra ``data``.
    """

    __slots__ = ("_describe", "_source")

    def __init__(self, source: RowSource, describe: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._source = source
        self._describe = describe

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return all rows so far, but those that were `dropped`."""
        return tuple(self._source)

    @property
    def dropped(self) -> int:
        """Return how many older rows were let go, as a run keeps only its newest: ``Lab(keep_rows=…)``."""
        return int(getattr(self._source, "dropped", 0))

    @property
    def attributes(self) -> dict[str, Any]:
        """Return what the rows are about: the run's name, its state, its parameters."""
        return dict(self._describe())

    def column(self, name: str) -> list[Any]:
        """Return the values of one name, of the rows that have it."""
        return [row.values[name] for row in self._source if name in row.values]

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._source)

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self.attributes.get('run', 'a run')}>"

    # -- in memory

    def to_pandas(self, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """Return a frame: ``time``, ``step``, and the columns; units are in ``frame.attrs["units"]``.

        Arrays stand in it as they are; those in a store as references, which `numpy.asarray` reads.

        Raises:
            ConfigError: the extra `data` isn't installed.
            ValueError: the units of a column can't be converted to one another, or there is no such column.

        """
        from actorlab.data.frames import to_pandas  # noqa: PLC0415 - numpy takes longer to import than all else here

        return to_pandas(self._table(columns))

    def to_xarray(self, columns: Iterable[str] | None = None) -> xr.Dataset:
        """Return a dataset along ``row``, with ``time`` and ``step`` as coordinates and units in the ``attrs``.

        Raises:
            ConfigError: the extra `data` isn't installed.
            ValueError: the units of a column can't be converted to one another, or there is no such column.

        """
        from actorlab.data.frames import to_xarray  # noqa: PLC0415 - as above

        return to_xarray(self._table(columns))

    def to_documents(self, columns: Iterable[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents of Bluesky's event model, each with its name: start, descriptors, events, stop.

        Rows with the same columns make a stream: ``primary`` is that of the first row, then come ``stream_2`` and so
        on. Complex numbers are two keys, ``<name>_real`` and ``<name>_imag``; what has no type there is JSON. The same
        rows have the same ids again. A run that goes on has no stop yet.

        Raises:
            ConfigError: the extra `bluesky` isn't installed.
            ValueError: the units of a column can't be converted to one another, or there is no such column.

        """
        from actorlab.data.documents import documents  # noqa: PLC0415 - as above

        return documents(self._table(columns))

    # -- files

    def to_csv(self, path: PathLike, *, columns: Iterable[str] | None = None, overwrite: bool = False) -> None:
        """Write CSV, with units in its headings, and what it is about in ``PATH-metadata.json`` (CSV on the Web).

        Raises:
            FileExistsError: there is such a file.
            ValueError: there are arrays, or units that can't be converted to one another, or there is no such column.

        """
        from actorlab.data.csv_file import to_csv  # noqa: PLC0415 - as above

        to_csv(self._table(columns), Path(path), overwrite=overwrite)

    def to_hdf5(self, path: PathLike, *, columns: Iterable[str] | None = None, overwrite: bool = False) -> None:
        """Write HDF5: a dataset for each column; units and what it is about are in the attributes.

        Raises:
            ConfigError: the extra `data` isn't installed.
            FileExistsError: there is such a file.
            ValueError: the units of a column can't be converted to one another, or there is no such column.

        """
        from actorlab.data.files import to_hdf5  # noqa: PLC0415 - as above

        to_hdf5(self._table(columns), Path(path), overwrite=overwrite)

    def to_netcdf(self, path: PathLike, *, columns: Iterable[str] | None = None, overwrite: bool = False) -> None:
        """Write netCDF-4, as ``xarray.open_dataset`` reads it. It raises what `to_hdf5` raises."""
        from actorlab.data.files import to_netcdf  # noqa: PLC0415 - as above

        to_netcdf(self._table(columns), Path(path), overwrite=overwrite)

    def to_zarr(self, path: PathLike, *, columns: Iterable[str] | None = None, overwrite: bool = False) -> None:
        """Write a Zarr v3 group, as ``xarray.open_zarr`` reads it. It raises what `to_hdf5` raises."""
        from actorlab.data.files import to_zarr  # noqa: PLC0415 - as above

        to_zarr(self._table(columns), Path(path), overwrite=overwrite)

    def export(self, path: PathLike, *, columns: Iterable[str] | None = None, overwrite: bool = False) -> None:
        """Write the format that the end of the name says: ``.csv``, ``.h5`` or ``.hdf5``, ``.nc``, ``.zarr``.

        Raises:
            ConfigError: no format has such an ending.

        """
        write = WRITERS.get(Path(path).suffix.lower())
        if write is None:
            text = f"{path}: no format ends so; choose one of {', '.join(WRITERS)}"
            raise ConfigError(text)
        write(self, path, columns=columns, overwrite=overwrite)

    def _table(self, columns: Iterable[str] | None) -> Table:
        from actorlab.data.table import table_of  # noqa: PLC0415 - as above

        return table_of(self._source, self._describe(), columns)


WRITERS: Final[dict[str, Callable[..., None]]] = {
    ".csv": Dataset.to_csv, ".h5": Dataset.to_hdf5, ".hdf5": Dataset.to_hdf5, ".nc": Dataset.to_netcdf,
    ".zarr": Dataset.to_zarr,
}  # fmt: skip
