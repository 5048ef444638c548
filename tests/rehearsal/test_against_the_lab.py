"""What is rehearsed is what the lab does: random labs run on real threads, and their bodies end at the declared times.

A conductor lets the body end whose time comes first, waits until the lab has decided what follows, and notes which
bodies have begun: so a run of the lab has a virtual time as well, whatever the machine does.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from actorlab import Lab, Shared, cleanup, each, task, workflow
from actorlab.core.timeline import Activity
from actorlab.core.virtual_lab import VirtualLab
from actorlab.options import OptionChanges
from actorlab.rehearsal.durations import Estimate, NoHistory
from actorlab.rehearsal.interval import makespan_interval
from actorlab.runtime.on_paper import PaperLab
from actorlab.runtime.rehearsing import Rehearser
from actorlab.runtime.run_actor import RunActor
from actorlab.task import Task

DEVICES: tuple[str, ...] = ("a", "b", "c", "d")
PATIENCE = 3.0
TURNS = 12
"""So many messages to itself at most, one after the other, make up a decision of the lab."""


class Thing:
    """A device that is only held."""


@dataclass
class Score:
    """What a task or a workflow is made of; `parts` says which of the earlier parts' values it takes."""

    name: str
    takes: float
    own: list[str]
    shared: list[str]
    after: list[int]
    parts: list[Score] = field(default_factory=list["Score"])
    width: int | None = None
    ends_with: list[Score] = field(default_factory=list["Score"])
    options: OptionChanges = field(default_factory=OptionChanges)

    @property
    def devices(self) -> list[str]:
        inner = [device for part in (*self.parts, *self.ends_with) for device in part.devices]
        return sorted({*self.own, *self.shared, *inner})


class Conductor:
    """Let bodies end, one after the other."""

    def __init__(self) -> None:
        self._ends: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def end_of(self, name: str) -> threading.Event:
        with self._lock:
            return self._ends.setdefault(name, threading.Event())

    def conduct(self, lab: Lab, seconds: dict[str, float], runs: list[Any]) -> dict[str, tuple[float, float]]:
        """Return when each body began and ended, in the time of the declared durations."""
        now, begun, ended = 0.0, dict[str, float](), dict[str, tuple[float, float]]()
        until = time.monotonic() + PATIENCE
        while True:
            playing = self._settled(lab)
            for name in playing:
                begun.setdefault(name, now)
            if not playing:
                if all(run.done() for run in runs):
                    return ended
                assert time.monotonic() < until, [run.reasons for run in runs]
                continue
            name = min(playing, key=lambda name: begun[name] + seconds[name])
            now = begun[name] + seconds[name]
            ended[name] = begun[name], now
            self.end_of(name).set()
            while name in self._settled(lab):
                assert time.monotonic() < until, name

    def _settled(self, lab: Lab) -> list[str]:
        for _ in range(TURNS):
            lab.ask(lambda: None)
        return lab.ask(lambda: [name for actor in lab.book.under_way for name in playing_in(actor)])


def playing_in(actor: RunActor) -> list[str]:
    return [(actor.work[step] if step >= 0 else actor.cleanups[-1 - step]).name for step in actor.bodies]


def body(conductor: Conductor, name: str, own: list[Thing], shared: list[Shared[Thing]], *values: object) -> str:
    del own, shared, values
    assert conductor.end_of(name).wait(PATIENCE)
    return name


def piece(conductor: Conductor, score: Score, things: dict[str, Any]) -> list[Any]:
    for ending in score.ends_with:
        cleanup(task_of(ending), *arguments_of(ending, conductor, things))
    done: list[Any] = []
    if score.width is not None:
        return each(lambda part: called(part, conductor, things, done), score.parts, width=score.width)
    for part in score.parts:
        done.append(called(part, conductor, things, done))
    return done


def called(part: Score, conductor: Conductor, things: dict[str, Any], done: list[Any]) -> Any:
    values = [done[earlier] for earlier in part.after]
    if part.parts:
        return task_of(part)(conductor, part, {name: things[name] for name in part.devices})
    return task_of(part)(*arguments_of(part, conductor, things), *values)


def arguments_of(score: Score, conductor: Conductor, things: dict[str, Any]) -> tuple[Any, ...]:
    if score.parts:
        return conductor, score, {name: things[name] for name in score.devices}
    return conductor, score.name, [things[name] for name in score.own], [things[name] for name in score.shared]


def task_of(score: Score) -> Task[..., Any]:
    if score.parts:
        return WHOLE.options(**score.options).options(name=score.name)
    return PART.options(**score.options).options(name=score.name, takes=score.takes)


WHOLE: Task[..., Any] = workflow(piece)
PART: Task[..., Any] = task(body)


class Composer:
    """Make random scores; no two bodies end at the same time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count = 0
        self.seconds: dict[str, float] = {}

    def some(self, devices: list[str]) -> list[str]:
        return self.chance.sample(devices, self.chance.randint(0, min(2, len(devices))))

    def task(self, devices: list[str], earlier: int) -> Score:
        self.count += 1
        name = f"t{self.count}"
        self.seconds[name] = self.chance.uniform(0.5, 10.0)
        own = self.some(devices)
        shared = self.some([device for device in devices if device not in own])
        after = self.chance.sample(range(earlier), self.chance.randint(0, min(2, earlier)))
        return Score(name, self.seconds[name], own, shared, after)

    def workflow(self, devices: list[str], depth: int) -> Score:
        self.count += 1
        chance = self.chance
        score = Score(f"w{self.count}", 0.0, [], [], [])
        score.width = chance.choice([None, None, None, 1, 2])
        for number in range(chance.randint(1, 6)):
            nested = depth < 2 and chance.random() < 0.2
            earlier = number if score.width is None and not any(part.parts for part in score.parts) else 0
            score.parts.append(self.workflow(devices, depth + 1) if nested else self.task(devices, earlier))
        if chance.random() < 0.3:
            score.ends_with = [self.task(score.devices, 0) for _ in range(chance.randint(1, 2))]
            for ending in score.ends_with:
                ending.options = OptionChanges(timeout=1000.0)
        cleaned = any(ending.own or ending.shared for ending in score.ends_with)  # what is held to the end
        score.options = OptionChanges(lease=chance.choice(["run", "run", "run" if cleaned else "step"]))
        return score

    def root(self) -> Score:
        chance = self.chance
        devices = chance.sample(DEVICES, chance.randint(1, len(DEVICES)))
        score = self.workflow(devices, 0) if chance.random() < 0.75 else self.task(devices, 0)
        options = score.options
        options["priority"] = chance.choice([0.0, 0.0, 1.0, 2.0])
        options["key"] = chance.choice([None, None, "k"])
        options["exclusive"] = chance.random() < 0.1
        options["tags"] = chance.choice([(), ("t",)])
        return score


@pytest.mark.parametrize("seed", range(80))
def test_a_rehearsal_has_the_order_and_the_times_of_the_real_lab(seed: int) -> None:
    composer = Composer(seed)
    scores = [composer.root() for _ in range(composer.chance.randint(1, 4))]
    places = composer.chance.choice([None, None, 1, 2])
    limits = {"t": 1}
    conductor = Conductor()
    with Lab("real", max_runs=places, limits=limits, cancel_grace=1000.0) as lab:
        things: dict[str, Any] = {name: lab.add(name, Thing) for name in DEVICES}
        pieces = [(task_of(it), arguments_of(it, conductor, things)) for it in scores]
        rehearsed = rehearse_all(lab, pieces)
        together = threading.Event()
        lab.decider.post(lambda _: together.wait(PATIENCE))  # nothing is decided before all are submitted
        runs = [lab.start(it, *args) for it, args in pieces]
        together.set()
        real = conductor.conduct(lab, composer.seconds, runs)
        assert all(run.exception(0) is None for run in runs)
    assert {name: pytest.approx(times) for name, times in real.items()} == rehearsed


def see_that_each_has_its_cause(activities: list[Activity]) -> None:
    """Each activity begins, and each lease is granted, when the last of those ends that it is said to wait for."""
    for it in activities:
        ended = max([activities[other].end for other in it.behind], default=0.0)
        assert not it.delay
        assert it.begin == pytest.approx(ended)
        assert all(activities[other].rank < it.rank for other in it.behind + it.until)
        if it.kind == "lease":
            assert it.end == pytest.approx(max([it.begin, *(activities[other].end for other in it.until)]))
    almost = {
        it.number: Estimate(it.seconds, it.seconds, it.seconds * (1 + 1e-9), "history")
        for it in activities
        if it.kind in ("step", "cleanup")
    }
    last = max(activities, key=lambda it: (it.end, it.number))
    assert makespan_interval(activities, almost, last.number) == pytest.approx((last.end, last.end))


def rehearse_all(lab: Lab, pieces: list[tuple[Task[..., Any], tuple[Any, ...]]]) -> dict[str, tuple[float, float]]:
    """Rehearse some runs that are submitted together."""
    performer = Rehearser(PaperLab(list(lab.cells), lab.cancel_grace, lab.places), NoHistory())
    stage = VirtualLab(performer, lab.places)
    virtual = [stage.start(performer.script(performer.maker.make(it, args, {}))) for it, args in pieces]
    for run in virtual:
        stage.go_on_until_end(run)
    bodies = [it for it in stage.timeline.activities if it.kind in ("step", "cleanup")]
    see_that_each_has_its_cause(stage.timeline.activities)
    return {
        performer.work(it).name: (it.begin, it.end) for it in bodies if performer.work(it).task.name.startswith("t")
    }
