"""Make pandas' frames and xarray's datasets of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actorlab.data.columns import Column
from actorlab.data.extras import needs
from actorlab.data.names import safe
from actorlab.data.table import Table
from actorlab.data.variables import Stack, Variable, flat, integer_type, scattered, variables_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["to_pandas", "to_xarray"]


def to_pandas(table: Table) -> pd.DataFrame:
    """Return a frame with a row for each row; units and attributes are in ``frame.attrs``.

    Integers and booleans of which some are missing have pandas' nullable types. Arrays stand in the frame as they are,
    those in a store as references to it.
    """
    pandas = needs("pandas", "to_pandas()")
    count = len(table)
    columns = {
        table.time_name: pandas.to_datetime(np.round(table.times * 1e6).astype("datetime64[us]"), utc=True),
        table.step_name: table.steps,
        **{safe(column.name): series(pandas, column, count) for column in table.columns},
    }
    frame: pd.DataFrame = pandas.DataFrame(columns, index=pandas.RangeIndex(count, name="row"))
    frame.attrs |= table.attributes | {"units": {safe(it.name): it.unit for it in table.columns if it.unit}}
    return frame


def series(pandas: Any, column: Column, count: int) -> Any:
    """Return one column of a frame."""
    data = scattered(column, count)
    return pandas.Series(data) if column.kind == "text" else pandas.Series(data, dtype=series_type(column, count))


def series_type(column: Column, count: int) -> str:
    """Return pandas' name of the type that holds a column."""
    missing = len(column.rows) < count
    match column.kind:
        case "boolean":
            return "boolean" if missing else "bool"
        case "integer":
            found = integer_type(column.values)
            name = "object" if found is None else found.__name__
            return name.replace("i", "I", 1).replace("uI", "UI") if missing else name
        case "number":
            return "float64"
        case "complex":
            return "complex128"
        case _:
            return "object"


def to_xarray(table: Table) -> xr.Dataset:
    """Return a dataset along ``row``, with times and steps as coordinates; units are in the variables' ``attrs``.

    All arrays are read into memory.
    """
    xarray = needs("xarray", "to_xarray()")
    made = variables_of(table)
    coordinates = {it.name for it in made if it.name in (table.time_name, table.step_name) or it.dims == (it.name,)}
    variables = {it.name: xarray_variable(table, it) for it in made}
    dataset: xr.Dataset = xarray.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        {name: variable for name, variable in variables.items() if name in coordinates},
        flat(table.attributes),
    )
    return dataset


def xarray_variable(table: Table, variable: Variable) -> tuple[Any, ...]:
    """Return axes, data and attributes as xarray takes them."""
    if variable.name == table.time_name:
        return variable.dims, np.round(table.times * 1e6).astype("datetime64[us]").astype("datetime64[ns]")
    data = variable.data.whole() if isinstance(variable.data, Stack) else variable.data
    return variable.dims, data, variable.attributes
