"""Make the items of one stream of a device, one message after another, and put them into the listeners' buffers."""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actorlab.driving.feeds import advance_for, close_feed, open_feed
from actorlab.driving.in_thread import InThread
from actorlab.driving.member import Member, advance
from actorlab.driving.travel import SCALARS, Stays, outgoing
from actorlab.errors import ActorStopped, Cancelled
from actorlab.kernel import HOLDER, OTHERS, Reply
from actorlab.runtime.calls import Call
from actorlab.streams import Item, Pushing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from actorlab.runtime.cell import Cell
    from actorlab.runtime.commanding import Commander
    from actorlab.runtime.device_actor import DeviceActor
    from actorlab.runtime.streaming import Streams

__all__ = ["Box", "Production", "Wanted"]

monotonic = time.monotonic
clock = time.time
TURN: Final = 0.005
"""Items that come faster are taken for so many seconds in one message, as long as no other message waits."""
GLANCE: Final = 0.00005
"""Items that come faster are handed out for so many seconds before it is looked whether anything has changed."""


class Wanted:
    """What somebody wants to hear: the stream method of a device or part, and its arguments."""

    __slots__ = ("args", "asked", "joins", "key", "kwargs", "member", "pulled")

    def __init__(
        self, member: Member, args: tuple[Any, ...], kwargs: dict[str, Any], *, pulled: bool, joins: bool = False
    ) -> None:
        self.member = member
        self.args = args
        self.kwargs = kwargs
        self.pulled = pulled
        self.joins = joins
        """Whether it is only heard while others have it run."""
        self.asked = (same(args), same(kwargs))
        """The arguments, to be compared."""
        self.key: Hashable = (member.path, member.name, self.asked if pulled else None)
        """There is one production of each."""


class Box:
    """One listener's buffer, and how he stands; the production keeps it, but not the listener.

    `items` is filled by whoever makes the items. `left` is set by the listener. The deciding thread writes the others.
    """

    __slots__ = ("answer", "commander", "end", "first", "items", "keeps", "left", "production", "wanted")

    def __init__(self, wanted: Wanted, commander: Commander, size: int) -> None:
        self.wanted = wanted
        self.commander = commander
        self.items: deque[Item[Any]] = deque(maxlen=size)
        self.first = -1
        """The number of the first item that he could hear."""
        self.answer: Reply[None] = Reply()
        """When he has been heard of: then his part has begun, or it was refused."""
        self.production: Production | None = None
        self.keeps = False
        """Whether the stream goes on for his sake."""
        self.left = False
        self.end: tuple[BaseException | None] | None = None


class Production:
    """One stream that runs: a generator that is advanced, or a driver that pushes.

    All its calls are made under its starter's token. There is one at most at a time, but for the last one, which closes
    the generator: whoever finds that nobody wants the stream any more sends it himself, so that it comes before his
    next call. Items are numbered and handed out by one thread at a time: the device's, or under a lock by those of the
    driver that publish.
    """

    def __init__(
        self, cell: Cell, actor: DeviceActor, streams: Streams, wanted: Wanted, token: object, number: int
    ) -> None:
        self.wanted = wanted
        self.token = token
        self.everybodys = wanted.member.query
        """Whether anybody may start and end it."""
        self.actor = actor
        self.channel = f"{wanted.member.name}#{id(self)}"
        """Its name where the driver is in another process."""
        self.closing = False
        """Set before the call that closes is sent; nothing more is made then."""
        self.lost = False
        """Whether its token was taken away: written by the deciding thread."""
        self.stopped = False
        """Whether no call advances it any more: written by the deciding thread."""
        self.closed: Reply[None] = Reply()
        self.over: Reply[None] = Reply()
        self.parked: list[Box] = []
        """Those who came when it was closing."""
        self.boxes: tuple[Box, ...] = ()
        self.call: Call | None = None
        self.pushes = False
        self._cell = cell
        self._name = wanted.member.on(cell.name)
        self._streams = streams
        self._mailbox = actor.mailbox
        self._here = isinstance(actor.driver, InThread)
        self._lane = OTHERS if token is None else HOLDER
        self._opened: Member | None = None
        self._closes = False
        self._changes: deque[Box] = deque()
        self._appends: list[Callable[[Item[Any]], object]] = []
        self._sleepers: deque[Reply[None]] = deque()
        self.number = number
        """That of the next item."""
        self._until = 0.0
        self._glance = 0.0
        self._offset = 0.0
        # Several threads of a driver may publish, and numbers have to come in order; a mailbox would need a reader.
        self._publishing = allocate_lock()

    @property
    def is_open(self) -> bool:
        """Whether there is something to be closed."""
        return self._opened is not None

    # -- listeners

    def join(self, box: Box) -> None:
        """Let somebody listen; for the deciding thread."""
        box.keeps = not box.wanted.joins and (self.everybodys or box.commander.token is self.token)
        box.production = self
        self._changes.append(box)
        self._glance = 0.0
        if box.left:
            self.leave(box)

    def leave(self, box: Box) -> None:
        """Let somebody go, who has set `left`; from any thread, also by a finaliser."""
        self._changes.append(box)
        if box.keeps and not self.is_wanted():
            self.close()
        self.wake()

    def is_wanted(self) -> bool:
        """Tell whether somebody is there for whose sake it goes on."""
        return any(box.keeps and not box.left for box in (*self.boxes, *self._changes.copy()))

    def await_item(self, waiter: Reply[None]) -> None:
        """Finish a reply when something has happened; who listens looks at his buffer after this, and then waits."""
        self._sleepers.append(waiter)

    def wake(self) -> None:
        """Wake all who wait for an item."""
        sleepers = self._sleepers
        while sleepers:
            try:
                sleeper = sleepers.popleft()
            except IndexError:  # somebody else woke him
                return
            sleeper.finish(None, None)

    def everybody(self) -> tuple[Box, ...]:
        """Return all who listen, or have just left."""
        return tuple(dict.fromkeys((*self.boxes, *self._changes.copy())))

    # -- calls

    def open(self) -> None:
        """Call the stream method."""
        wanted = self.wanted
        member = wanted.member._replace(action=open_feed)
        outlet = None if wanted.pulled else self.publish if self._here else self.channel
        call = Call(self._lane, self.token, self._cell, member, (outlet, wanted.args), wanted.kwargs)
        self.call = call
        self._cell.lab_actor.limits.watch(self._cell, call)
        self._send(call, self._has_opened)

    def _send(self, call: Call, then: Callable[[Any], object]) -> None:
        call.when_done(then)
        try:
            self._mailbox.put(call)
        except ActorStopped as error:
            call.drop(error)

    def _has_opened(self, call: Call) -> None:
        """Go on with what the stream method has returned; on the device's thread, or wherever the call was dropped."""
        error = call.exception(0)
        if error is not None:
            self._streams.stopped(self, error)
            return
        found = call.outcome()
        self.pushes = issubclass(found.cls, Pushing)
        action = advance_for if self._here else advance
        member = self.wanted.member
        found.origin = (*member.path, ("attribute", member.name))  # so that it is told of by the stream's name
        self._opened = member._replace(name="__call__", action=action, path=(("object", found),))
        if self.closing:
            self.close()
        if self.pushes or self.closing:
            self._streams.stopped(self, None)
        else:
            self._advance(self._opened)

    def _advance(self, member: Member) -> None:
        call = Call(self._lane, self.token, self._cell, member, (self,) if self._here else (), {})
        self.call = call
        call.query = call.query or None  # it keeps nobody from being served while a driver sleeps
        self._send(call, self._advanced)

    def _advanced(self, call: Call) -> None:
        """Go on, if all is well; on the device's thread, or wherever the call was dropped."""
        error = call.exception(0)
        value = None if error is not None else call.outcome()
        if isinstance(value, Stays):
            error = TypeError(f"{self._name} yields objects that aren't data: they can't leave the driver's process")
        elif value.__class__ is tuple and value:  # the item of a driver in another process
            self._take(value[0])
            value = False
        member = self._opened
        if value is False and not self.closing and member is not None:
            self._advance(member)
        else:
            self._streams.stopped(self, error)

    def close(self) -> None:
        """Have the generator closed, or what pushes stopped; from any thread, also by a finaliser."""
        self.closing = True
        self._glance = 0.0
        member = self._opened
        if member is None or self._closes:  # whoever finds out what it opens will close it
            return
        self._closes = True
        # It is accepted whoever holds the device, as a query is; but no other call is sleeping when it runs.
        call = Call(HOLDER, None, self._cell, member._replace(query=True, action=close_feed), (), {})
        call.query = False
        self._send(call, lambda done: self._streams.closed(self, done))
        if self.call is not None:
            self.call.drop(Cancelled("nobody listens any more"))

    def close_now(self) -> None:
        """Close it at the end of the device's life, on its own thread."""
        self.closing = True
        member, driver = self._opened, self.actor.driver
        if member is not None and driver is not None:
            driver.act(member._replace(action=close_feed), (), {})

    def was_cut_short(self) -> bool:
        """Tell whether its last call was ended because the device had to be made safe."""
        return self.call is not None and self.call.why == "urgent"

    def cut(self) -> None:
        """Have the call in hand ended, as its run is cancelled."""
        if self.call is not None and not self.call.done():
            self._cell.lab_actor.limits.end(self.call)

    # -- items

    def begin_turn(self) -> Callable[[Any], bool]:
        """Return what takes the items that the generator yields in one message."""
        self._glance = 0.0
        self._until = monotonic() + TURN
        return self._take

    def publish(self, value: Any) -> None:
        """Take what the driver pushes, from any of its threads."""
        with self._publishing:
            if not self.closing and (self.everybodys or self._cell.token is self.token):
                self._glance = 0.0
                self._take(value)

    def _take(self, value: Any) -> bool:
        """Hand an item out, and tell whether the generator may go on in this message.

        Longer than ten lines, as it is the hot path. While items come fast it looks around every `GLANCE` seconds
        only; who wants it to look sooner sets `_glance` after what there is to be seen.
        """
        now = monotonic()
        glances = now >= self._glance
        if glances:
            self._glance = now + GLANCE
            self._offset = clock() - now
            if self._changes:
                self._change()
        if value.__class__ not in SCALARS:
            value = outgoing(value, self.actor.life)
        number = self.number
        self.number = number + 1
        item = Item(value, now + self._offset, now, number)
        for append in self._appends:
            append(item)
        if self._sleepers:
            self.wake()
        return not glances or self._may_go_on(now)

    def _may_go_on(self, now: float) -> bool:
        call = self.call
        if call is not None:
            call.begun = now  # the running limit bounds silence
        return (
            now < self._until
            and self._mailbox.empty()
            and not self.closing
            and (self.everybodys or self._cell.token is self.token)
        )

    def _change(self) -> None:
        """Let in who has come, and let go who has left."""
        queue = self._changes
        changes = queue.copy()
        boxes = dict.fromkeys(self.boxes)
        for box in changes:
            if box.left:
                boxes.pop(box, None)
            elif box not in boxes:
                boxes[box] = None
                if box.first < 0:
                    box.first = self.number
        self.boxes = tuple(boxes)
        self._appends = [box.items.append for box in boxes]
        for _ in changes:
            queue.popleft()

    def end(self) -> None:
        """Hand nothing out any more, and let go of all who listened; for the deciding thread."""
        self.boxes, self._appends, self._changes = (), [], deque()
        self.wake()


class Same:
    """Stand for an argument that equals only itself: its own comparison isn't for the deciding thread to run."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


def same(value: Any) -> Any:
    """Return what can be compared and hashed in place of an argument: plain data by value, others by identity."""
    kind = value.__class__
    if kind in SCALARS:
        return kind, value
    if kind in (list, tuple):
        return kind, tuple(map(same, value))
    return (kind, same(list(value.items()))) if kind is dict else Same(value)
