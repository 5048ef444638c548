"""Read the signature of what stands on a class, as its caller sees it, and each of its type hints by itself."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
import typing
from typing import Annotated, Any, ClassVar, Final

from actorlab.errors import ConfigError
from actorlab.quantities.markers import Range, ReadBack, Unit

__all__ = [
    "ABSENT",
    "FOREIGN_ERRORS",
    "METHODS",
    "Missing",
    "Unreadable",
    "annotated_names",
    "annotation_of",
    "has",
    "is_of",
    "signature_of",
]

ABSENT: Final = inspect.Signature.empty
FOREIGN_ERRORS: Final = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, RuntimeError, SyntaxError,
    TypeError, ValueError,
)  # fmt: skip
"""What the code of others raises while one looks at its hints, signatures, schemas and conversions."""
METHODS: Final[tuple[type[Any], ...]] = (
    staticmethod, classmethod, functools.partialmethod, functools.singledispatchmethod,
)  # fmt: skip
"""What becomes a method when it is read from an object, callable itself or not."""


def is_of(value: object, *kinds: type[Any]) -> bool:
    """Tell whether a value is of one of some types. It may be a stand-in: asking it for its class could be a call."""
    return issubclass(type(value), kinds)


def has(value: object, name: str) -> bool:
    """Tell whether the type of a value has an attribute, without asking the value."""
    return hasattr(type(value), name)


class Unreadable:
    """Stand in a hint that can't be evaluated, with its text; what could be made out of it stands there too."""

    def __init__(self, text: str) -> None:
        self.text = text


# -- signatures


def signature_of(static: Any, owner: type | None = None) -> inspect.Signature | None:
    """Return the signature of what `inspect.getattr_static` finds on a class, without what is bound already.

    Each hint is evaluated by itself, in the module of its function and in the class `owner`.

    Raises:
        ConfigError: a marker in a hint makes no sense.

    """
    try:
        function, takes_object = called_by(static)
        found = inspect.signature(function)
        namespace = namespace_of(function)
    except FOREIGN_ERRORS:
        return None
    parameters = list(found.parameters.values())
    if takes_object and parameters and parameters[0].kind in (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD):
        del parameters[0]
    try:
        return found.replace(
            parameters=[item.replace(annotation=evaluated(item.annotation, namespace, owner)) for item in parameters],
            return_annotation=evaluated(found.return_annotation, namespace, owner),
        )
    except ConfigError as error:
        text = f"{getattr(function, '__qualname__', function)}: {error}"
        raise ConfigError(text) from error


Kind: Final = inspect.Parameter


def called_by(static: Any) -> tuple[Any, bool]:
    """Return what is called in the end, and whether the object is its first argument."""
    if is_of(static, staticmethod):
        return static.__func__, False
    if is_of(static, classmethod):
        return static.__func__, True
    if is_of(static, functools.singledispatchmethod):
        return static.func, True
    if is_of(static, functools.partialmethod):
        return functools.partial(static.func, None, *static.args, **static.keywords), False
    if answers_by_code(static):
        return call_of(static), True
    return static, has(static, "__get__") and not is_of(static, types.MethodType)


def answers_by_code(static: object) -> bool:
    """Tell whether an object may run code of its author's for any attribute that it is asked for."""
    kind = type(static)
    return inspect.getattr_static(kind, "__getattr__", None) is not None or isinstance(
        inspect.getattr_static(kind, "__getattribute__"), types.FunctionType
    )


def call_of(static: object) -> Any:
    """Return the function that is run when an object is called."""
    return inspect.getattr_static(type(static), "__call__")


def namespace_of(function: Any) -> dict[str, Any]:
    """Return the globals of the function whose hints a signature shows."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial | types.MethodType):
        function = inspect.unwrap(function.func if isinstance(function, functools.partial) else function.__func__)
    if not hasattr(function, "__globals__"):
        function = call_of(function)
    return getattr(function, "__globals__", {})


# -- attributes


def annotated_names(cls: type) -> list[str]:
    """Return the names that a class, or one that it derives from, annotates."""
    return list({name: None for base in cls.__mro__ for name in own_annotations(base)})


def annotation_of(cls: type, name: str) -> Any:
    """Return the evaluated annotation of a class's attribute, or `ABSENT`."""
    for base in cls.__mro__:
        hint = own_annotations(base).get(name, ABSENT)
        if hint is not ABSENT:
            module = sys.modules.get(base.__module__)
            return evaluated(hint, getattr(module, "__dict__", {}), base)
    return ABSENT


def own_annotations(cls: type) -> dict[str, Any]:
    """Return the annotations of the class itself."""
    try:
        return inspect.get_annotations(cls)
    except FOREIGN_ERRORS:
        return {}


# -- one hint


def evaluated(hint: Any, namespace: dict[str, Any], owner: type | None) -> Any:
    """Return a hint with its names looked up; one that can't be read is marked `Unreadable`, with what is known."""
    if hint is ABSENT:
        return hint
    try:
        return looked_up(hint, namespace, Names(namespace, owner))
    except FOREIGN_ERRORS:
        text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    try:
        return Annotated[looked_up(hint, namespace, LenientNames(namespace, owner)), Unreadable(text)]
    except FOREIGN_ERRORS:
        return Annotated[Any, Unreadable(text)]


def looked_up(hint: Any, namespace: dict[str, Any], names: Names) -> Any:
    """Evaluate a hint and the texts in it."""
    # In a class also ClassVar and Final are welcome.
    holder = type("Holder", (), {"__annotations__": {"hint": hint}})
    found = typing.get_type_hints(holder, namespace, names, include_extras=True)["hint"]
    if typing.get_origin(found) in (ClassVar, Final):
        (found,) = typing.get_args(found)
    return ABSENT if found in (ClassVar, Final) else found


class Names(dict[str, Any]):
    """The names of the class that a hint stands in, for those that its module doesn't know."""

    def __init__(self, namespace: dict[str, Any], owner: type | None) -> None:
        super().__init__()
        self._namespace = namespace
        self._owner = owner

    def __missing__(self, name: str) -> Any:
        if name in self._namespace or hasattr(builtins, name):
            raise KeyError(name)  # the evaluation goes on to look there
        found = inspect.getattr_static(self._owner, name, ABSENT)
        return self.unknown(name) if found is ABSENT else found

    def unknown(self, name: str) -> Any:
        """Say that nobody knows a name."""
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True


class LenientNames(Names):
    """Give something for each unknown name, so that a limit holds also where only type checkers import its parts."""

    def unknown(self, name: str) -> Any:
        """Return the marker of this name, or a stand-in."""
        return by_name(name)


def by_name(name: str) -> Any:
    """Return what a name means that only type checkers know."""
    ours = {"Unit": Unit, "Range": Range, "ReadBack": ReadBack}
    return ours.get(name) or getattr(typing, name, Missing)


class AnyUse(type):
    """Be looked into and subscripted in any way."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return by_name(name)

    def __getitem__(cls, item: object) -> Any:
        return cls


class Missing(metaclass=AnyUse):
    """Stand in a type hint for what only type checkers know."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        del args, kwargs
