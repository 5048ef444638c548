"""Let many runs want the same devices, places and keys at random: who may not meet never do, and everybody ends."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import pytest

from actorlab import Lab, LeaseTimeout, Run, RunCancelled, RunState, Shared, current_run, sleep, spawn, task, workflow

SEEDS: Final = range(int(os.environ.get("SEEDS", "2")))
PATIENCE: Final = 30.0
PLACES, LOUD = 3, 1
WAITING: Final = 40
"""So many urgent ones wait at any time."""


class Stage:
    """A device that remembers who uses it."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def use(self, who: str) -> None:
        self.users.append(who)
        sleep(0.0)
        assert self.users[-1] == who

    def make_safe(self) -> None:
        """Have nothing to make safe."""


class Stay(NamedTuple):
    """What a run had, and from when to when."""

    run: Run[Any]
    began: float
    ended: float
    wish: Wish


class Wish(NamedTuple):
    """What a run asks for."""

    taken: tuple[int, ...]
    shared: tuple[int, ...]
    key: str | None
    exclusive: bool
    loud: bool
    on_conflict: Any
    priority: float


class Ledger:
    """Who was in the lab at the same time."""

    def __init__(self) -> None:
        self.stays: list[Stay] = []

    @contextmanager
    def staying(self, wish: Wish) -> Generator[None]:
        run, began = current_run(), time.monotonic()
        assert run is not None
        try:
            yield
        finally:
            self.stays.append(Stay(run, began, time.monotonic(), wish))

    def check(self) -> None:
        for one in self.stays:
            met = [other for other in self.stays if other.began < one.ended and one.began < other.ended]
            at_its_begin = [other for other in met if other.began <= one.began]
            assert len(at_its_begin) <= PLACES
            assert sum(other.wish.loud for other in at_its_begin) <= LOUD
            for other in met:
                assert other is one or not conflict(one.wish, other.wish), f"{one} and {other}"


def conflict(one: Wish, other: Wish) -> bool:
    if one.exclusive or other.exclusive or (one.key is not None and one.key == other.key):
        return True
    mine, theirs = {*one.taken}, {*other.taken}
    return bool(mine & {*theirs, *other.shared} or theirs & {*one.shared})


def stay(ledger: Ledger, wish: Wish, stages: list[Stage], shared: Shared[list[Stage]]) -> None:
    del shared
    with ledger.staying(wish):
        for stage in stages:
            stage.use(f"{time.monotonic()}")
        sleep(0.001)


def wish_of(chance: random.Random) -> Wish:
    chosen = chance.sample(range(4), chance.randint(0, 3))
    cut = chance.randint(0, len(chosen))
    key = chance.choice(["one", "two"]) if chance.random() < 0.3 else None
    conflict = chance.choice(["queue", "queue", "reject", "replace"]) if key else "queue"
    return Wish(
        tuple(chosen[:cut]), tuple(chosen[cut:]), key, chance.random() < 0.1, chance.random() < 0.2, conflict,
        chance.choice([0, 0, 0.01, 5]),
    )  # fmt: skip


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("contention", max_runs=PLACES, limits={"loud": LOUD}, cancel_grace=10) as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
def test_at_random_nobody_meets_whom_he_must_not_and_everybody_ends(lab: Lab, seed: int) -> None:
    chance, ledger = random.Random(seed), Ledger()
    stages = [lab.add(f"stage {number}", Stage) for number in range(4)]
    runs: list[tuple[Run[Any], Wish]] = []
    for _ in range(200):
        wish = wish_of(chance)
        chosen = task(stay).options(
            key=wish.key, exclusive=wish.exclusive, on_conflict=wish.on_conflict, priority=wish.priority,
            tags=("loud",) if wish.loud else (),
        )  # fmt: skip
        taken, shared = [stages[number] for number in wish.taken], [stages[number] for number in wish.shared]
        runs.append((lab.start(chosen, ledger, wish, taken, shared), wish))
        if chance.random() < 0.1:
            runs[-1 - chance.randrange(len(runs))][0].cancel("by chance")
    for run, wish in runs:
        error = run.exception(PATIENCE)
        assert error is None or isinstance(error, (RunCancelled, LeaseTimeout))
        if isinstance(error, LeaseTimeout):
            assert wish.on_conflict == "reject"
    ledger.check()
    assert sum(run.state is RunState.SUCCEEDED for run, _ in runs) > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_nested_runs_of_all_kinds_end_however_places_and_keys_are_wanted(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)
    stages = [lab.add(f"stage {number}", Stage) for number in range(4)]
    lock = threading.Lock()

    def some(least: int, most: int) -> list[Stage]:
        with lock:
            return chance.sample(stages, chance.randint(least, most))

    def use(stages: list[Stage], depth: int) -> int:
        for stage in stages:
            stage.use("me")
        return 1 + sum(spawn(use, stages, 0).result() for _ in range(depth))

    @workflow
    def flow(stages: list[Stage]) -> list[int]:
        return [task(use)(stages[:1], 1), task(use)(stages[1:], 0)]

    @workflow(lease="step")
    def by_steps(stages: list[Stage]) -> Any:
        return [flow(stages), task(use)(stages, 1), flow(stages)]

    @task(lease="step")
    def tree(depth: int) -> int:
        children: list[Run[Any]] = [spawn(use, some(1, 2), 1), spawn(flow, some(2, 3)), spawn(by_steps, some(2, 3))]
        children += [spawn(tree, depth - 1) for _ in range(2 if depth else 0)]
        return len([child.result() for child in children])

    runs: list[Run[Any]] = []
    for _ in range(24):
        key = chance.choice([None, None, "one"])
        tags = chance.choice([(), (), ("loud",)])
        exclusive, priority = chance.random() < 0.15, chance.choice([0, 0, 3])
        options = {"key": key, "tags": tags, "exclusive": exclusive, "priority": priority}
        kind: Any = chance.choice([tree, tree, by_steps, flow, task(use)])
        arguments = [chance.randint(0, 2)] if kind is tree else [some(2, 4)]
        runs.append(lab.start(kind.options(**options), *arguments, *([1] if kind.name == "use" else [])))
    assert all(run.exception(PATIENCE) is None for run in runs)


def test_exclusive_runs_come_in_their_order_although_others_never_leave_the_lab_empty(lab: Lab) -> None:
    """Each of the others starts the next before it ends, until the exclusive ones have had their turn."""
    order: list[int] = []
    done = threading.Event()

    def another() -> None:
        if not done.is_set():
            relay.append(in_the_lab(another))
            sleep(0.001)

    def in_the_lab(function: Callable[[], None]) -> Run[Any]:
        started: list[Run[Any]] = []
        thread = threading.Thread(target=lambda: started.append(lab.start(function)))
        thread.start()
        thread.join()
        return started[0]

    relay = [lab.start(another), lab.start(another)]
    alone = [lab.start(task(order.append).options(exclusive=True), number) for number in range(5)]
    for run in alone:
        run.result(PATIENCE)
    done.set()
    for run in relay:
        run.result(PATIENCE)
    assert order == list(range(5))


def test_whoever_waits_is_served_although_more_urgent_ones_keep_coming(lab: Lab) -> None:
    stage = lab.add("stage", Stage)
    served = threading.Event()

    def urgent(stage: Stage) -> None:
        stage.use("urgent")
        sleep(0.002)

    more = task(urgent).options(priority=0.1)
    relay = [lab.start(more, stage) for _ in range(WAITING)]
    patient = lab.start(lambda _: served.set(), stage)
    end = time.monotonic() + PATIENCE
    while not served.is_set() and time.monotonic() < end:
        relay.append(lab.start(more, stage))
        relay[-WAITING].result(PATIENCE)
    assert served.is_set()
    patient.result(PATIENCE)
    assert len(relay) > WAITING, "the urgent ones came first"
    for run in relay:
        run.result(PATIENCE)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_replaces_begins_after_the_end_of_the_last(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)
    stage = lab.add("stage", Stage)
    spans: list[tuple[float, float]] = []
    lock = threading.Lock()

    def slow(stage: Stage, pause: float) -> None:
        began = time.monotonic()
        try:
            stage.use("me")
            sleep(pause)
        finally:
            stage.use("me, at last")
            with lock:
                spans.append((began, time.monotonic()))

    replacing = task(slow).options(key="one", on_conflict="replace")
    runs = []
    for _ in range(40):
        runs.append(lab.start(replacing, stage, chance.choice([0.0, 0.002, 60.0])))
        threading.Event().wait(chance.choice([0.0, 0.0, 0.003]))
    runs.append(lab.start(replacing, stage, 0.0))
    assert runs[-1].exception(PATIENCE) is None
    assert all(run.done() for run in runs)
    spans.sort()
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
