"""A group of services has one life of each at most, never more restarts than allowed, and knows how each stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorlab.core.restart import RestartPolicy
from actorlab.core.service_group import (
    Abandoned,
    Action,
    Began,
    Begin,
    Changed,
    Close,
    Closed,
    End,
    Ended,
    Event,
    Freed,
    Refuse,
    Remove,
    Restart,
    Serve,
    ServiceGroupCore,
    ServiceState,
    Start,
    Stop,
    StopLab,
    Tick,
    WakeAt,
)
from actorlab.core.supervision import Strategy

S = ServiceState
FAULT = ValueError("it broke")
PROMPT = RestartPolicy(delay=0)
NEVER = RestartPolicy(restart="never")
ALWAYS = RestartPolicy(restart="always", delay=0)
GRAVE = RestartPolicy(limit=0, then="stop_lab")


class Stage:
    """Plays the runs: each action is written down, and answered at once if its service is obedient."""

    def __init__(self, core: ServiceGroupCore) -> None:
        self.core = core
        self.now = 0.0
        self.done: list[str] = []
        self.stubborn: set[str] = set()
        self.slow: set[str] = set()

    def play(self, *events: Event) -> list[str]:
        """Feed events, let obedient lives follow, and return what was done, in short."""
        self.done, todo = [], list(events)
        while todo:
            for action in self.core.handle(todo.pop(0), self.now):
                todo.extend(self.answer(action))
        return self.done

    def answer(self, action: Action) -> Iterator[Event]:
        match action:
            case Begin(name):
                self.done.append(f"+{name}")
                if name not in self.slow:
                    yield Began(name)
            case End(name):
                self.done.append(f"-{name}")
                if name in self.stubborn:
                    yield Abandoned(name, "it hangs")
                elif name not in self.slow:
                    yield Ended(name, cancelled="it was ended")
            case Refuse(reason) | StopLab(_, reason):
                self.done.append(f"{type(action).__name__}: {reason}")
            case Closed(abandoned):
                self.done.append(f"closed {' '.join(abandoned)}".strip())
            case WakeAt() | Changed():
                pass

    def states(self) -> dict[str, ServiceState]:
        return {name: self.core.standing(name).state for name in self.core.names}


def alone(policy: RestartPolicy = PROMPT) -> Stage:
    stage = Stage(ServiceGroupCore())
    assert stage.play(Serve("a", policy)) == ["+a"]
    return stage


def group(
    strategy: Strategy = "one_for_one", intensity: RestartPolicy | None = None, **policies: RestartPolicy
) -> Stage:
    stage = Stage(ServiceGroupCore("cryo", strategy, intensity))
    for name, policy in policies.items():
        assert stage.play(Serve(name, policy)) == [f"+{name}"]
    return stage


# -- how a service stands


@pytest.mark.parametrize(
    ("policy", "event", "state", "why"),
    [
        (PROMPT, Ended("a"), S.ENDED, "it returned"),
        (NEVER, Ended("a"), S.ENDED, "it returned"),
        (NEVER, Ended("a", FAULT), S.GAVE_UP, "its policy is never to restart"),
        (RestartPolicy(on=(OSError,)), Ended("a", FAULT), S.GAVE_UP, "ValueError isn't among"),
        (RestartPolicy(limit=0), Ended("a", FAULT), S.GAVE_UP, "allows no restart"),
        (PROMPT, Ended("a", cancelled="Ctrl-C"), S.STOPPED, "Ctrl-C"),
        (ALWAYS, Ended("a", cancelled="Ctrl-C"), S.STOPPED, "Ctrl-C"),
        (PROMPT, Stop("a", "enough"), S.STOPPED, "enough"),
        (PROMPT, Ended("a", FAULT), S.RUNNING, ""),
        (ALWAYS, Ended("a"), S.RUNNING, ""),
        (RestartPolicy(delay=2), Ended("a", FAULT), S.WAITING, ""),
        (PROMPT, Abandoned("a", "it hangs"), S.ABANDONED, "it hangs"),
        (PROMPT, Close("the end"), S.STOPPED, "the end"),
    ],
)
@pytest.mark.parametrize("name", ["", "cryo"])
def test_a_service_that_ended_well_gave_up_was_stopped_waits_or_hangs_says_so(
    name: str, policy: RestartPolicy, event: Event, state: ServiceState, why: str
) -> None:
    stage = Stage(ServiceGroupCore(name))
    stage.play(Serve("a", policy))
    stage.play(event)
    standing = stage.core.standing("a")
    assert standing.state is state
    assert why in standing.why


def test_the_last_error_stays_known_while_the_next_life_runs_and_after_it_was_stopped() -> None:
    stage = alone()
    stage.play(Ended("a", FAULT))
    assert stage.core.standing("a").error is FAULT
    stage.play(Stop("a"))
    assert stage.core.standing("a").error is FAULT


def test_a_waiting_service_says_when_its_next_life_begins() -> None:
    stage = alone(RestartPolicy(delay=2))
    stage.now = 10.0
    stage.play(Ended("a", FAULT))
    assert stage.core.standing("a").retry_at == 12.0
    stage.now = 12.0
    assert stage.play(Tick()) == ["+a"]
    assert stage.core.standing("a").retry_at is None


def test_each_change_is_told_and_nothing_else() -> None:
    core = ServiceGroupCore()
    assert core.handle(Serve("a", PROMPT), 0.0) == [Begin("a"), Changed("a")]
    assert core.handle(Began("a"), 0.0) == [Changed("a")]
    assert core.handle(Tick(), 0.0) == []
    assert core.handle(Start("a"), 0.0) == []


# -- restarts


def test_restarts_are_counted_and_those_that_somebody_asked_for_are_not() -> None:
    stage = alone()
    stage.play(Ended("a", FAULT))
    stage.play(Ended("a", FAULT))
    assert stage.core.standing("a").restarts == 2
    stage.play(Restart("a"))
    stage.play(Stop("a"), Start("a"))
    assert stage.core.standing("a").restarts == 2


def test_a_burst_of_two_means_two_restarts_and_starting_it_forgives() -> None:
    stage = alone(RestartPolicy(limit=2, delay=0))
    assert stage.play(Ended("a", FAULT)) == ["+a"]
    assert stage.play(Ended("a", FAULT)) == ["+a"]
    assert stage.play(Ended("a", FAULT)) == []
    assert stage.states() == {"a": S.GAVE_UP}
    assert stage.play(Start("a")) == ["+a"]
    assert stage.play(Ended("a", FAULT)) == ["+a"]
    assert stage.core.standing("a").restarts == 3


def test_a_restart_counts_from_when_it_takes_place_since_a_life_may_wait_for_its_devices() -> None:
    stage = alone(RestartPolicy(limit=1, period=5, delay=0))
    stage.slow.add("a")
    assert stage.play(Began("a"), Ended("a", FAULT)) == ["+a"]
    stage.now = 4.0
    stage.play(Began("a"))
    stage.now = 6.0
    assert stage.play(Ended("a", FAULT)) == []
    assert stage.states() == {"a": S.GAVE_UP}


def test_the_restarts_of_a_group_are_counted_together_where_it_has_an_intensity() -> None:
    stage = group(intensity=RestartPolicy(limit=2, delay=0), a=PROMPT, b=PROMPT)
    assert stage.play(Ended("a", FAULT)) == ["+a"]
    assert stage.play(Ended("b", FAULT)) == ["+b"]
    assert stage.play(Ended("a", FAULT)) == ["-b"]
    assert stage.states() == {"a": S.GAVE_UP, "b": S.STOPPED}


# -- stop and start


def test_stop_then_start_in_one_tick_leaves_it_running() -> None:
    stage = alone()
    assert stage.play(Stop("a"), Start("a")) == ["-a", "+a"]
    assert stage.states() == {"a": S.RUNNING}


def test_start_then_stop_in_one_tick_leaves_it_stopped() -> None:
    stage = alone()
    stage.play(Stop("a"))
    assert stage.play(Start("a"), Stop("a")) == ["+a", "-a"]
    assert stage.states() == {"a": S.STOPPED}


def test_one_that_waits_is_stopped_at_once_and_started_without_its_delay() -> None:
    stage = alone(RestartPolicy(delay=5))
    stage.play(Ended("a", FAULT))
    assert stage.play(Stop("a")) == []
    assert stage.states() == {"a": S.STOPPED}
    assert stage.play(Start("a")) == ["+a"]
    stage.play(Ended("a", FAULT))
    assert stage.play(Start("a")) == ["+a"]


def test_one_that_is_being_stopped_can_be_restarted() -> None:
    stage = alone()
    stage.slow.add("a")
    assert stage.play(Stop("a"), Restart("a")) == ["-a"]
    assert stage.play(Ended("a", cancelled="it was ended")) == ["+a"]


def test_stopping_what_rests_changes_nothing_of_how_it_stands() -> None:
    stage = alone(NEVER)
    stage.play(Ended("a", FAULT))
    stage.play(Stop("a"))
    assert stage.states() == {"a": S.GAVE_UP}


def test_a_failure_in_the_moment_of_its_stop_is_no_failure() -> None:
    stage = alone(RestartPolicy(limit=0, then="stop_lab"))
    stage.slow.add("a")
    stage.play(Stop("a"))
    assert stage.play(Ended("a", FAULT)) == []
    assert stage.states() == {"a": S.STOPPED}


# -- abandoned lives


def test_no_life_begins_beside_one_that_was_abandoned() -> None:
    stage = alone()
    stage.stubborn.add("a")
    assert stage.play(Stop("a")) == ["-a"]
    assert stage.play(Start("a")) == ["Refuse: a can't be started: it hangs"]
    assert stage.play(Restart("a")) == ["Refuse: a can't be started: it hangs"]
    assert stage.play(Freed("a")) == []
    assert stage.states() == {"a": S.STOPPED}
    assert stage.play(Start("a")) == ["+a"]


def test_one_that_was_abandoned_after_its_time_was_up_gave_up_once_it_has_ended() -> None:
    stage = alone()
    stage.play(Abandoned("a", "it hangs", FAULT))
    stage.play(Freed("a"))
    assert stage.states() == {"a": S.GAVE_UP}
    assert stage.core.standing("a").error is FAULT


@pytest.mark.parametrize("name", ["", "cryo"])
def test_one_that_is_abandoned_stops_the_lab_where_that_is_its_policy_unless_it_was_being_stopped(name: str) -> None:
    stage = Stage(ServiceGroupCore(name))
    stage.play(Serve("a", GRAVE))
    assert any("StopLab" in done for done in stage.play(Abandoned("a", "it hangs")))
    stage = Stage(ServiceGroupCore(name))
    stage.play(Serve("a", GRAVE))
    stage.stubborn.add("a")
    assert stage.play(Stop("a")) == ["-a"]


# -- groups


@pytest.mark.parametrize(
    ("strategy", "done"),
    [("one_for_one", "+b"), ("rest_for_one", "-c +b +c"), ("one_for_all", "-c -a +a +b +c")],
)
def test_the_strategy_says_who_begins_again(strategy: Strategy, done: str) -> None:
    stage = group(strategy, a=PROMPT, b=PROMPT, c=PROMPT)
    assert stage.play(Ended("b", FAULT)) == done.split()
    assert set(stage.states().values()) == {S.RUNNING}


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
def test_one_begins_when_those_before_it_run(strategy: Strategy) -> None:
    stage = Stage(ServiceGroupCore("cryo", strategy))
    stage.slow.add("a")
    assert stage.play(Serve("a", PROMPT), Serve("b", PROMPT)) == ["+a"]
    assert stage.states() == {"a": S.STARTING, "b": S.WAITING}
    assert stage.play(Began("a")) == ["+b"]


def test_one_that_somebody_stopped_stays_down_when_the_others_begin_again() -> None:
    stage = group("one_for_all", a=PROMPT, b=PROMPT, c=PROMPT)
    stage.play(Stop("a"))
    assert stage.play(Ended("b", FAULT)) == ["-c", "+b", "+c"]
    assert stage.states() == {"a": S.STOPPED, "b": S.RUNNING, "c": S.RUNNING}


def test_a_stubborn_one_that_somebody_stopped_brings_nobody_down() -> None:
    stage = group("one_for_all", a=PROMPT, b=PROMPT)
    stage.stubborn.add("b")
    stage.play(Stop("b"))
    assert stage.states() == {"a": S.RUNNING, "b": S.ABANDONED}


def test_a_group_stops_in_reverse_and_starts_in_order() -> None:
    stage = group(a=PROMPT, b=PROMPT, c=PROMPT)
    assert stage.play(Stop()) == ["-c", "-b", "-a"]
    assert stage.play(Start()) == ["+a", "+b", "+c"]
    stage.play(Stop(), Start())
    assert set(stage.states().values()) == {S.RUNNING}


def test_beyond_the_policy_the_group_gives_up_and_starting_the_group_begins_all_anew() -> None:
    stage = group(a=PROMPT, b=RestartPolicy(limit=0), c=PROMPT)
    assert stage.play(Ended("b", FAULT)) == ["-c", "-a"]
    assert stage.states() == {"a": S.STOPPED, "b": S.GAVE_UP, "c": S.STOPPED}
    assert "the group cryo gave up, since 'b' failed" in stage.core.gave_up
    assert "the group cryo gave up" in stage.core.standing("a").why
    (refusal,) = stage.play(Start("a"))
    assert "start the group" in refusal
    assert "start the group first" in stage.play(Serve("d", PROMPT))[0]
    assert stage.play(Start()) == ["+a", "+b", "+c"]
    assert stage.core.gave_up == ""


def test_a_group_that_is_started_while_it_still_gives_up_begins_when_all_have_ended() -> None:
    stage = group(a=PROMPT, b=RestartPolicy(limit=0))
    stage.slow.add("a")
    assert stage.play(Ended("b", FAULT)) == ["-a"]
    assert stage.play(Start()) == []
    assert stage.play(Ended("a", cancelled="it was ended")) == ["+a", "+b"]


def test_a_group_does_not_begin_anew_beside_a_life_that_was_abandoned() -> None:
    stage = group(a=PROMPT, b=RestartPolicy(limit=0))
    stage.stubborn.add("a")
    stage.play(Ended("b", FAULT))
    assert stage.play(Start()) == ["Refuse: a can't be started: it hangs"]
    stage.play(Freed("a"))
    assert stage.play(Start()) == ["+a", "+b"]


def test_only_a_policy_that_says_so_stops_the_lab() -> None:
    assert alone(RestartPolicy(limit=0)).play(Ended("a", FAULT)) == []
    (done,) = alone(GRAVE).play(Ended("a", FAULT))
    assert done.startswith("StopLab: 'a' failed")
    assert group(a=RestartPolicy(limit=0), b=GRAVE).play(Ended("a", FAULT)) == ["-b"]
    stop_lab, end = group(a=PROMPT, b=GRAVE).play(Ended("b", FAULT))
    assert stop_lab.startswith("StopLab: the group cryo gave up, since 'b' failed")
    assert end == "-a"


def test_the_intensity_of_a_group_may_stop_the_lab() -> None:
    stage = group(intensity=RestartPolicy(limit=0, then="stop_lab"), a=PROMPT)
    assert any(done.startswith("StopLab: the group cryo gave up") for done in stage.play(Ended("a", FAULT)))


def test_a_service_that_rests_can_be_removed_and_no_other() -> None:
    stage = group(a=PROMPT, b=PROMPT)
    assert stage.play(Remove("a")) == ["Refuse: a is running"]
    stage.play(Ended("a"))
    assert stage.play(Remove("a")) == []
    assert stage.core.names == ("b",)
    assert stage.play(Serve("a", PROMPT)) == ["+a"]


def test_closing_stops_in_reverse_and_names_those_who_were_abandoned() -> None:
    stage = group(a=PROMPT, b=PROMPT, c=PROMPT)
    stage.stubborn.add("b")
    assert stage.play(Close("the end")) == ["-c", "-b", "-a", "closed b"]
    assert stage.play(Start()) == ["Refuse: the end"]
    assert "can't be served: the end" in stage.play(Serve("d", PROMPT))[0]


# -- anything may happen in any order

NAMES = ("a", "b", "c")
NAME = st.sampled_from(NAMES)


@dataclass
class Life:
    """What the model knows of one service."""

    began: bool = False
    ending: bool = False
    automatic: bool = False


@dataclass
class Model:
    """What must be true, whatever the core decides."""

    lives: dict[str, Life] = field(default_factory=dict[str, Life])
    abandoned: set[str] = field(default_factory=set[str])
    stopped: set[str] = field(default_factory=set[str])
    automatic: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    by_hand: set[str] = field(default_factory=set[str])


class AnythingHappens(RuleBasedStateMachine):
    """No order of events gives a second life, a restart too many, or one that nobody asked for."""

    @initialize(
        strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        name=st.sampled_from(["", "cryo"]),
        limit=st.integers(0, 3),
        delay=st.sampled_from([0.0, 0.5]),
        restart=st.sampled_from(["on_failure", "always"]),
        then=st.sampled_from(["fail", "stop_lab"]),
    )
    def begin(self, strategy: Strategy, name: str, limit: int, delay: float, restart: str, then: str) -> None:
        self.policy = RestartPolicy(restart=restart, limit=limit, delay=delay, period=5.0, then=then)  # type: ignore[arg-type]  # sampled
        self.core = ServiceGroupCore(name, strategy if name else "one_for_one")
        self.model = Model()
        self.now = 0.0
        self.closed = False
        for each in NAMES if name else NAMES[:1]:
            self.model.by_hand.add(each)
            self.feed(Serve(each, self.policy))

    def feed(self, event: Event) -> None:
        model = self.model
        for action in self.core.handle(event, self.now):
            match action:
                case Begin(name):
                    assert not self.closed, "it begins in a lab that is closed"
                    assert name not in model.lives, "a second life"
                    assert name not in model.abandoned, "a life beside an abandoned one"
                    assert name not in model.stopped, "somebody stopped it"
                    model.lives[name] = Life()
                    self.count(name)
                case End(name):
                    assert name in model.lives, "there is nothing to end"
                    assert not model.lives[name].ending, "it is ended twice"
                    model.lives[name].ending = True
                case StopLab():
                    assert self.policy.then == "stop_lab"
                case Closed(abandoned):
                    assert not model.lives, "not all have ended"
                    assert set(abandoned) == model.abandoned
                    self.closed = True
                case _:
                    pass

    def count(self, name: str) -> None:
        """Count a restart that nobody asked for."""
        model = self.model
        if name in model.by_hand:
            model.by_hand.discard(name)
            model.automatic[name] = []
            return
        model.automatic.setdefault(name, []).append(self.now)
        model.lives[name].automatic = True
        self.judge(name)

    def judge(self, name: str) -> None:
        """Judge the restarts within the last period, where each service has its own policy."""
        recent = [at for at in self.model.automatic[name] if at > self.now - self.policy.period]
        if self.core.strategy == "one_for_one":
            assert self.policy.limit is not None
            assert len(recent) <= self.policy.limit, "a restart too many"

    def somebody_wants(self, name: str, *, again: bool) -> None:
        """Take note that the next life was asked for, unless there is one already."""
        runs = self.core.standing(name).state in (S.RUNNING, S.STARTING) and name not in self.model.stopped
        if again or not runs:
            self.model.by_hand.add(name)
        self.model.stopped.discard(name)

    @rule(seconds=st.sampled_from([0.0, 0.2, 0.5, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.feed(Tick())

    @rule(name=NAME)
    def it_runs(self, name: str) -> None:
        life = self.model.lives.get(name)
        if life is None or life.began:
            return
        life.began = True
        if life.automatic:  # it waited for its devices: the restart takes place now
            self.model.automatic[name][-1] = self.now
            self.judge(name)
        self.feed(Began(name))

    @rule(name=NAME, how=st.sampled_from(["well", "failed", "cancelled"]))
    def it_ends(self, name: str, how: str) -> None:
        life = self.model.lives.pop(name, None)
        if life is None:
            return
        if how == "cancelled" and not life.ending:
            self.model.stopped.add(name)
            self.model.by_hand.discard(name)
        cancelled = "somebody did" if how == "cancelled" else ""
        self.feed(Ended(name, FAULT if how == "failed" else None, cancelled))

    @rule(name=NAME)
    def it_hangs(self, name: str) -> None:
        if self.model.lives.pop(name, None) is not None:
            self.model.abandoned.add(name)
            self.feed(Abandoned(name, "it hangs"))

    @rule(name=NAME)
    def it_ends_after_all(self, name: str) -> None:
        if name in self.model.abandoned:
            self.model.abandoned.discard(name)
            self.feed(Freed(name))

    @rule(name=NAME)
    def somebody_stops_it(self, name: str) -> None:
        if name in self.core.names:
            self.model.stopped.add(name)
            self.feed(Stop(name))

    @rule(name=NAME, again=st.booleans())
    def somebody_starts_it(self, name: str, again: bool) -> None:
        if name in self.core.names:
            self.somebody_wants(name, again=again)
            self.feed(Restart(name) if again else Start(name))

    @rule()
    def somebody_stops_all(self) -> None:
        self.model.stopped.update(self.core.names)
        self.feed(Stop())

    @rule()
    def somebody_starts_all(self) -> None:
        for name in self.core.names:
            self.somebody_wants(name, again=bool(self.core.gave_up))
        self.feed(Start())

    @precondition(lambda self: not self.closed)
    @rule()
    def everything_is_well_again(self) -> None:
        """Lives that are asked to begin or to end do so: then all runs that should, and nothing else does."""
        for _ in range(20):
            self.now += 1.0
            self.feed(Tick())
            for name, life in list(self.model.lives.items()):
                if life.ending:
                    del self.model.lives[name]
                    self.feed(Ended(name, cancelled="it was ended"))
                elif not life.began:
                    life.began = True
                    self.feed(Began(name))
        for name in self.core.names:
            state = self.core.standing(name).state
            assert state.resting or state is S.RUNNING, f"{name} stays {state}"
            assert (state is S.RUNNING) == (name in self.model.lives)

    @invariant()
    def what_is_said_is_so(self) -> None:
        for name in getattr(self, "core", ServiceGroupCore()).names:
            state = self.core.standing(name).state
            life = self.model.lives.get(name)
            assert state.resting == (life is None and state is not S.WAITING)
            assert (state is S.ABANDONED) == (name in self.model.abandoned)
            assert (state in (S.RUNNING, S.STARTING, S.STOPPING)) == (life is not None)
            if state is S.RUNNING:
                assert life is not None
                assert life.began

    def teardown(self) -> None:
        if not hasattr(self, "core"):
            return
        self.feed(Close("the end"))
        for _ in range(5):
            for name, life in list(self.model.lives.items()):
                if life.ending:
                    del self.model.lives[name]
                    self.feed(Ended(name, cancelled="it was ended"))
        assert self.closed


AnythingHappens.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAnythingHappens = AnythingHappens.TestCase
