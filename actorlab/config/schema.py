"""Describe the keys of a lab's file: to editors as a JSON Schema, to readers as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from actorlab.config.model import LabConfig
from actorlab.config.source import is_list, is_map
from actorlab.config.yaml_file import KINDS

__all__ = ["lab_schema", "table_of_keys"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
PARTS: Final = {
    "": "LabConfig",
    "bench": "BenchConfig",
    "discover": "DiscoverConfig",
    "server": "ServerConfig",
    "server.tls": "TlsConfig",
    "devices.NAME": "DeviceEntry",
    "devices.NAME.restart": "RestartConfig",
    "devices.NAME.read_back.MEMBER": "ReadBackConfig",
    "devices.NAME.mailbox": "MailboxConfig",
}
"""Where each part of the model stands in a file."""

WORDS: Final = {
    "array": "a list",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "null": "`null`",
    "number": "a number",
    "object": "a map",
    "string": "text",
}
"""How the types of JSON are called."""


def lab_schema() -> dict[str, Any]:
    """Return the JSON Schema of a lab's file, for editors."""
    schema: dict[str, Any] = unwrapped(LabConfig.model_json_schema())
    return {"$schema": DIALECT, **schema, "title": "A lab of actorlab"}


def unwrapped(schema: Any) -> Any:
    """Return a schema whose descriptions are one line each, as they are long lines in the sources."""
    if is_map(schema):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else unwrapped(value)
            for key, value in schema.items()
        }
    if is_list(schema):
        return [unwrapped(item) for item in schema]
    return schema


def table_of_keys() -> str:
    """Return the keys of a lab's file as a Markdown table."""
    schema = lab_schema()
    rows = [row for place, part in PARTS.items() for row in rows_of(place, schema["$defs"].get(part, schema))]
    return "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def rows_of(place: str, part: dict[str, Any]) -> Iterator[str]:
    """Yield a row for each key of a part of the file."""
    needed = part.get("required", [])
    for key, said in part["properties"].items():
        name = f"{place}.{key}" if place else key
        default = "needed" if key in needed else "" if "$ref" in said else code(said.get("default"))
        yield f"| `{name}` | {kind_of(said)} | {default} | {described(said)} |"


def described(said: dict[str, Any]) -> str:
    """Return what a key means; tags of secrets as code."""
    text = str(said.get("description", ""))
    for kind in KINDS:
        text = text.replace(f"!{kind} {'PATH' if kind == 'file' else 'NAME'}", f"`!{kind} …`")
    return text.replace("*", r"\*").replace("|", r"\|")


def code(value: Any) -> str:
    """Return a value as it would stand in the file; nothing for one that is empty."""
    return "" if value in ([], {}) else f"`{json.dumps(value)}`"


def kind_of(said: dict[str, Any]) -> str:
    """Return what a key takes, in a word or two."""
    kind = said.get("type")
    if "enum" in said or "anyOf" in said:
        return " or ".join([f"`{item}`" for item in said.get("enum", [])] or map(kind_of, said["anyOf"]))
    if "$ref" in said or "$ref" in str(said.get("additionalProperties")):
        return "keys, see below"
    if kind == "array" and said.get("items"):
        return f"a list of {kind_of(said['items'])}"
    return WORDS.get(str(kind), "anything") + more_than(said)


def more_than(said: dict[str, Any]) -> str:
    """Return the bound of a number."""
    return f" above {said['exclusiveMinimum']}" if "exclusiveMinimum" in said else ""
