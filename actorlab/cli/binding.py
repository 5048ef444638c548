"""Bind a program's parameters: devices by their names, everything else as its type hint says."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from actorlab.errors import ConfigError
from actorlab.shared import SHARED
from actorlab.task import Task

__all__ = ["Binding", "Chosen", "bind_parameters", "split_parameters"]

SEQUENCES: Final = (list, tuple, set, frozenset)
Empty: Final = inspect.Parameter.empty


@dataclass(frozen=True)
class Chosen:
    """A device that a parameter is bound to."""

    name: str


@dataclass(frozen=True)
class ChosenList:
    """The devices that a parameter is bound to, which takes a list of them."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Binding:
    """The arguments of a call, in which `Chosen` and `ChosenList` stand for devices."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def devices(self) -> list[str]:
        """Return the names of the devices that are needed."""
        names: dict[str, None] = {}
        self.resolved(names.setdefault)
        return list(names)

    def resolved(self, device: Callable[[str], Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments with devices in place of their names."""

        def put(value: Any) -> Any:
            if isinstance(value, Chosen):
                return device(value.name)
            if isinstance(value, ChosenList):
                return [device(name) for name in value.names]
            return value

        return [put(value) for value in self.args], {name: put(value) for name, value in self.kwargs.items()}


def split_parameters(texts: list[str]) -> dict[str, str]:
    """Take NAME=VALUE apart. Raise `ConfigError` if one is no such, or is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            message = f"-p {text}: write it as NAME=VALUE, such as -p kelvin=300"
            raise ConfigError(message)
        if name.strip() in found:
            message = f"-p {text}: {name.strip()} is given twice"
            raise ConfigError(message)
        found[name.strip()] = value
    return found


def bind_parameters(task: Task[..., Any], given: Mapping[str, str], devices: Mapping[str, Any] | None) -> Binding:
    """Bind a task's parameters to the texts given, and to the lab's devices.

    `devices` are their classes by name; None lets any name pass for a device's.

    Raises:
        ConfigError: one is missing, unknown, no such device, or of the wrong type; the message says what to do.

    """
    signature = task.signature
    refuse_unknown(task, given)
    hints = hints_of(task)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        wanted = Wanted(task.name, parameter, hints.get(parameter.name, Empty), given.get(parameter.name))
        if wanted.optional and not wanted.takes_device(devices):
            value = parameter.default
        else:
            value = wanted.device(devices) if wanted.takes_device(devices) else wanted.parsed()
        if parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return Binding(tuple(args), kwargs)


def refuse_unknown(task: Task[..., Any], given: Mapping[str, str]) -> None:
    """Raise if something is given that isn't among the parameters."""
    known = list(task.signature.parameters)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
            message = f"{task.name} has no parameter {name!r}; {hint}"
            raise ConfigError(message)


def hints_of(task: Task[..., Any]) -> dict[str, Any]:
    """Return the type hints; one that can't be evaluated, for it names what only type checkers import, is its text."""
    function = inspect.unwrap(task.function)
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return dict(getattr(function, "__annotations__", {}))


@dataclass(frozen=True)
class Wanted:
    """One parameter, and the text that is given for it."""

    task: str
    parameter: inspect.Parameter
    hint: Any
    text: str | None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def optional(self) -> bool:
        """Whether its default is meant."""
        return self.text is None and self.parameter.default is not Empty

    def takes_device(self, devices: Mapping[str, Any] | None) -> bool:
        """Tell whether it is a device: by its hint, or because it has the name of one and its hint doesn't object."""
        if is_device_hint(self.hint) or is_device_hint(element_of(self.hint)):
            return self.text is not None or self.parameter.default is Empty or self.name in (devices or {})
        named = self.name in (devices or {})
        return named and (self.hint in (Empty, Any, object) or isinstance(self.hint, str))

    def device(self, devices: Mapping[str, Any] | None) -> Any:
        """Return the device, or the list of devices, that is meant."""
        element = element_of(self.hint)
        if element is not Empty and is_device_hint(element):
            chosen = [self.one(name.strip(), element, devices) for name in (self.text or self.name).split(",")]
            return ChosenList(tuple([device.name for device in chosen]))
        return self.one(self.text or self.name, self.hint, devices)

    def one(self, name: str, hint: Any, devices: Mapping[str, Any] | None) -> Chosen:
        """Return a device by its name, if the lab has it and it is of the right class."""
        if devices is None:
            return Chosen(name)
        wanted: Any = None if hint in (Empty, Any, object) else class_of(hint)
        if name not in devices:
            raise ConfigError(self.no_device(name, wanted, list(devices)))
        found = devices[name]
        classes = isinstance(wanted, type) and isinstance(found, type) and not getattr(wanted, "_is_protocol", False)
        if classes and not issubclass(found, wanted):
            text = (
                f"{self.task} needs for {self.name} something of class {wanted.__name__}, but device {name!r} is of "
                f"class {found.__name__}; choose another one by -p {self.name}=NAME"
            )
            raise ConfigError(text)
        return Chosen(name)

    def no_device(self, name: str, wanted: Any, have: list[str]) -> str:
        """Say that the lab hasn't a device, and what can be done."""
        kind = f" ({wanted.__name__})" if isinstance(wanted, type) else ""
        close = difflib.get_close_matches(name, have, 1)
        there = f"did you mean {close[0]!r}" if close else f"it has {', '.join(have) or 'none'}"
        needed = f"{self.task} needs a device for {self.name}{kind}, and the lab has none named {name!r}; {there}"
        return f"{needed}. Add it to the lab's file, or choose one by -p {self.name}=NAME"

    def parsed(self) -> Any:
        """Return the value that the text means."""
        if self.text is None:
            kind = "" if self.hint is Empty else f" ({in_words(self.hint)})"
            message = f"{self.task} needs a value for {self.name}{kind}: give it by -p {self.name}=VALUE"
            raise ConfigError(message)
        adapter: TypeAdapter[Any] = TypeAdapter(Any if self.hint is Empty or isinstance(self.hint, str) else self.hint)
        try:
            return parse(adapter, self.hint, self.text)
        except ValidationError as error:
            said = "; ".join(dict.fromkeys(str(item["msg"]) for item in error.errors()))
            message = f"-p {self.name}={self.text}: {self.task} takes {in_words(self.hint)} for {self.name}: {said}"
            raise ConfigError(message) from error


def parse(adapter: TypeAdapter[Any], hint: Any, text: str) -> Any:
    """Read a text as JSON; or else, for a sequence, as a,b,c; or else as the plain text. Raise `ValidationError`."""
    try:
        return adapter.validate_json(text)
    except ValidationError:
        if is_sequence(hint):
            return adapter.validate_python([part.strip() for part in text.split(",")] if text else [])
        return text if hint is Empty or isinstance(hint, str) else adapter.validate_strings(text)


def is_device_hint(hint: Any) -> bool:
    """Tell whether a hint means a device: ``Shared[…]``, or a class that isn't data which could be written down."""
    if hint is Empty or isinstance(hint, str):
        return False
    if get_origin(hint) is Annotated and SHARED in hint.__metadata__:
        return True
    bare = class_of(hint)
    return isinstance(bare, type) and get_origin(bare) is None and not is_data_class(bare)


def is_data_class(kind: type) -> bool:
    """Tell whether values of a class can be read from a text."""
    try:
        TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
        return False
    return True


def class_of(hint: Any) -> Any:
    """Return what is inside ``Shared[…]`` and ``… | None``."""
    while get_origin(hint) is Annotated:
        hint = hint.__origin__
    if get_origin(hint) in (Union, types.UnionType):
        inner = [item for item in get_args(hint) if item is not types.NoneType]
        return class_of(inner[0]) if len(inner) == 1 else hint
    return hint


def element_of(hint: Any) -> Any:
    """Return what a list is one of, or nothing if the hint is no list."""
    bare = class_of(hint)
    inner = get_args(bare)
    return inner[0] if get_origin(bare) is list and len(inner) == 1 else Empty


def is_sequence(hint: Any) -> bool:
    """Tell whether a hint means several values."""
    bare = class_of(hint)
    kind = get_origin(bare) or bare
    return isinstance(kind, type) and issubclass(kind, Collection) and not issubclass(kind, str | bytes | Mapping)


def in_words(hint: Any) -> str:
    """Write a hint as it stands in a program."""
    if hint is Empty:
        return "a value"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
