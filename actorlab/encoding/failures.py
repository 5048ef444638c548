"""Write exceptions down with their notes, causes and tracebacks, and make them again without their own code."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actorlab.encoding.refusing import Refused, Unreadable
from actorlab.encoding.stand_in import StandInError

if TYPE_CHECKING:
    from actorlab.encoding.reading import Reader
    from actorlab.encoding.writing import Writer

__all__ = ["read", "written"]

TRACEBACK: Final = "recorded_traceback"
"""The attribute of an exception that was read which holds its traceback, as text."""
ASIDE: Final = frozenset(("__notes__", TRACEBACK))


def written(writer: Writer, error: BaseException) -> dict[str, Any]:
    """Write an exception; what of its arguments and attributes isn't data is left out, its text never is."""
    own = vars(error)
    if isinstance(error, StandInError):
        tree: dict[str, Any] = {"$": "error", "class": error.kind, "message": error.said}
        attributes: Any = {name: own[name] for name in own if name not in {"kind", "said"}}
    else:
        tree = writer.named("error", type(error), message=said_by(error))
        _, args, *state = built_in_base(type(error)).__reduce__(error)
        attributes = state[0] if state else {}
        with suppress(Refused):
            tree["args"] = writer.items(args)
    data = {name: attributes[name] for name in attributes if name not in ASIDE}
    if kept := dict(those_that_are_data(writer, data)):
        tree["attributes"] = kept
    if notes := [str(note) for note in own.get("__notes__", ())]:
        tree["notes"] = notes
    return tree if writer.canonical else tree | chain(writer, error) | stack(error)


def built_in_base(cls: type[BaseException]) -> Any:
    """Return the nearest built-in class of an exception: the one that can be relied upon."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def said_by(error: BaseException) -> str:
    """Return what an exception says; that is its author's own code, which may fail as well."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - the boundary to the author's code
        return f"(its text can't be written: {type(another).__name__})"


def those_that_are_data(writer: Writer, values: dict[str, Any]) -> Any:
    """Yield those attributes that are data."""
    for name, value in values.items():
        with suppress(Refused):
            yield name, writer.write(value)


def chain(writer: Writer, error: BaseException) -> dict[str, Any]:
    """Write what caused an exception, or happened before it; a chain that comes back to itself is cut."""
    links: dict[str, Any] = {}
    for name, other in (("cause", error.__cause__), ("context", error.__context__)):
        hidden = name == "context" and (error.__suppress_context__ or error.__cause__ is other)
        if other is not None and not hidden:
            with suppress(Refused):
                links[name] = writer.write(other)
    return links | ({"suppressed": True} if error.__suppress_context__ and error.__cause__ is None else {})


def stack(error: BaseException) -> dict[str, Any]:
    """Write the traceback of this exception alone."""
    text = getattr(error, TRACEBACK, None)
    if error.__traceback__ is not None:
        text = "".join(traceback.format_tb(error.__traceback__))
    return {"traceback": text} if isinstance(text, str) else {}


def read(reader: Reader, tree: dict[str, Any]) -> BaseException:
    """Make an exception again: by its built-in base alone, so that no code of its author's runs."""
    message = str(tree["message"])
    args = tuple(reader.items(tree["args"])) if "args" in tree else (message,)
    try:
        error = made(reader.found(tree["class"], BaseException), args)
    except Unreadable:
        if not reader.lenient:
            raise
        error = StandInError(str(tree["class"]), message)
    attributes = {name: reader.read(value) for name, value in tree.get("attributes", {}).items()}
    if isinstance(tree.get("traceback"), str):
        attributes[TRACEBACK] = tree["traceback"]
    base = built_in_base(type(error))
    for name, value in attributes.items():
        if name in base.__dict__:  # the `name` of an ImportError
            setattr(error, name, value)
        else:
            vars(error)[name] = value
    for note in tree.get("notes", ()):
        error.add_note(str(note))
    link(reader, error, tree)
    return error


def made(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Construct an exception; what its class has of its own is passed by."""
    base = built_in_base(cls)
    try:
        error: BaseException = base.__new__(cls, *args)
        base.__init__(error, *args)
    except Exception as failure:
        text = f"{cls.__qualname__}{args!r} can't be made again: {failure}"
        raise Unreadable(text) from failure
    return error


def link(reader: Reader, error: BaseException, tree: dict[str, Any]) -> None:
    """Hang an exception onto those which came before it."""
    for name in ("context", "cause"):
        other = reader.read(tree[name]) if name in tree else None
        if other is None:
            continue
        if not isinstance(other, BaseException):
            text = f"the {name} of an exception is {other!r}"
            raise Unreadable(text)
        setattr(error, f"__{name}__", other)
    if "cause" in tree and "context" not in tree:
        error.__context__ = error.__cause__
    if tree.get("suppressed"):
        error.__suppress_context__ = True
