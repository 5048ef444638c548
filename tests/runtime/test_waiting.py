"""Wait for several runs: any, all, or each settled; in bodies it is a checkpoint, in event loops asyncio's own do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from actorlab import AskDeadlock, ConfigError, Lab, Run, RunCancelled, checkpoint, spawn
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


# -- waits that could never end


def in_a_circle(lab: Lab, how: Any, size: int = 3) -> list[Any]:
    """Start bodies that each wait for the next one, all at once; return what each told."""
    runs: list[Run[Any]] = []
    all_here = threading.Barrier(size, timeout=PATIENCE)
    known = threading.Event()

    def told(number: int) -> str:
        assert known.wait(PATIENCE)
        all_here.wait()
        try:
            how(runs[(number + 1) % size])
        except AskDeadlock as error:
            return str(error)
        return "it ended"

    runs.extend(lab.start(told, number) for number in range(size))
    known.set()
    return [run.result(PATIENCE) for run in runs]


@pytest.mark.parametrize("how", [wait, Run.result, Run.exception, "any"])
def test_three_that_wait_for_one_another_in_a_circle_are_refused(lab: Lab, how: Any) -> None:
    if how is wait:
        told = in_a_circle(lab, lambda other: wait([other]))
    elif how == "any":
        told = in_a_circle(lab, lambda other: wait([other], return_when="any"))
    else:
        told = in_a_circle(lab, how)
    refused = [text for text in told if text != "it ended"]
    assert refused
    assert all("this wait could never end" in text and text.count(" -> ") == 3 for text in refused)


@pytest.mark.parametrize("how", ["await", "gather"])
def test_three_asynchronous_ones_in_a_circle_are_refused(lab: Lab, how: str) -> None:
    runs: list[Run[Any]] = []
    known = threading.Event()
    here: list[int] = []

    async def told(number: int) -> str:
        await asyncio.to_thread(known.wait, PATIENCE)
        here.append(number)
        while len(here) < 3:
            await checkpoint()
        other = runs[(number + 1) % 3]
        try:
            await (other if how == "await" else asyncio.gather(other))
        except AskDeadlock as error:
            return str(error)
        return "it ended"

    runs.extend(lab.start(told, number) for number in range(3))
    known.set()
    told_by_all = [run.result(PATIENCE) for run in runs]
    assert any("this wait could never end" in text for text in told_by_all)


def test_a_plain_body_and_an_asynchronous_one_that_wait_for_one_another_are_refused(lab: Lab) -> None:
    runs: list[Run[Any]] = []
    known = threading.Event()

    async def first() -> str:
        await asyncio.to_thread(known.wait, PATIENCE)
        try:
            await runs[1]
        except AskDeadlock:
            return "refused"
        return "it ended"

    def second() -> str:
        assert known.wait(PATIENCE)
        try:
            wait([runs[0]])
        except AskDeadlock:
            return "refused"
        return "it ended"

    runs += [lab.start(first), lab.start(second)]
    known.set()
    assert "refused" in [run.result(PATIENCE) for run in runs]


def test_who_waits_for_any_of_two_is_refused_only_if_neither_could_end(lab: Lab, gates: Any) -> None:
    other, waits = gates(), gates()
    runs: list[Run[Any]] = []

    def independent() -> str:
        other.stop()
        return "by itself"

    def first() -> int:
        waits.arrive()
        return len(wait(runs[1:], return_when="any").done)

    def second() -> str:
        runs[0].result()
        return "after it"

    free = lab.start(independent)
    runs.append(lab.start(lambda: (waits.stop(), first())[1]))
    runs += [free, lab.start(second)]
    waits.open()
    other.open()
    assert [run.result(PATIENCE) for run in runs] == [1, "by itself", "after it"]


def test_to_wait_for_one_whose_child_waits_for_this_one_is_refused(lab: Lab, gate: Gate) -> None:
    runs: list[Run[Any]] = []

    def child() -> None:
        gate.arrive()
        runs[0].result()

    def parent() -> None:
        spawn(child)

    def first() -> str:
        assert known.wait(PATIENCE)
        gate.reached()
        while True:  # until the child waits
            try:
                runs[1].result(timeout=0.01)
            except TimeoutError:
                continue
            except AskDeadlock as error:
                return str(error)

    known = threading.Event()
    runs += [lab.start(first), lab.start(parent)]
    known.set()
    assert "this wait could never end" in runs[0].result(PATIENCE)
    assert runs[1].exception(PATIENCE) is None
