"""Wait for several runs: any, all, or each settled; in bodies it is a checkpoint, in event loops asyncio's own do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import AskDeadlock, ConfigError, Lab, Run, RunCancelled, spawn
from actorlab.runtime.waiting import wait

if TYPE_CHECKING:
    from tests.runtime.conftest import Gate

Gates = Callable[[], "Gate"]
PATIENCE = 5.0


def wrong() -> None:
    message = "wrong"
    raise ValueError(message)


@pytest.fixture
def four(lab: Lab, gates: Gates) -> tuple[list[Run[Any]], list[Gate]]:
    """Start four runs, each of which stands at a gate of its own."""
    stops = [gates() for _ in range(4)]
    runs = [lab.start(stop.stop) for stop in stops]
    for stop in stops:
        stop.reached()
    return runs, stops


def test_any_is_enough_as_soon_as_one_has_ended(four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, stops = four
    threading.Timer(0.01, stops[2].open).start()
    done, pending = wait(runs, PATIENCE, "any")
    assert done == (runs[2],)
    assert pending == (runs[0], runs[1], runs[3])


def test_settled_waits_for_each_whether_it_succeeds_or_not(lab: Lab, four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, stops = four
    bad = lab.start(wrong)
    runs[1].cancel("enough")
    for stop in stops:
        threading.Timer(0.01, stop.open).start()
    done, pending = wait([*runs, bad], PATIENCE)
    assert done == (*runs, bad)
    assert pending == ()
    assert isinstance(bad.exception(0), ValueError)


def test_all_gives_up_with_the_first_that_did_not_succeed(lab: Lab, four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, stops = four
    stops[0].open()
    runs[0].result(PATIENCE)
    assert wait(runs, 0.01, "all").pending == tuple(runs[1:])
    bad = lab.start(wrong)
    done, pending = wait([*runs, bad], PATIENCE, "all")
    assert done == (runs[0], bad)
    assert pending == tuple(runs[1:])
    for stop in stops:
        stop.open()
    assert wait(runs, PATIENCE, "all").done == tuple(runs)


def test_what_is_over_is_not_waited_for_and_nothing_is_left_with_what_goes_on(
    lab: Lab, four: tuple[list[Run[Any]], list[Gate]]
) -> None:
    runs, _ = four
    ended = lab.start(int)
    ended.result(PATIENCE)
    for _ in range(100):
        assert wait([ended, *runs], PATIENCE, "any").done == (ended,)
        assert wait(runs, 0.0001).done == ()
    assert wait([]) == ((), ())
    assert wait([ended, ended]).done == (ended, ended)
    assert not any(run.reply._parked for run in runs)


def test_a_wait_for_runs_in_a_body_is_a_checkpoint(lab: Lab, four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, _ = four
    begun = threading.Event()

    def body() -> None:
        begun.set()
        wait(runs)

    run = lab.start(body)
    assert begun.wait(PATIENCE)
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        run.result(PATIENCE)


def test_a_wait_that_could_never_end_is_refused(lab: Lab) -> None:
    def child(parent: list[Run[Any]]) -> None:
        wait(parent)

    def body() -> None:
        spawn(child, runs).result()

    runs: list[Run[Any]] = []
    begun = threading.Event()

    def first() -> None:
        assert begun.wait(PATIENCE)
        body()

    runs.append(lab.start(first))
    begun.set()
    with pytest.raises(AskDeadlock, match="could never end"):
        runs[0].result(PATIENCE)


def test_a_body_sees_its_children_settle_and_looks_at_each(lab: Lab) -> None:
    def body() -> list[str]:
        children: list[Run[Any]] = [spawn(int), spawn(wrong)]
        done, pending = wait(children)
        assert not pending
        return [type(child.exception()).__name__ for child in done]

    assert lab.run(body) == ["NoneType", "ValueError"]


def test_another_word_for_when_is_refused() -> None:
    with pytest.raises(ConfigError, match="'any', 'all' or 'settled'"):
        wait([], return_when="first")  # type: ignore[arg-type]  # that is what is tested


# -- in an event loop asyncio's own functions take runs


def test_gather_takes_runs_all_or_settled(lab: Lab) -> None:
    async def both() -> tuple[Any, Any]:
        three, also_three = await asyncio.gather(lab.start(sum, [1, 2]), lab.start(len, "abc"))
        assert (three, also_three) == (3, 3)
        with pytest.raises(ValueError, match="wrong"):
            await asyncio.gather(lab.start(int), lab.start(wrong))
        value, error = await asyncio.gather(lab.start(int), lab.start(wrong), return_exceptions=True)
        return value, error

    value, error = asyncio.run(both())
    assert value == 0
    assert isinstance(error, ValueError)


def test_asyncio_wait_takes_runs_as_futures_for_any(four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, stops = four

    async def first() -> int:
        waiting = [asyncio.ensure_future(run) for run in runs]
        stops[3].open()
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for stop in stops:
            stop.open()
        await asyncio.gather(*waiting)
        return waiting.index(next(iter(done)))

    assert asyncio.run(first()) == 3


def test_as_completed_takes_runs(four: tuple[list[Run[Any]], list[Gate]]) -> None:
    runs, stops = four

    async def in_order() -> None:
        for number, one in enumerate(asyncio.as_completed(runs)):
            stops[number].open()
            await one

    asyncio.run(in_order())
    assert all(run.done() for run in runs)
