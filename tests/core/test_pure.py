"""The events of a run, replayed in another process, rebuild its state: it depends on nothing but them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from actorlab.core.plan import Plan
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_core import RunCore, RunSpec
from actorlab.core.run_events import (
    Begun,
    BodyEnded,
    ChildBegun,
    ChildEnded,
    CleanupEnded,
    DevicesReady,
    Event,
    GraceOver,
    Granted,
    MadeSafe,
    Pause,
    Released,
    Resume,
    RetryDue,
    StepTimedOut,
    Stood,
    Stopped,
)
from actorlab.core.run_state import RunState

FAULT = ConnectionError("unplugged")
SPEC = RunSpec(
    Plan(((), (), (0,), (1,), (2, 3)), loose=((), (), (), (1,), ())),
    timeout=60.0,
    retries={0: RestartPolicy(limit=2, delay=1, jitter=0.5)},
    step_timeouts={1: 20.0},
    units={},
    cleanups=2,
    devices=("laser", "meter"),
    keep_going=True,
)
Story = list[tuple[float, Event]]
STORY: Story = [
    (0.0, Begun()),
    (0.5, Granted()),
    (1.0, BodyEnded(0, 1, FAULT, draw=0.3)),
    (1.2, DevicesReady(0)),
    (1.85, RetryDue(0, 1)),
    (2.0, ChildBegun()),
    (2.5, Pause("look")),
    (3.0, Stood(0)),
    (3.5, Stood(1)),
    (9.0, Resume()),
    (9.5, ChildEnded()),
    (26.1, StepTimedOut(1, 1)),
    (36.1, GraceOver(1)),
    (37.0, BodyEnded(0, 2)),
]
CANCELLED: Story = [*STORY, (38.0, Stopped(RunState.CANCELLED, "enough")), (48.0, GraceOver())]
ENDING: Story = [
    (50.0, CleanupEnded(1, FAULT)),
    (50.5, CleanupEnded(0)),
    (51.0, MadeSafe("meter", FAULT)),
    (52.0, MadeSafe("laser")),
    (53.0, Released()),
]
STORIES = {"under way": STORY, "cancelled": CANCELLED, "ended": CANCELLED + ENDING}
REPLAY = """
import pickle, sys
spec, events, account = pickle.load(sys.stdin.buffer)
scope = {}
exec(account, scope)
print(scope["account"](spec, events))
"""
ACCOUNT = '''
from actorlab.core.run_core import RunCore

def account(spec, events):
    """Write down all actions, and then all state, of a run that meets these events."""
    core = RunCore(spec)
    lines = [repr(core.handle(event, now)) for now, event in events]
    return "\\n".join(lines + [f"{name} {getattr(core, name)!r}" for name in public(core)])

def public(core):
    return [name for name in core.__slots__ if name not in ("_countdown", "_limiters", "_out")]
'''


def account_here(story: Story) -> str:
    scope: dict[str, Any] = {}
    exec(ACCOUNT, scope)  # noqa: S102 - the very text that the other process runs
    return str(scope["account"](SPEC, story))


@pytest.mark.parametrize("name", STORIES)
def test_a_replay_in_another_process_gives_the_same_actions_and_the_same_state(name: str) -> None:
    story = STORIES[name]
    package = os.pathsep.join(path for path in sys.path if path)
    other = subprocess.run(
        [sys.executable, "-c", REPLAY],
        input=pickle.dumps((SPEC, story, ACCOUNT)),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": package, "PYTHONHASHSEED": "12345"},
    )
    assert other.stdout.decode().strip() == account_here(story)


def test_the_stories_are_about_something() -> None:
    states = {name: RunCore(SPEC) for name in STORIES}
    for name, core in states.items():
        for now, event in STORIES[name]:
            core.handle(event, now)
    assert [core.state for core in states.values()] == [RunState.RUNNING, RunState.CANCELLING, RunState.ABANDONED]
    assert states["ended"].abandoned == (1, 3, 2)
    assert states["ended"].safe == ("laser",)
