"""Stand for a task or workflow of a lab elsewhere: call it, start it, know what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.client.connection import once, path_of
from actorlab.client.held_leases import headers_for
from actorlab.client.remote_device import name_of_device
from actorlab.client.remote_run import RemoteRun
from actorlab.client.signatures import signature_from
from actorlab.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.client.connection import Connection

__all__ = ["RemoteTask", "start_at"]


class RemoteTask:
    """A task of a lab elsewhere: calling it starts it there, waits for its end, and returns its result.

    `inspect.signature` and `help` tell what it takes; devices are given by their names, or as what stands for them.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self._connection = connection
        self._described: Mapping[str, Any] = connection.get(path_of("tasks", name))
        self.__name__ = self.__qualname__ = name
        self.__doc__ = self._described.get("description") or type(self).__doc__
        self.__signature__ = signature_from(self._described["parameters"])

    def describe(self) -> dict[str, Any]:
        """Return what the task is, where it comes from, and its parameters as JSON Schema."""
        return dict(self._described)

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        """Start it, wait for its end, and return its result; if this is interrupted, it goes on."""
        return self.start(*args, **parameters).result()

    def start(self, *args: Any, **parameters: Any) -> RemoteRun:
        """Start it, and return its run at once. Raises what `Client.start` raises."""
        return start_at(self._connection, self.name, args, parameters)

    def __repr__(self) -> str:
        return f"<{self.name}{self.__signature__} at {self._connection.url}>"


def start_at(connection: Connection, task: str, args: tuple[Any, ...], parameters: Mapping[str, Any]) -> RemoteRun:
    """Start a task by its name, in the name of the lease around, if there is one."""
    body = {
        "task": task,
        "args": encode([name_of_device(value) for value in args], "args"),
        "parameters": encode({name: name_of_device(value) for name, value in parameters.items()}, "parameters"),
    }
    told = connection.ask("POST", "/runs", body, headers=once(headers_for(connection)))
    return RemoteRun(connection, told["id"])
