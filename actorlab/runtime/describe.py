"""Describe a driver's class as data: its members, their parameters as JSON Schema, units, limits; nothing is run."""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaWarningKind
from pydantic_core import SchemaError

from actorlab.device import Device
from actorlab.errors import ConfigError
from actorlab.quantities.checker import limits_of, value_hint
from actorlab.quantities.hints import (
    ABSENT,
    FOREIGN_ERRORS,
    METHODS,
    Unreadable,
    annotated_names,
    has,
    is_of,
    signature_of,
)

__all__ = ["describe_class"]

Schema = dict[str, Any]
Kind: Final = inspect.Parameter
OF_THE_LAB: Final = frozenset({"device_config"})
"""What a class tells the lab about itself, and is no member of the device."""


def describe_class(
    cls: type,
    *,
    is_query: Callable[[str, bool], bool],
    hooks: Mapping[str, str],
    extra_members: frozenset[str],
    kind_of: Callable[[Any], str | None] = lambda _: None,
) -> Schema:
    """Return what can be asked of a driver, ready for JSON; no property, descriptor or method of it is run.

    `is_query` tells by a member's name, and by whether it is read (an attribute) or called, if that is a query.
    `hooks` are the names of the methods or functions that are the class's hooks. `extra_members` are attributes of the
    object that the class doesn't tell of. `kind_of` may give what stands on the class a kind of its own, in place of
    "method" and "attribute".
    """
    described = DescribedClass(cls, is_query, kind_of)
    names = sorted({*public_names(cls), *(name for name in extra_members if is_public(name))})
    return {
        "class": cls.__qualname__,
        "module": cls.__module__,
        "doc": first_paragraph(vars(cls).get("__doc__")),
        "hooks": dict(hooks),
        "members": {name: described.member(name) for name in names},
    }


class DescribedClass:
    """The class whose members are described."""

    def __init__(self, cls: type, is_query: Callable[[str, bool], bool], kind_of: Callable[[Any], str | None]) -> None:
        self._cls = cls
        self._is_query = is_query
        self._kind_of = kind_of

    def member(self, name: str) -> Schema:
        """Describe what one can do with a name."""
        static = inspect.getattr_static(self._cls, name, ABSENT)
        kind = None if static is ABSENT else self._kind_of(static)
        if kind is not None or is_method(static):
            return {"kind": kind or "method", **self._method(name, static)}
        return {"kind": "attribute", **self._attribute(name, static)}

    def _method(self, name: str, static: Any) -> Schema:
        signature = signature_of(static, self._cls)
        return {
            "doc": self._doc(name),
            "query": self._is_query(name, False),
            "parameters": {"type": "object"} if signature is None else parameters_schema(signature),
            "returns": {} if signature is None else schema_of(signature.return_annotation, "serialization"),
        }

    def _attribute(self, name: str, static: Any) -> Schema:
        readable, writable = access_to(static)
        hint = value_hint(self._cls, name)
        schema = schema_of(hint, "validation" if writable else "serialization")
        if hint is ABSENT:
            schema = schema_of_type(type(static)) if has_json(static) else schema
        return {
            "doc": self._doc(name),
            "query": self._is_query(name, True),
            "schema": schema | default_of(static),
            "readable": readable,
            "writable": writable,
        }

    def _doc(self, name: str) -> str:
        """Return the first paragraph of a member's documentation; one that was overridden may speak for it."""
        found = (document(vars(base).get(name)) for base in self._cls.__mro__)
        return next(filter(None, found), "")


# -- what stands on a class


def is_public(name: object) -> bool:
    """Tell whether a name is a member's."""
    return isinstance(name, str) and not name.startswith("_") and name not in OF_THE_LAB


def public_names(cls: type) -> set[str]:
    """Return the names of the members that a class tells of."""
    statics = [(name, static) for base in cls.__mro__ for name, static in vars(base).items()]
    own = [name for name, static in statics if static is not Device.publish]
    names: Iterable[str] = [*annotated_names(cls), *own]
    return set(filter(is_public, names))


def is_method(static: object) -> bool:
    """Tell whether it is called, rather than read; a class that stands in a class is read."""
    return is_of(static, *METHODS) or (callable(static) and not isinstance(static, type))


def access_to(static: Any) -> tuple[bool, bool]:
    """Tell whether an attribute can be read and written."""
    if is_of(static, property):
        return static.fget is not None, static.fset is not None
    if static is ABSENT or is_of(static, functools.cached_property):
        return True, True
    return True, has(static, "__set__") if has(static, "__get__") else not isinstance(static, type)


def document(static: object) -> str:
    """Return the first paragraph of what documents a function or descriptor; a value has its class's, not its own."""
    if not (is_method(static) or has(static, "__get__")):
        return ""
    try:
        doc = object.__getattribute__(static, "__doc__")  # past any code of its author's
    except FOREIGN_ERRORS:
        return ""
    return "" if doc is type(static).__doc__ else first_paragraph(doc)


def first_paragraph(doc: object) -> str:
    """Return the first paragraph of a documentation string in one line."""
    return " ".join(inspect.cleandoc(doc).split("\n\n")[0].split()) if isinstance(doc, str) else ""


# -- JSON Schema


def parameters_schema(signature: inspect.Signature) -> Schema:
    """Describe the arguments that a call takes, as an object with a property for each parameter."""
    schema: Schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for item in signature.parameters.values():
        # References lead to the definitions that each parameter carries itself: two may have one name.
        place = "additionalProperties" if item.kind is Kind.VAR_KEYWORD else f"properties/{item.name}"
        found = schema_of(item.annotation, "validation", f"#/{place}/$defs/")
        if item.kind is Kind.VAR_KEYWORD:
            schema["additionalProperties"] = found
        elif item.kind is Kind.VAR_POSITIONAL:
            found = schema_of(item.annotation, "validation", f"#/{place}/items/$defs/")
            schema["properties"][item.name] = {"type": "array", "items": found}
        else:
            schema["properties"][item.name] = found | default_of(item.default)
            schema["required"] += [item.name] if item.default is ABSENT else []
    return schema


def schema_of(hint: Any, mode: JsonSchemaMode, definitions: str = "#/$defs/") -> Schema:
    """Return the JSON Schema of a hint's values; what has none, or can't be read, is described by its text."""
    if hint is ABSENT:
        return {}
    unreadable = [item.text for item in getattr(hint, "__metadata__", ()) if isinstance(item, Unreadable)]
    schema = {"description": unreadable[0]} if unreadable else schema_of_type(hint, mode, definitions)
    return schema | asked_of(hint)


def schema_of_type(hint: Any, mode: JsonSchemaMode = "validation", definitions: str = "#/$defs/") -> Schema:
    """Return what pydantic says of a hint."""
    if hint is typing.NoReturn or hint is typing.Never or not is_hint(hint):
        return {"description": text_of(hint)}  # pydantic would warn on the terminal
    listed: Any = types.GenericAlias(list, (hint,))  # pydantic takes no configuration for models that stand alone
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(listed, config=ConfigDict(arbitrary_types_allowed=True))
        found = adapter.json_schema(mode=mode, schema_generator=Describing, ref_template=f"{definitions}{{model}}")
    except (ConfigError, SchemaError, *FOREIGN_ERRORS):
        return {"description": text_of(hint)}
    shared: dict[str, Schema] = found.get("$defs", {})
    choices = {f"{definitions}{name}": shared.pop(name) for name in list(shared) if "enum" in shared[name]}
    made: Schema = with_choices({**found.get("items", {}), **({"$defs": shared} if shared else {})}, choices)
    return made


def with_choices(schema: Any, choices: Mapping[str, Schema]) -> Any:
    """Return a schema, ready for JSON, with the choices of enums where they are referred to."""
    if is_of(schema, list):
        return [with_choices(part, choices) for part in schema]
    if not is_of(schema, dict):
        return for_json(schema)
    found = {name: with_choices(part, choices) for name, part in schema.items()}
    reference = found.get("$ref")
    return {**choices[found.pop("$ref")], **found} if reference in choices else found


def is_hint(hint: Any) -> bool:
    """Tell whether a hint consists of types, and not, as some drivers have it, of functions or numbers."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return is_hint(hint.__origin__)
    if origin in (None, Literal, Callable):
        return isinstance(hint, type) or hint in (None, ...) or type(hint).__module__ in HINTS
    return all(map(is_hint, typing.get_args(hint)))


HINTS: Final = frozenset({"typing", "types", "typing_extensions", "collections.abc"})


def asked_of(hint: Any) -> Schema:
    """Return the unit and the limits of a hint's numbers, if they are the same for all of them."""
    try:
        limits = limits_of(hint)
    except ConfigError:
        return {}
    if limits is None:
        return {}
    unit = {} if limits.unit is None else {"unit": limits.unit}
    return unit | ({} if limits.range is None else limits.range.schema())


class Describing(GenerateJsonSchema):
    """Describe in words what JSON Schema doesn't know."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing of what is left out."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        """Say what it is, by the name of pydantic's schema for it."""
        del error_info
        return {"description": str(schema["type"])}

    def is_instance_schema(self, schema: Any) -> Schema:
        """Name the class."""
        return {"description": text_of(schema["cls"])}

    def is_subclass_schema(self, schema: Any) -> Schema:
        """Name the class."""
        return {"description": f"type[{text_of(schema['cls'])}]"}

    def callable_schema(self, schema: Any) -> Schema:
        """Say that it is a function."""
        del schema
        return {"description": "callable"}

    def enum_schema(self, schema: Any) -> Schema:
        """Give the names, where the values can't be written in JSON."""
        if all(has_json(member.value) for member in schema["members"]):
            return super().enum_schema(schema)
        return {"description": schema["cls"].__qualname__, "enum": [member.name for member in schema["members"]]}


# -- values


def default_of(value: object) -> Schema:
    """Return a default, if it can be written in JSON."""
    return {"default": for_json(value)} if has_json(value) else {}


def has_json(value: Any, depth: int = 0) -> bool:
    """Tell whether a value can be written in JSON; one that is very deep may hold itself."""
    if is_of(value, Enum):
        return has_json(value.value, depth + 1)
    if is_of(value, dict):
        return all(type(key) is str for key in value) and has_json(list(value.values()), depth)
    if is_of(value, list, tuple):
        return depth < DEEPEST and all(has_json(item, depth + 1) for item in value)
    return type(value) in (bool, int, float, str, types.NoneType)


DEEPEST: Final = 20


def for_json(value: Any) -> Any:
    """Return a value as JSON has it: numbers that it doesn't have become text."""
    if is_of(value, Enum):
        return for_json(value.value)
    if is_of(value, list, tuple):
        return [for_json(item) for item in value]
    if is_of(value, dict):
        return {key: for_json(item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def text_of(hint: object) -> str:
    """Write a hint as it stands in a program."""
    try:
        return inspect.formatannotation(hint)
    except FOREIGN_ERRORS:
        return type(hint).__name__
