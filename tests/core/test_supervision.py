"""A supervisor starts in order, stops in reverse, and never has two lives of one child."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorlab.core.restart import RestartPolicy, When
from actorlab.core.supervision import (
    Action,
    AllStopped,
    ChildAdded,
    ChildDown,
    ChildLost,
    ChildRemoved,
    ChildUp,
    Escalate,
    Event,
    Quarantine,
    Refuse,
    Reset,
    RestartChild,
    StartChild,
    StopAll,
    StopChild,
    Strategy,
    Supervision,
    Tick,
    WakeAt,
)
from actorlab.errors import ConfigError

FAULT = ConnectionError("unplugged")
PROMPT = RestartPolicy(delay=0)
ALWAYS = RestartPolicy(restart="always", delay=0)
NEVER = RestartPolicy(restart="never")


def group(strategy: Strategy, intensity: RestartPolicy | None = None, **policies: RestartPolicy) -> Supervision:
    """Return a supervisor whose children are all up at time 0."""
    supervision = Supervision(strategy, beyond="escalate", intensity=intensity)
    return with_children(supervision, **policies)


def with_children(supervision: Supervision, **policies: RestartPolicy) -> Supervision:
    for name, policy in policies.items():
        assert supervision.handle(ChildAdded(name, policy), 0.0) == [StartChild(name)]
        assert supervision.handle(ChildUp(name), 0.0) == []
    return supervision


def play(supervision: Supervision, event: Event, now: float = 0.0) -> list[str]:
    """Let obedient children follow the event, and return what was done, in short, in its order."""
    done, events = list[str](), [event]
    while events:
        for action in supervision.handle(events.pop(0), now):
            match action:
                case StartChild(name):
                    done.append(f"+{name}")
                    events.append(ChildUp(name))
                case StopChild(name):
                    done.append(f"-{name}")
                    events.append(ChildDown(name))
                case WakeAt():
                    pass
                case _:
                    done.append(type(action).__name__)
    return done


def states(supervision: Supervision) -> dict[str, str]:
    return {name: supervision.state(name) for name in supervision.names}


# OTP's documented cases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "failed", "done"),
    [
        ("one_for_one", "a", "+a"),
        ("one_for_one", "b", "+b"),
        ("one_for_all", "a", "-c -b +a +b +c"),
        ("one_for_all", "b", "-c -a +a +b +c"),
        ("one_for_all", "c", "-b -a +a +b +c"),
        ("rest_for_one", "a", "-c -b +a +b +c"),
        ("rest_for_one", "b", "-c +b +c"),
        ("rest_for_one", "c", "+c"),
    ],
)
def test_the_strategy_says_who_stops_and_starts_with_the_failed_one(strategy: Strategy, failed: str, done: str) -> None:
    supervision = group(strategy, a=PROMPT, b=PROMPT, c=PROMPT)
    assert play(supervision, ChildDown(failed, FAULT)) == done.split()
    assert set(states(supervision).values()) == {"up"}


@pytest.mark.parametrize(
    ("policy", "error", "done", "state"),
    [
        (ALWAYS, None, ["+a"], "up"),
        (ALWAYS, FAULT, ["+a"], "up"),
        (PROMPT, None, [], "down"),
        (PROMPT, FAULT, ["+a"], "up"),
        (NEVER, None, [], "down"),
        (NEVER, FAULT, [], "down"),
    ],
)
def test_the_policy_says_which_ends_start_again(
    policy: RestartPolicy, error: BaseException | None, done: list[str], state: str
) -> None:
    supervision = group("one_for_one", a=policy)
    assert play(supervision, ChildDown("a", error)) == done
    assert supervision.state("a") == state


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_child_that_is_left_down_stops_nobody_else(strategy: Strategy) -> None:
    supervision = group(strategy, a=NEVER, b=PROMPT, c=PROMPT)
    assert play(supervision, ChildDown("a", FAULT)) == []
    assert play(supervision, ChildDown("b")) == []
    assert states(supervision) == {"a": "down", "b": "down", "c": "up"}


def test_a_temporary_child_stopped_for_a_siblings_sake_stays_down() -> None:
    supervision = group("one_for_all", a=PROMPT, b=NEVER, c=PROMPT)
    assert play(supervision, ChildDown("a", FAULT)) == ["-c", "-b", "+a", "+c"]
    assert supervision.state("b") == "down"


def test_a_transient_child_that_ended_well_starts_with_the_others_again() -> None:
    supervision = group("one_for_all", a=PROMPT, b=PROMPT)
    play(supervision, ChildDown("a"))
    assert play(supervision, ChildDown("b", FAULT)) == ["+a", "+b"]


def test_beyond_the_intensity_all_stop_in_reverse_and_the_supervisor_escalates() -> None:
    supervision = group("one_for_one", RestartPolicy(limit=1, delay=0), a=ALWAYS, b=ALWAYS, c=ALWAYS)
    assert play(supervision, ChildDown("a", FAULT), 1.0) == ["+a"]
    assert play(supervision, ChildDown("b", FAULT), 2.0) == ["Escalate", "-c", "-a", "AllStopped"]


def test_the_intensity_counts_only_what_happened_within_its_period() -> None:
    supervision = group("one_for_all", RestartPolicy(limit=1, period=5, delay=0), a=PROMPT, b=PROMPT)
    for now in (0.0, 6.0, 12.0):
        assert play(supervision, ChildDown("a", FAULT), now) == ["-b", "+a", "+b"]
    assert play(supervision, ChildDown("b", FAULT), 13.0) == ["Escalate", "-a", "AllStopped"]


def test_with_an_intensity_of_none_at_all_the_first_failure_escalates() -> None:
    supervision = group("one_for_one", RestartPolicy(limit=0), a=PROMPT, b=PROMPT)
    assert play(supervision, ChildDown("b", FAULT)) == ["Escalate", "-a", "AllStopped"]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_everything_stops_in_reverse_order_one_after_anothers_end(strategy: Strategy) -> None:
    supervision = group(strategy, a=ALWAYS, b=ALWAYS, c=ALWAYS)
    reason = "everything stops"
    assert supervision.handle(StopAll(), 0.0) == [StopChild("c", reason)]
    assert supervision.handle(Tick(), 1.0) == []
    assert supervision.handle(ChildDown("c", FAULT), 2.0) == [StopChild("b", reason)]
    assert supervision.handle(ChildDown("b"), 3.0) == [StopChild("a", reason)]
    assert supervision.handle(ChildDown("a"), 4.0) == [AllStopped(())]


# Starting -------------------------------------------------------------------------------------------------------------


def test_children_of_a_group_start_one_after_another_is_up() -> None:
    supervision = Supervision("rest_for_one", beyond="escalate")
    assert supervision.handle(ChildAdded("a", PROMPT), 0.0) == [StartChild("a")]
    assert supervision.handle(ChildAdded("b", PROMPT), 0.0) == []
    assert supervision.state("b") == "waiting"
    assert supervision.handle(ChildUp("a"), 0.0) == [StartChild("b")]


def test_independent_children_dont_wait_for_one_another() -> None:
    supervision = Supervision()
    assert supervision.handle(ChildAdded("a", PROMPT), 0.0) == [StartChild("a")]
    assert supervision.handle(ChildAdded("b", PROMPT), 0.0) == [StartChild("b")]


def test_a_failure_while_starting_counts_and_waits_like_any_other() -> None:
    supervision = Supervision()
    supervision.handle(ChildAdded("a", RestartPolicy(limit=1)), 0.0)
    assert supervision.handle(ChildDown("a", FAULT), 1.0) == [WakeAt(1.5)]
    assert (supervision.state("a"), supervision.restart_at("a")) == ("waiting", 1.5)
    assert supervision.handle(Tick(), 1.25) == []
    assert supervision.handle(Tick(), 1.5) == [StartChild("a")]
    assert supervision.restart_at("a") is None
    assert isinstance(supervision.handle(ChildDown("a", FAULT), 2.0)[0], Quarantine)
    assert supervision.state("a") == "quarantined"


def test_a_failure_while_a_group_starts_stops_what_had_started() -> None:
    supervision = group("one_for_all", a=PROMPT, b=PROMPT, c=PROMPT)
    supervision.handle(ChildDown("c", FAULT), 0.0)
    supervision.handle(ChildDown("b"), 0.0)
    assert supervision.handle(ChildDown("a"), 0.0) == [StartChild("a")]
    assert supervision.handle(ChildUp("a"), 0.0) == [StartChild("b")]
    actions = supervision.handle(ChildDown("b", FAULT), 0.0)
    assert [action for action in actions if isinstance(action, StopChild | StartChild)] == [
        StopChild("a", "'b' failed, and starts again together with it")
    ]
    assert play(supervision, ChildDown("a")) == ["+a", "+b", "+c"]


def test_a_group_starts_no_sooner_than_the_failed_childs_delay_allows() -> None:
    supervision = group("one_for_all", RestartPolicy(delay=2), a=PROMPT, b=PROMPT)
    assert play(supervision, ChildDown("b", FAULT), 10.0) == ["-a"]
    assert play(supervision, Tick(), 11.0) == []
    assert play(supervision, Tick(), 12.0) == ["+a", "+b"]


def test_a_child_that_waits_isnt_started_sooner_because_an_earlier_one_failed_too() -> None:
    supervision = group("rest_for_one", a=RestartPolicy(delay=1), b=RestartPolicy(delay=9))
    play(supervision, ChildDown("b", FAULT), 0.0)
    play(supervision, ChildDown("a", FAULT), 2.0)
    assert play(supervision, Tick(), 3.0) == ["+a"]
    assert play(supervision, Tick(), 9.0) == ["+b"]


def test_the_draw_shortens_the_delay_by_its_share_of_the_jitter() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy(delay=4, jitter=0.5))
    assert supervision.handle(ChildDown("a", FAULT), 0.0, 0.5) == [WakeAt(3.0)]


# Stopping -------------------------------------------------------------------------------------------------------------


def test_a_child_that_fails_while_others_are_being_stopped_counts_as_stopped() -> None:
    supervision = group("one_for_all", RestartPolicy(limit=1, delay=0), a=PROMPT, b=PROMPT, c=PROMPT)
    supervision.handle(ChildDown("c", FAULT), 0.0)
    assert supervision.state("b") == "stopping"
    assert supervision.handle(ChildDown("a", FAULT), 0.0) == []
    assert play(supervision, ChildDown("b", FAULT)) == ["+a", "+b", "+c"]


def test_an_earlier_child_that_fails_while_later_ones_stop_takes_all_with_it() -> None:
    supervision = group("rest_for_one", a=PROMPT, b=PROMPT, c=PROMPT)
    supervision.handle(ChildDown("b", FAULT), 0.0)
    assert states(supervision) == {"a": "up", "b": "waiting", "c": "stopping"}
    assert play(supervision, ChildDown("a", FAULT)) == []
    assert play(supervision, ChildDown("c")) == ["+a", "+b", "+c"]


def test_a_child_that_comes_up_while_it_is_being_stopped_is_stopping_still() -> None:
    supervision = Supervision()
    supervision.handle(ChildAdded("a", PROMPT), 0.0)
    supervision.handle(StopAll(), 0.0)
    assert supervision.handle(ChildUp("a"), 0.0) == []
    assert supervision.state("a") == "stopping"
    assert supervision.handle(ChildDown("a"), 0.0) == [AllStopped(())]


def test_a_waiting_child_doesnt_start_once_everything_stops() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy())
    supervision.handle(ChildDown("a", FAULT), 0.0)
    assert supervision.handle(StopAll(), 0.1) == [AllStopped(())]
    assert supervision.handle(Tick(), 0.5) == []


def test_a_second_stop_is_answered_again() -> None:
    supervision = group("one_for_one", RestartPolicy(limit=0), a=PROMPT)
    assert play(supervision, ChildDown("a", FAULT)) == ["Escalate", "AllStopped"]
    assert play(supervision, StopAll()) == ["AllStopped"]


def test_a_removed_child_is_stopped_and_forgotten_and_its_name_is_free_after_its_end() -> None:
    supervision = group("one_for_all", a=PROMPT, b=PROMPT)
    assert supervision.handle(ChildRemoved("a"), 0.0) == [StopChild("a", "'a' is removed")]
    assert isinstance(supervision.handle(ChildAdded("a", PROMPT), 0.0)[0], Refuse)
    assert supervision.handle(ChildDown("a", FAULT), 0.0) == []
    assert supervision.names == ("b",)
    assert supervision.handle(ChildAdded("a", PROMPT), 0.0) == [StartChild("a")]


# Quarantine, reset and escalation -------------------------------------------------------------------------------------


def test_beyond_its_policy_one_child_is_quarantined_and_the_others_go_on() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy(limit=2, delay=0), b=PROMPT)
    assert [play(supervision, ChildDown("a", FAULT)) for _ in range(3)] == [["+a"], ["+a"], ["Quarantine"]]
    assert states(supervision) == {"a": "quarantined", "b": "up"}


def test_a_reset_starts_a_quarantined_child_with_a_fresh_count() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy(limit=1, delay=0))
    for _ in range(2):
        play(supervision, ChildDown("a", FAULT))
    assert play(supervision, Reset("a")) == ["+a"]
    assert play(supervision, ChildDown("a", FAULT)) == ["+a"]


def test_a_reset_starts_a_waiting_child_at_once() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy())
    supervision.handle(ChildDown("a", FAULT), 0.0)
    assert supervision.handle(Reset("a"), 0.1) == [StartChild("a")]
    assert supervision.handle(Tick(), 0.5) == []


def test_a_restart_ends_the_present_life_first_and_counts_no_failure() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy(limit=1, delay=0))
    assert [play(supervision, RestartChild("a")) for _ in range(3)] == [["-a", "+a"]] * 3
    assert play(supervision, ChildDown("a", FAULT)) == ["+a"]


def test_a_restart_starts_a_child_that_has_no_life_as_a_reset_does() -> None:
    supervision = with_children(Supervision(), a=RestartPolicy(limit=0))
    assert play(supervision, ChildDown("a", FAULT)) == ["Quarantine"]
    assert play(supervision, RestartChild("a")) == ["+a"]


def test_a_restart_of_a_lost_child_is_refused() -> None:
    supervision = with_children(Supervision(), a=ALWAYS)
    supervision.handle(ChildLost("a", "hangs"), 0.0)
    assert isinstance(supervision.handle(RestartChild("a"), 0.0)[0], Refuse)


def test_the_failures_of_a_patient_child_count_only_once_it_has_been_up() -> None:
    supervision = Supervision()
    supervision.handle(ChildAdded("a", RestartPolicy(limit=1, delay=0), patient=True), 0.0)
    for now in range(20):
        actions = supervision.handle(ChildDown("a", FAULT), float(now))
        assert actions == [WakeAt(float(now)), StartChild("a")]
    supervision.handle(ChildUp("a"), 20.0)
    assert [play(supervision, ChildDown("a", FAULT), 20.0) for _ in range(2)] == [["+a"], ["Quarantine"]]


def test_a_device_that_failed_and_must_not_restart_is_quarantined() -> None:
    supervision = with_children(Supervision(), a=NEVER)
    assert play(supervision, ChildDown("a", FAULT)) == ["Quarantine"]


def test_a_lost_child_is_quarantined_and_not_reset_before_its_old_life_has_ended() -> None:
    supervision = with_children(Supervision(), a=ALWAYS)
    assert supervision.handle(ChildLost("a", "hangs in read"), 0.0) == [Quarantine("a", "hangs in read")]
    assert supervision.handle(Reset("a"), 1.0) == [
        Refuse("a", "'a' can't be reset, since its old life hasn't ended: free what it hangs in, or end it")
    ]
    assert supervision.handle(ChildDown("a", FAULT), 2.0) == []
    assert supervision.state("a") == "quarantined"
    assert supervision.handle(Reset("a"), 3.0) == [StartChild("a")]


def test_a_lost_child_holds_up_neither_the_stop_nor_its_announcement() -> None:
    supervision = with_children(Supervision(), a=PROMPT, b=PROMPT)
    supervision.handle(StopAll(), 0.0)
    actions = supervision.handle(ChildLost("b", "hangs"), 0.0)
    assert actions == [Quarantine("b", "hangs"), StopChild("a", "everything stops")]
    assert supervision.handle(ChildDown("a"), 0.0) == [AllStopped(("b",))]


def test_a_removed_child_that_is_lost_keeps_its_name_until_it_has_ended() -> None:
    supervision = with_children(Supervision(), a=PROMPT)
    supervision.handle(ChildRemoved("a"), 0.0)
    supervision.handle(ChildLost("a", "hangs"), 0.0)
    assert isinstance(supervision.handle(ChildAdded("a", PROMPT), 0.0)[0], Refuse)
    assert isinstance(supervision.handle(Reset("a"), 0.0)[0], Refuse)
    supervision.handle(ChildDown("a"), 0.0)
    assert supervision.handle(ChildAdded("a", PROMPT), 0.0) == [StartChild("a")]


def test_a_group_that_loses_a_child_escalates() -> None:
    supervision = group("one_for_all", a=PROMPT, b=PROMPT)
    assert play(supervision, ChildLost("b", "hangs")) == ["Quarantine", "Escalate", "-a", "AllStopped"]


@pytest.mark.parametrize(
    ("policy", "done"),
    [
        (RestartPolicy(restart="never", then="stop_lab"), ["Quarantine", "Escalate"]),
        (RestartPolicy(limit=0, then="stop_lab"), ["Quarantine", "Escalate"]),
    ],
)
def test_a_failed_device_that_should_stop_the_lab_says_so_and_stops_nobody_itself(
    policy: RestartPolicy, done: list[str]
) -> None:
    supervision = with_children(Supervision(), a=policy, b=PROMPT)
    assert play(supervision, ChildDown("a", FAULT)) == done
    assert supervision.state("b") == "up"


@pytest.mark.parametrize(
    "event", [Reset("a"), Reset("nobody"), ChildAdded("a", PROMPT), ChildRemoved("nobody")], ids=repr
)
def test_what_cant_be_granted_is_refused_and_changes_nothing(event: Event) -> None:
    supervision = with_children(Supervision(), a=PROMPT)
    actions = supervision.handle(event, 0.0)
    assert [type(action) for action in actions] == [Refuse]
    assert states(supervision) == {"a": "up"}


@pytest.mark.parametrize("event", [Reset("a"), ChildAdded("b", PROMPT)], ids=repr)
def test_nothing_starts_after_everything_was_told_to_stop(event: Event) -> None:
    supervision = with_children(Supervision(), a=PROMPT)
    play(supervision, StopAll())
    assert play(supervision, event) == ["Refuse"]


@pytest.mark.parametrize("event", [ChildUp("x"), ChildDown("x", FAULT), ChildLost("x", "hangs")], ids=repr)
def test_reports_about_what_no_longer_exists_are_ignored(event: Event) -> None:
    assert Supervision().handle(event, 0.0) == []


@pytest.mark.parametrize("settings", [{"strategy": "one_for_all"}, {"intensity": PROMPT}])
def test_a_group_cant_quarantine_one_of_its_children(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="use beyond='escalate'"):
        Supervision(**settings)


# The laws, in a simulated world ---------------------------------------------------------------------------------------

Life: TypeAlias = Literal["starting", "up", "stopping", "lost"]
NAMES = ("a", "b", "c", "d")


@dataclass
class World:
    """Carry out what the supervisor decides, and complain as soon as it breaks a law."""

    strategy: Strategy
    intensity: RestartPolicy | None
    now: float = 0.0
    order: list[str] = field(default_factory=list[str])
    policies: dict[str, RestartPolicy] = field(default_factory=dict[str, RestartPolicy])
    lives: dict[str, Life] = field(default_factory=dict[str, Life])
    removed: dict[str, bool] = field(default_factory=dict[str, bool])
    due: dict[str, float] = field(default_factory=dict[str, float])
    alarms: list[float] = field(default_factory=list[float])
    restarts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    quarantined: dict[str, bool] = field(default_factory=dict[str, bool])
    revived: dict[str, bool] = field(default_factory=dict[str, bool])
    restarting: dict[str, bool] = field(default_factory=dict[str, bool])
    closing: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        independent = self.strategy == "one_for_one" and self.intensity is None
        self.core = Supervision(
            self.strategy, beyond="quarantine" if independent else "escalate", intensity=self.intensity
        )

    def tell(self, event: Event, draw: float = 0.0) -> list[Action]:
        if isinstance(event, ChildDown | ChildLost):
            del self.lives[event.name]
            self.restarting.pop(event.name, None)
            if isinstance(event, ChildLost):
                self.lives[event.name] = "lost"
            elif self.removed.get(event.name):
                self.forget(event.name)
        actions = self.core.handle(event, self.now, draw)
        for action in actions:
            self.carry_out(action, event)
        return actions

    def carry_out(self, action: Action, event: Event) -> None:
        match action:
            case StartChild(name):
                self.start(name, event)
            case StopChild(name):
                self.stop(name)
            case WakeAt(at):
                assert isinstance(event, ChildDown)
                self.alarms.append(at)
                self.due[event.name] = at
                self.count(event.name, at)
            case Quarantine(name):
                self.quarantined[name] = True
            case Escalate():
                self.closing = True
            case AllStopped(lost):
                assert self.closing, "the end was announced though nobody asked for it"
                assert list(lost) == self.ordered("lost") == self.ordered("lost", "starting", "up", "stopping")
                self.closed = True
            case Refuse():
                pass

    def start(self, name: str, event: Event) -> None:
        assert name not in self.lives, f"{name} got a second life beside its first"
        assert not self.closing, f"{name} was started though everything stops"
        assert self.now >= self.due.get(name, 0.0), f"{name} was started before its delay was over"
        assert not self.quarantined.get(name), f"{name} was started out of its quarantine"
        if self.strategy != "one_for_one":
            place = self.order.index(name)
            for other in self.order[:place]:
                gone = self.removed.get(other, False)
                assert gone or self.core.state(other) in ("up", "down"), f"{name} was started before {other} was up"
            if not isinstance(event, Reset) and name not in self.revived:
                later = [n for n in self.order[place + 1 :] if self.lives.get(n, "lost") != "lost"]
                assert not later, f"{name} was started below {later}"
        assert "stopping" not in self.lives.values() or self.strategy == "one_for_one"
        self.lives[name] = "starting"

    def stop(self, name: str) -> None:
        assert self.lives[name] in ("starting", "up")
        assert "stopping" not in self.lives.values(), "two children were stopped at once"
        if not self.removed.get(name):
            asked = self.closing or self.restarting.get(name)
            assert asked or self.strategy != "one_for_one", f"{name} was stopped for another's failure"
            later = [n for n in self.order[self.order.index(name) + 1 :] if self.lives.get(n, "lost") != "lost"]
            alone = self.restarting.get(name) and not self.closing
            assert alone or all(self.removed.get(other) for other in later), f"{name} was stopped before {later}"
        self.lives[name] = "stopping"

    def count(self, name: str, at: float) -> None:
        policy = self.intensity or self.policies[name]
        times = self.restarts.setdefault("all" if self.intensity else name, [])
        times.append(at)
        recent = [time for time in times if at - policy.period <= time <= at]
        assert policy.limit is None or len(recent) <= policy.limit, f"too many restarts: {recent}"

    def forget(self, name: str) -> None:
        self.order.remove(name)
        for book in (self.removed, self.quarantined, self.restarts, self.due, self.policies, self.revived):
            book.pop(name, None)

    def ordered(self, *lives: Life) -> list[str]:
        return [name for name in self.order if self.lives.get(name) in lives]


def policy_of(restart: When, limit: int | None, period: float, delay: float) -> RestartPolicy:
    return NEVER if restart == "never" else RestartPolicy(restart=restart, limit=limit, period=period, delay=delay)


WHEN: tuple[When, ...] = ("never", "on_failure", "always", "always")
policies = st.builds(
    policy_of,
    restart=st.sampled_from(WHEN),
    limit=st.sampled_from((0, 1, 2, 3, None)),
    period=st.sampled_from((2.0, 10.0)),
    delay=st.sampled_from((0.0, 0.5, 1.0)),
)
errors = st.sampled_from((None, FAULT, FAULT, KeyboardInterrupt()))


class SupervisedWorld(RuleBasedStateMachine):
    """Children that start, obey, crash or hang whenever they like."""

    world: World

    @initialize(
        strategy=st.sampled_from(("one_for_one", "one_for_one", "one_for_all", "rest_for_one")),
        intensity=st.none() | policies.filter(lambda policy: policy is not NEVER),
        children=st.lists(policies, min_size=2, max_size=4),
    )
    def begin(self, strategy: Strategy, intensity: RestartPolicy | None, children: list[RestartPolicy]) -> None:
        self.world = World(strategy, intensity)
        for name, policy in zip(NAMES, children, strict=False):
            self.add(name, policy)

    def some(self, data: st.DataObject, *lives: Life) -> str | None:
        names = self.world.ordered(*lives)
        return data.draw(st.sampled_from(names)) if names else None

    @rule(name=st.sampled_from(NAMES), policy=policies)
    def add(self, name: str, policy: RestartPolicy) -> None:
        world = self.world
        known = name in world.order
        if not known:
            world.order.append(name)
            world.policies[name] = policy
        refused = any(isinstance(action, Refuse) for action in world.tell(ChildAdded(name, policy)))
        assert refused == (known or world.closing)
        if not known and refused:
            world.forget(name)

    @rule(data=st.data())
    def come_up(self, data: st.DataObject) -> None:
        if name := self.some(data, "starting"):
            self.world.lives[name] = "up"
            self.world.tell(ChildUp(name))

    @rule(data=st.data(), error=errors)
    def crash(self, data: st.DataObject, error: BaseException | None) -> None:
        if name := self.some(data, "starting", "up", "stopping"):
            self.world.tell(ChildDown(name, error))

    @rule(data=st.data())
    def obey(self, data: st.DataObject) -> None:
        if name := self.some(data, "stopping"):
            self.world.tell(ChildDown(name))

    @rule(data=st.data())
    def hang(self, data: st.DataObject) -> None:
        if name := self.some(data, "starting", "up", "stopping"):
            actions = self.world.tell(ChildLost(name, "hangs"))
            assert Quarantine(name, "hangs") in actions

    @rule(data=st.data())
    def end_at_last(self, data: st.DataObject) -> None:
        if name := self.some(data, "lost"):
            assert self.world.tell(ChildDown(name, FAULT)) == []

    @rule(name=st.sampled_from(NAMES))
    def reset(self, name: str) -> None:
        world = self.world
        possible = name in world.order and name not in world.lives and not world.closing
        if possible:
            world.quarantined.pop(name, None)
            world.restarts.pop(name, None)
            world.due.pop(name, None)
            world.revived[name] = True
        refused = any(isinstance(action, Refuse) for action in world.tell(Reset(name)))
        assert refused == (not possible)

    @precondition(lambda self: self.world.strategy == "one_for_one" and self.world.intensity is None)
    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        world = self.world
        name = self.some(data, "starting", "up")
        if name and not world.closing and not world.removed.get(name):
            world.restarting[name] = True
            world.restarts.pop(name, None)
            world.tell(RestartChild(name))

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        world = self.world
        if name in world.order:
            world.removed[name] = True
            gone = name not in world.lives
            world.tell(ChildRemoved(name))
            if gone:
                world.forget(name)

    @rule(seconds=st.sampled_from((0.25, 1.0, 5.0, 20.0)))
    def pass_time(self, seconds: float) -> None:
        world = self.world
        until = world.now + seconds
        for at in sorted(at for at in world.alarms if at <= until):
            world.now = max(world.now, at)
            world.tell(Tick())
        world.now = until

    @rule()
    def calm_down(self) -> None:
        """With no more trouble, everything comes to rest: nobody waits for ever."""
        world = self.world
        self.pass_time(20.0)
        while busy := world.ordered("stopping", "starting"):
            if world.lives[busy[0]] == "stopping":
                world.tell(ChildDown(busy[0]))
            else:
                world.lives[busy[0]] = "up"
                world.tell(ChildUp(busy[0]))
        for name in world.order:
            assert world.core.state(name) in ("up", "down", "quarantined")
        world.revived.clear()

    @precondition(lambda self: len(self.world.order) > 1)
    @rule(chance=st.integers(0, 5))
    def stop_all(self, chance: int) -> None:
        if chance == 0:
            self.end()

    @invariant()
    def it_knows_what_each_child_does(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        assert list(world.core.names) == world.order
        for name in world.order:
            state = world.core.state(name)
            resting = ("quarantined",) if world.quarantined.get(name) else ("waiting", "down")
            assert state in {"lost": ("quarantined",)}.get(world.lives.get(name, "none"), resting) or state == (
                world.lives.get(name)
            )

    def end(self) -> None:
        self.world.closing, self.world.closed = True, False
        self.world.tell(StopAll())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.end()
            self.calm_down()
            assert self.world.closed, "the end was never announced"
            assert not self.world.ordered("starting", "up", "stopping")


SupervisedWorld.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestSupervisedWorld = SupervisedWorld.TestCase
