"""Listen to the streams of a lab's devices: in a body, from outside, or in an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn

from actorlab.driving.travel import Stays
from actorlab.errors import AskDeadlock, Cancelled
from actorlab.kernel import Reply
from actorlab.runtime.commanding import Commander
from actorlab.runtime.production import Box, Wanted
from actorlab.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Generator

    from actorlab.driving.member import Member
    from actorlab.quantities import Checker
    from actorlab.runtime.body import Body, Hold
    from actorlab.runtime.cell import Cell
    from actorlab.streams import Item, StreamMethod

__all__ = ["StreamMember", "end_streams", "end_streams_async"]

IN_A_ROW: Final = 64
"""So many items at most are heard in a row before an event loop gets a turn."""
SOME: Final = 32


class StreamMember:
    """A stream method on a proxy class; the bound one is remembered on the proxy."""

    def __init__(self, static: StreamMethod[Any, Any], name: str) -> None:
        self._static = static
        self._name = name
        self.__doc__ = static.__doc__
        self.__wrapped__ = static.function

    def __get__(self, proxy: Any, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        own = proxy.__dict__
        factory, cls = own["_actorlab_factory"], own["_actorlab_cls"]
        _, member = factory.calling(cls, self._name, own["_actorlab_path"])
        checker = factory.marks.of(cls, self._name).checker
        bound = DeviceStream(own["_actorlab_cell"], own["_actorlab_hold"], self._static, member, checker)
        own[self._name] = bound
        return bound


class DeviceStream:
    """A stream method of a lab's device."""

    def __init__(
        self, cell: Cell, hold: Hold | None, static: StreamMethod[Any, Any], member: Member, checker: Checker | None
    ) -> None:
        self._cell = cell
        self._hold = hold
        self._static = static
        self._member = member
        self._checker = checker

    def __call__(self, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Return the stream of these arguments; nothing begins before somebody listens."""
        return self._stream(args, kwargs, joins=False)

    def if_it_runs(self, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Return the stream of these arguments, to be heard while others have it run: it is never started by this."""
        return self._stream(args, kwargs, joins=True)

    def _stream(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, joins: bool) -> Stream[Any]:
        static = self._static
        if self._checker is not None:
            args, kwargs = self._checker.check(self._member.on(self._cell.name), args, kwargs)
        given, named = static.arguments(args, kwargs)
        wanted = Wanted(self._member, given, named, pulled=static.generates, joins=joins)
        return Stream(lambda buffer: self._cell.listen(self._hold, wanted, buffer), static.buffer)

    def publish(self, value: Any) -> NoReturn:
        """Refuse: only the driver publishes.

        Raises:
            AttributeError: always.

        """
        del value
        text = f"{self._member.on(self._cell.name)}: only the driver itself publishes to its streams"
        raise AttributeError(text)


class Listener:
    """One loop's part in a stream: it ends with the loop, by `close`, or when nobody holds it any more."""

    def __init__(self, cell: Cell, hold: Hold | None, wanted: Wanted, buffer: int) -> None:
        commander = Commander(cell, hold, wanted.member)
        commander.checkpoint()
        commander.renew()
        self._cell = cell
        self._commander = commander
        self._box = Box(wanted, commander, buffer)
        self._lost = 0
        if commander.hold is not None:
            remember(commander.hold.body, self._box)
        cell.streams.subscribe(self._box)

    def items(self) -> Generator[Item[Any]]:
        """Yield the items as they come; it begins at once.

        Raises:
            DeviceBusy: somebody else holds the device, and the stream doesn't run.
            AskDeadlock: this is the lab's event loop, where nothing may block.

        """
        if not self._commander.may_block:
            name = self._box.wanted.member.on(self._cell.name)
            text = f"`for` over {name} was used on the lab's event loop, where nothing may block: use `async for`"
            raise AskDeadlock(text)
        self._commander.answer(self._box.answer)
        return self._items()

    def items_async(self) -> Arrivals:
        """Yield the items as they come, without blocking the event loop."""
        return Arrivals(self, self._box, self._commander)

    @property
    def waiting(self) -> int:
        """Return how many items have come and weren't taken yet."""
        return len(self._box.items)

    def close(self) -> None:
        """Listen no longer."""
        leave(self._box)

    def __del__(self) -> None:
        if "_box" in self.__dict__:
            leave(self._box)

    def _items(self) -> Generator[Item[Any]]:
        """Yield the items; longer than ten lines, as it is the hot path."""
        box, hold = self._box, self._commander.hold
        popleft = box.items.popleft
        expected, lost = -1, 0
        try:
            while True:
                try:
                    item = popleft()
                except IndexError:
                    item = None
                if item is None:
                    waiter: Reply[None] = Reply()
                    if self.has_ended(waiter):
                        return
                    if not waiter.done():
                        self._commander.wait(waiter)
                    continue
                if hold is not None:
                    hold.body.checkpoint()
                number = item.sequence
                if number != expected:
                    lost += number - (box.first if expected < 0 else expected)
                expected = number + 1
                yield self.as_heard(item, lost) if lost or item.value.__class__ is Stays else item
        finally:
            leave(box)

    def has_ended(self, waiter: Reply[None]) -> bool:
        """Tell whether nothing more comes; if not, the waiter is done when it is worth to look again.

        Raises:
            Exception: what has ended the stream.

        """
        box = self._box
        production = box.production
        if production is not None:
            production.await_item(waiter)
        end = box.end  # it is set after the last item
        if box.left:
            return True
        if box.items:
            waiter.finish(None, None)
        elif end is not None:
            if end[0] is not None:
                raise end[0]
            return True
        return False

    def as_heard(self, item: Item[Any], lost: int) -> Item[Any]:
        """Return an item as this listener hears it; an object that stays with the device comes as a part proxy."""
        value = item.value
        if lost != self._lost:
            self._cell.streams.lose(lost - self._lost)
            self._lost = lost
        if value.__class__ is Stays:
            value = self._cell.part(self._commander.hold, self._box.wanted.member, self._box.wanted.args, value)
        return item.as_heard(value, lost)


class Arrivals:
    """The items of a stream, for ``async for``."""

    def __init__(self, listener: Listener, box: Box, commander: Commander) -> None:
        self._listener = listener
        self._box = box
        self._commander = commander
        self._heard = 0

    def __aiter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> Item[Any]:
        """Return the next item, when it is there; as with any generator, an error is the end.

        Raises:
            StopAsyncIteration: the stream has ended.
            DeviceBusy: somebody else holds the device, and the stream doesn't run.

        """
        try:
            return await self._next()
        except BaseException:
            self._listener.close()
            raise

    async def _next(self) -> Item[Any]:
        box = self._box
        if not self._heard:
            await box.answer
        if self._heard % IN_A_ROW == IN_A_ROW - 1:
            await asyncio.sleep(0)
        while not box.items:
            waiter = Waiter()
            if self._listener.has_ended(waiter):
                raise StopAsyncIteration
            await self._wait(waiter)
        await self._come_by()
        item = box.items.popleft()
        lost = item.sequence - box.first - self._heard
        self._heard += 1
        return self._listener.as_heard(item, lost) if lost or item.value.__class__ is Stays else item

    async def _come_by(self) -> None:
        """Let a cancellation or a pause of the body take effect."""
        self._commander.checkpoint()
        body: Any = None if self._commander.hold is None else self._commander.hold.body
        if body is not None and body.on_loop and body.actor.holding_bodies:
            await body.come_by()

    async def aclose(self) -> None:
        """Listen no longer."""
        self._listener.close()

    async def _wait(self, waiter: Waiter) -> None:
        hold = self._commander.hold
        if hold is None:
            await waiter
            return
        waits, me = hold.body.waits, id(waiter)  # several coroutines of a body may wait on one thread
        waits[me] = waiter
        try:
            self._commander.checkpoint()
            await waiter
            self._commander.checkpoint()
        finally:
            waits.pop(me, None)


class Waiter(Reply[None]):
    """What a coroutine waits for: an alarm ends it as well."""

    __slots__ = ()

    def wake(self) -> None:
        """Have it look again: a coroutine can only be woken by an outcome."""
        self.finish(None, None)


def leave(box: Box) -> None:
    """Let somebody listen no longer; from any thread, also by a finaliser."""
    if box.left:
        return
    box.left = True
    box.items.clear()
    hold = box.commander.hold
    if hold is not None:
        hold.passes.clear()  # a direct call after this must not overtake the end of the stream
    if box.production is not None and box.end is None:
        box.production.leave(box)


# -- bodies


def remember(body: Body, box: Box) -> None:
    """Have a body's end wait for the end of its stream."""
    if body.streams is None:
        body.streams = []
    if len(body.streams) > SOME:
        body.streams = [other for other in body.streams if not is_over(other)]
    body.streams.append(box)


def is_over(box: Box) -> bool:
    """Tell whether nothing is left of somebody's part in a stream."""
    return box.answer.done() and (box.production is None or box.production.over.done())


def end_streams(body: Body) -> None:
    """End a body's part in all streams, and wait until those that it started are closed.

    Raises:
        Cancelled: the run was cancelled meanwhile; the calls in hand were told to end.

    """
    boxes, body.streams = body.streams or [], None
    for box in boxes:
        leave(box)
    mine = [box for box in boxes if box.commander.token is not None]
    try:
        for box in mine:
            await_over(body, box)
    except Cancelled:
        for box in mine:
            await_over(body, box)
        raise


async def end_streams_async(body: Body) -> None:
    """End the part of a body on an event loop in all streams, and wait until those that it started are closed."""
    boxes, body.streams = body.streams or [], None
    for box in boxes:
        leave(box)
    for box in boxes:
        await until_done(box.answer)
        production = box.production
        if production is not None and production.token is box.commander.token is not None:
            if body.alarm:
                production.cut()
            await until_done(production.over)


async def until_done(reply: Reply[None]) -> None:
    """Wait until a reply is done; who gives up waiting doesn't cancel it for the others."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    reply.when_done(lambda _: loop.call_soon_threadsafe(done.set))
    await done.wait()


def await_over(body: Body, box: Box) -> None:
    """Wait until a stream that a body has left is closed; after an alarm its call in hand is told to end."""
    while not box.answer.done():
        body.wait(box.answer)
    production = box.production
    if production is None or production.token is not box.commander.token:
        return
    if body.alarm:
        production.cut()
    while not production.over.done():
        body.wait(production.over)
