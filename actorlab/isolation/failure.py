"""Send an exception to another process: as itself where that is possible, else as an error that says all about it."""

from __future__ import annotations

import pickle
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple

from actorlab.errors import ActorLabError
from actorlab.isolation.packing import pack

__all__ = ["Failure", "failure_of", "restored"]


OURS: Final = (
    "/actorlab/isolation/",
    "/actorlab/driving/",
    "/actorlab/processes/",
    "/actorlab/body_kinds.py",
    "/asyncio/",
)


class Failure(NamedTuple):
    """An exception on its way."""

    pickled: bytes
    """Empty if it can't be pickled."""
    kind: str
    text: str
    stack: str
    """Its traceback, as text."""
    builtin: type[BaseException]
    """The nearest built-in class that it is of."""


def failure_of(error: BaseException) -> Failure:
    """Make an exception ready to be sent."""
    try:
        pickled = pack(error)
    except Exception:  # noqa: BLE001 - the boundary: it is the exception's own code
        pickled = b""
    kind = type(error)
    builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    return Failure(pickled, kind.__qualname__, text_of(error), stack_of(error), builtin)


def text_of(error: BaseException) -> str:
    """Return what an exception says."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - the boundary: it is the exception's own code
        return f"(and saying what raised {type(another).__name__})"


def stack_of(error: BaseException) -> str:
    """Return the traceback of an exception from the driver's own code on."""
    at: TracebackType | None = error.__traceback__
    while at is not None and is_ours(at.tb_frame.f_code.co_filename):
        at = at.tb_next
    return "".join(traceback.format_exception(type(error), error, at))


def is_ours(filename: str) -> bool:
    """Tell whether a file belongs to what calls the driver, or the body."""
    return any(part in filename for part in OURS)


def restored(failure: Failure, where: str = "") -> BaseException:
    """Return the exception, with its traceback in the other process as a note, if that is named.

    One that can't be made here becomes an `ActorLabError` with its name; but one that tells of a broken connection
    stays one.
    """
    found: Any = None
    with suppress(Exception):  # the boundary: it is the exception's own code
        found = pickle.loads(failure.pickled)  # noqa: S301 - from the other side of our own socket
    error: BaseException = found if isinstance(found, BaseException) else stand_in(failure)
    if where:
        error.add_note(f"In {where}:\n{failure.stack}")
    return error


def stand_in(failure: Failure) -> BaseException:
    """Return an exception that says what another one said."""
    text = f"{failure.kind}: {failure.text}"
    if issubclass(failure.builtin, OSError | EOFError):
        return failure.builtin(text)
    return ActorLabError(text)
