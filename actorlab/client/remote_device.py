"""Stand for a device of a lab elsewhere: its methods are called there, its attributes read and set there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorlab.client.connection import path_of
from actorlab.client.held_leases import headers_for
from actorlab.client.remote_stream import RemoteStream
from actorlab.client.signatures import signature_from
from actorlab.device import Device
from actorlab.encoding import decode, encode, loaded
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actorlab.client.connection import Connection
    from actorlab.client.held_leases import Held

__all__ = ["RemoteDevice", "name_of_device"]


class RemoteDevice:
    """A device of a lab elsewhere; what it has is known from its description, so completing names asks nobody.

    What it returns comes without loss, if it is data; classes that aren't loaded here can't be read. One that was asked
    for as a class is an instance of it to `isinstance`.
    """

    _name: str
    _connection: Connection
    _members: dict[str, Any]
    _lease: Held | None

    def __init__(self, connection: Connection, name: str, lease: Held | None = None, cls: type | None = None) -> None:
        described = connection.get(path_of("devices", name, "description"))
        members = described["members"]
        if cls is not None:
            check_class(cls, name, members)
        self.__dict__.update(_name=name, _connection=connection, _members=members, _lease=lease, _methods={})
        self.__dict__.update(_cls=RemoteDevice if cls is None else cls)
        self.__doc__ = described["doc"]

    @property
    def __class__(self) -> type:
        cls: type = self.__dict__["_cls"]
        return cls

    @__class__.setter
    def __class__(self, cls: type) -> None:
        text = f"{self._name} stays what it is"
        raise TypeError(text)

    def __getattr__(self, name: str) -> Any:
        kind = self._kind(name)
        if kind == "method":
            methods = self.__dict__["_methods"]
            return methods.get(name) or methods.setdefault(name, self._method(name))
        if kind == "stream":
            return self._stream(name)
        told = self._ask("GET", "attributes", name)
        return decode(told["result"], resolve=loaded)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__doc__":
            object.__setattr__(self, name, value)
            return
        if self._kind(name) != "attribute":
            text = f"{self._name}.{name} is a {self._kind(name)}, and can't be set"
            raise AttributeError(text)
        body = {"value": encode(value, name)}
        self._ask("PUT", "attributes", name, body)

    def __dir__(self) -> Iterable[str]:
        return sorted(self._members)

    def __repr__(self) -> str:
        return f"<{self._name} at {self._connection.url}>"

    def _ask(self, method: str, what: str, member: str, body: Any = None) -> Any:
        """Ask for a member, in the name of a lease if there is one."""
        connection, lease = self._connection, self._lease
        headers = headers_for(connection, self._name) if lease is None else lease.headers
        return connection.ask(method, path_of("devices", self._name, what, member), body, headers=headers)

    def _kind(self, name: str) -> str:
        """Return what a member is. Raise `AttributeError` if there is none of this name."""
        kind = self.__dict__["_members"].get(name, {}).get("kind") if not name.startswith("_") else None
        if kind not in {"method", "attribute", "stream"}:
            text = f"{self.__dict__['_name']} offers no {name!r} through its server; it offers {', '.join(dir(self))}"
            raise AttributeError(text)
        return str(kind)

    def _method(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            body = {"args": encode(list(args), "args"), "kwargs": encode(kwargs, "kwargs")}
            return decode(self._ask("POST", "call", name, body)["result"], resolve=loaded)

        told = self._members[name]
        call.__name__ = call.__qualname__ = name
        call.__doc__ = told.get("doc")
        call.__signature__ = signature_from(told.get("parameters", {}), told.get("returns"))  # type: ignore[attr-defined]  # inspect's own convention
        return call

    def _stream(self, name: str) -> Callable[..., RemoteStream]:
        def listen(*args: Any, **kwargs: Any) -> RemoteStream:
            return RemoteStream(self._connection, self._name, name, args, kwargs, lease=self._lease)

        listen.__name__ = listen.__qualname__ = name
        listen.__doc__ = self._members[name].get("doc")
        return listen


def name_of_device(value: Any) -> Any:
    """Return the name of a device for what stands for it; any other value is itself."""
    if type(value) is RemoteDevice:
        return value.__dict__["_name"]
    if type(value) in {list, tuple}:
        return type(value)(map(name_of_device, value))
    return value


def check_class(cls: type, name: str, members: dict[str, Any]) -> None:
    """Raise `ConfigError` if a device lacks something that a class has: it is another kind of device.

    Raises:
        TypeError: it is no class.

    """
    if not isinstance(cls, type):  # pyright: ignore[reportUnnecessaryIsInstance]  # whoever has no type checker
        text = f"{name}: {cls!r} is no class; give the driver's class itself, or leave it out: client.device({name!r})"
        raise TypeError(text)
    wanted = [member for member in dir(cls) if not member.startswith("_") and not hasattr(Device, member)]
    lacking = [member for member in wanted if member not in members]
    if lacking:
        message = f"{name} is no {cls.__name__}: it has no {', '.join(lacking)}"
        raise ConfigError(message)
