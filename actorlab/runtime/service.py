"""Be a service, or a group of them, as its user sees it: look how it stands, stop it, start it again."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from actorlab.core.service_group import Restart, ServiceState, Start, Stop
from actorlab.kernel import FOREVER
from actorlab.runtime.standings import error_in_words
from actorlab.runtime.subscriptions import wait_in_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.body_kinds import AsyncYielding, Awaiting, Runs, Yielding
    from actorlab.core.supervision import Strategy
    from actorlab.runtime.reason import Reason
    from actorlab.runtime.run import Run
    from actorlab.runtime.services import Group, Served, Services

__all__ = ["Service", "ServiceGroup", "ServiceState", "ServiceStatus"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

monotonic = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """How a service stands; times are in seconds, points in time in UTC.

    `why` says why it doesn't run. `run` is the id of the present life, or of the last one. `retry_in` is when the next
    one begins, if it waits for that; `reasons` say what a life waits for that has begun.
    """

    name: str
    group: str
    state: ServiceState
    since: datetime
    why: str
    run: str
    devices: tuple[str, ...]
    restarts: int
    retry_in: float | None
    last_error: str
    last_traceback: str
    reasons: tuple[Reason, ...]


class Service(Generic[R]):
    """A task that never ends: when it fails, its policy starts it again; made by `lab.serve`.

    Each of its lives is a run. What is asked of it here is decided at once, and done soon: `wait` says when it rests.
    """

    __slots__ = ("__weakref__", "_served", "_services")

    def __init__(self, served: Served, services: Services) -> None:
        self._served = served
        self._services = services

    # -- looking, from any thread

    @property
    def name(self) -> str:
        """Return its name; there is one service of a name in a lab."""
        return self._served.name

    @property
    def group(self) -> ServiceGroup | None:
        """Return the group in which it is supervised, or None: it is supervised by itself."""
        group = self._served.group
        return group.handle if group.name else None

    @property
    def state(self) -> ServiceState:
        """Return where it stands: "ended" says well, "stopped" by somebody, "gave_up" that it failed for good."""
        return self._served.standing.state

    @property
    def restarts(self) -> int:
        """Return how many times it was started again without anybody asking for it."""
        return self._served.standing.restarts

    @property
    def last_error(self) -> BaseException | None:
        """Return the error of the last life that failed, also when it runs again, or None."""
        return self._served.standing.error

    @property
    def last_traceback(self) -> str:
        """Return where that was raised, or nothing."""
        error = self._served.standing.error
        return "" if error is None else "".join(traceback.format_exception(error))

    @property
    def run(self) -> Run[R] | None:
        """Return the run that is its present life, or its last one; None before the first."""
        lives = self._served.lives
        return lives[-1] if lives else None

    @property
    def retry_in(self) -> float | None:
        """Return in how many seconds its next life begins, or None: it doesn't wait for that."""
        at = self._served.standing.retry_at
        return None if at is None else max(0.0, at - monotonic())

    @property
    def status(self) -> ServiceStatus:
        """Return how it stands, in one piece."""
        served, standing, run = self._served, self._served.standing, self.run
        return ServiceStatus(
            name=served.name,
            group=served.group.name,
            state=standing.state,
            since=datetime.fromtimestamp(served.since, UTC),
            why=standing.why,
            run="" if run is None else run.id,
            devices=served.devices,
            restarts=standing.restarts,
            retry_in=self.retry_in,
            last_error=error_in_words(standing.error) or "",
            last_traceback=self.last_traceback,
            reasons=self._services.reasons(served),
        )

    # -- steering

    def stop(self) -> None:
        """End its life, and let it rest until somebody starts it."""
        self._services.request(self._served, Stop(self.name))

    def start(self) -> None:
        """Begin a life now, if it rests or waits; its failures are forgotten. One that is just being stopped goes on.

        Raises:
            ConfigError: it can't be started: its last life was abandoned and is still there, its group has given up, or
                the lab is closed.

        """
        self._services.request(self._served, Start(self.name))

    def restart(self) -> None:
        """End its life, if there is one, and begin another; its failures are forgotten.

        Raises:
            ConfigError: it can't be started, as with `start`.

        """
        self._services.request(self._served, Restart(self.name))

    def wait(self, timeout: float | None = None) -> ServiceState:
        """Wait until it rests, at most `timeout` seconds, and return its state; in a body it is a checkpoint.

        Raises:
            TimeoutError: it doesn't rest; it goes on.

        """
        resting = self._served.resting
        wait_in_scope(resting, FOREVER if timeout is None else max(0.0, timeout))
        if not resting.done():
            text = f"the service {self.name} is {self.state} after {timeout} s; it goes on"
            raise TimeoutError(text)
        return self.state

    def __repr__(self) -> str:
        standing = self._served.standing
        why = f", {standing.why}" if standing.why else ""
        return f"<service {self.name}: {standing.state}{why}>"


class ServiceGroup:
    """Services that are supervised together; made by `lab.group`.

    They start in the order in which they are served, and stop in reverse. What the strategies mean, `lab.group` says.
    """

    __slots__ = ("__weakref__", "_group", "_services")

    def __init__(self, group: Group, services: Services) -> None:
        self._group = group
        self._services = services

    @property
    def name(self) -> str:
        """Return its name."""
        return self._group.name

    @property
    def strategy(self) -> Strategy:
        """Return who stops and starts together with one that fails."""
        return self._group.core.strategy

    @property
    def services(self) -> dict[str, Service[Any]]:
        """Return its services, by name, in their order."""
        return {name: served.handle for name, served in list(self._group.served.items())}

    @property
    def gave_up(self) -> str:
        """Say why the group as a whole has given up, so that all of it is stopped; nothing, if it hasn't."""
        return self._group.core.gave_up

    @overload
    def serve(self, task: Callable[P, Awaiting[S]], *args: P.args, **kwargs: P.kwargs) -> Service[S]: ...
    @overload
    def serve(self, task: Callable[P, Yielding[S]], *args: P.args, **kwargs: P.kwargs) -> Service[S]: ...
    @overload
    def serve(self, task: Callable[P, AsyncYielding], *args: P.args, **kwargs: P.kwargs) -> Service[None]: ...
    @overload
    def serve(self, task: Callable[P, Runs[S]], *args: P.args, **kwargs: P.kwargs) -> Service[S]: ...
    @overload
    def serve(self, task: Callable[P, S], *args: P.args, **kwargs: P.kwargs) -> Service[S]: ...
    def serve(self, task: Callable[..., Any], *args: Any, **kwargs: Any) -> Service[Any]:
        """Serve a task after all others of the group; see `Lab.serve`."""
        return self._services.serve(self._group, task, args, kwargs)

    def stop(self) -> None:
        """Stop all of its services, the last one first, until somebody starts them."""
        self._services.request(self._group, Stop())

    def start(self) -> None:
        """Start those of its services that rest, also after the group has given up; their failures are forgotten.

        Raises:
            ConfigError: a life was abandoned and is still there, or the lab is closed.

        """
        self._services.request(self._group, Start())

    def __repr__(self) -> str:
        states = ", ".join(f"{name} {service.state}" for name, service in self.services.items())
        return f"<service group {self.name}: {states or 'empty'}>"
