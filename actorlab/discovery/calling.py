"""Check the arguments of a task that is asked for by its name: devices by their names, all else as its hints say."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from actorlab.arguments import find_devices
from actorlab.discovery.device_hints import with_devices
from actorlab.discovery.schema import called_for, signature_of_call
from actorlab.errors import ConfigError
from actorlab.quantities.checker import checker_of
from actorlab.quantities.hints import ABSENT, FOREIGN_ERRORS

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab
    from actorlab.task import Task

__all__ = ["checked_call"]

ANY_CLASS: Final = ConfigDict(arbitrary_types_allowed=True)
Kind = inspect.Parameter
Args = tuple[Any, ...]


def checked_call(
    lab: Lab, name: str, task: Task[..., Any], args: Args, kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return the arguments for a task, with a lab's devices in place of their names, and values of the right types.

    A value of JSON becomes what the hint says: a list a tuple, an object a dataclass, a text a date. What a hint
    doesn't say, or pydantic can't check, stays as it is.

    Raises:
        ConfigError: one is missing, unknown, no such device, or doesn't fit; the message names each of them.

    """
    function = task.definition.function
    signature = signature_of_call(function) or task.signature
    bound = bound_to(signature, name, args, kwargs)
    mistakes: list[str] = []
    for parameter in [item for item in signature.parameters.values() if item.name in bound.arguments]:
        values = bound.arguments[parameter.name]
        bound.arguments[parameter.name] = checked(lab, parameter, values, mistakes)
    if mistakes:
        message = f"{name} can't be started: {'; '.join(mistakes)}"
        raise ConfigError(message)
    return within_limits(name, function, signature, bound)


def within_limits(
    name: str, function: Any, signature: inspect.Signature, bound: inspect.BoundArguments
) -> inspect.BoundArguments:
    """Return the arguments in the units that the hints say. Raise `ConfigError` if one is out of its range."""
    checker = checker_of(*called_for(function))
    if checker is None:
        return bound
    try:
        args, kwargs = checker.check(name, bound.args, bound.kwargs)
    except ValueError as error:
        message = f"{name} can't be started: {error}"
        raise ConfigError(message) from error
    return signature.bind(*args, **kwargs)


def bound_to(signature: inspect.Signature, name: str, args: Args, kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """Bind the arguments to the parameters. Raise `ConfigError` saying what is missing, or not among them."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = next((key for key in kwargs if key not in known), None)
        said = str(error) if unknown is None else f"it has no parameter {unknown!r}"
        close = difflib.get_close_matches(unknown or "", known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known) or 'nothing'}"
        message = f"{name} can't be started: {said}; {hint}"
        raise ConfigError(message) from error


def checked(lab: Lab, parameter: inspect.Parameter, value: Any, mistakes: list[str]) -> Any:
    """Return an argument as its parameter wants it, and note what is wrong with it."""
    hint = parameter.annotation
    match parameter.kind:
        case Kind.VAR_POSITIONAL:
            return tuple([fitted(lab, hint, item, f"{parameter.name}.{at}", mistakes) for at, item in enumerate(value)])
        case Kind.VAR_KEYWORD:
            return {key: fitted(lab, hint, item, key, mistakes) for key, item in value.items()}
        case _:
            return fitted(lab, hint, value, parameter.name, mistakes)


def fitted(lab: Lab, hint: Any, value: Any, place: str, mistakes: list[str]) -> Any:
    """Return a value as a hint wants it."""
    adapter = None if hint is ABSENT else adapter_for(with_devices(hint, partial(device_hint, lab)))
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        mistakes.extend(told(error, place))
        return value


def adapter_for(hint: Any) -> TypeAdapter[Any] | None:
    """Return what checks values against a hint; None if pydantic can't."""
    for config in (ANY_CLASS, None):  # a model has a configuration of its own, and takes no other
        try:
            return TypeAdapter(hint, config=config)
        except (PydanticUserError, SchemaError, *FOREIGN_ERRORS):
            continue
    return None


def told(error: ValidationError, place: str) -> Iterator[str]:
    """Say each mistake in a value: where in it, and what is wrong."""
    found = error.errors()
    ours = [item for item in found if item["type"] == "value_error"]  # of the branches of a union, that of a device
    for item in ours or found:
        inner = [str(part) for part in item["loc"] if not (isinstance(part, str) and "[" in part)]
        cause = item.get("ctx", {}).get("error") if item["type"] == "value_error" else None
        said = f"{lowered(item['msg'])}, not {item['input']!r}" if cause is None else str(cause)
        yield f"{'.'.join([place, *inner])}: {said}"


def lowered(text: str) -> str:
    """Begin a text with a small letter."""
    return text[:1].lower() + text[1:]


# -- devices


def device_hint(lab: Lab, text: str, kind: Any) -> Any:
    """Return a hint that takes a device of some class, or its name; `text` is how the class was written."""
    return Annotated[Any, BeforeValidator(partial(device_of, lab, text, kind))]


def device_of(lab: Lab, text: str, kind: Any, value: Any) -> Any:
    """Return the device that is meant. Raise `ValueError` saying what there is."""
    wanted = text.rpartition(".")[2]
    if isinstance(value, str):
        if value not in lab.cells:
            close = difflib.get_close_matches(value, list(lab.cells), 1)
            there = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(lab.cells) or 'none'}"
            message = f"the lab has no device named {value!r} ({wanted} is wanted); {there}"
            raise ValueError(message)
        value = lab.device(value)
    elif not find_devices((value,), {}):
        message = f"a device of the lab is wanted ({wanted}), or its name, not {value!r}"
        raise ValueError(message)
    if is_class(kind) and known_class(lab, value) and not isinstance(value, kind):
        message = f"{wanted} is wanted, and {value!r} is another device"
        raise ValueError(message)
    return value


def is_class(kind: Any) -> bool:
    """Tell whether devices can be held against a class; a protocol that isn't made for that says nothing."""
    return isinstance(kind, type) and not getattr(kind, "_is_protocol", False)


def known_class(lab: Lab, device: Any) -> bool:
    """Tell whether the class of a device is known; one that a function makes may be anything."""
    cell = lab.cells.get(device._actorlab_name)  # noqa: SLF001 - asking its driver would be a call
    return cell is not None and cell.cls is not object
