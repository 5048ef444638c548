"""Offer the verbs of a lab that runs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from actorlab.client.connection import Connection, path_of
from actorlab.client.held_leases import headers_for
from actorlab.client.remote_device import RemoteDevice
from actorlab.client.remote_lease import RemoteLease
from actorlab.client.remote_run import RemoteRun
from actorlab.encoding import encode

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Client"]


class Client:
    """Use the lab that a server offers at an address: ``Client("http://127.0.0.1:8600", token="…")``.

    An answer may take `timeout` seconds. The server's errors are raised here as the same classes.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        self._connection = Connection(url, token, timeout)

    # -- devices

    def device(self, name: str) -> RemoteDevice:
        """Return what stands for a device.

        Raises:
            ConfigError: there is none; the message lists those there are.

        """
        return RemoteDevice(self._connection, name)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Return how the devices stand, by name, or how one of them does; none is asked."""
        path = path_of("devices") if name is None else path_of("devices", name)
        told: dict[str, Any] = self._connection.get(path)
        return told

    def describe(self, name: str) -> dict[str, Any]:
        """Return what can be asked of a device."""
        told: dict[str, Any] = self._connection.get(path_of("devices", name, "description"))
        return told

    def reset(self, name: str) -> None:
        """Start a quarantined device afresh, and return when it has connected."""
        self._connection.post(path_of("devices", name, "reset"))

    # -- leases

    def lease(
        self, *devices: str, shared: tuple[str, ...] = (), ttl: float = 10.0, timeout: float = 30.0, label: str = ""
    ) -> RemoteLease:
        """Hold devices for the length of a ``with`` block, all at once: ``with client.lease("laser", "meter"): …``.

        It waits for them at most `timeout` seconds, or inside another lease not at all. The lease renews itself; if
        this program dies or can't reach the server, it is lost after `ttl` seconds, and the devices are made safe.
        `label` says to others what it is for.
        """
        wanted = {"devices": list(devices), "shared": list(shared), "ttl": ttl, "timeout": timeout, "label": label}
        return RemoteLease(self._connection, wanted)

    @property
    def leases(self) -> dict[str, Any]:
        """Return the leases of all clients, and for each device who holds it, since when, and who waits."""
        told: dict[str, Any] = self._connection.get("/leases")
        return told

    def revoke(self, lease_id: str, reason: str = "") -> dict[str, Any]:
        """Take a lease away from its holder, and make its devices safe; return how it stands after some seconds."""
        told: dict[str, Any] = self._connection.post(path_of("leases", lease_id, "revoke"), {"reason": reason})
        return told

    # -- runs

    @property
    def tasks(self) -> dict[str, Any]:
        """Return the tasks and workflows that the lab knows, by name, with their parameters as JSON Schema."""
        told: dict[str, Any] = self._connection.get("/tasks")
        return told

    def start(self, task: str, /, *args: Any, **parameters: Any) -> RemoteRun:
        """Start a task by its name, with devices by theirs, and return its run at once.

        Raises:
            ConfigError: there is no such task, or no such device, or an argument doesn't fit; it names them all.
            LeaseTimeout: it may not wait for its devices, and somebody holds one; the message says who.

        """
        body = {
            "task": task,
            "args": encode(list(args), "args"),
            "parameters": encode(parameters, "parameters"),
        }
        told = self._connection.ask("POST", "/runs", body, headers=headers_for(self._connection))
        return RemoteRun(self._connection, told["id"])

    def run(self, task: str, /, *args: Any, **parameters: Any) -> Any:
        """Start a task by its name, wait for its end, and return its result; if this is interrupted, it goes on."""
        return self.start(task, *args, **parameters).result()

    @property
    def runs(self) -> tuple[RemoteRun, ...]:
        """Return the runs that haven't ended, and the newest of those that have."""
        return tuple(RemoteRun(self._connection, told["id"]) for told in self._connection.get("/runs"))

    def get(self, run_id: str) -> RemoteRun:
        """Return a run by its id.

        Raises:
            ConfigError: there is none.

        """
        self._connection.get(path_of("runs", run_id))
        return RemoteRun(self._connection, run_id)

    # -- the lab

    @property
    def health(self) -> dict[str, Any]:
        """Return the lab's name, whether it is open, and how many devices it has."""
        told: dict[str, Any] = self._connection.get("/health")
        return told

    @property
    def questions(self) -> list[dict[str, Any]]:
        """Return what runs ask an operator and nobody has answered yet."""
        told: list[dict[str, Any]] = self._connection.get("/questions")
        return told

    def answer(self, question_id: int, text: str) -> None:
        """Answer an operator's question.

        Raises:
            ConfigError: there is no such question, or the answer isn't among its choices.

        """
        self._connection.post(path_of("questions", str(question_id), "answer"), {"answer": text})

    def emergency_stop(self, reason: str) -> dict[str, str | None]:
        """Stop everything and make all devices safe; return for each None, or why it isn't known to be safe.

        Raises:
            TimeoutError: not all has been made safe within 30 s; it goes on.

        """
        wait = min(30.0, self._connection.timeout / 2)
        told = self._connection.post("/emergency_stop", {"reason": reason}, wait=wait)
        if not told["done"]:
            text = f"everything was stopped, but after {wait:g} s not all devices are known to be safe"
            raise TimeoutError(text)
        found: dict[str, str | None] = told["devices"]
        return found

    def rearm(self) -> None:
        """Let devices accept commands again after an emergency stop."""
        self._connection.post("/rearm")

    def close(self) -> None:
        """Close the connection; what was started goes on."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
