"""Describe what a task takes as JSON Schema; a device stands there as the text that is its name."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from pydantic import WithJsonSchema

from actorlab.discovery.device_hints import with_devices
from actorlab.errors import WorkflowError
from actorlab.quantities.hints import is_of, signature_of
from actorlab.runtime.describe import first_paragraph, parameters_schema
from actorlab.task import Task

__all__ = ["called_for", "schema_of", "schema_of_making", "signature_of_call"]

Schema = dict[str, Any]


def schema_of(task: Task[..., Any]) -> Schema:
    """Return the JSON Schema of a task's parameters: an object with a property for each of them.

    A device is the text that names it: ``{"type": "string", "device": "Laser", "class": "mylab.drivers:Laser"}``, also
    inside of lists and the like. A parameter with devices says by ``"shared"`` whether it only relies on them. Units
    are in ``"unit"``, limits in ``"minimum"`` and ``"maximum"``. What JSON can't express is described in words.
    """
    function = task.definition.function
    found = described_call(task.name, function, signature_of_call(function))
    others = {"": found.get("additionalProperties")}  # what `**lasers` takes: any name that no parameter has
    for name, schema in (found.get("properties", {}) | others).items():
        if names_device(schema):
            schema["shared"] = is_shared(task, name)
    return found


def schema_of_making(factory: Any) -> Schema:
    """Return the JSON Schema of what a device is made with: the parameters of its class or factory."""
    title = getattr(factory, "__name__", type(factory).__name__)
    return described_call(title, factory, signature_of_call(factory))


def signature_of_call(made: Any) -> inspect.Signature | None:
    """Return how a function is called, or an object of a class is made, with the hints evaluated; None: not known."""
    static, owner = called_for(made)
    takes_nothing = static is inspect.getattr_static(object, "__init__")
    return inspect.Signature() if takes_nothing else signature_of(static, owner)


def called_for(made: Any) -> tuple[Any, type | None]:
    """Return the function that is called, as it stands in its class, and this class: of a class it is `__init__`."""
    return (inspect.getattr_static(made, "__init__"), made) if isinstance(made, type) else (staticmethod(made), None)


def described_call(title: str, function: Any, signature: inspect.Signature | None) -> Schema:
    """Describe what a function or a class takes; None says that this isn't known."""
    schema = {"type": "object"} if signature is None else parameters_schema(with_devices_named(signature))
    return {"title": title, "description": first_paragraph(function.__doc__), **schema}


def is_shared(task: Task[..., Any], name: str) -> bool:
    """Tell whether the devices of a parameter are only relied on; a hint that can't be read doesn't say so."""
    try:
        return task.definition.shares(name)
    except WorkflowError:
        return False


def names_device(schema: Any) -> bool:
    """Tell whether a schema speaks of a device."""
    if is_of(schema, dict):
        of_device = schema.get("type") == "string" and "device" in schema
        return of_device or any(map(names_device, schema.values()))
    return is_of(schema, list) and any(map(names_device, schema))


# -- devices in hints


def with_devices_named(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature whose hints describe a device by its name and class."""
    parameters = signature.parameters.values()
    return signature.replace(
        parameters=[item.replace(annotation=with_devices(item.annotation, device_named)) for item in parameters]
    )


def device_named(text: str, kind: Any) -> Any:
    """Return the hint of a text that names a device of some class."""
    schema = {"type": "string", "device": text.rpartition(".")[2]}
    if isinstance(kind, type):
        schema |= {"device": kind.__name__, "class": f"{kind.__module__}:{kind.__qualname__}"}
    return Annotated[Any, WithJsonSchema(schema)]
