"""Step by step through the bytecode: threads that change at any step, and KeyboardInterrupt at each, break no law.

`ACTORLAB_SCHEDULES` sets how many orders of the threads' steps are tried for each policy (40 if it isn't set).
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import pytest

import actorlab.kernel
from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.errors import ActorStopped, MailboxFull
from actorlab.kernel import Mailbox, Message, Ticket

SCHEDULES = int(os.environ.get("ACTORLAB_SCHEDULES", "40"))
PATIENCE = 20.0
KERNEL = os.path.dirname(actorlab.kernel.__file__)  # noqa: PTH120 - compared with the names that frames have
ROOMS = pytest.mark.parametrize("overflow", ["drop_oldest", "conflate"])


@contextmanager
def traced(step: Callable[[], object]) -> Generator[None]:
    """Call `step` before each instruction of the kernel that this thread executes."""

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(KERNEL):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode":
            step()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def take(mailbox: Mailbox) -> Message | None:
    """Take what is there as an actor does, and execute it; None if nothing is."""
    mailbox._sort_all()  # not `get`: it would wait, and keep the others from their turns
    if not mailbox._kept:
        return None
    message: Any = mailbox._pick()
    if message.__class__ is Ticket:
        message = mailbox.redeem()
    if message is not None and message.begin():
        message.finish("executed", None)
    return message  # type: ignore[no-any-return]  # a mailbox carries any messages


# -- threads


class Turns:
    """Let one thread run at a time, and decide at each step by chance whether it is another's turn."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._often = self._chance.choice([0.02, 0.1, 0.4])
        self._mine: dict[int, threading.Semaphore] = {}
        self._waiting: list[int] = []
        self._here = threading.local()

    def run(self, where: str, *deeds: Callable[[], object]) -> None:
        """Run each deed in a thread of its own, until all are done."""
        threads = [
            threading.Thread(target=self._thread, args=(me, deed), name="actorlab-turns")
            for me, deed in enumerate(deeds)
        ]
        self._mine = {me: threading.Semaphore(0) for me in range(len(threads))}
        self._waiting = list(self._mine)
        for thread in threads:
            thread.start()
        self._next()
        for thread in threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads), f"{where}: wedged"

    def _thread(self, me: int, deed: Callable[[], object]) -> None:
        self._here.me = me
        self._mine[me].acquire()
        with traced(self._step):
            deed()
        self._next()

    def _step(self) -> None:
        if self._chance.random() < self._often:
            self.give_way()

    def give_way(self) -> None:
        """Let another thread have its turn."""
        me = self._here.me
        self._waiting.append(me)
        self._next()
        self._mine[me].acquire()

    def _next(self) -> None:
        if self._waiting:
            self._mine[self._waiting.pop(self._chance.randrange(len(self._waiting)))].release()


def ask(mailbox: Mailbox, key: object, sent: list[Message], give_way: Callable[[], object] = lambda: None) -> None:
    """Ask, and give way to others while there is no space."""
    call = Message()
    call.target = key
    sent.append(call)
    try:
        while (space := mailbox.put_asked(call, key)) is not None:
            while not space.done():
                give_way()
    except ActorStopped as error:
        call.drop(error)


@pytest.mark.parametrize("closes", [False, True], ids=["", "closes"])
@ROOMS
def test_in_whichever_order_the_steps_of_threads_come_each_ask_is_answered(overflow: Overflow, *, closes: bool) -> None:
    for seed in range(SCHEDULES):
        one_order_of_steps(seed, overflow, closes=closes)


def one_order_of_steps(seed: int, overflow: Overflow, *, closes: bool) -> None:
    mailbox = Mailbox("oven", MailboxPolicy(bound=1 + seed % 2, overflow=overflow))
    sent: list[list[Message]] = [[], [], []]
    executed: list[Message] = []
    sending = ["xyx", "yxz", "xx"]
    turns = Turns(seed)

    def send(mine: list[Message], keys: str) -> None:
        for key in keys:
            ask(mailbox, key, mine, turns.give_way)
        sending.remove(keys)

    def read() -> None:
        while sending or not mailbox.empty():
            executed.append(take(mailbox) or Message())

    senders = [partial(send, mine, keys) for mine, keys in zip(sent, sending.copy(), strict=True)]
    where = f"schedule {seed}"
    turns.run(where, read, *senders, *([mailbox.close] if closes else []))
    calls = [call for mine in sent for call in mine]
    assert all(call.done() for call in calls), f"{where}: one is unanswered"
    errors = {type(call.exception(0)) for call in calls}
    assert errors <= {type(None), MailboxFull, *([ActorStopped] if closes else [])}, where
    assert mailbox._room is not None
    assert closes or len(mailbox._room) == 0, f"{where}: something is left"
    if not closes:
        newest_are_executed(overflow, sent, where)
        order_is_kept(overflow, sent, executed, where)


def newest_are_executed(overflow: Overflow, sent: list[list[Message]], where: str) -> None:
    lines = {key: [[call for call in mine if call.target == key] for mine in sent] for key in "xyz"}
    if overflow == "drop_oldest":
        lines = {"": sent}
    for last in ([mine[-1] for mine in line if mine] for line in lines.values()):
        assert any(call.exception(0) is None for call in last), f"{where}: an older one was kept"


def order_is_kept(overflow: Overflow, sent: list[list[Message]], executed: list[Message], where: str) -> None:
    for mine in sent:
        for key in "xyz":
            line = [call for call in mine if overflow == "drop_oldest" or call.target == key]
            done = [line.index(call) for call in executed if call in line]
            assert done == sorted(set(done)), f"{where}: an order was broken"


# -- somebody else in the middle


def take_one(mailbox: Mailbox, sent: list[Message]) -> None:
    del sent
    take(mailbox)


def take_all(mailbox: Mailbox, sent: list[Message]) -> None:
    del sent
    while not mailbox.empty():
        take(mailbox)


def ask_too(mailbox: Mailbox, sent: list[Message]) -> None:
    ask(mailbox, "x", sent)


def take_and_ask_too(mailbox: Mailbox, sent: list[Message]) -> None:
    take(mailbox)
    ask(mailbox, "x", sent)


def close(mailbox: Mailbox, sent: list[Message]) -> None:
    del sent
    mailbox.close()


@pytest.mark.parametrize("deed", [take_one, take_all, ask_too, take_and_ask_too, close], ids=lambda deed: deed.__name__)
@ROOMS
def test_whatever_somebody_else_does_at_any_instruction_of_an_ask(
    overflow: Overflow, deed: Callable[[Mailbox, list[Message]], None]
) -> None:
    """The newest is executed, or refused as the mailbox has closed, and nothing stays behind."""
    moment = 0
    while somebody_else_at(moment, overflow, deed):
        moment += 1
    assert moment > 100, "nothing came in between"


@pytest.mark.parametrize("bound", [1, 2])
@ROOMS
def test_whatever_is_asked_at_any_instruction_of_the_reader(overflow: Overflow, bound: int) -> None:
    moment = 0
    while asked_at(moment, overflow, bound):
        moment += 1
    assert moment > 20, "nothing came in between"


def asked_at(moment: int, overflow: Overflow, bound: int) -> bool:
    mailbox = Mailbox("oven", MailboxPolicy(bound=bound, overflow=overflow))
    sent: list[Message] = []
    ask(mailbox, "x", sent)

    def ask_more() -> None:
        for key in "xy"[:bound]:
            ask(mailbox, key, sent)

    came = in_the_middle_of(lambda: take(mailbox), moment, ask_more)
    take_all(mailbox, [])
    assert all(call.done() for call in sent), f"in the middle at {moment}: one is unanswered"
    assert sent[-1].exception(0) is None, f"in the middle at {moment}: the newest was lost"
    return came


def somebody_else_at(moment: int, overflow: Overflow, deed: Callable[[Mailbox, list[Message]], None]) -> bool:
    mailbox = Mailbox("oven", MailboxPolicy(bound=1, overflow=overflow))
    sent: list[Message] = []
    others: list[Message] = []
    ask(mailbox, "x", sent)
    came = in_the_middle_of(lambda: ask(mailbox, "x", sent), moment, lambda: deed(mailbox, others))
    take_all(mailbox, [])
    where = f"in the middle at {moment}"
    assert all(call.done() for call in [*sent, *others]), f"{where}: one is unanswered"
    assert mailbox._room is not None
    assert len(mailbox._room) == 0 or mailbox.closed, f"{where}: something is left"
    last = [call.exception(0) for call in [sent[-1], *others]]
    assert None in last or ActorStopped in map(type, last), f"{where}: the newest was lost"
    return came


def in_the_middle_of(deed: Callable[[], object], moment: int, other: Callable[[], object]) -> bool:
    """Do something else before the n-th instruction of a deed, and tell whether it had so many."""
    steps = iter(range(moment))
    came: list[None] = []

    def step() -> None:
        if not came and next(steps, None) is None:
            came.append(None)
            other()

    with traced(step):
        deed()
    return bool(came)


# -- interrupts


@pytest.mark.parametrize("another", [False, True], ids=["alone", "while another waits"])
@ROOMS
def test_an_ask_may_be_interrupted_at_any_instruction(overflow: Overflow, *, another: bool) -> None:
    """Earlier ones are answered, later ones executed, and a second interrupt finds no worse state than the first."""
    moment = 0
    while interrupted_at(moment, overflow, another=another):
        moment += 1
    assert moment > 50, "nothing was interrupted"


def interrupted_at(moment: int, overflow: Overflow, *, another: bool) -> bool:
    mailbox = Mailbox("oven", MailboxPolicy(bound=1, overflow=overflow))
    sent: list[Message] = []
    interrupts = 0
    for _ in range(3):
        ask(mailbox, "x", sent)
        if not another:
            take_all(mailbox, [])
        interrupts += cut_off(moment, lambda: ask(mailbox, "x", sent))
        if interrupts:  # its asker heard of the interrupt, and not of this one: who asks for a body drops it then
            sent.pop().drop(KeyboardInterrupt())
    ask(mailbox, "x", sent)
    newest = sent[-1]
    take_all(mailbox, [])
    assert all(call.done() for call in sent), f"interrupted at {moment}: one is unanswered"
    assert newest.exception(0) is None, f"interrupted at {moment}: the newest was lost"
    ask(mailbox, "x", sent)
    take_all(mailbox, [])
    assert sent[-1].exception(0) is None, f"interrupted at {moment}: wedged"
    return interrupts > 0


def cut_off(moment: int, deed: Callable[[], object]) -> bool:
    """Interrupt a deed before its n-th instruction, and tell whether it had so many."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    try:
        in_the_middle_of(deed, moment, interrupt)
    except KeyboardInterrupt:
        return True
    return False
