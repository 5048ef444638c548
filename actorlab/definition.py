"""Know the function behind a task: its parameters, which of them share a device, whether it can be drawn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Final, ForwardRef, Literal, Union, get_args, get_origin

from actorlab.drawn_source import check_body
from actorlab.errors import WorkflowError
from actorlab.shared import SHARED

__all__ = ["Definition"]

Kind: Final = inspect.Parameter
NO_DEVICE: Final = (None, NoneType, Ellipsis, bool, int, float, complex, str, bytes)


class Definition:
    """What is known of a function, looked up when first needed: reading a signature takes as long as a run."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._shared: dict[str, bool] = {}

    @cached_property
    def signature(self) -> inspect.Signature:
        """The function's signature; for functions written in C that have none, one that takes everything."""
        try:
            return inspect.signature(self.function)
        except ValueError:
            return inspect.Signature([Kind("args", Kind.VAR_POSITIONAL), Kind("kwargs", Kind.VAR_KEYWORD)])

    @cached_property
    def bare_defaults(self) -> tuple[object, ...]:
        """The defaults of the parameters, found without reading the signature where that is possible."""
        innermost = inspect.unwrap(self.function)
        if inspect.isfunction(innermost):
            return *(innermost.__defaults__ or ()), *(innermost.__kwdefaults__ or {}).values()
        return tuple(item.default for item in self.signature.parameters.values() if item.default is not Kind.empty)

    @cached_property
    def is_drawable(self) -> bool:
        """True; raises `WorkflowError` if the source has what can't be drawn."""
        check_body(self.function)
        return True

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Raise `TypeError` if the function doesn't take these arguments."""
        least, most = self._counts
        if kwargs or not least <= len(args) <= most:
            try:
                self.signature.bind(*args, **kwargs)
            except TypeError as error:
                message = f"{getattr(self.function, '__name__', self.function)}() {error}"
                raise TypeError(message) from None

    def shares(self, place: int | str) -> bool:
        """Tell whether devices given at a position, or by a keyword, are only relied on (``Shared[…]``)."""
        name = self._name(place)
        if name not in self._shared:
            self._shared[name] = name in self.signature.parameters and self._hints_shared(name)
        return self._shared[name]

    @cached_property
    def _positional(self) -> tuple[str, ...]:
        kinds = (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)
        return tuple(item.name for item in self.signature.parameters.values() if item.kind in kinds)

    @cached_property
    def _rest(self) -> Mapping[Any, str]:
        """The names of ``*args`` and ``**kwargs``, by the type of place that they take."""
        kinds = {Kind.VAR_POSITIONAL: int, Kind.VAR_KEYWORD: str}
        parameters = self.signature.parameters.values()
        return {kinds[item.kind]: item.name for item in parameters if item.kind in kinds}

    @cached_property
    def _counts(self) -> tuple[float, float]:
        """How many positional arguments are certainly right when there are no keywords."""
        parameters = self.signature.parameters.values()
        needed = [item for item in parameters if item.default is Kind.empty]
        if any(item.kind is Kind.KEYWORD_ONLY for item in needed):
            return float("inf"), 0
        least = sum(item.name in self._positional for item in needed)
        return least, float("inf") if int in self._rest else len(self._positional)

    def _name(self, place: int | str) -> str:
        if isinstance(place, str):
            return place if place in self.signature.parameters else self._rest.get(str, "")
        return self._positional[place] if place < len(self._positional) else self._rest.get(int, "")

    def _hints_shared(self, name: str) -> bool:
        hint = self.signature.parameters[name].annotation
        namespace = _globals_of(self.function)
        try:
            return _is_shared(hint, namespace)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            if "Shared" not in str(hint):
                return False  # taking the device for itself is the safe reading of a hint that can't be read
            function = getattr(self.function, "__qualname__", self.function)
            message = (
                f"the hint {hint!r} of parameter {name!r} of {function} can't be evaluated ({error}), so it isn't "
                f"known whether the step shares the device; import what it names at run time, not under TYPE_CHECKING"
            )
            raise WorkflowError(message) from error


def _globals_of(function: Any) -> Mapping[str, Any]:
    """Return the names that the hints of a function, a class or an object that can be called are written with."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    function = inspect.unwrap(function)
    if issubclass(type(function), type):
        function = function.__init__
    elif not hasattr(function, "__globals__"):
        function = getattr(function, "__call__", function)  # noqa: B004 - its names are wanted
    return getattr(function, "__globals__", {})


def _is_shared(hint: Any, namespace: Mapping[str, Any]) -> bool:
    """Tell whether each device that fits a hint is marked as shared; if only some are, none counts as such."""
    if isinstance(hint, ForwardRef):
        hint = hint.__forward_arg__
    if isinstance(hint, str):
        # Type hints are the program's own code; a class that is known to type checkers only doesn't matter here.
        hint = eval(hint, dict(namespace), _Lenient(namespace))  # noqa: S307
    if get_origin(hint) is Annotated:
        return SHARED in hint.__metadata__ or _is_shared(hint.__origin__, namespace)
    if get_origin(hint) is Literal or not (get_origin(hint) in (Union, UnionType) or get_args(hint)):
        return False
    inner = [argument for argument in get_args(hint) if argument not in NO_DEVICE]
    return bool(inner) and all(_is_shared(argument, namespace) for argument in inner)


class _Lenient(dict[str, Any]):
    """Give something for each unknown name, so that ``Shared[Stage]`` can be read where `Stage` isn't imported."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        super().__init__()
        self._namespace = namespace

    def __missing__(self, name: str) -> object:
        known: Any = self._namespace.get("__builtins__", {})  # a module, or its dictionary
        if name.startswith("__") or name in self._namespace or name in getattr(known, "__dict__", known):
            raise KeyError(name)  # eval goes on to look there
        return Missing


class Missing:
    """Stand in a type hint for a class that only type checkers know."""
