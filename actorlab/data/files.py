"""Write a table as HDF5, netCDF-4 or Zarr."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from actorlab.data.extras import needs
from actorlab.data.table import Table
from actorlab.data.variables import ROW, Stack, Variable, flat, texts_for_files, variables_of
from actorlab.data.writing import replacing

__all__ = ["to_hdf5", "to_netcdf", "to_zarr"]

PARTS: Final[tuple[Literal["real", "imag"], ...]] = ("real", "imag")


def to_hdf5(table: Table, path: Path, *, overwrite: bool) -> None:
    """Write a dataset for each variable, with its axes named, its unit in its attributes, and the rest in the file's.

    Raises:
        FileExistsError: there is such a file.

    """
    h5py = needs("h5py", "to_hdf5()")
    with replacing(path, overwrite=overwrite) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(flat(table.attributes))
        for variable in map(texts_for_files, variables_of(table)):
            dataset = hdf5_dataset(h5py, file, variable)
            dataset.attrs.update(flat(variable.attributes))
            for axis, name in zip(dataset.dims, variable.dims, strict=True):
                axis.label = name


def hdf5_dataset(h5py: Any, file: Any, variable: Variable) -> Any:
    """Write the data of one variable."""
    data = variable.data
    if not isinstance(data, Stack):
        return file.create_dataset(variable.name, data=data, dtype=file_type(h5py, data))
    shape = (len(data.values), *data.shape)
    chunks = (data.block, *data.shape) if all(shape) else None
    dataset = file.create_dataset(variable.name, shape=shape, dtype=data.dtype, chunks=chunks)
    fill(dataset, data)
    return dataset


def fill(target: Any, stack: Stack) -> None:
    """Write arrays block by block, so that no more than one is in memory."""
    for start, block in stack.blocks():
        if block.size:
            target[start : start + len(block)] = block


def file_type(h5py: Any, data: Any) -> Any:
    """Return the type that data have in a file."""
    return h5py.string_dtype() if data.dtype == object else data.dtype


def to_netcdf(table: Table, path: Path, *, overwrite: bool) -> None:
    """Write netCDF-4: complex numbers as two variables, booleans as ``int8`` that say so.

    Raises:
        FileExistsError: there is such a file.

    """
    h5py, h5netcdf = needs("h5py", "to_netcdf()"), needs("h5netcdf", "to_netcdf()")
    variables = [part for it in variables_of(table) for part in netcdf_parts(texts_for_files(it))]
    with replacing(path, overwrite=overwrite) as partial, h5netcdf.File(partial, "w") as file:
        file.attrs.update(attributes_of(table))
        file.dimensions = lengths(variables, len(table))
        for it in variables:
            variable = file.create_variable(it.name, it.dims, file_type(h5py, it.data))
            variable.attrs.update(flat(it.attributes))
            if isinstance(it.data, Stack):
                fill(variable, it.data)
            elif it.data.size:
                variable[...] = it.data


def attributes_of(table: Table) -> dict[str, str | int | float]:
    """Return the attributes of a file that xarray reads; it finds there what its coordinates are."""
    return {**flat(table.attributes), "coordinates": f"{table.time_name} {table.step_name}"}


def lengths(variables: list[Variable], rows: int) -> dict[str, int]:
    """Return how long each axis is."""
    found = {ROW: rows}
    for it in variables:
        found |= zip(it.dims, shape_of(it), strict=True)
    return found


def shape_of(variable: Variable) -> tuple[int, ...]:
    """Return the shape of a variable's data."""
    data = variable.data
    return (len(data.values), *data.shape) if isinstance(data, Stack) else data.shape


def netcdf_parts(variable: Variable) -> list[Variable]:
    """Return the variables as which netCDF can hold one."""
    data = variable.data
    if data.dtype.kind == "c":
        return [replace(variable, name=f"{variable.name}_{part}", data=part_of(data, part)) for part in PARTS]
    if data.dtype.kind == "b":
        attributes = {**variable.attributes, "dtype": "bool"}  # as xarray writes it, and reads it again
        return [replace(variable, data=as_type(data, np.dtype(np.int8)), attributes=attributes)]
    return [replace(variable, data=as_type(data, plain_float(data.dtype, least=4)))]


def part_of(data: NDArray[Any] | Stack, part: Literal["real", "imag"]) -> NDArray[Any] | Stack:
    """Return the real or imaginary parts of complex numbers."""
    if not isinstance(data, Stack):
        found: NDArray[Any] = getattr(data, part)
        return found
    return replace(data, part=part, dtype=plain_float(np.dtype(f"f{data.dtype.itemsize // 2}"), least=4))


def plain_float(dtype: np.dtype[Any], *, least: int) -> np.dtype[Any]:
    """Return a type of floats that a format has: with `least` to eight bytes; others stay as they are."""
    if dtype.kind != "f":
        return dtype
    return np.dtype(f"f{min(8, max(least, dtype.itemsize))}")


def as_type(data: NDArray[Any] | Stack, dtype: np.dtype[Any]) -> NDArray[Any] | Stack:
    """Return data in another type."""
    return replace(data, dtype=dtype) if isinstance(data, Stack) else data.astype(dtype, copy=False)


def to_zarr(table: Table, path: Path, *, overwrite: bool) -> None:
    """Write a Zarr v3 group with an array for each variable, as xarray reads them.

    Raises:
        FileExistsError: there is such a folder.

    """
    zarr = needs("zarr", "to_zarr()")
    with replacing(path, overwrite=overwrite) as partial:
        group = zarr.open_group(partial, mode="w-", zarr_format=3, attributes=attributes_of(table))
        for variable in map(texts_for_files, variables_of(table)):
            zarr_array(group, variable)


def zarr_array(group: Any, variable: Variable) -> None:
    """Write one variable."""
    data = as_type(variable.data, zarr_type(variable.data.dtype))
    shape = shape_of(variable)
    chunks = tuple(max(1, length) for length in ((data.block, *data.shape) if isinstance(data, Stack) else shape))
    array = group.create_array(
        variable.name, shape=shape, chunks=chunks, dtype=str if data.dtype == object else data.dtype,
        dimension_names=variable.dims, attributes=flat(variable.attributes),
    )  # fmt: skip
    if isinstance(data, Stack):
        fill(array, data)
    elif data.size:
        array[...] = data


def zarr_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that Zarr has for data: no number is longer than eight bytes, or twice that if complex."""
    if dtype.kind == "c":
        return np.dtype(f"c{min(16, dtype.itemsize)}")
    return plain_float(dtype, least=2)
