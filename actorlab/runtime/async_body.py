"""Run an asynchronous body on the lab's loop: cancelled by asyncio's own means, and never blocking."""

from __future__ import annotations

import asyncio
import traceback
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Final

from actorlab.body_kinds import BodyKind, constructed
from actorlab.errors import Cancelled, MailboxFull, repr_of
from actorlab.kernel.frames import frame_of
from actorlab.on_loop import LoopScope
from actorlab.runtime.body import Body
from actorlab.runtime.listening import end_streams_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actorlab.runtime.run import Run

__all__ = ["AsyncBody"]

OWN: Final = "/actorlab/runtime/"
"""A coroutine's stack is shown without the frames of these files."""


class AsyncBody(LoopScope, Body):
    """One execution of a coroutine or an asynchronous generator.

    A cancellation reaches it as asyncio's, at its next `await`. What would block raises, and names what to await.
    """

    __slots__ = ("_entered", "_stopping", "task")

    on_loop = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.task: asyncio.Task[None] | None = None
        self._entered = False
        self._stopping = False

    # -- from the deciding thread

    def stop(self) -> None:
        """Have its task cancelled; once more each time."""
        self._stopping = True
        self.actor.lab.loop.call(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None and self._entered:
            self.task.cancel(self.reason)

    def began(self, task: asyncio.Task[None]) -> None:
        """Take note of its task, on the loop; one that is cancelled before its first step would tell nobody of it."""
        self.task = task

    def where(self) -> str:
        """Return where it is, as text."""
        return "".join(traceback.format_list([place for place in self._places() if not_own(place)]))

    def _places(self) -> Iterator[traceback.FrameSummary]:
        """Follow what the coroutine awaits, inwards; one that blocks the loop is where the loop's thread is."""
        awaited: Any = self.task.get_coro() if self.task is not None else None
        if awaited is not None and awaited.cr_running:
            thread = self.actor.lab.loop.thread
            frame = frame_of(None if thread is None else thread.ident)
            yield from dropwhile(not_own, traceback.extract_stack(frame))
            return
        while awaited is not None:
            letters = next((letters for letters in ("cr", "ag", "gi") if hasattr(awaited, f"{letters}_frame")), "")
            frame = getattr(awaited, f"{letters}_frame", None)
            if frame is not None:
                yield from traceback.extract_stack(frame, limit=1)
            awaited = getattr(awaited, "gi_yieldfrom" if letters == "gi" else f"{letters}_await", None)

    # -- what would block

    def result_of(self, run: Run[Any], timeout: float | None) -> None:
        """Refuse to block, unless the run has ended."""
        del timeout
        if not run.done():
            self.refuse_to_block(f"{run.id}.result()", "await the run")

    # -- checkpoints

    def checkpoint(self) -> None:
        """Raise if it was fenced; a cancellation comes by asyncio, and a pause at an awaited checkpoint."""
        if self.fenced or self.ended:
            self.meet(0)

    async def come_by(self) -> None:
        """Let a cancellation or a pause take effect, and others have their turn."""
        await asyncio.sleep(0)
        while self.actor.holding_bodies and not self._shielded:
            gate = self.actor.stood(self)
            if gate is None:
                return
            await gate

    # -- its task

    async def perform(
        self, function: Callable[..., Any], kind: BodyKind, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run the body, then wait for its children and for what it asked.

        Raises:
            CancelledError: it was cancelled before it began.

        """
        self._entered = True
        if self._stopping:
            raise asyncio.CancelledError(self.reason)
        begun = constructed(function, args, kwargs)
        value = None
        try:
            if kind is BodyKind.COROUTINE:
                value = await begun
            else:
                await self._follow(begun)
        finally:
            if self.streams is not None:
                await end_streams_async(self)
        await self._settle()
        return value

    async def _follow(self, generator: Any) -> None:
        try:
            async for report in generator:
                self.report(report)
                await self.come_by()
        finally:
            await generator.aclose()

    async def _settle(self) -> None:
        for call in self._asks or ():
            try:
                await call
            except MailboxFull:  # to give way is no failure
                continue
            except Exception as error:  # noqa: BLE001 - nobody waited for it: it is logged, as in any body
                self.log("an asked call failed", {"call": call.member.name, "error": repr_of(error)})
        for child in self.children:
            if not child.done():
                await self._end_of(child)
            if not child.observed:
                child.result()

    @staticmethod
    async def _end_of(child: Run[Any]) -> None:
        """Wait for a child's end, however it ends."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        child.reply.when_done(lambda _: loop.call_soon_threadsafe(ended.set))
        await ended.wait()

    def outcome_of(self, error: BaseException | None) -> BaseException | None:
        """Translate asyncio's cancellation into the run's."""
        if isinstance(error, asyncio.CancelledError) and self.alarm:
            return Cancelled(self.reason)
        return error


def not_own(place: traceback.FrameSummary) -> bool:
    """Tell whether a frame isn't this package's."""
    return OWN not in place.filename
