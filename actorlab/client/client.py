"""Offer the verbs of a lab that runs elsewhere."""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from actorlab.client.connection import Connection, error_in, once, path_of
from actorlab.client.named import Named
from actorlab.client.remote_device import RemoteDevice
from actorlab.client.remote_events import AWAY, RemoteEvents, chosen
from actorlab.client.remote_lease import RemoteLease
from actorlab.client.remote_run import RemoteRun, rows_at
from actorlab.client.remote_stream import RemoteStream
from actorlab.client.remote_task import RemoteTask, start_at
from actorlab.encoding import encode
from actorlab.errors import ConfigError, DeviceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from actorlab.client.address import Verify

__all__ = ["Client"]

D = TypeVar("D")
LOOK_AGAIN: Final = 0.05
"""Seconds after which it is asked again whether a device has connected."""


class Client:
    """Use the lab that a server offers at an address: ``Client("http://127.0.0.1:8600", token="…")``.

    An answer may take `timeout` seconds. The server's errors are raised here as the same classes. With `verify` a
    server that is spoken to by https is known by a file of authorities of one's own. One that goes away is looked for
    again for `reconnect` seconds, unless it may have carried out already what it was asked for. Any number of threads
    may use one client.

    Raises:
        ConfigError: this is no address of a server, or no token.

    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        verify: Verify = True,
        reconnect: float = 5.0,
    ) -> None:
        self._connection = Connection(url, token, timeout, verify=verify, reconnect=reconnect)

    @property
    def url(self) -> str:
        """Return where the server is."""
        return self._connection.url

    # -- devices

    @overload
    def device(self, name: str) -> RemoteDevice: ...

    @overload
    def device(self, name: str, cls: type[D]) -> D: ...

    def device(self, name: str, cls: type | None = None) -> Any:
        """Return what stands for a device; with the class of its driver it is typed as that.

        Raises:
            ConfigError: there is none, and the message lists those there are; or it lacks what the class has.

        """
        return RemoteDevice(self._connection, name, cls=cls)

    @property
    def devices(self) -> Mapping[str, RemoteDevice]:
        """Return the devices by their names."""
        return Named(self.status, self.device)

    def status(self, name: str | None = None) -> dict[str, Any]:
        """Return how the devices stand, by name, or how one of them does; none is asked."""
        path = path_of("devices") if name is None else path_of("devices", name)
        told: dict[str, Any] = self._connection.get(path)
        return told

    def describe(self, name: str) -> dict[str, Any]:
        """Return what can be asked of a device."""
        told: dict[str, Any] = self._connection.get(path_of("devices", name, "description"))
        return told

    def connect(self, name: str) -> None:
        """Connect a device that was disconnected, and return when it serves; one that serves stays so."""
        self._connection.post(path_of("devices", name, "connect"))

    def disconnect(self, name: str, reason: str = "") -> None:
        """Make a device that nobody holds safe, and disconnect it until `connect`.

        Raises:
            DeviceBusy: somebody holds it; the message says who.

        """
        self._connection.post(path_of("devices", name, "disconnect"), {"reason": reason})

    def reset(self, name: str, *, force: bool = False) -> None:
        """Start a quarantined device afresh, and return when it has connected; `force` is an admin's word for it."""
        self._connection.post(path_of("devices", name, "reset"), force=force)

    def restart(self, name: str, *, force: bool = False) -> None:
        """End a device's present life, begin a new one, and return when it serves.

        Raises:
            DeviceBusy: somebody holds it; an admin may `force` it.

        """
        self._connection.post(path_of("devices", name, "restart"), force=force)

    def last_error(self, name: str) -> BaseException | None:
        """Return the last error of a device, also if it serves again."""
        told = self._connection.get(path_of("devices", name, "error"))["error"]
        return None if told is None else error_in(told, f"the last error of {name} at {self._connection.url}")

    def clear_error(self, name: str) -> None:
        """Forget the last error of a device that serves."""
        self._connection.ask("DELETE", path_of("devices", name, "error"))

    @property
    def device_types(self) -> list[dict[str, Any]]:
        """Return the classes of devices that the lab knows, with what they are made with as JSON Schema."""
        told: list[dict[str, Any]] = self._connection.get("/device_types")
        return told

    def add(self, name: str, type: str | None = None, /, *args: Any, **kwargs: Any) -> RemoteDevice:  # noqa: A002
        """Add a device of a type that the lab knows, or without one the device of this name in the lab's file.

        Return what stands for it when it has connected.

        Raises:
            ConfigError: the lab knows no such type, or it isn't made with this, or the name is taken.
            DeviceUnavailable: it didn't connect; the message says why.

        """
        body = {"name": name, "type": type, "args": encode(list(args), "args"), "kwargs": encode(kwargs, "kwargs")}
        self._connection.ask("POST", "/devices", body, headers=once())
        return self.device(name)

    def ensure_device(self, name: str, type: str | None = None, /, *args: Any, **kwargs: Any) -> RemoteDevice:  # noqa: A002
        """Return what stands for a device that serves: add it if there is none, connect it if it was disconnected.

        It raises what `add` and `connect` raise; of several programs that do so at once, one adds it.
        """
        try:
            self._connect_in_time(name)
        except ConfigError as absent:
            try:
                return self.add(name, type, *args, **kwargs)
            except ConfigError as error:
                if name not in self.devices:
                    raise error from absent
                self._connect_in_time(name)  # another program has added it meanwhile
        return self.device(name)

    def _connect_in_time(self, name: str) -> None:
        """Connect a device; one that another program has just added may still be connecting."""
        end = monotonic() + self._connection.timeout
        while True:
            try:
                return self.connect(name)
            except DeviceUnavailable:
                if monotonic() >= end or self.status(name)["state"] not in {"connecting", "idle"}:
                    raise
            sleep(LOOK_AGAIN)

    def remove(self, name: str) -> None:
        """Disconnect a device that nobody holds, and forget it."""
        self._connection.ask("DELETE", path_of("devices", name))

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
    def tasks(self) -> Mapping[str, RemoteTask]:
        """Return the tasks and workflows that the lab knows, by name: call one, start it, or `describe` it."""
        return Named(lambda: self._connection.get("/tasks"), self.task)

    def task(self, name: str) -> RemoteTask:
        """Return a task or workflow: ``client.task("sweep")(laser="laser", points=[1500, 1510])`` runs it.

        Raises:
            ConfigError: there is none; the message lists those there are.

        """
        return RemoteTask(self._connection, name)

    def start(self, task: str, /, *args: Any, **parameters: Any) -> RemoteRun:
        """Start a task by its name, with devices by theirs, and return its run at once.

        Raises:
            ConfigError: there is no such task, or no such device, or an argument doesn't fit; it names them all.
            LeaseTimeout: it may not wait for its devices, and somebody holds one; the message says who.

        """
        return start_at(self._connection, task, args, parameters)

    def run(self, task: str, /, *args: Any, **parameters: Any) -> Any:
        """Start a task by its name, wait for its end, and return its result; if this is interrupted, it goes on."""
        return self.start(task, *args, **parameters).result()

    @property
    def runs(self) -> tuple[RemoteRun, ...]:
        """Return the runs that haven't ended, and the newest of those that have."""
        latest_first: list[dict[str, Any]] = self._connection.get("/runs", limit=10_000)
        return tuple(RemoteRun(self._connection, told["id"]) for told in reversed(latest_first))

    def get(self, run_id: str) -> RemoteRun:
        """Return a run by its id.

        Raises:
            ConfigError: there is none.

        """
        self._connection.get(path_of("runs", run_id))
        return RemoteRun(self._connection, run_id)

    def resume(
        self,
        run_id: str,
        *,
        answers: Mapping[str, str] | None = None,
        again_from: str | int | None = None,
        changed: bool = False,
    ) -> RemoteRun:
        """Let a paused run go on, or go on with one that was interrupted, failed or was cancelled: as `Lab.resume`.

        Raises:
            ConfigError: it can't be resumed; the message says why.

        """
        body = {"answers": dict(answers or {}), "again_from": again_from, "changed": changed}
        return RemoteRun(self._connection, self._connection.post(path_of("runs", run_id, "resume"), body)["id"])

    def retry(self, run_id: str, *, again_from: str | int | None = None, changed: bool = False) -> RemoteRun:
        """Do again what failed in a run, or was under way when it was cut off: as `Lab.retry`."""
        body = {"again_from": again_from, "changed": changed}
        return RemoteRun(self._connection, self._connection.post(path_of("runs", run_id, "retry"), body)["id"])

    def requeue(self) -> tuple[RemoteRun, ...]:
        """Ask again for the runs that only waited when the lab ended."""
        return tuple(RemoteRun(self._connection, told["id"]) for told in self._connection.post("/runs/requeue"))

    def rehearse(self, task: str, /, *args: Any, **parameters: Any) -> dict[str, Any]:
        """Say what a task would do, and when: its steps, its makespan, its critical path; no device is touched."""
        body = {"task": task, "args": encode(list(args), "args"), "parameters": encode(parameters, "parameters")}
        told: dict[str, Any] = self._connection.post("/rehearsals", body)
        return told

    # -- the past

    def history(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        since: float | None = None,
        children: bool = False,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return the runs that the lab's journal knows, the latest first: in a state, of a name, since a time.

        Times are in seconds since 1970; `before` is the id of a run, with whose elders the list goes on.
        """
        wanted = {"state": state, "name": name, "since": since, "children": children, "before": before, "limit": limit}
        query = {key: value for key, value in wanted.items() if value is not None}
        told: list[dict[str, Any]] = self._connection.get("/history", **query)
        return told

    def past(self, run_id: str) -> dict[str, Any]:
        """Return all that the lab's journal knows of a run, also of one that ended long ago."""
        told: dict[str, Any] = self._connection.get(path_of("history", run_id))
        return told

    def past_rows(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield the rows that a run has recorded, by the lab's journal."""
        return rows_at(self._connection, path_of("history", run_id, "data"))

    def why(self, run_id: str) -> dict[str, Any]:
        """Say why a run waits; or how it ended, and what it was doing then."""
        told: dict[str, Any] = self._connection.get(path_of("history", run_id, "why"))
        return told

    # -- services

    @property
    def services(self) -> dict[str, Any]:
        """Return how the services stand, by name."""
        told: dict[str, Any] = self._connection.get("/services")
        return told

    def start_service(self, name: str) -> None:
        """Begin a life of a service that rests."""
        self._connection.post(path_of("services", name, "start"))

    def stop_service(self, name: str) -> None:
        """End the life of a service, and let it rest until somebody starts it."""
        self._connection.post(path_of("services", name, "stop"))

    def restart_service(self, name: str) -> None:
        """End the life of a service, if there is one, and begin another."""
        self._connection.post(path_of("services", name, "restart"))

    # -- what happens, as it happens

    def events(
        self,
        *,
        kinds: Iterable[str] | None = None,
        subjects: Iterable[str] | None = None,
        away: float = AWAY,
        last_id: str = "",
    ) -> RemoteEvents:
        """Return what happens in the lab, to be iterated over: a snapshot first, then every change.

        `kinds` and `subjects` choose; a subject may be a pattern, such as "sweep#3/*". A lost connection is made anew,
        unless the server is away for longer than `away` seconds, and events go on after it; with the `last_id` of
        other events, they go on after those.
        """
        query = {**chosen("kinds", kinds), **chosen("subjects", subjects)}
        return RemoteEvents(self._connection, "/events", query, away=away, last_id=last_id)

    def stream(self, device: str, stream: str, *args: Any, **kwargs: Any) -> RemoteStream:
        """Return a device's stream, to be iterated over: ``for item in client.stream("camera", "frames", 0.1)``."""
        return RemoteStream(self._connection, device, stream, args, kwargs)

    # -- the lab

    @property
    def interlocks(self) -> list[dict[str, Any]]:
        """Return how the interlocks stand."""
        told: list[dict[str, Any]] = self._connection.get("/interlocks")
        return told

    @property
    def progress(self) -> dict[str, Any] | None:
        """Return how far the lab is with its runs, or None: nothing has run yet."""
        told: dict[str, Any] | None = self._connection.get("/progress")["progress"]
        return told

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
