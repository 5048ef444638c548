"""A reply carries one outcome, and is a future to all who know futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.errors import CallTimeout, Cancelled
from actorlab.kernel import Reply


@pytest.fixture
def hasty() -> Iterator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(*functions: Callable[[], object]) -> None:
    """Run functions at the same time, and wait for all."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], object]) -> None:
        barrier.wait()
        function()

    threads = [threading.Thread(target=run, args=(function,), name="actorlab-race") for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def finished(value: Any = None, error: BaseException | None = None) -> Reply[Any]:
    reply: Reply[Any] = Reply()
    reply.begin()
    reply.finish(value, error)
    return reply


# -- the interface of a future


def test_a_value_is_returned_and_an_error_raised() -> None:
    assert finished(3).result() == 3
    assert finished(3).exception() is None
    error = ValueError("no")
    assert finished(error=error).exception() is error
    with pytest.raises(ValueError, match="no"):
        finished(error=error).result()


def test_its_states_are_those_of_a_future() -> None:
    reply: Reply[int] = Reply()
    assert (reply.done(), reply.running(), reply.cancelled()) == (False, False, False)
    reply.begin()
    assert (reply.done(), reply.running(), reply.cancelled()) == (False, True, False)
    reply.finish(1, None)
    assert (reply.done(), reply.running(), reply.cancelled()) == (True, False, False)


def test_a_wait_that_runs_out_says_that_the_call_goes_on() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(TimeoutError, match="goes on"):
        reply.result(timeout=0.001)
    with pytest.raises(TimeoutError, match="goes on"):
        reply.exception(timeout=-1)
    assert reply.begin(), "what was asked can still begin"


def test_cancel_drops_what_has_not_begun_and_nothing_else() -> None:
    reply: Reply[int] = Reply()
    assert reply.cancel()
    assert reply.cancel(), "as with a Future, it stays cancelled"
    assert reply.cancelled()
    assert not reply.begin()
    with pytest.raises(Cancelled):
        reply.result()
    begun: Reply[int] = Reply()
    begun.begin()
    assert not begun.cancel()
    begun.finish(1, None)
    assert begun.result() == 1


def test_a_get_that_runs_out_drops_what_has_not_begun() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(CallTimeout, match="never will"):
        reply.get(timeout=0.001)
    assert not reply.begin()


def test_callbacks_are_called_once_before_and_after_the_end() -> None:
    reply: Reply[int] = Reply()
    heard: list[tuple[str, int]] = []
    reply.add_done_callback(lambda done: heard.append(("early", done.result())))
    reply.finish(1, None)
    reply.finish(2, None)
    reply.add_done_callback(lambda done: heard.append(("late", done.result())))
    assert heard == [("early", 1), ("late", 1)]


def test_a_callback_that_raises_hurts_neither_the_finisher_nor_the_next(caplog: pytest.LogCaptureFixture) -> None:
    reply: Reply[int] = Reply()
    heard: list[int] = []

    def broken(_: object) -> None:
        raise RuntimeError

    reply.add_done_callback(broken)
    reply.add_done_callback(lambda done: heard.append(done.result()))
    with caplog.at_level(logging.ERROR, "actorlab"):
        reply.finish(1, None)
    assert heard == [1]
    assert "RuntimeError" in caplog.text


def test_a_wake_lets_a_plain_wait_look_again_but_not_a_result() -> None:
    reply: Reply[int] = Reply()
    results: list[int] = []
    waiter = threading.Thread(target=lambda: results.append(reply.result()), name="actorlab-waiter")
    waiter.start()
    until_parked(reply, 1)
    reply.wake()
    until_parked(reply, 1)
    reply.finish(1, None)
    waiter.join(5)
    assert results == [1]


def until_parked(reply: Reply[Any], count: int) -> None:
    """Return when so many locks are parked and held, so that their waiters are in `acquire`, or nearly."""
    while sum(1 for entry in reply._parked if entry.locked()) < count:
        threading.Event().wait(0)


def test_an_error_once_raised_keeps_nothing_alive() -> None:
    def look(name: str) -> weakref.ref[Reply[int]]:
        reply: Reply[int] = finished(error=ValueError("no"))
        dead, verb = weakref.ref(reply), getattr(reply, name)
        del reply  # this frame is in the traceback as well
        try:
            verb()
        except ValueError:
            del verb
        return dead

    gc.collect()
    gc.disable()
    try:
        assert [look(verb)() for verb in ("result", "get", "outcome")] == [None] * 3
    finally:
        gc.enable()


# -- concurrent.futures


def test_wait_and_as_completed_take_replies_among_futures() -> None:
    replies: list[Any] = [Reply(), finished(1), finished(error=ValueError())]
    done, pending = concurrent.futures.wait(replies, timeout=0.01)
    assert (done, pending) == (set(replies[1:]), {replies[0]})
    finisher = threading.Thread(target=lambda: replies[0].finish(0, None), name="actorlab-finisher")
    finisher.start()
    assert set(concurrent.futures.as_completed(replies, timeout=5)) == set(replies)
    finisher.join(5)
    assert concurrent.futures.wait(replies).not_done == set()


def test_first_exception_ends_a_wait() -> None:
    replies: list[Any] = [Reply(), Reply()]
    seen: list[Any] = []
    race(
        lambda: seen.append(concurrent.futures.wait(replies, timeout=5, return_when="FIRST_EXCEPTION")),
        lambda: replies[0].finish(None, ValueError()),
    )
    assert seen == [({replies[0]}, {replies[1]})]


@pytest.mark.usefixtures("hasty")
def test_a_wait_for_all_waits_for_all_while_they_finish() -> None:
    def once() -> None:
        replies: list[Any] = [Reply() for _ in range(4)]
        seen: list[Any] = []
        race(
            lambda: seen.append(concurrent.futures.wait(replies, timeout=5)),
            lambda: seen.append(concurrent.futures.wait(replies, timeout=5)),
            lambda: [reply.finish(0, None) for reply in replies],
            lambda: [reply.finish(1, None) for reply in replies],
        )
        assert [len(done) for done, _ in seen] == [4, 4]

    for _ in range(150):
        once()


def test_what_becomes_done_while_wait_looks_is_not_counted_twice() -> None:
    first, second = Reply[int](), Reply[int]()
    condition: Any = first._condition
    with condition:
        first._outcomes.append((1, None))  # published, while somebody holds the condition
        assert first._state == "PENDING", "under the condition the state stands still"
    first.finish(1, None)
    assert first._state == "FINISHED"
    assert second._state == "PENDING"


# -- asyncio


def test_awaiting_does_not_block_the_loop() -> None:
    reply: Reply[int] = Reply()

    async def main() -> tuple[int, int]:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while not reply.done():
                turns += 1
                await asyncio.sleep(0)
                if turns == 100:
                    threading.Thread(target=lambda: reply.finish(7, None), name="actorlab-finisher").start()

        turning = asyncio.create_task(turn())
        value = await reply
        await turning
        return value, turns

    value, turns = asyncio.run(main())
    assert value == 7
    assert turns >= 100


def test_an_await_raises_the_error_and_two_may_await() -> None:
    async def main() -> tuple[Any, Any]:
        reply: Reply[int] = Reply()
        both = asyncio.gather(wait_for(reply), wait_for(reply), return_exceptions=True)
        await asyncio.sleep(0)
        reply.finish(None, ValueError("no"))
        return await both

    async def wait_for(reply: Reply[int]) -> int:
        return await reply

    assert [type(error) for error in asyncio.run(main())] == [ValueError, ValueError]


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_await_drops_what_has_not_begun_and_leaves_nothing_parked(begun: bool) -> None:
    reply: Reply[int] = Reply()
    if begun:
        reply.begin()

    async def main() -> None:
        async with asyncio.timeout(0.005):
            await reply

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert reply.cancelled() is not begun
    assert reply._parked == []


# -- races


@given(st.lists(st.sampled_from(["begin", "drop", "cancel"]), min_size=2, max_size=4), st.booleans())
@settings(max_examples=40)
def test_the_claim_is_taken_once_and_the_first_outcome_wins(rivals: list[str], late_waiter: bool) -> None:
    reply: Reply[str] = Reply()
    won: list[str] = []
    seen: list[str] = []
    called: list[object] = []

    def rival(what: str, who: int) -> None:
        match what:
            case "begin" if reply.begin():
                won.append(f"value {who}")
                reply.finish(f"value {who}", None)
            case "drop" if reply.drop(ValueError(f"error {who}")):
                won.append(f"error {who}")
            case "cancel" if not reply.cancelled() and reply.drop(Cancelled(f"error {who}")):
                won.append(f"error {who}")
            case _:
                pass

    def look() -> None:
        if not late_waiter:
            reply.add_done_callback(called.append)
        error = reply.exception(timeout=5)
        seen.append(reply.result() if error is None else str(error))
        if late_waiter:
            reply.add_done_callback(called.append)

    race(*[partial(rival, what, who) for who, what in enumerate(rivals)], look, look)
    assert len(won) == 1
    assert seen == won * 2
    assert len(called) == 2


@pytest.mark.usefixtures("hasty")
def test_of_two_racing_finishers_everybody_sees_the_same() -> None:
    def once() -> None:
        reply: Reply[int] = Reply()
        seen: list[int] = []
        race(
            lambda: reply.finish(1, None),
            lambda: reply.finish(2, None),
            lambda: seen.append(reply.result(5)),
            lambda: seen.append(reply.result(5)),
        )
        assert len(set(seen)) == 1

    for _ in range(200):
        once()


def test_who_gives_up_waiting_takes_no_wake_up_from_another() -> None:
    reply: Reply[int] = Reply()

    class GivesUp:
        """A parked lock whose waiter gives up at the very moment it is woken."""

        def tell(self) -> None:
            reply._unpark(self)

    reply._parked.append(GivesUp())
    seen: list[bool] = []
    waiter = threading.Thread(target=lambda: seen.append(reply.wait(5)), name="actorlab-waiter")
    waiter.start()
    while len(reply._parked) < 2:
        threading.Event().wait(0)
    reply.finish(1, None)
    woken = not reply._parked[0].locked() if reply._parked else True
    waiter.join(10)
    assert woken
    assert seen == [True]


# -- a drop cut short by KeyboardInterrupt


def test_a_drop_cut_after_its_claim_is_completed_with_its_own_error_by_whoever_comes_next() -> None:
    finders: list[Callable[[Reply[int]], bool]] = [Reply.begin, Reply.cancel]
    for finds in finders:
        reply: Reply[int] = Reply()
        reply._claims.append((None, CallTimeout("waited too long")))  # … and here it was cut
        assert not finds(reply)
        with pytest.raises(CallTimeout, match="waited too long"):
            reply.result(0)


def test_a_drop_cut_before_its_wake_up_is_completed_by_whoever_comes_next() -> None:
    reply: Reply[int] = Reply()
    called: list[object] = []
    reply.when_done(called.append)
    seen: list[bool] = []
    waiter = threading.Thread(target=lambda: seen.append(reply.wait(5)), name="actorlab-waiter")
    waiter.start()
    while len(reply._parked) < 2:
        threading.Event().wait(0)
    while not reply._parked[1].locked():
        threading.Event().wait(0)
    entry = (None, CallTimeout("waited too long"))
    reply._claims.append(entry)
    reply._outcomes.append(entry)  # … and here it was cut
    assert not reply.begin()
    assert not reply._parked[1].locked() or not waiter.is_alive()
    waiter.join(10)
    assert seen == [True]
    assert called == [reply]


def test_a_begin_beside_a_drop_in_progress_does_not_change_its_error() -> None:
    class Overtaken(Reply[int]):
        """A reply whose actor comes to it between the dropper's claim and its outcome."""

        __slots__ = ()

        def finish(self, value: int | None, error: BaseException | None) -> None:
            if len(self._claims) == 1:
                assert not self.begin()
            super().finish(value, error)

    reply = Overtaken()
    error = CallTimeout("waited too long")
    assert reply.drop(error)
    assert reply.exception(0) is error
