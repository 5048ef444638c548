"""What a device's full mailbox does with more asked calls: hold the sender back, refuse, or let older ones give way."""

from __future__ import annotations

from typing import Any

import pytest

from actorlab import DeviceConfig, Lab, MailboxFull, MailboxPolicy, ask, query


class Stage:
    """A device that remembers where it was sent, and stands still when it is told to."""

    def __init__(self) -> None:
        self.went: list[float] = []

    def stand(self, gate: Any) -> None:
        gate.stop()

    def go(self, mm: float) -> float:
        self.went.append(mm)
        return mm

    def turn(self, degrees: float) -> float:
        self.went.append(-degrees)
        return degrees

    @query
    def places(self) -> list[float]:
        return list(self.went)


def add(lab: Lab, policy: int | MailboxPolicy) -> Stage:
    return lab.add("stage", DeviceConfig(mailbox=policy)(Stage))


def outcomes(lab: Lab, gate: Any, stage: Stage, sends: list[tuple[str, float]]) -> list[object]:
    """Let a body send while the stage stands, and return what became of each call."""

    def body(stage: Stage) -> list[object]:
        ask(stage.stand, gate)
        gate.reached()
        replies: list[Any] = []
        for verb, value in sends:
            try:
                replies.append(ask(getattr(stage, verb), value))
            except MailboxFull as error:
                replies.append(error)
        gate.open()
        return [it if isinstance(it, MailboxFull) else it.exception(5) or it.result(5) for it in replies]

    return lab.run(body, stage)


def test_reject_refuses_what_is_too_much_at_once(lab: Lab, gate: Any) -> None:
    stage = add(lab, MailboxPolicy(bound=2, overflow="reject"))
    *taken, refused = outcomes(lab, gate, stage, [("go", 1), ("go", 2), ("go", 3)])
    assert taken == [1, 2]
    assert isinstance(refused, MailboxFull)
    assert stage.places() == [1, 2]


def test_drop_oldest_lets_the_oldest_give_way(lab: Lab, gate: Any) -> None:
    stage = add(lab, MailboxPolicy(bound=2, overflow="drop_oldest"))
    first, *others = outcomes(lab, gate, stage, [("go", 1), ("go", 2), ("go", 3)])
    assert isinstance(first, MailboxFull)
    assert others == [2, 3]
    assert stage.places() == [2, 3]


def test_conflate_keeps_only_the_newest_of_each_member(lab: Lab, gate: Any) -> None:
    stage = add(lab, MailboxPolicy(bound=8, overflow="conflate"))
    sends = [("go", float(mm)) for mm in range(1, 100)]
    told = outcomes(lab, gate, stage, [*sends, ("turn", 7)])
    assert all(isinstance(outcome, MailboxFull) for outcome in told[:-2])
    assert told[-2:] == [99, 7]
    assert stage.places() == [99, -7]


def test_conflate_by_a_key_of_ones_own(lab: Lab, gate: Any) -> None:
    stage = add(
        lab, MailboxPolicy(bound=8, overflow="conflate", key=lambda name, args: (name, name == "go" and args[0] > 10))
    )
    told = outcomes(lab, gate, stage, [("go", 1), ("go", 20), ("go", 2), ("go", 30)])
    assert [isinstance(outcome, MailboxFull) for outcome in told] == [True, True, False, False]
    assert sorted(stage.places()) == [2, 30]


def test_block_holds_the_sender_back_until_there_is_room(lab: Lab, gate: Any) -> None:
    stage = add(lab, 2)

    def body(stage: Stage) -> list[float]:
        ask(stage.stand, gate)
        gate.reached()
        replies = [ask(stage.go, 1)]
        gate.open()
        replies += [ask(stage.go, mm) for mm in range(2, 50)]
        return [reply.result(5) for reply in replies]

    assert lab.run(body, stage) == list(range(1, 50))


@pytest.mark.parametrize("policy", ["drop_oldest", "conflate"])
def test_a_cancelled_run_leaves_nothing_unanswered(lab: Lab, gate: Any, policy: Any) -> None:
    stage = add(lab, MailboxPolicy(bound=2, overflow=policy))
    replies: list[Any] = []

    def body(stage: Stage) -> None:
        replies.append(ask(stage.stand, gate))
        gate.reached()
        replies.extend(ask(stage.go, mm) for mm in range(10))

    run = lab.start(body, stage)
    gate.reached()
    while len(replies) < 11:
        lab.ask(lambda: None)
    run.cancel()
    gate.open()
    run.exception(5)
    assert all(reply.wait(5) for reply in replies)
    assert lab.run(lambda stage: stage.go(1), stage) == 1
