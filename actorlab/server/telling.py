"""Write what is answered: values without loss, what is only looked at as plain JSON, errors in one schema."""

from __future__ import annotations

import json
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response
from pydantic_core import to_json

from actorlab.encoding import decode, encode, only, text_of_tree
from actorlab.errors import repr_of

if TYPE_CHECKING:
    from actorlab.core.backlog import Event

__all__ = ["answer", "event_text", "failure", "given", "plain", "plain_text", "value_told"]

FEW: Final = 1000
"""Larger arrays are only named where something is looked at."""


def answer(tree: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response of JSON."""
    return Response(text_of_tree(tree), status, headers, "application/json")


def plain(value: object) -> Any:
    """Write something to be looked at as plain JSON; what isn't data is written as Python shows it."""
    try:
        return json.loads(plain_text(value))
    except (ValueError, RecursionError):  # a number with thousands of digits
        return shown(value)


def plain_text(value: object) -> bytes:
    """Write something to be looked at as the text of plain JSON, in one line."""
    try:
        return to_json(value, inf_nan_mode="strings", bytes_mode="base64", fallback=shown)
    except (ValueError, RecursionError):  # it contains itself, or text that is none
        return json.dumps(shown(value)).encode()


def event_text(event: Event) -> bytes:
    """Write an event as plain JSON."""
    about = json.dumps({"sequence": event.sequence, "time": event.time, "subject": event.subject, "kind": event.kind})
    return b'%s,"data":%s}' % (about.encode()[:-1], plain_text(event.data))


def shown(value: Any) -> Any:
    """Show an object; that is its author's own code, which may fail as well."""
    try:
        small = type(value).__module__ == "numpy" and value.size <= FEW
        return value.tolist() if small else repr(value)
    except Exception:  # noqa: BLE001 - the boundary to the author's code
        return f"<{type(value).__name__}>"


def value_told(value: object, what: str) -> Any:
    """Write a value so that a client reads the same. Raise `EncodingError` if it isn't data."""
    return encode(value, what)


def given(tree: Any) -> Any:
    """Read a value that was sent; it may hold no classes of anybody's. Raise `EncodingError` if it does."""
    return decode(tree, resolve=only())


def failure(error: BaseException, origin: str, *, traces: bool) -> dict[str, Any]:
    """Write an error: its type, message, origin, when it was told, and for a client, all of it."""
    written = encode(error, lenient=True)
    told = {
        "type": type(error).__name__, "message": written["message"], "origin": origin, "time": time.time(),
        "error": written if traces else without_traces(written),
    }  # fmt: skip
    return told | ({"traceback": trace_of(error)} if traces else {})


def trace_of(error: BaseException) -> str:
    """Write where an error comes from; its text is its author's own code, which may fail as well."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - the boundary to the author's code
        return repr_of(error)


def without_traces(tree: Any) -> Any:
    """Leave out the tracebacks of errors: they show sources and paths of the server."""
    kind = str(tree.__class__.__name__)
    if kind == "list":
        return [without_traces(item) for item in tree]
    if kind != "dict":
        return tree
    traced = tree.get("$") == "error"
    return {key: without_traces(item) for key, item in tree.items() if not (traced and key == "traceback")}
