"""Call a device's methods, read and set its attributes: for those who ask by HTTP."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ActorLabError, DeviceBusy, EncodingError
from actorlab.runtime.ambient import ask
from actorlab.runtime.calls import as_seen_by_caller
from actorlab.runtime.proxy import target_of
from actorlab.server.client_leases import within
from actorlab.server.conflicts import conflicts_over
from actorlab.server.patience import landed
from actorlab.server.refusing import Refused, of_driver
from actorlab.server.telling import given, value_told

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actorlab.kernel import Reply
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.server.client_leases import ClientLease
    from actorlab.server.desk import Desk
    from actorlab.server.device_answers import CallBody
    from actorlab.server.kinds import Misfits

__all__ = ["answer_of", "read_from", "written_to"]

SMALL: Final = frozenset({int, float, bool})
SHORT: Final = 1000
"""A text with more letters has a thread that writes it."""


async def answer_of(desk: Desk, name: str, member: str, body: CallBody, lease: ClientLease | None) -> dict[str, Any]:
    """Call a method, and write down what it returns.

    Only few arguments that are numbers or short text are checked and sent here, by the event loop: whatever takes
    longer has a thread, and who holds a lease, as there a full mailbox is waited for.
    """
    lab = desk.lab
    bound = getattr(lab.device(name), member)
    small = all(map(is_small, (*body.args, *body.kwargs.values())))
    seen = small and desk.kinds.knows(lab.cells[name].cls, member)
    if lease is not None or not seen or target_of(bound) is None:
        return await desk.call(called, desk, name, member, body, lease)
    check_arguments(desk, name, member, bound, body.args, body.kwargs)
    with failures_of(lab, name):
        reply = ask(bound, *body.args, **body.kwargs)
        await landed(reply)
        value = as_called(reply, lab.cells.get(name))
    if is_small(value):
        return written(name, member, value)
    return await desk.look(written, name, member, value)


def is_small(value: object) -> bool:
    """Tell whether it takes no time to read or write a value."""
    kind = type(value)
    return value is None or kind in SMALL or (kind is str and len(str(value)) <= SHORT)


def as_called(reply: Reply[Any], cell: Cell | None) -> Any:
    """Return the value of a reply, or raise its error as whoever calls the device here sees it."""
    error = reply.exception(0)
    if error is None:
        return reply.result(0)
    raise error if cell is None else as_seen_by_caller(error, cell)


def called(desk: Desk, name: str, member: str, body: CallBody, lease: ClientLease | None) -> Any:
    """Call a method, and write down what it returns, in a thread."""
    lab = desk.lab
    args: list[Any] = given(body.args)
    kwargs: dict[str, Any] = given(body.kwargs)
    device = lab.device(name)
    bound = getattr(device, member)
    check_arguments(desk, name, member, bound, args, kwargs)
    return told(lab, name, member, lease, lambda: bound(*args, **kwargs))


def check_arguments(desk: Desk, name: str, member: str, bound: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the method doesn't take, before anything is sent."""
    cls = desk.lab.cells[name].cls
    static = inspect.getattr_static(cls, member, None)
    try:
        if inspect.isfunction(static):
            inspect.signature(static).bind(device_itself, *args, **kwargs)
        refuse_misfits(f"device {name}", f"{name}.{member}", desk.kinds.misfits(cls, member, args, kwargs))
        check: Callable[..., Any] | None = getattr(bound, "check", None)
        if check is not None:
            check(tuple(args), kwargs)
    except (TypeError, ValueError) as error:
        raise Refused(422, error, f"device {name}", fields={f"{name}.{member}": str(error)}) from error


def refuse_misfits(origin: str, place: str, misfits: Misfits) -> None:
    """Refuse values of a wrong kind, each by its name."""
    if misfits:
        fields = {f"{place}.{at}": said for at, said in misfits.items()}
        message = "; ".join(f"{at}: {said}" for at, said in fields.items())
        raise Refused(422, TypeError(message), origin, fields=fields)


device_itself = object()  # stands for `self` where arguments are bound to a function of the class


def read_from(lab: Lab, name: str, member: str, lease: ClientLease | None) -> Any:
    """Read an attribute, and write it down."""
    return told(lab, name, member, lease, lambda: getattr(lab.device(name), member))


def written_to(desk: Desk, name: str, member: str, tree: Any, lease: ClientLease | None) -> None:
    """Set an attribute, unless it is of another kind than the value."""
    lab = desk.lab
    value = given(tree)
    refuse_misfits(f"device {name}", name, desk.kinds.misfit_of_value(lab.cells[name].cls, member, value))
    told(lab, name, member, lease, lambda: setattr(lab.device(name), member, value))


def told(lab: Lab, name: str, member: str, lease: ClientLease | None, use: Callable[[], Any]) -> dict[str, Any]:
    """Use a device, and write down what comes of it."""
    with failures_of(lab, name), within(lease):
        value = use()
    return written(name, member, value)


@contextmanager
def failures_of(lab: Lab, name: str) -> Generator[None]:
    """Tell what a device refuses, and its own errors as its own."""
    try:
        yield
    except DeviceBusy as error:
        raise Refused(409, error, f"device {name}", conflicts=conflicts_over(lab, [name])) from error
    except ActorLabError as error:
        raise of_driver(error, name) from error
    except Exception as error:  # a driver's own, whatever that is
        raise of_driver(error, name) from error


def written(name: str, member: str, value: object) -> dict[str, Any]:
    """Write down what a device has returned."""
    try:
        return {"result": value_told(value, f"{name}.{member}")}
    except EncodingError as error:
        error.add_note("the call was carried out; only its answer can't be told")
        raise Refused(502, error, f"device {name}") from error
