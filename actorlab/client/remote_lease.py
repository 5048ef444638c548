"""Hold devices of a lab elsewhere for the length of a `with` block, and know when they are lost."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from actorlab.client.connection import path_of
from actorlab.client.held_leases import HEADER, Held, headers_for, held
from actorlab.client.remote_device import RemoteDevice
from actorlab.errors import ActorLabError, CallTimeout, ConfigError, LeaseLost, MailboxFull, ServerUnavailable, text_of

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from actorlab.client.connection import Connection

__all__ = ["RemoteLease"]

D = TypeVar("D")
BEATS: Final = 3
"""A lease is renewed so many times in its term."""
SOON: Final = 1.0
"""What failed is tried again after so many seconds at most."""
TURN: Final = 10.0
"""One request waits at most so many seconds for the end of the runs inside; then comes the next."""
LONGEST: Final = 1000
"""Of what went wrong so many characters are told."""
NOT_REACHED: Final = (ServerUnavailable, CallTimeout, MailboxFull)
monotonic = time.monotonic


class RemoteLease:
    """A lease of devices of a lab elsewhere, which renews itself as long as its ``with`` block lasts.

    In the block, and in the thread that has entered it, the client's calls of these devices are the lease's; ``device``
    gives one for other threads. When it is lost, the next call and the end of the block raise `LeaseLost`; so does a
    call when no renewal has come through for as long as the lease lasts, without asking: it may have expired by then.
    """

    def __init__(self, connection: Connection, wanted: dict[str, Any]) -> None:
        self.id = ""
        self.devices: tuple[str, ...] = (*wanted["devices"], *wanted["shared"])
        self.ttl: float = wanted["ttl"]
        self._wanted = wanted
        self.connection = connection
        self._key = ""
        self._until = 0.0
        self._lost = ""
        self._trouble = ""
        self._over = threading.Event()
        self._renewing: threading.Thread | None = None
        self._entered: Token[tuple[Held, ...]] | None = None

    @property
    def lost(self) -> str:
        """Say when and why the lease was lost, or nothing: it wasn't, as far as is known."""
        if not self._lost and monotonic() >= self._until:
            why = f" ({self._trouble})" if self._trouble else ""
            return (
                f"{self.id} may have expired: no renewal has reached {self.connection.url} for {self.ttl:g} s{why}, "
                f"so who holds {', '.join(self.devices)} now isn't known here"
            )
        return self._lost

    def check(self) -> None:
        """Raise `LeaseLost` if the lease is lost; from then on it is, whatever the server says later."""
        lost = self.lost
        if lost:
            self._lost = lost
            self._over.set()
            raise LeaseLost(lost)

    @property
    def headers(self) -> dict[str, str]:
        """Return what a request in the name of this lease says. Raise `LeaseLost` if it is lost."""
        self.check()
        return {HEADER: self._key}

    @overload
    def device(self, name: str) -> RemoteDevice: ...

    @overload
    def device(self, name: str, cls: type[D]) -> D: ...

    def device(self, name: str, cls: type | None = None) -> Any:
        """Return what stands for a device, whose calls are this lease's in every thread; with its class, typed as that.

        Raises:
            ConfigError: there is none, and the message lists those there are; or it lacks what the class has.

        """
        return RemoteDevice(self.connection, name, self, cls)

    def __enter__(self) -> Self:
        """Wait for the devices.

        Raises:
            LeaseTimeout: they weren't free in time; the message says who holds them.

        """
        if self.id:
            text = f"{self.id} was entered before, and a lease is entered once: ask for another by client.lease(…)"
            raise ConfigError(text)
        wanted, outer = self._wanted, headers_for(self.connection)
        sent = monotonic()
        patience = wanted["timeout"] + self.connection.timeout
        told = self.connection.ask("POST", "/leases", wanted, headers=outer, timeout=patience)
        self.id, self._key = told["id"], told["key"]
        self._until = sent + told["waited"] + self.ttl  # it was granted no earlier
        self._renewing = threading.Thread(target=self._renew, name=f"actorlab client: {self.id}", daemon=True)
        self._renewing.start()
        self._entered = held.set((*held.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the devices back, when the runs inside have ended; after an error they are made safe first.

        Raises:
            LeaseLost: the lease was lost on the way, and nothing in the block has told so.

        """
        if self._entered is not None:
            held.reset(self._entered)
            self._entered = None
        self._over.set()
        try:
            self._give_back(error)
        except ActorLabError as failed:
            if error is None:
                raise
            if not isinstance(error, LeaseLost):
                error.add_note(f"and at the end of its block: {text_of(failed)}")
        finally:
            if self._renewing is not None:
                self._renewing.join()

    def _give_back(self, error: BaseException | None) -> None:
        headers = self.headers
        query: dict[str, Any] = {"wait": min(TURN, self.connection.timeout / 2)}
        if error is not None:
            query["failed"] = text_of(error)[:LONGEST]
        while True:
            told = self.connection.ask("DELETE", path_of("leases", self.id), query=query, headers=headers)
            if told["ended"]:
                break
        for name, why in told["unsafe"].items():
            if error is not None:
                error.add_note(f"{name} is not known to be safe: {why}")

    def _renew(self) -> None:
        """Renew the lease, again and again; in a thread of its own."""
        beat = self.ttl / BEATS
        pause = self._until - self.ttl + beat - monotonic()
        while not self._over.wait(max(0.0, pause)):
            sent = monotonic()
            patience = max(beat, self._until - sent)  # a slow answer that comes in time is one
            try:
                self.connection.ask(
                    "POST", path_of("leases", self.id, "renew"), headers={HEADER: self._key},
                    timeout=min(patience, self.connection.timeout),
                )  # fmt: skip
            except NOT_REACHED as error:
                self._trouble = text_of(error)
                pause = min(SOON, beat / BEATS)
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: the next call tells
                if not self._over.is_set():
                    self._lost = str(error) if isinstance(error, LeaseLost) else text_of(error)
                return
            else:
                self._until, self._trouble = sent + self.ttl, ""
                pause = sent + beat - monotonic()

    def __repr__(self) -> str:
        return f"<{self.id or 'a lease'} of {', '.join(self.devices)} at {self.connection.url}>"
