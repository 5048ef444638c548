"""Make the signature of a call from its JSON Schema, for completion, `help` and checks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["signature_from"]

TYPES: Final[dict[str, Any]] = {
    "array": list, "boolean": bool, "integer": int, "null": None, "number": float, "object": dict, "string": str,
}  # fmt: skip
KINDS = inspect.Parameter


def signature_from(parameters: Mapping[str, Any], returns: Mapping[str, Any] | None = None) -> inspect.Signature:
    """Return the signature of what takes these parameters; what isn't known of it is left open.

    >>> signature_from({"properties": {"kelvin": {"type": "number"}}, "required": ["kelvin"]})
    <Signature (kelvin: float)>
    """
    said: dict[str, Any] = parameters.get("properties", {})
    if not said and parameters.get("additionalProperties") is not False and "required" not in parameters:
        listed = [KINDS("args", KINDS.VAR_POSITIONAL), KINDS("kwargs", KINDS.VAR_KEYWORD)]
    else:
        needed = parameters.get("required", ())
        listed = in_order([parameter(name, schema, name in needed) for name, schema in said.items()])
        if parameters.get("additionalProperties", False) is not False:
            listed.append(KINDS("others", KINDS.VAR_KEYWORD))
    return inspect.Signature(listed, return_annotation=type_of(returns or {}, inspect.Signature.empty))


def parameter(name: str, schema: Mapping[str, Any], needed: bool) -> inspect.Parameter:  # noqa: FBT001 - not called by others
    """Return one parameter; one that has a default nobody can write down has `...`."""
    default = KINDS.empty if needed else schema.get("default", ...)
    return KINDS(name, KINDS.POSITIONAL_OR_KEYWORD, default=default, annotation=type_of(schema, KINDS.empty))


def in_order(listed: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return parameters as Python takes them: those that must be given after one that needn't are given by name."""
    made: list[inspect.Parameter] = []
    by_name = False
    for item in listed:
        by_name = by_name or (item.default is KINDS.empty and any(other.default is not KINDS.empty for other in made))
        made.append(item.replace(kind=KINDS.KEYWORD_ONLY) if by_name else item)
    return made


def type_of(schema: Mapping[str, Any], unknown: Any) -> Any:
    """Return the type that a schema says; of a device, its class's name."""
    if "device" in schema:
        return str(schema["device"]).rpartition(":")[2]
    kind = schema.get("type")
    return TYPES.get(kind, unknown) if isinstance(kind, str) else unknown
