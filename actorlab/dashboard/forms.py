"""Make a form of a JSON Schema, and read what somebody has filled in: values, or what is wrong in which field.

It is pure: `form_view` puts a form on a page. What isn't filled in, or left as it was, isn't passed on: the function's
own default holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, cast

from actorlab.dashboard.form_kinds import (
    Anything,
    Choice,
    DeviceChoice,
    Either,
    Flag,
    Kind,
    Listed,
    Number,
    Raw,
    Words,
    flat,
    limits_text,
    parsed,
    shown,
)

__all__ = ["Field", "Filled", "Fitting", "Form", "blamed", "form_of", "no_devices"]

Schema: TypeAlias = Mapping[str, Any]
Fitting: TypeAlias = Callable[[str], Sequence[str]]
"""Returns the names of the devices of a class, given as "module:name"; of all devices for ""."""

OTHERS: Final = "others"
"""The field for what `**names` takes."""
DEEPEST: Final = 6


class Filled(NamedTuple):
    """What was filled in: the values by parameter; or by field what is wrong, and then the rest is of no use."""

    values: dict[str, Any]
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter: what it takes, its unit, and what its field holds at first.

    `nullable` ones may be nothing at all. `spread` says that its entries are parameters themselves.
    """

    name: str
    kind: Kind
    initial: Raw
    required: bool = False
    nullable: bool = False
    unit: str = ""
    help: str = ""
    spread: bool = False

    @property
    def label(self) -> str:
        """How it is titled: with its unit, and a star if it has to be filled in."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name.replace('_', ' ')}{unit}{' *' if self.required else ''}"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields in the order of the parameters."""

    title: str
    help: str
    fields: tuple[Field, ...]

    def initial(self) -> dict[str, Raw]:
        """Return what the fields hold at first."""
        return {field.name: field.initial for field in self.fields}

    def read(self, raws: Mapping[str, Raw]) -> Filled:
        """Read what the fields hold now."""
        filled = Filled({}, {})
        for field in self.fields:
            try:
                take(field, raws.get(field.name, field.initial), filled.values)
            except ValueError as error:
                filled.errors[field.name] = str(error)
        return filled


def form_of(schema: Schema, fitting: Fitting) -> Form:
    """Return the form for a schema of parameters, as `lab.describe_task` and a method's description have it."""
    required: list[str] = list(schema.get("required", ()))
    properties: Mapping[str, Schema] = schema.get("properties", {})
    fields = [field_of(name, its, required=name in required, fitting=fitting) for name, its in properties.items()]
    others: Any = schema.get("additionalProperties", "properties" not in schema)
    if isinstance(others, dict) or others is True:
        name = next(name for name in (OTHERS, f"{OTHERS}_", f"more_{OTHERS}") if name not in properties)
        text = "an object with further parameters by name"
        fields.append(Field(name, Anything(dict, '{"name": value}'), "", help=text, spread=True))
    return Form(str(schema.get("title", "")), str(schema.get("description", "")), tuple(fields))


def blamed(form: Form, message: str) -> dict[str, str]:
    """Return by field what a refusal says of it: "sweep can't be started: points.1: a number is wanted; …"."""
    names = {field.name for field in form.fields}
    found: dict[str, str] = {}
    for part in message.partition("can't be started: ")[2].split("; "):
        place, _, said = part.partition(": ")
        name = place.partition(".")[0]
        if said and name in names:
            found[name] = said if place == name else part
    return found


def no_devices(wanted: str) -> Sequence[str]:
    """Offer no devices."""
    del wanted
    return ()


def take(field: Field, raw: Raw, values: dict[str, Any]) -> None:
    """Add the value of a field, if there is one. Raise `ValueError` if it is wrong."""
    if raw is None or raw == [] or (isinstance(raw, str) and not raw.strip()):
        take_nothing(field, values)
    elif raw == field.initial and not field.required:
        return
    elif field.spread:
        values.update(parsed(field.kind, raw))
    else:
        values[field.name] = parsed(field.kind, raw)


def take_nothing(field: Field, values: dict[str, Any]) -> None:
    """Add what an empty field means: an empty text or list where there was another, None where that may be."""
    cleared = field.initial not in (None, "", [])
    if field.required and not field.nullable:
        message = "this is needed"
        raise ValueError(message)
    if field.nullable and (field.required or cleared):
        values[field.name] = None
    elif cleared and field.kind == Words():
        values[field.name] = ""
    elif cleared and (isinstance(field.kind, Listed) or (isinstance(field.kind, DeviceChoice) and field.kind.several)):
        values[field.name] = parsed(field.kind, "") if isinstance(field.kind, Listed) else []
    elif cleared:
        message = "this can't be empty"
        raise ValueError(message)


# -- of a schema


def field_of(name: str, schema: Schema, *, required: bool, fitting: Fitting) -> Field:
    """Return the field of a parameter."""
    inner, nullable = without_null(schema)
    kind = kind_of(inner, fitting, schema, DEEPEST)
    initial: Raw = ""
    if "default" in schema and (schema["default"] is not None or isinstance(kind, Anything)):
        initial = "" if schema["default"] is None else shown(kind, schema["default"])
    elif isinstance(kind, DeviceChoice):
        initial = first_choice(name, kind, required=required)
    elif isinstance(kind, Flag):
        initial, kind = (False, kind) if required and not nullable else ("", Choice((True, False)))
    if isinstance(kind, Flag) and nullable:
        given: Any = schema.get("default")
        kind, initial = Choice((True, False)), "" if given is None else shown(Choice(()), given)
    said = str(schema.get("description") or inner.get("description") or "")
    help_ = "; ".join(filter(None, (said, help_of(kind))))
    return Field(name, kind, initial, required, nullable, unit_of(schema), help_)


def first_choice(name: str, kind: DeviceChoice, *, required: bool) -> Raw:
    """Return the device that is meant most probably: the only one, or that of the parameter's name."""
    if kind.several:
        return []
    if name in kind.names:
        return name if required else ""
    return kind.names[0] if required and len(kind.names) == 1 else ""


def unit_of(schema: Schema) -> str:
    """Return the unit of a parameter's numbers."""
    return str(schema.get("unit", ""))


def help_of(kind: Kind) -> str:  # noqa: PLR0911 - one for each kind
    """Say how a field is filled in, where that isn't plain."""
    match kind:
        case Number():
            return limits_text(kind)
        case Listed(item=Number() as item):
            return "; ".join(filter(None, ("numbers between commas", limits_text(item))))
        case Listed():
            return "values between commas" if flat(kind) else "a list such as [1, 2]"
        case Words(format="date-time"):
            return "such as 2026-01-31T12:00:00"
        case DeviceChoice(names=()):
            return f"the lab has no {kind.wanted or 'device'}"
        case Anything(only=None):
            return "JSON, or plain text"
        case Anything():
            return "JSON"
        case _:
            return ""


def without_null(schema: Schema) -> tuple[Schema, bool]:
    """Return a schema without the possibility of nothing at all, and whether there was one."""
    options: list[Schema] = list(schema.get("anyOf", ()))
    rest = [option for option in options if option.get("type") != "null"]
    if len(rest) == len(options):
        return schema, False
    if len(rest) == 1:
        return {**{key: value for key, value in schema.items() if key != "anyOf"}, **rest[0]}, True
    return {**schema, "anyOf": rest}, True


def kind_of(schema: Schema, fitting: Fitting, root: Schema, depth: int) -> Kind:
    """Return what a schema takes; what is too deep, or nothing known, is JSON."""
    if depth == 0:
        return Anything()
    if "enum" in schema or "const" in schema:
        return Choice(tuple(schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema or "oneOf" in schema:
        return either_of([kind_of(each, fitting, root, depth - 1) for each in schema.get("anyOf") or schema["oneOf"]])
    if "device" in schema and schema.get("type") == "string":
        return DeviceChoice(tuple(fitting(str(schema.get("class", "")))), str(schema["device"]))
    return typed_kind(schema, fitting, root, depth) or referred(schema, fitting, root, depth)


def typed_kind(schema: Schema, fitting: Fitting, root: Schema, depth: int) -> Kind | None:
    """Return what a schema takes that names a type; None if it names none that is known."""
    match schema.get("type"):
        case "boolean":
            return Flag()
        case "integer" | "number" as found:
            return number_of(schema, whole=found == "integer")
        case "string":
            return Words(str(schema.get("format", "")))
        case "array":
            return list_of(schema, fitting, root, depth)
        case "object":
            return Anything(dict, example_of(schema))
        case _:
            return None


def number_of(schema: Schema, *, whole: bool) -> Number:
    """Return the number that a schema takes."""
    keys = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    low, high, above, below = (its if isinstance(its := schema.get(key), int | float) else None for key in keys)
    return Number(whole, low, high, above, below)


def list_of(schema: Schema, fitting: Fitting, root: Schema, depth: int) -> Kind:
    """Return the list that a schema takes."""
    items: Schema = schema.get("items") or {}  # false where there are `prefixItems` only
    item = kind_of(items, fitting, root, depth - 1)
    if isinstance(item, DeviceChoice):
        return DeviceChoice(item.names, item.wanted, several=True)
    places = tuple([kind_of(each, fitting, root, depth - 1) for each in schema.get("prefixItems", ())])
    most: Any = schema.get("maxItems")
    return Listed(item, int(schema.get("minItems", 0)), most, places if most == len(places) else ())


def either_of(kinds: list[Kind]) -> Kind:
    """Return what takes one of several kinds; a text, which anything is, comes last, and devices stay devices."""
    chosen = [kind for kind in kinds if isinstance(kind, DeviceChoice) and not kind.several]
    if chosen and len(chosen) == len(kinds):
        names = dict.fromkeys(name for kind in chosen for name in kind.names)
        return DeviceChoice(tuple(names), " or ".join(dict.fromkeys(kind.wanted for kind in chosen)))
    ordered = sorted(dict.fromkeys(kinds), key=lambda kind: isinstance(kind, Words | Anything) + (kind == Anything()))
    return ordered[0] if len(ordered) == 1 else Either(tuple(ordered))


def referred(schema: Schema, fitting: Fitting, root: Schema, depth: int) -> Kind:
    """Return what a definition takes that a schema refers to, ``#/properties/point/$defs/Point``; else anything."""
    definitions: Mapping[str, Schema] = root.get("$defs", {})
    found = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2])
    return Anything() if found is None else kind_of(found, fitting, root, depth - 1)


EXAMPLES: Final[dict[Any, object]] = {
    "number": 0.0, "integer": 0, "string": "", "boolean": False, "array": [], "object": {},
}  # fmt: skip


def example_of(schema: Schema) -> str:
    """Return an object as a schema wants it."""
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    return json.dumps({
        name: its.get("default", EXAMPLES.get(its.get("type"))) for name, its in properties.items()
    }) if properties else '{"name": value}'  # fmt: skip
