"""Offer leases to those elsewhere: acquire, renew, give back, take away, and see who holds what."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from actorlab.errors import ActorLabError, CallTimeout, ConfigError, LeaseLost, LeaseTimeout, text_of
from actorlab.server.client_leases import ClientLease, LeaseKey
from actorlab.server.conflicts import conflicts_over
from actorlab.server.desk import ANYBODY, Asker, Desk
from actorlab.server.error_answers import says
from actorlab.server.lease_answers import Acquired, LeaseAnswer, LeaseBody, LeasesAnswer, Renewed, RevokeBody
from actorlab.server.offered import check_device
from actorlab.server.patience import ended
from actorlab.server.refusing import LabRoute, Refused
from actorlab.server.telling import answer

if TYPE_CHECKING:
    from actorlab.runtime.lab import Lab

__all__ = ["lease_routes"]

monotonic = time.monotonic
DECIDING: Final = 10.0
"""So many seconds what needs no device may take: the deciding thread never waits."""
Id = Annotated[str, Path(description="The id of a lease; in a path, # is written %23.")]
Wait = Annotated[float, Query(ge=0, le=30, description="Wait at most so many seconds until the devices are free.")]


LATER: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": LeaseAnswer, "description": "The devices aren't free yet."}
}


def lease_routes(desk: Desk) -> APIRouter:
    """Return the routes for leases."""
    routes = APIRouter()
    for part in (holding_routes, watching_routes):
        routes.include_router(part(desk))
    return routes


def holding_routes(desk: Desk) -> APIRouter:
    """Return the routes for those who hold a lease."""
    routes = APIRouter(route_class=LabRoute, tags=["leases"])
    operator = desk.needs("operator")

    @routes.post(
        "/leases", status_code=201, dependencies=[operator], responses=says(Acquired, 404, 409, 504, status=201)
    )
    async def acquire(body: LeaseBody, who: Asker, request: Request, key: LeaseKey = None) -> Response:
        """Hold devices until they are given back, or aren't renewed in time; who holds some already never waits."""
        came = monotonic()
        check_wanted(desk.lab, body)
        inside = desk.leases.used(key, who)
        made = desk.leases.ask(
            who, tuple(body.devices), tuple(body.shared), ttl=body.ttl, label=body.label, named=who is not ANYBODY,
            timeout=0.0 if inside is not None else body.timeout,
        )  # fmt: skip
        await granted_or_gone(made, request, body.timeout)
        error = made.lease.granted.exception(0)
        if error is not None:
            raise await desk.look(refused_lease, desk.lab, made, error)
        desk.lab.logger.info("devices are leased", lease=made.lease.id, by=who.name)
        told = await desk.look(lease_told, made)
        return answer(told | {"key": made.key, "waited": made.lease.begun - came}, 201)

    @routes.post("/leases/{lease_id}/renew", dependencies=[operator], responses=says(Renewed, 409, 504))
    async def renew(lease_id: Id, who: Asker, key: LeaseKey = None) -> Response:
        """Begin the term of a lease anew."""
        reply = desk.leases.owned(lease_id, key, who).lease.renew()
        if not await ended(reply, DECIDING):
            message = f"{lease_id} may not have been renewed: the lab hasn't decided that within {DECIDING:g} s"
            raise CallTimeout(message)
        return answer({"id": lease_id, "expires_in": reply.result(0)})

    @routes.delete("/leases/{lease_id}", dependencies=[operator], responses=says(LeaseAnswer, 409) | LATER)
    async def release(
        lease_id: Id,
        who: Asker,
        key: LeaseKey = None,
        failed: Annotated[str, Query(max_length=1000, description="Why the devices are to be made safe first.")] = "",
        wait: Wait = 10.0,
    ) -> Response:
        """Give devices back, when the runs inside have ended; answer with 202 if that takes longer."""
        known = desk.leases.owned(lease_id, key, who)
        known.lease.release(ActorLabError(failed) if failed else None)
        done = await ended(known.lease.run.reply, wait)
        if done:
            refuse_lost(known, failed)
        return answer(await desk.look(lease_told, known), 200 if done else 202)

    return routes


def watching_routes(desk: Desk) -> APIRouter:
    """Return the routes for those who look who holds what, and may take it away."""
    routes = APIRouter(route_class=LabRoute, tags=["leases"])
    viewer, operator = desk.needs("viewer"), desk.needs("operator")

    @routes.get("/leases", dependencies=[viewer], responses=says(LeasesAnswer))
    async def leases() -> Response:
        """Tell who holds what, since when, and who waits for it."""
        return answer(await desk.look(told_of_all, desk.lab, desk.leases.all()))

    @routes.get("/leases/{lease_id}", dependencies=[viewer], responses=says(LeaseAnswer, 404))
    async def lease(lease_id: Id) -> Response:
        """Tell how a lease stands."""
        return answer(await desk.look(lease_told, desk.leases.found(lease_id)))

    @routes.post("/leases/{lease_id}/revoke", dependencies=[operator], responses=says(LeaseAnswer, 404) | LATER)
    async def revoke(lease_id: Id, who: Asker, body: RevokeBody | None = None, wait: Wait = 10.0) -> Response:
        """Take somebody's devices away, make them safe, and only then let others have them."""
        known = desk.leases.found(lease_id)
        said = f": {body.reason}" if body is not None and body.reason else ""
        desk.lab.logger.info("a lease is revoked", lease=lease_id, by=who.name)
        known.lease.revoke(f"{who.name} revoked it{said}")
        done = await ended(known.lease.run.reply, wait)
        return answer(await desk.look(lease_told, known), 200 if done else 202)

    return routes


def check_wanted(lab: Lab, body: LeaseBody) -> None:
    """Refuse what can't be leased: no device, one that isn't there, or one twice."""
    names = [*body.devices, *body.shared]
    for name in names:
        check_device(lab, name)
    if not names or len(set(names)) < len(names):
        message = "name each device once, in `devices` or in `shared`"
        raise Refused(422, ConfigError(message), fields={"devices": message})


async def granted_or_gone(made: ClientLease, request: Request, seconds: float) -> None:
    """Wait until a lease is granted or refused; if whoever wants it leaves meanwhile, it is given back.

    The lab itself refuses it in time; only if it doesn't, this gives up.
    """
    waiting = asyncio.ensure_future(ended(made.lease.granted, seconds + DECIDING))
    leaving = asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done() and waiting.result():
            return
    except asyncio.CancelledError:
        made.lease.release()
        raise
    finally:
        waiting.cancel()
        leaving.cancel()
    made.lease.release()
    message = f"{made.lease.id} wasn't granted, or its client has left"
    raise CallTimeout(message)


async def gone(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        continue


def refused_lease(lab: Lab, made: ClientLease, error: BaseException) -> Refused | BaseException:
    """Return the refusal of a lease, which names all who are in the way."""
    run = made.lease.run
    run.observed = True
    lab.ask(lambda: lab.book.drop(run))  # somebody may ask again and again, and others want to look at their own runs
    if not isinstance(error, LeaseTimeout):
        return error
    found = conflicts_over(lab, (*made.devices, *made.shared), but=made.lease.id)
    return Refused(409, error, f"lease {made.lease.id}", conflicts=found)


def refuse_lost(known: ClientLease, failed: str) -> None:
    """Refuse to take back what was lost on the way, or stopped."""
    error = known.lease.run.reply.exception(0)
    if isinstance(error, LeaseLost):
        raise LeaseLost(str(error))
    if error is not None and not failed:
        message = f"{known.lease.id} was lost: {text_of(error)}"
        raise LeaseLost(message)


def told_of_all(lab: Lab, leases: list[ClientLease]) -> dict[str, Any]:
    """Tell how leases stand, and for each device who holds it."""
    held: dict[str, list[dict[str, Any]]] = {name: [] for name in list(lab.cells)}
    for conflict in conflicts_over(lab, held):
        held[conflict["device"]].append(conflict)
    return {"leases": [lease_told(known) for known in leases], "devices": held}


def lease_told(known: ClientLease) -> dict[str, Any]:
    """Tell how a lease stands, but never its key."""
    run = known.lease.run
    error = run.reply.exception(0) if run.done() else None
    return {
        "id": known.lease.id, "by": known.who.name, "label": known.label, "state": str(run.state),
        "devices": list(known.devices), "shared": list(known.shared), "ttl": known.lease.ttl,
        "expires_in": 0.0 if run.done() else known.lease.seconds_left, "waits": list(run.reasons),
        "ended": run.done(), "error": None if error is None else text_of(error),
        "safe": list(run.supervisor.core.safe),
        "unsafe": {name: text_of(why) for name, why in run.supervisor.core.unsafe.items()},
    }  # fmt: skip
