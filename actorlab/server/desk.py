"""Hold what all routes share: the lab, who may ask, and the threads in which the lab is asked."""

from __future__ import annotations

import ipaddress
import math
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, TypeVarTuple
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from actorlab.core.attempts import Attempts
from actorlab.errors import MailboxFull, NotAllowed
from actorlab.runtime.making import asking_for
from actorlab.server.broadcast import Broadcast
from actorlab.server.client_leases import ClientLeases
from actorlab.server.kinds import Kinds
from actorlab.server.metering import Meter
from actorlab.server.offered import MemberKind, Offered
from actorlab.server.once import Once
from actorlab.server.patience import ended
from actorlab.server.refusing import Gate, Refused
from actorlab.server.relays import Relays
from actorlab.server.tokens import Role, Tokens, Who

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import HTTPConnection

    from actorlab.runtime.lab import Lab

__all__ = ["ANYBODY", "Asker", "Desk", "ended", "is_loopback"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")
CALLS: Final = 64
"""So many calls of devices may be in hand at one time; the next is refused, as the threads for them are all taken."""
LOOKS: Final = 16
READINGS: Final = 4
REHEARSALS: Final = 2
GUESSES: Final = 20
"""So many wrong tokens a minute are looked for, and logged, from one address."""
MINUTE: Final = 60.0
ANYBODY: Final = Who("somebody on this machine", "admin")


async def who_asks(request: Request) -> Who:
    """Return who asks, which was found out before."""
    who: Who = request.state.who
    return who


Asker = Annotated[Who, Depends(who_asks)]
"""A parameter of a route that has to know who asks."""


class Desk:
    """What the routes of one lab share.

    No thread of those for looks ever waits for a device: however many calls hang, health, status and cancelling work.
    """

    def __init__(self, lab: Lab, tokens: Tokens | None, *, local_only: bool, origins: Sequence[str] = ()) -> None:
        self.lab = lab
        self.leases = ClientLeases(lab)
        self.meter = Meter(lab)
        self.origins = tuple(origins)
        self._tokens = tokens
        self._local_only = local_only
        self._calls = CapacityLimiter(CALLS)
        self._looks = CapacityLimiter(LOOKS)
        self.once = Once()
        self._readings = CapacityLimiter(READINGS)
        self._rehearsals = CapacityLimiter(REHEARSALS)
        self.broadcast = Broadcast(lab)
        self.relays = Relays(lab)
        self.kinds = Kinds()
        self._offered = Offered(lab)
        self._guesses = Attempts(GUESSES, MINUTE)

    async def offers(self, name: str, member: str, kind: MemberKind) -> None:
        """Refuse what a device doesn't offer, or the driver keeps to itself, saying what there is."""
        if not self._offered.known(name, member, kind):
            await self.look(self._offered.check, name, member, kind)

    async def look(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Ask the lab for something that needs no device."""
        return await to_thread.run_sync(function, *args, limiter=self._looks)

    async def read(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Read the journal, which may take its time."""
        return await to_thread.run_sync(function, *args, limiter=self._readings, abandon_on_cancel=True)

    async def reckon(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Do something that takes a processor's time, and touches no device."""
        if self._rehearsals.available_tokens < 1:
            message = f"the server has {REHEARSALS} rehearsals in hand, and takes no more: try again soon"
            raise MailboxFull(message)
        return await to_thread.run_sync(function, *args, limiter=self._rehearsals, abandon_on_cancel=True)

    async def call_for(self, who: Who, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Do as `call` does; of the runs that it begins the journal says who asked for them."""
        with asking_for(who.name):  # the thread takes over what is set here
            return await self.call(function, *args)

    async def call(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """Do something that may wait for a device; it goes on if whoever asked for it leaves."""
        if self._calls.available_tokens < 1:
            message = f"the server has {CALLS} calls of devices in hand, and takes no more: try again soon"
            raise MailboxFull(message)
        return await to_thread.run_sync(function, *args, limiter=self._calls, abandon_on_cancel=True)

    # -- who asks

    def needs(self, role: Role) -> Any:
        """Return the gate of a route that only some may ask for; each route has one."""

        def admit(request: Request) -> None:
            self.refuse_strange_pages(request)
            who = self.who(request)
            request.state.who = who
            if self.lab.tracing is not None:
                self.lab.tracing.continue_from(request.headers)
            if not who.may(role):
                message = f"{who.name} is {who.role}, and this needs {role}"
                raise Refused(403, NotAllowed(message))

        return Depends(Gate(admit, self.meter.answered))

    def who(self, request: HTTPConnection) -> Who:
        """Return who asks, by the headers. Raise `Refused` if nobody knows."""
        if self._tokens is None:
            return ANYBODY
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        who = self._tokens.who(token.strip()) if scheme.lower() == "bearer" else None
        if who is None:
            self.refuse_guesses(request, token)
            why = "this token isn't known" if token else "say who asks, by the header: Authorization: Bearer TOKEN"
            raise Refused(401, NotAllowed(why))
        return who

    def admits(self, who: Who, request: HTTPConnection) -> bool:
        """Tell whether somebody who was let in by these headers still is: the token may have been revoked since."""
        _, _, token = request.headers.get("authorization", "").partition(" ")
        return self.whose(token.strip()) == who

    @property
    def asks_who(self) -> bool:
        """Tell whether people have to say who they are."""
        return self._tokens is not None

    def whose(self, token: str) -> Who | None:
        """Return whose token it is, or None; without tokens everybody may do everything."""
        return ANYBODY if self._tokens is None else self._tokens.who(token)

    @property
    def tokens(self) -> Tokens | None:
        """Return the tokens by which people say who they are; None: they needn't."""
        return self._tokens

    def refuse_guesses(self, request: HTTPConnection, token: str) -> None:
        """Refuse somebody who guesses tokens, and log it no more; a right one is let in all the same."""
        wait = self._guesses.failed(peer_of(request), time.monotonic()) if token else None
        if wait is not None:
            message = f"too many wrong tokens come from {peer_of(request)}: try again in {math.ceil(wait)} s"
            raise Refused(429, NotAllowed(message), headers={"Retry-After": str(math.ceil(wait))})

    def refuse_strange_pages(self, request: HTTPConnection) -> None:
        """Refuse what a page of another site has sent, which a browser on this machine happens to show."""
        host = request.headers.get("host", "")
        if self._local_only and not is_loopback(name_in(f"//{host}")):
            message = f"this server answers on this machine only, and not as {host!r}"
            raise Refused(403, NotAllowed(message))
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host and origin not in self.origins:
            message = f"pages of {origin} may ask nothing here"
            raise Refused(403, NotAllowed(message))

    def end_streams(self) -> None:
        """End all that is being sent as it happens; in the event loop."""
        self.broadcast.end()
        self.relays.end()


def peer_of(request: HTTPConnection) -> str:
    """Return the address that asks."""
    return request.client.host if request.client is not None else "somewhere"


def name_in(url: str) -> str:
    """Return the name of the machine in an address, or nothing if it isn't one."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
