"""What becomes of calls that a run asks of a device that is busy, by the policy of its mailbox."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from actorlab import (
    ActorLabError,
    ConfigError,
    Device,
    DeviceConfig,
    DeviceFault,
    Lab,
    MailboxFull,
    MailboxPolicy,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    Shared,
    ask,
    query,
    sleep,
    spawn,
)
from actorlab.kernel import Reply
from actorlab.runtime.calls import Call

Gates = Callable[[], Any]


class Channel:
    def __init__(self, number: int, log: list[str]) -> None:
        self.number = number
        self.log = log

    def set(self, level: float) -> None:
        self.log.append(f"channel {self.number} at {level:g}")


class Stage(Device):
    """A stage that stands still while its gate is shut."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.channel = [Channel(0, log), Channel(1, log)]

    def stand(self, gate: Any) -> None:
        gate.stop()

    def move(self, axis: str, to: float) -> None:
        self.log.append(f"{axis} to {to:g}")

    def light(self, level: float) -> None:
        self.log.append(f"light {level:g}")

    def creep(self, gate: Any) -> None:
        """Wait for physics: queries are answered meanwhile."""
        gate.arrive()
        sleep(0.3)
        self.log.append("crept")

    @query
    def position(self, when: str = "") -> float:
        self.log.append(f"asked {when}")
        return 4.5

    @query
    def watched(self, gate: Any) -> None:
        gate.stop()

    def part(self, number: int) -> Channel:
        return self.channel[number]

    def break_down(self) -> None:
        raise ConnectionResetError

    def make_safe(self) -> None:
        self.log.append("safe")


def staged(lab: Lab, policy: int | MailboxPolicy, log: list[str]) -> Stage:
    return lab.add("stage", DeviceConfig(mailbox=policy)(Stage), log)


def full(reply: Reply[Any]) -> str:
    error = reply.exception(5)
    assert isinstance(error, MailboxFull), repr(error)
    return str(error)


# -- the policies


@pytest.mark.parametrize("policy", [2, MailboxPolicy(bound=2)])
def test_block_holds_the_asker_back_until_a_call_begins(
    lab: Lab, gate: Any, settled: Callable[[], None], policy: int | MailboxPolicy
) -> None:
    log: list[str] = []
    asked: list[float] = []
    two = threading.Event()

    def body(stage: Stage) -> None:
        ask(stage.stand, gate)
        gate.reached()
        for level in range(5):
            ask(stage.light, level)
            asked.append(level)
            if level == 1:
                two.set()

    run = lab.start(body, staged(lab, policy, log))
    assert two.wait(5)
    settled()
    assert asked == [0, 1]
    gate.open()
    run.result(5)
    assert log == [f"light {level}" for level in range(5)]


def test_reject_raises_in_the_asking_body_at_once_and_executes_the_others(lab: Lab, gate: Any) -> None:
    log: list[str] = []

    def body(stage: Stage) -> str:
        ask(stage.stand, gate)
        gate.reached()
        ask(stage.light, 1)
        ask(stage.light, 2)
        try:
            ask(stage.light, 3)
        except MailboxFull as error:
            return str(error)
        finally:
            gate.open()
        return ""

    told = lab.run(body, staged(lab, MailboxPolicy(bound=2, overflow="reject"), log))
    assert told.startswith("stage: 2 asked calls wait already")
    assert log == ["light 1", "light 2"]


def test_drop_oldest_executes_the_newest_in_their_order_and_tells_the_others(lab: Lab, gate: Any) -> None:
    log: list[str] = []

    def body(stage: Stage) -> list[Reply[None]]:
        ask(stage.stand, gate)
        gate.reached()
        replies = [ask(stage.light, level) for level in range(50)]
        assert all(reply.done() for reply in replies[:-3])
        gate.open()
        return replies

    replies = lab.run(body, staged(lab, MailboxPolicy(bound=3, overflow="drop_oldest"), log))
    assert log == ["light 47", "light 48", "light 49"]
    assert "a newer one took its place" in full(replies[0])
    assert [reply.exception(0) for reply in replies[-3:]] == [None] * 3


def test_conflate_executes_the_newest_call_of_each_member(lab: Lab, gate: Any) -> None:
    log: list[str] = []

    def body(stage: Stage) -> list[Reply[None]]:
        ask(stage.stand, gate)
        gate.reached()
        replies = [ask(stage.light, 1), ask(stage.move, "x", 1), ask(stage.light, 2), ask(stage.move, "y", 2)]
        gate.open()
        return replies

    replies = lab.run(body, staged(lab, MailboxPolicy(overflow="conflate"), log))
    assert log == ["light 2", "y to 2"]
    assert "a newer call with the same key replaced it" in full(replies[0])
    full(replies[1])


def test_conflate_goes_by_what_the_key_function_says(lab: Lab, gate: Any) -> None:
    log: list[str] = []
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def key(member: str, args: tuple[Any, ...]) -> str:
        asked.append((member, args))
        return args[0] if member == "move" else member

    def body(stage: Stage) -> None:
        channel = stage.channel[1]
        ask(stage.stand, gate)
        gate.reached()
        for to in range(3):
            ask(stage.move, "x", to)
            ask(stage.move, "y", -to)
            ask(channel.set, to)
        gate.open()

    lab.run(body, staged(lab, MailboxPolicy(overflow="conflate", key=key), log))
    assert log == ["x to 2", "y to -2", "channel 1 at 2"]
    assert asked[1:4] == [("move", ("x", 0)), ("move", ("y", 0)), ("channel[1].set", (0,))]


def test_parts_of_a_device_are_not_conflated_with_one_another(lab: Lab, gate: Any) -> None:
    log: list[str] = []

    def body(stage: Stage) -> None:
        parts = [stage.channel[0], stage.channel[1], stage.part(0), stage.part(1)]
        ask(stage.stand, gate)
        gate.reached()
        for level in range(2):
            for count, part in enumerate(parts):
                ask(part.set, 10 * count + level)
        gate.open()

    lab.run(body, staged(lab, MailboxPolicy(overflow="conflate"), log))
    assert log == ["channel 0 at 1", "channel 1 at 11", "channel 0 at 21", "channel 1 at 31"]


def test_a_key_that_cannot_be_hashed_is_told_to_the_asker_before_anything_is_sent(lab: Lab) -> None:
    log: list[str] = []
    policy = MailboxPolicy(overflow="conflate", key=lambda _, args: list(args))  # type: ignore[arg-type,return-value]

    def body(stage: Stage) -> None:
        ask(stage.light, 1)

    with pytest.raises(ConfigError, match=r"the key of light is \[1\], which can't be hashed"):
        lab.run(body, staged(lab, policy, log))
    assert log == ["safe"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_calls_that_block_are_never_dropped_and_come_after_what_was_asked_before(
    lab: Lab, gate: Any, overflow: Any
) -> None:
    log: list[str] = []

    def body(stage: Stage) -> None:
        ask(stage.stand, gate)
        gate.reached()
        ask(stage.light, 1)
        ask(stage.light, 2)
        gate.open()
        stage.move("x", 3)
        ask(stage.light, 4)

    lab.run(body, staged(lab, MailboxPolicy(bound=1, overflow=overflow), log))
    assert log == ["light 2", "x to 3", "light 4"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_an_asked_query_is_answered_while_a_driver_sleeps_and_a_command_is_not(
    lab: Lab, gate: Any, overflow: Any
) -> None:
    log: list[str] = []

    def body(stage: Stage) -> None:
        ask(stage.creep, gate)
        gate.reached()
        ask(stage.position, "asleep").result(5)
        ask(stage.light, 1)

    lab.run(body, staged(lab, MailboxPolicy(bound=4, overflow=overflow), log))
    assert log == ["asked asleep", "crept", "light 1"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_direct_call_comes_after_what_was_asked_before(lab: Lab, gate: Any, overflow: Any) -> None:
    log: list[str] = []
    config = DeviceConfig(direct=True, mailbox=MailboxPolicy(bound=2, overflow=overflow))
    stage: Stage = lab.add("stage", config(Stage), log)

    def body(stage: Stage) -> None:
        stage.light(1)
        stage.light(2)
        ask(stage.stand, gate)
        gate.reached()
        for level in range(3, 6):
            ask(stage.light, level)
        gate.open()
        stage.move("x", 6)
        stage.move("x", 7)

    lab.run(body, stage)
    newest = ["light 4", "light 5"] if overflow == "drop_oldest" else ["light 5"]
    assert log == ["light 1", "light 2", *newest, "x to 6", "x to 7"]


# -- others


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate", "reject"])
def test_calls_from_outside_keep_to_their_own_bound_and_cost_the_holder_nothing(
    lab: Lab, gate: Any, overflow: Any
) -> None:
    log: list[str] = []
    stage = staged(lab, MailboxPolicy(bound=1, overflow=overflow), log)
    asked = threading.Event()

    def body(stage: Stage) -> None:
        ask(stage.stand, gate)
        gate.reached()
        ask(stage.light, 1)
        asked.set()

    run = lab.start(body, stage)
    assert asked.wait(5)
    replies = [ask(stage.position, f"{count}") for count in range(64)]
    with pytest.raises(MailboxFull, match="64 calls from outside wait already"):
        ask(stage.position)
    gate.open()
    run.result(5)
    assert [reply.result(5) for reply in replies] == [4.5] * 64
    assert log.count("light 1") == 1


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_whoever_has_lent_the_device_takes_nobodys_place(lab: Lab, gates: Gates, overflow: Any) -> None:
    """His call would be refused as it begins: had it dropped the borrower's, neither would be executed."""
    log: list[str] = []
    standing, lent, asked = gates(), gates(), gates()

    def borrower(stage: Stage) -> None:
        ask(stage.stand, standing)
        standing.reached()
        ask(stage.light, 1)
        lent.arrive()
        asked.stop()

    def lender(stage: Stage) -> Reply[None]:
        child = spawn(borrower, stage)
        lent.reached()
        stale = ask(stage.light, 2)
        asked.open()
        standing.open()
        child.result()
        return stale

    stale = lab.run(lender, staged(lab, MailboxPolicy(bound=1, overflow=overflow), log))
    assert isinstance(stale.exception(5), NotLeased)
    assert log == ["light 1"]


def test_those_who_share_a_device_share_its_mailbox(lab: Lab, gate: Any) -> None:
    log: list[str] = []
    stage = staged(lab, MailboxPolicy(bound=2, overflow="drop_oldest"), log)
    replies: list[Reply[float]] = []

    def watch(stage: Shared[Stage]) -> None:
        ask(stage.watched, gate)
        gate.reached()
        replies.extend([ask(stage.position, f"{count}") for count in range(3)])
        gate.open()

    lab.run(watch, stage)
    full(replies[0])
    assert log == ["asked 1", "asked 2"]


# -- ends


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_a_cancelled_run_leaves_none_of_its_calls_behind(lab: Lab, gate: Any, overflow: Any) -> None:
    log: list[str] = []
    stage = staged(lab, MailboxPolicy(bound=2, overflow=overflow), log)
    replies: list[Reply[None]] = []
    asked = threading.Event()

    def body(stage: Stage) -> None:
        replies.append(ask(stage.stand, gate))
        gate.reached()
        replies.extend([ask(stage.light, level) for level in range(10)])
        asked.set()
        sleep(60)

    run: Run[None] = lab.start(body, stage)
    assert asked.wait(5)
    run.cancel()
    lab.ask(lambda: None)
    gate.open()
    with pytest.raises(RunCancelled):
        run.result(5)
    assert all(reply.wait(5) for reply in replies)
    assert replies[-1].cancelled()
    assert log == ["safe"]
    lab.run(lambda stage: ask(stage.light, 11).result(5), stage)
    assert log == ["safe", "light 11"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_the_body_ends_after_what_it_asked_is_done_and_is_not_failed_by_what_gave_way(
    lab: Lab, gate: Any, overflow: Any
) -> None:
    log: list[str] = []
    heard = lab.events.subscribe()

    def body(stage: Stage) -> None:
        ask(stage.stand, gate)
        gate.reached()
        for level in range(4):
            ask(stage.light, level)
        gate.open()

    lab.run(body, staged(lab, MailboxPolicy(bound=1, overflow=overflow), log))
    assert log == ["light 3"]
    told = [heard.get(timeout=5)]
    while "succeeded" not in repr(told[-1]).lower():
        told.append(heard.get(timeout=5))
    heard.close()
    assert "an asked call failed" not in repr(told)


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate", "reject"])
def test_a_device_that_breaks_answers_what_waits_and_keeps_its_policy_in_its_next_life(
    lab: Lab, gates: Gates, overflow: Any
) -> None:
    log: list[str] = []
    policy = MailboxPolicy(bound=2, overflow=overflow)
    config = DeviceConfig(mailbox=policy, restart=RestartPolicy(delay=0))
    stage: Stage = lab.add("stage", config(Stage), log)
    standing = gates()

    def body(stage: Stage) -> list[Reply[None]]:
        ask(stage.stand, standing)
        standing.reached()
        replies = [ask(stage.break_down), ask(stage.light, 1)]
        standing.open()
        return replies if all(reply.exception(5) for reply in replies) else []

    replies = lab.run(body, stage)
    assert isinstance(replies[0].exception(0), DeviceFault)
    assert isinstance(replies[1].exception(0), ActorLabError)
    lab.run(lambda stage: stage.light(2), stage)
    assert lab.cells["stage"].life == 2
    assert lab.cells["stage"].mailbox.policy is policy
    assert [line for line in log if line != "safe"] == ["light 2"]


# -- configuration and memory


@pytest.mark.parametrize("given", [0, -1, 1.5, "64", None])
def test_a_mailbox_that_is_neither_a_number_nor_a_policy_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="bound is"):
        DeviceConfig(mailbox=given)


def test_a_policy_goes_over_another_as_any_option_does() -> None:
    policy = MailboxPolicy(overflow="reject")
    assert DeviceConfig(timeout=5).over(DeviceConfig(mailbox=policy)).mailbox is policy
    assert DeviceConfig(mailbox=1024).over(DeviceConfig(mailbox=policy)).mailbox == 1024


@pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])
def test_what_a_hanging_device_is_asked_stays_within_bounds(lab: Lab, gate: Any, overflow: Any) -> None:
    log: list[str] = []

    def body(stage: Stage) -> int:
        ask(stage.stand, gate)
        gate.reached()
        for level in range(3000):
            ask(stage.light, level)
            if not level % 4:
                lab.ask(lambda: None)  # the deciding thread keeps up: it looks at each while it waits
        gc.collect()
        alive = sum(issubclass(type(thing), Call) for thing in gc.get_objects())
        assert lab.cells["stage"].mailbox.waiting <= 8
        gate.open()
        return alive

    assert lab.run(body, staged(lab, MailboxPolicy(bound=8, overflow=overflow), log)) < 300
