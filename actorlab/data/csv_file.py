"""Write a table as CSV, and beside it what its columns are."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

from actorlab.data.columns import Column
from actorlab.data.references import ArrayRef
from actorlab.data.table import Table
from actorlab.data.variables import as_json, flat
from actorlab.data.writing import refuse, replacing

__all__ = ["to_csv"]

DATATYPES: Final = {
    "boolean": "boolean", "integer": "integer", "number": "double", "complex": "string", "text": "string",
    "array": "string", "mixed": "json",
}  # fmt: skip
"""What the kinds are called by CSV on the Web."""


def to_csv(table: Table, path: Path, *, overwrite: bool) -> None:
    """Write a line for each row, under the columns' names with units, and ``PATH-metadata.json`` (CSV on the Web).

    Missing values are empty. Arrays in a store are named; others can't be written.

    Raises:
        ValueError: there are arrays that aren't in a store.
        FileExistsError: there is such a file.

    """
    refuse_arrays(table.columns)
    beside = path.with_name(f"{path.name}-metadata.json")
    refuse(beside, overwrite=overwrite)
    with replacing(path, overwrite=overwrite) as partial:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(headings(table))
            writer.writerows(zip(*cells(table), strict=True))
        with replacing(beside, overwrite=True) as description:
            text = json.dumps(metadata(table, path.name), indent=2, ensure_ascii=False)
            description.write_text(text, encoding="utf-8", errors="backslashreplace")


def refuse_arrays(columns: list[Column]) -> None:
    """Refuse what a line of text can't hold."""
    for column in columns:
        if column.kind == "array" and not all(isinstance(value, ArrayRef) for value in column.values):
            text = (
                f"{column.name!r} holds arrays, and CSV can't: choose to_hdf5, to_netcdf or to_zarr, "
                f"or name the other columns by columns=[…]"
            )
            raise ValueError(text)


def headings(table: Table) -> list[str]:
    """Return the columns' names, with their units."""
    named = [f"{it.name} [{it.unit}]" if it.unit else it.name for it in table.columns]
    return [table.time_name, table.step_name, *named]


def cells(table: Table) -> list[list[str]]:
    """Return the columns as text."""
    moments = [moment(time) for time in table.times.tolist()]
    return [moments, table.steps, *(column_cells(column, len(table)) for column in table.columns)]


def moment(time: float) -> str:
    """Write a time in UTC, as ISO 8601 has it."""
    return dt.datetime.fromtimestamp(time, dt.UTC).isoformat(timespec="microseconds")


def column_cells(column: Column, count: int) -> list[str]:
    """Return one column as text, empty where there is nothing."""
    found = [""] * count
    for row, value in zip(column.rows, column.values, strict=True):
        found[row] = cell(column, value)
    return found


def cell(column: Column, value: Any) -> str:
    """Return one value as text from which the same value can be read."""
    match column.kind:
        case "boolean":
            return "true" if value else "false"
        case "mixed":
            return as_json(value)
        case "complex":
            return str(complex(value)).strip("()")
        case _:
            return str(value)


def metadata(table: Table, name: str) -> dict[str, Any]:
    """Describe the file as CSV on the Web does."""
    columns = [
        {"name": table.time_name, "titles": table.time_name, "datatype": "dateTimeStamp"},
        {"name": table.step_name, "titles": table.step_name, "datatype": "string"},
    ]
    for column, title in zip(table.columns, headings(table)[2:], strict=True):
        unit = {"unit": column.unit} if column.unit else {}
        columns.append({"name": column.name, "titles": title, "datatype": DATATYPES[column.kind], **unit})
    about = flat(table.attributes)
    return {
        "@context": "http://www.w3.org/ns/csvw", "url": name, "tableSchema": {"columns": columns}, "notes": [about],
    }  # fmt: skip
