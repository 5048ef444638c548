"""Many ask while an actor stops: each ask is answered, by its value or by the actor's end.

`ACTORLAB_STOP_RACES` sets how many asks there are (20,000 if it isn't set).
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from actorlab.errors import ActorStopped
from actorlab.kernel import OTHERS, URGENT, Ask, Message, ThreadActor

ASKS = int(os.environ.get("ACTORLAB_STOP_RACES", "20000"))
SENDERS, EACH = 3, 40
PATIENCE = 5.0  # seconds until an ask counts as lost


class Echo(ThreadActor):
    def on_receive(self, message: Any) -> Any:
        return message


class Tally(NamedTuple):
    """What became of the asks, and how many actors both answered and refused some."""

    answered: int = 0
    refused: int = 0
    lost: int = 0
    mixed: int = 0


def send_all(actor: Echo, lanes: random.Random) -> list[Message]:
    """Send some by each of the ways there are, as fast as can be."""
    sent: list[Message] = []
    for count in range(EACH):
        message = Ask(count, lanes.choice((URGENT, OTHERS, OTHERS)))
        sent.append(message)
        try:
            if count % 4:
                actor.mailbox.put(message)
            else:
                actor.mailbox.put_asked(message)
        except ActorStopped as error:
            message.drop(error)
    return sent


def sender(actors: SimpleQueue[Echo | None], sent: SimpleQueue[list[Message]], seed: int) -> None:
    lanes = random.Random(seed)
    while (actor := actors.get()) is not None:
        sent.put(send_all(actor, lanes))


@pytest.fixture
def hasty() -> Iterator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("hasty")
def test_no_ask_is_lost_when_its_actor_stops() -> None:
    queues: list[SimpleQueue[Echo | None]] = [SimpleQueue() for _ in range(SENDERS)]
    sent: SimpleQueue[list[Message]] = SimpleQueue()
    threads = [
        threading.Thread(target=sender, args=(queue, sent, seed), name="actorlab-sender")
        for seed, queue in enumerate(queues)
    ]
    for thread in threads:
        thread.start()
    moments = random.Random(1)
    tally = Tally()
    for _ in range(max(1, ASKS // (SENDERS * EACH))):
        tally = add(tally, stop_while_they_send(queues, sent, moments))
    for queue in queues:
        queue.put(None)
    for thread in threads:
        thread.join(5)
    print(tally)  # noqa: T201 - for the long run by hand (pytest -s)
    assert tally.lost == 0
    assert tally.mixed > 0, "no stop fell among the asks: nothing was raced"


def stop_while_they_send(queues: list[Any], sent: SimpleQueue[list[Message]], moments: random.Random) -> Tally:
    actor = Echo.launch("actorlab-echo")
    for queue in queues:
        queue.put(actor)
    for _ in range(moments.randrange(400)):  # some microseconds, without giving up the processor for longer
        pass
    if moments.random() < 0.5:  # let some be answered first
        actor.ask(None) if not actor.mailbox.closed else None
    actor.stop_soon().result(PATIENCE)
    replies = [message for _ in queues for message in sent.get()]
    lost = sum(not message.wait(PATIENCE) for message in replies)
    errors = [message.exception(0) for message in replies if message.done()]
    assert all(error is None or isinstance(error, ActorStopped) for error in errors)
    answered = errors.count(None)
    return Tally(answered, len(errors) - answered, lost, int(0 < answered < len(errors)))


def add(one: Tally, other: Tally) -> Tally:
    return Tally(*(mine + its for mine, its in zip(one, other, strict=True)))
