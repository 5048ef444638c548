"""Hold the questions to an operator that nobody has answered yet; whoever can reach a person answers them."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from actorlab.errors import ConfigError
from actorlab.kernel import Reply

if TYPE_CHECKING:
    from actorlab.runtime.events import EventLog

__all__ = ["Question", "Questions"]


class Question:
    """One question of a run: `choices` are the answers that it takes, or none: any text."""

    __slots__ = ("asked", "choices", "id", "reply", "subject", "text", "withdrawn")

    def __init__(self, question_id: int, subject: str, text: str, choices: tuple[str, ...]) -> None:
        self.id = question_id
        self.subject = subject
        self.text = text
        self.choices = choices
        self.asked = time.time()
        self.reply: Reply[str] = Reply()
        self.withdrawn = False

    def answer(self, text: str) -> None:
        """Answer it; the first answer counts.

        Raises:
            ConfigError: it isn't among the choices.

        """
        if self.choices and text not in self.choices:
            message = f"{self.text!r} takes {', '.join(self.choices)}, and not {text!r}"
            raise ConfigError(message)
        self.reply.finish(text, None)

    @property
    def over(self) -> bool:
        """Tell whether it needs no answer any more: it has one, or was taken back."""
        return self.withdrawn or self.reply.done()

    def __repr__(self) -> str:
        return f"<question {self.id} of {self.subject}: {self.text!r}>"


class Questions:
    """The open questions of a lab; any thread may ask and answer."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._numbers = itertools.count(1)
        self._open: dict[int, Question] = {}

    def ask(self, subject: str, text: str, choices: tuple[str, ...]) -> Question:
        """Put a question; for the deciding thread."""
        question = Question(next(self._numbers), subject, text, choices)
        self._open[question.id] = question
        question.reply.when_done(lambda _: self._open.pop(question.id, None))
        if self._events.heard:
            data: dict[str, Any] = {"question": question, "id": question.id, "text": text, "choices": choices}
            self._events.tell(subject, "question", data)
        return question

    def open(self) -> tuple[Question, ...]:
        """Return the questions that wait for an answer, the oldest first."""
        return (*self._open.values(),)

    def withdraw(self, question: Question) -> None:
        """Take a question back, as nobody waits for the answer any more."""
        question.withdrawn = True
        self._open.pop(question.id, None)

    def answer(self, question_id: int, text: str) -> None:
        """Answer a question.

        Raises:
            ConfigError: there is no such question, or the answer isn't among its choices.

        """
        question = self._open.get(question_id)
        if question is None:
            have = ", ".join(f"{other.id} ({other.text!r})" for other in self.open()) or "none"
            message = f"question {question_id} waits for no answer; open questions: {have}"
            raise ConfigError(message)
        question.answer(text)
