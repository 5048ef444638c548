"""Grow trees of runs that wait in every way there is, and hold what is told of them against what has happened."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import select
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actorlab import (
    Lab,
    RestartPolicy,
    Run,
    RunState,
    Shared,
    ask,
    ask_operator,
    checkpoint,
    current_run,
    query,
    shield,
    sleep,
    spawn,
    task,
    track,
    workflow,
)
from actorlab.core.run_state import LEGAL
from actorlab.runtime.cell import NOBODY, DeviceState
from actorlab.runtime.events import Event
from tests.runtime.process_tasks import sleeps

S = RunState
LONG = 600.0
DEEP = 6
APART = 2
"""So many bodies sleep in processes of their own."""
"""Nobody waits that long: what ends, ends since it was stopped."""


class Lamp:
    """A device that writes down what it does; `glow` waits as drivers should, `listen` in I/O."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self._pipe = os.pipe()

    def set(self, level: int) -> None:
        self.done.append(f"set {level}")

    def glow(self) -> None:
        self.done.append("glow")
        sleep(LONG)

    def listen(self) -> None:
        self.done.append("listen")
        if select.select([self._pipe[0]], [], [], 60)[0]:
            raise InterruptedError

    @query
    def log(self) -> list[str]:
        return list(self.done)

    def make_safe(self) -> None:
        self.done.append("safe")

    def interrupt(self) -> None:
        os.write(self._pipe[1], b"!")

    def resync(self) -> None:
        while select.select([self._pipe[0]], [], [], 0)[0]:
            os.read(self._pipe[0], 1)

    def close(self) -> None:
        for end in self._pipe:
            os.close(end)


class World:
    """What the bodies of a tree share: its devices, its chance, and what has happened, by the ids of the runs."""

    def __init__(
        self, lamps: list[Lamp], logs: list[list[str]], rigs: list[Any], folder: Path, seed: int, runs: int
    ) -> None:
        self.lamps = lamps
        self.logs = logs
        """What was done to the lamps."""
        self.rigs = rigs
        self.folder = folder
        self.chance = random.Random(seed)
        self.runs = self.left = runs
        self.happened: dict[str, list[tuple[float, str]]] = {}
        self.grown = threading.Event()
        self._counting = threading.Lock()

    @contextmanager
    def told(self) -> Generator[None]:
        """Write down that a body begins, and how it ends."""
        run = current_run()
        assert run is not None
        lines = self.happened.setdefault(run.id, [])
        lines.append((time.time(), "begun"))
        try:
            yield
        except BaseException as error:
            lines.append((time.time(), type(error).__name__))
            raise
        lines.append((time.time(), "returned"))

    def planted(self) -> None:
        """Take note of a run more."""
        with self._counting:
            self.left -= 1
            if self.left <= 0:
                self.grown.set()


apart = task(worker="process")(sleeps)


class Unplugged(ConnectionError):
    """A failure of a body's own, which a retry may mend."""


# -- what the leaves do


def sleeper(world: World) -> None:
    with world.told():
        sleep(LONG)


def tracker(world: World) -> None:
    with world.told():
        for _ in track(range(10**6), "counting"):
            sleep(1.0)


async def coroutine(world: World) -> None:
    with world.told():
        await asyncio.sleep(LONG)


def generator(world: World) -> Generator[tuple[int, int]]:
    with world.told():
        yield 1, 100
        sleep(LONG)


async def streamer(world: World) -> AsyncGenerator[float]:
    with world.told():
        while True:
            yield 0.5
            await asyncio.sleep(1.0)


def glowing(world: World, lamp: Lamp) -> None:
    with world.told():
        try:
            lamp.glow()
        finally:
            lamp.set(0)


def listening(world: World, lamp: Lamp) -> None:
    with world.told():
        lamp.listen()


def asking(world: World, lamp: Lamp) -> None:
    with world.told():
        replies = [ask(lamp.glow) for _ in range(3)]
        replies[0].result()


def relying(world: World, lamp: Shared[Lamp]) -> None:
    with world.told():
        lamp.log()
        sleep(LONG)


def napping(world: World, rig: Any) -> None:
    with world.told():
        rig.nap(LONG)


def lending(world: World, lamp: Lamp, other: Lamp) -> None:
    """Lend: two children want the same lamp, one of them waits."""
    with world.told():
        children = [spawn(glowing, world, lamp), spawn(listening, world, other), spawn(asking, world, lamp)]
        children[0].result()


@task(restart=RestartPolicy(limit=5, delay=LONG, max_delay=LONG))
def flaky(world: World) -> None:
    with world.told():
        raise Unplugged


def operator(world: World) -> None:
    with world.told():
        ask_operator("Shall it go on?")


def paused(world: World) -> None:
    with world.told():
        run = current_run()
        assert run is not None
        run.pause("a look at the sample")
        while True:
            checkpoint()
            sleep(0.05)


def shielded(world: World) -> None:
    with world.told():
        try:
            with shield(0.2):
                sleep(LONG)
        finally:
            sleep(0.0)


def quick(world: World) -> int:
    with world.told():
        return 1


def broken(world: World) -> None:
    with world.told():
        raise Unplugged


def bearing(world: World) -> None:
    """Bear the failure of a child, and the success of another."""
    with world.told():
        assert isinstance(spawn(broken, world).exception(), Unplugged)
        assert spawn(quick, world).result() == 1
        sleep(LONG)


@task
def step(world: World, lamp: Lamp, after: object = None) -> int:
    del after, world
    lamp.glow()
    return 1


@task
def idle(world: World, after: object = None) -> int:
    del after, world
    sleep(LONG)
    return 2


@workflow
def two_lamps(world: World, lamp: Lamp, other: Lamp) -> int:
    first, second = step(world, lamp), step(world, other)
    return idle(world, (first, second))


@workflow(lease="step")
def by_steps(world: World, lamp: Lamp, other: Lamp) -> list[int]:
    return [idle(world), step(world, lamp), step(world, other), idle(world)]


# -- the branches


def leaf(world: World) -> Run[Any]:
    """Start one leaf, of a kind that chance says."""
    chance = world.chance
    plain: list[Any] = [
        sleeper, tracker, coroutine, coroutine, coroutine, generator, streamer, flaky, operator, paused, shielded,
        quick, bearing,
    ]  # fmt: skip
    with_lamp: list[Any] = [glowing, listening, asking, relying]
    with_two: list[Any] = [lending, two_lamps, by_steps]
    on_a_rig: list[Any] = [napping] if world.rigs else []
    kind: Any = chance.choice([*plain, *with_lamp, *with_lamp, *with_two, *on_a_rig])
    if kind in with_two:
        return spawn(kind, world, *chance.sample(world.lamps, 2))
    if kind in with_lamp:
        return spawn(kind, world, chance.choice(world.lamps))
    if kind in on_a_rig:
        return spawn(kind, world, chance.choice(world.rigs))
    return spawn(kind, world)


@task(lease="step")
def branch(world: World, runs: int, depth: int = 0) -> None:
    """Start leaves and branches, so many runs in all; then wait for them."""
    with world.told():
        children: list[Run[Any]] = []
        if not depth:
            children += [spawn(apart, str(world.folder / f"apart {number}")) for number in range(APART)]
        while runs > 0:
            if depth < DEEP and runs > DEEP and world.chance.random() < 0.2:
                share = world.chance.randint(DEEP, max(DEEP, runs // 2))
                children.append(spawn(branch, world, share - 1, depth + 1))
            else:
                share = 1
                children.append(leaf(world))
            runs -= share
            world.planted()
        for child in children:
            child.exception()
        sleep(LONG)


@task
def failing(world: World) -> None:
    """Fail, once the tree is grown."""
    world.grown.wait(60)
    raise Unplugged


@workflow(lease="step")
def beside_a_failure(world: World) -> list[Any]:
    return [branch(world, world.runs), failing(world)]


# -- what is told, against what has happened


def runs_of(root: Run[Any]) -> list[Run[Any]]:
    """Return a run and all below it."""
    found = [root]
    for run in found:
        found.extend(run.children)
    return found


def check_told(events: list[Event], root: Run[Any], world: World) -> dict[str, RunState]:
    """See that each run went a legal way to one end, after its children and after its own work; return the ends."""
    ways: dict[str, list[Event]] = {}
    for event in events:
        assert event.kind != "gap"
        if event.kind == "run":
            ways.setdefault(event.subject, []).append(event)
    tree = runs_of(root)
    for run in tree:
        check_way(run, ways[run.id])
    ends = {run.id: ways[run.id][-1] for run in tree}
    for run in tree:
        for child in run.children:
            assert ends[child.id].sequence < ends[run.id].sequence, f"{run.id} ended before {child.id}"
        for moment, what in world.happened.get(run.id, ()):
            assert moment <= ends[run.id].time, f"{run.id} was told as ended before it was {what}"
        check_end(run, [what for _, what in world.happened.get(run.id, ())])
    return {name: S(end.data["state"]) for name, end in ends.items()}


def check_way(run: Run[Any], way: list[Event]) -> None:
    states = [S(event.data["state"]) for event in way]
    assert states[0] is S.WAITING
    for before, after in itertools.pairwise(states):
        assert after in LEGAL[before], f"{run.id}: {' -> '.join(states)}"
    assert states[-1].terminal
    assert states[-1] is run.state
    assert run.done()
    assert (way[-1].data["error"] is None) is (run.state is S.SUCCEEDED)


def check_end(run: Run[Any], happened: list[str]) -> None:
    """Hold the state in which a run has ended against what its bodies did."""
    assert happened.count("begun") * 2 == len(happened), f"{run.id} still runs: {happened}"
    core = run.supervisor.core
    match run.state:
        case S.SUCCEEDED:
            assert happened[-1:] in (["returned"], []), f"{run.id}: {happened}"  # a workflow has no body
        case S.FAILED:
            assert run.name == "broken" or happened[-1:] != ["returned"], f"{run.id}: {happened}"
        case S.CANCELLED | S.TIMED_OUT | S.INTERRUPTED:
            assert happened[-1:] != ["returned"] or core.begun, f"{run.id}: {happened}"
        case _:
            raise AssertionError(run)
    if run.state is not S.SUCCEEDED and core.begun:
        assert core.safe == tuple(reversed(core.spec.devices))
    assert not core.unsafe
    assert core.begun or not core.safe


def check_left(lab: Lab, world: World) -> None:
    """See that nothing is held, asked or waited for any more, that the lamps are safe, and that all can be used."""
    actor = lab.lab_actor

    def look() -> None:
        leases = actor.leases
        assert not lab.book.under_way
        assert not leases._waiting
        assert not leases._light
        assert not leases._endless
        table = leases._table
        assert not table._holds
        assert not table._waiters
        for cell in lab.cells.values():
            assert (cell.holder, cell.shared_by, cell.rightful, cell.owes_safe) == ("", (), NOBODY, False), cell.name
            assert not table.holders(cell.name)

    lab.ask(look)
    assert lab.questions == ()
    assert set(lab.states().values()) == {DeviceState.IDLE}
    check_safe(world)

    def use(lamps: list[Lamp], rigs: list[Any]) -> int:
        for lamp in lamps:
            lamp.set(1)
        return len(lamps) + sum(int(rig.add(1)) for rig in rigs)

    assert lab.start(use, world.lamps, world.rigs).result(10) == len(world.lamps) + len(world.rigs)


def check_safe(world: World) -> None:
    """See that the last that was done to each lamp made it safe."""
    for log in world.logs:
        assert log[-1:] in ([], ["safe"])
