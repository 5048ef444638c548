"""Run an experiment: one thread opens the lab and waits for the run, the main thread shows it and hears the signals."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeAlias, assert_never

from actorlab.cli.displays import Display
from actorlab.cli.emergency import leave_at_once
from actorlab.cli.ordering import Order
from actorlab.cli.signals import Signalled, listening
from actorlab.cli.telling import FAILED, INTERRUPTED, WRONG_USE
from actorlab.config import ConfiguredLab, LabConfig
from actorlab.errors import ConfigError, JournalError, JournalInUse, RunCancelled, WorkflowError
from actorlab.runtime.events import Event, Subscription
from actorlab.runtime.questions import Question
from actorlab.runtime.run import Run

__all__ = ["carry_out"]

TICK: Final = 0.1
MANY: Final = 100_000
"""So many events may come while a large picture is drawn."""
NAMED: Final = 3
"""So many interrupted runs are named."""


@dataclass(frozen=True)
class Opened:
    """There is a lab; its devices are still to be connected."""

    lab: ConfiguredLab
    events: Subscription


@dataclass(frozen=True)
class Noted:
    """There is something to be said that isn't the run's."""

    text: str


@dataclass(frozen=True)
class Began:
    """The run was started."""

    run: Run[Any]


@dataclass(frozen=True)
class Ended:
    """The run has ended and the lab is closed; `run` is None if it never began."""

    run: Run[Any] | None
    value: Any
    error: BaseException | None
    exit_code: int = 0
    """What the lab asks for: not 0 if a service has stopped it."""


@dataclass(frozen=True)
class Typed:
    """Somebody typed a line; None: nobody can, as there is no terminal."""

    text: str | None


class Errand(Protocol):
    """What is to be done in a lab: to start a run, or to go on with one."""

    way_out: str

    @property
    def config(self) -> LabConfig:
        """How the lab is configured."""
        ...

    @property
    def journal(self) -> str | None:
        """Where it keeps its journal."""
        ...

    @property
    def devices(self) -> tuple[str, ...]:
        """Which of its devices are needed."""
        ...

    def begin(self, lab: ConfiguredLab) -> Run[Any]:
        """Do it, when the devices are there."""
        ...


Message: TypeAlias = Opened | Noted | Began | Ended | Signalled | Typed


def carry_out(order: Errand, display: Display) -> int:
    """Run an experiment to its end, and return the exit code."""
    watch = Watch(display, order.way_out)
    worker = threading.Thread(target=work, args=(order, watch.inbox, watch), name="actorlab cli: the lab", daemon=True)
    with listening(watch.inbox.put), display:
        worker.start()
        ended = watch.until_end()
        worker.join()
    display.result(ended.run, ended.value, ended.error)
    return exit_code(ended, interrupted=watch.interrupted)


def work(order: Errand, inbox: SimpleQueue[Message], watch: Watch) -> None:
    """Open the lab with the devices that are needed, run the task, close the lab; for a thread of its own."""
    run: Run[Any] | None = None
    value: Any = None
    error: BaseException | None = None
    lab: ConfiguredLab | None = None
    try:
        with opened(order.config, order.journal) as lab:
            inbox.put(Opened(lab, lab.events.subscribe(snapshot=False, buffer=MANY)))
            if isinstance(order, Order) and (left := left_by_crash(lab)):
                inbox.put(Noted(left))
            needed = order.devices
            lab.look_for_tasks()
            watch.refuse_if_interrupted()
            lab.add_all([name for name in order.config.devices if name in needed])
            watch.refuse_if_interrupted()
            run = order.begin(lab)
            inbox.put(Began(run))
            value = run.result()
    except BaseException as raised:  # noqa: BLE001 - the thread boundary: the main thread tells it
        error = raised
    inbox.put(Ended(run, value, error, lab.exit_code if lab is not None else 0))


def opened(config: LabConfig, journal: str | None) -> ConfiguredLab:
    """Open the lab.

    Raises:
        JournalInUse: another process has its journal; a note says the ways out.

    """
    try:
        return ConfiguredLab(config, journal)
    except JournalInUse as error:
        error.add_note("to run beside it on other devices: --journal FILE for one of its own, or --no-journal for none")
        raise


def left_by_crash(lab: ConfiguredLab) -> str:
    """Say which runs the lab before this one has left unfinished, if it has, and how they go on."""
    if lab.journalling is None:
        return ""
    previous = lab.journalling.journal.previous
    kept = [*lab.journalling.interrupted(), *reversed(lab.journalling.waiting())]
    left = [run.id for run in kept if previous is not None and run.opening == previous.id]
    if not left:
        return ""
    names = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
    were = "was" if len(left) == 1 else "were"
    return f"{names} {were} interrupted when the lab ended before; go on by: actorlab resume {left[0]}"


def exit_code(ended: Ended, *, interrupted: str) -> int:
    """Return how the command ends."""
    if ended.error is None:
        return ended.exit_code
    if interrupted and isinstance(ended.error, RunCancelled):
        return INTERRUPTED
    if ended.exit_code:
        return ended.exit_code
    never_began = ended.run is None and isinstance(ended.error, ConfigError | JournalError | WorkflowError | TypeError)
    return WRONG_USE if never_began else FAILED


def in_question_words(question: Question) -> str:
    """Write a question, with its choices."""
    choices = f" [{'/'.join(question.choices)}]" if question.choices else ""
    return f"{question.subject} asks: {question.text}{choices}"


def read_answer(inbox: SimpleQueue[Message]) -> None:
    """Read one line from the terminal, on a thread of its own: a signal must not wait for somebody to type."""
    line = sys.stdin.readline() if sys.stdin is not None else ""
    inbox.put(Typed(line.strip() if line else None))


class Watch:
    """What the main thread knows; its inbox is a `SimpleQueue`, whose `put` a signal handler may call."""

    def __init__(self, display: Display, way_out: str = "") -> None:
        self._way_out = way_out
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.interrupted = ""
        """The first signal's name: written by the main thread, read by both."""
        self._display = display
        self._lab: ConfiguredLab | None = None
        self._events: Subscription | None = None
        self._run: Run[Any] | None = None
        self._questions: list[Question] = []
        self._asking: Question | None = None
        self._reading = False
        """Is a thread waiting for a line? It can't be called back, so the line answers what is asked by then."""

    def refuse_if_interrupted(self) -> None:
        """Raise `RunCancelled` if a signal came before the run began; for the working thread."""
        if self.interrupted:
            message = f"nothing was run: {self.interrupted} came first"
            raise RunCancelled(message, reason=self.interrupted)

    def until_end(self) -> Ended:
        """Show what happens, and hear signals, until everything has ended."""
        pause = TICK
        while True:
            message = self._next(pause)
            match message:
                case Opened(lab, events):
                    self._lab, self._events = lab, events
                case Noted(text):
                    self._display.say(text)
                case Began(run):
                    self._run = run
                    self._display.look(run)
                    self._cancel_if_interrupted()
                case Signalled(name, number):
                    self._interrupt(name, number)
                case Typed(text):
                    self._reading = False
                    self._take_answer(text)
                case Ended():
                    self._hear()
                    self._display.look(message.run)
                    return message
                case None:
                    began = time.monotonic()
                    self._hear()
                    self._display.look(self._run)
                    pause = max(
                        TICK, 5 * (time.monotonic() - began)
                    )  # a large picture must not slow down what it shows
                case _:
                    assert_never(message)

    def _next(self, seconds: float) -> Message | None:
        try:
            return self.inbox.get(timeout=seconds)
        except Empty:
            return None

    def _hear(self) -> list[Event]:
        """Pass on the events that have come."""
        heard: list[Event] = []
        while self._events is not None and (event := self._events.get(0)) is not None:
            heard.append(event)
            self._display.event(event)
            if event.kind == "question":
                self._questions.append(event.data["question"])
        self._ask_next()
        return heard

    def _ask_next(self) -> None:
        """Put the oldest question to whoever sits at the terminal; one at a time."""
        self._questions = [question for question in self._questions if not question.over]
        if self._asking is not None:
            if not self._asking.over:
                return
            self._display.say(f"{self._asking.subject} needs no answer any more")
            self._stop_asking()
        if not self._questions:
            return
        self._asking = self._questions[0]
        self._display.stand_aside(aside=True)
        self._display.say(in_question_words(self._asking))
        if not self._reading:
            self._reading = True
            threading.Thread(target=read_answer, args=(self.inbox,), daemon=True).start()

    def _take_answer(self, text: str | None) -> None:
        """Pass an answer on; without a terminal nobody can give one, and the run can't go on."""
        question = self._asking
        if question is None:
            return
        self._stop_asking()
        if text is None:
            if self._run is not None:
                self._run.cancel(f"it asks {question.text!r}, and without a terminal nobody can answer{self._way_out}")
            return
        try:
            question.answer(text)
        except ConfigError as error:
            self._display.say(str(error))
        self._ask_next()

    def _stop_asking(self) -> None:
        self._asking = None
        self._display.stand_aside(aside=False)

    def _cancel_if_interrupted(self) -> None:
        if self.interrupted and self._lab is not None:
            for run in self._lab.runs:
                run.cancel(f"{self.interrupted} came")

    def _interrupt(self, name: str, number: int) -> None:
        self._hear()
        if number > 1:
            self._stop_at_once(name)
        self.interrupted = name
        self._cancel_if_interrupted()
        self._display.say(f"{name}: stopping, and making the devices safe; once more is an emergency stop")

    def _stop_at_once(self, name: str) -> None:
        """Stop in an emergency, and leave the process."""
        leave_at_once(self._lab, name, self._display, self._hear)
