"""Tell a table as the documents of Bluesky's event model, for the tools that read those."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from actorlab.core.run_state import RunState
from actorlab.data.columns import Column
from actorlab.data.extras import needs
from actorlab.data.names import Names
from actorlab.data.references import ArrayRef
from actorlab.data.table import Table
from actorlab.data.variables import as_json

__all__ = ["documents"]

Document = tuple[str, dict[str, Any]]
DTYPES: Final = {
    "boolean": "boolean", "integer": "integer", "number": "number", "complex": "number", "array": "array",
    "text": "string", "mixed": "string",
}  # fmt: skip
"""What the kinds of columns are called in a descriptor."""


def documents(table: Table) -> Iterator[Document]:
    """Yield the name and the content of each document, as `Dataset.to_documents` says."""
    event_model = needs("event_model", "to_documents()", "bluesky")
    start = start_of(table)
    run = event_model.compose_run(**start)
    yield "start", run.start_doc
    streams: dict[tuple[Any, ...], Stream] = {}
    fields = fields_of(table)
    for number, (row, when) in enumerate(zip(rows_of(table, fields), table.times.tolist(), strict=True)):
        key = tuple([(field.name, form_of(value)) for field, value in row])
        stream = streams.get(key)
        if stream is None:
            stream = streams[key] = Stream.of(run, start["uid"], len(streams) + 1, table, row, when)
            yield "descriptor", stream.composed.descriptor_doc
        yield "event", stream.event(start["uid"], number, row, when)
    state = table.attributes.get("state", RunState.SUCCEEDED)
    if RunState(state).terminal:
        yield "stop", run.compose_stop(
            exit_status=EXITS.get(state, "abort"), reason=str(table.attributes.get("reason") or ""),
            uid=unique(start["uid"], "stop"), time=moment(table.attributes.get("ended")) or last_time(table),
        )  # fmt: skip


EXITS: Final = {RunState.SUCCEEDED: "success", RunState.FAILED: "fail"}


# -- the run


def start_of(table: Table) -> dict[str, Any]:
    """Return what the first document is made of."""
    given = {plain_key(key): value for key, value in table.attributes.items() if value is not None}
    about = {key: json.loads(as_json(value), object_pairs_hook=with_plain_keys) for key, value in given.items()}
    begin = moment(about.get("began")) or (table.times[0].item() if len(table) else time.time())
    first = f"{about.get('lab')}/{about.get('run')}/{table.times[0].item() if len(table) else begin}"
    metadata: dict[str, Any] = {"plan_type": "actorlab", "actorlab": about}
    if "name" in about:
        metadata["plan_name"] = str(about["name"])
    number = str(about.get("run", "")).rpartition("#")[2]
    if number.isdecimal():
        metadata["scan_id"] = int(number)
    return {"uid": str(uuid.uuid5(uuid.NAMESPACE_URL, first)), "time": begin, "metadata": metadata}


def plain_key(name: str) -> str:
    """Return a key that a document may have."""
    return name.replace(".", "_").replace("/", "_") or "_"


def with_plain_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object that JSON has read, with keys that a document may have."""
    return {plain_key(key): value for key, value in pairs}


def moment(text: Any) -> float | None:
    """Return a time in seconds since 1970, if it is known."""
    return None if text is None else dt.datetime.fromisoformat(text).timestamp()


def last_time(table: Table) -> float:
    """Return when the last row was recorded."""
    return float(table.times[-1]) if len(table) else time.time()


def unique(start: str, name: str) -> str:
    """Return the id of one document of a run."""
    return str(uuid.uuid5(uuid.UUID(start), name))


# -- the rows


@dataclass(frozen=True)
class Field:
    """A key of documents, and the column that its values come from."""

    name: str
    column: Column


Values = list[tuple[Field, Any]]


def fields_of(table: Table) -> list[Field]:
    """Give each column the name of its key."""
    names = Names()
    for name in ("time", "seq_num", table.step_name):  # Bluesky's tools have these themselves
        names.take(name)
    return [Field(names.new(plain_key(column.name)), column) for column in table.columns]


def rows_of(table: Table, fields: list[Field]) -> Iterator[Values]:
    """Yield what each row has."""
    rows: list[Values] = [[] for _ in range(len(table))]
    for field in fields:
        for row, value in zip(field.column.rows, field.column.values, strict=True):
            rows[row].append((field, value))
    yield from rows


def form_of(value: Any) -> Any:
    """Return what a stream's arrays have in common."""
    if not is_array(value):
        return None
    return value.shape, str(value.dtype)


def is_array(value: object) -> bool:
    """Tell whether a value is an array, or a reference to one."""
    return isinstance(value, ArrayRef | np.ndarray)


def parts_of(field: Field, value: Any) -> dict[str, Any]:
    """Return a value by its key, or by two if it is complex."""
    name = field.name
    match field.column.kind:
        case "mixed":
            return {name: as_json(value)}
        case "number":
            return {name: float(value)}
        case "array" | "complex":
            found = np.asarray(value)
            if found.dtype.kind == "c" or field.column.kind == "complex":
                return {f"{name}_{part}": of_array(getattr(found, part)) for part in ("real", "imag")}
            return {name: found}
        case _:
            return {name: value}


def of_array(value: Any) -> Any:
    """Return an array, or its number if it is no more than that."""
    return value if value.ndim else float(value)


@dataclass(frozen=True)
class Stream:
    """Rows with the same columns: what `compose_descriptor` returned, and the key of the steps."""

    composed: Any
    step: str
    steps: list[str]

    @classmethod
    def of(cls, run: Any, start: str, number: int, table: Table, row: Values, when: float) -> Stream:
        """Describe a stream by its first row."""
        name = "primary" if number == 1 else f"stream_{number}"
        source = f"actorlab:{table.attributes.get('run', 'run')}"
        keys: dict[str, dict[str, Any]] = {table.step_name: {"dtype": "string", "shape": [], "source": source}}
        for field, value in row:
            keys |= {key: data_key(field.column, part, source) for key, part in parts_of(field, value).items()}
        numbers = [key for key, it in keys.items() if it["dtype"] in ("number", "integer")]
        its_name = str(table.attributes.get("name", "run"))
        composed = run.compose_descriptor(
            name=name, data_keys=keys, object_keys={its_name: list(keys)}, hints={its_name: {"fields": numbers}},
            configuration={}, time=when, uid=unique(start, name),
        )  # fmt: skip
        return cls(composed, table.step_name, table.steps)

    def event(self, start: str, number: int, row: Values, when: float) -> dict[str, Any]:
        """Return the document of one row."""
        data: dict[str, Any] = {self.step: self.steps[number]}
        for field, value in row:
            data |= parts_of(field, value)
        found: dict[str, Any] = self.composed.compose_event(
            data=data, timestamps=dict.fromkeys(data, when), time=when, uid=unique(start, f"event {number}")
        )
        return found


def data_key(column: Column, part: Any, source: str) -> dict[str, Any]:
    """Describe one key of a stream."""
    found: dict[str, Any] = {"dtype": DTYPES[column.kind], "shape": [], "source": source}
    if is_array(part):
        found |= {"shape": list(part.shape), "dtype_numpy": part.dtype.str}
    return found | ({"units": column.unit} if column.unit else {})
