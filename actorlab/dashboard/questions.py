"""Ask the operator at every browser what a run asks, until somebody has answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.widgets import button

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.questions import Question

__all__ = ["show_questions"]

LOOKED_AT: Final = 0.3
"""So many seconds after an answer elsewhere the question is gone here."""


class Asking:
    """The open questions as one browser shows them."""

    def __init__(self, page: PageContext) -> None:
        self._page = page
        self._box = (
            ui.element("div").classes("asked").props('role="region" aria-live="assertive" aria-label="Questions"')
        )
        self._shown: dict[int, ui.element] = {}

    def refresh(self, _: object = None) -> None:
        """Show new questions, and take those away that need no answer any more; it is a look at a dict."""
        waiting = {question.id: question for question in self._page.lab.questions}
        for number in [number for number in self._shown if number not in waiting]:
            self._shown.pop(number).delete()
        with self._box:
            for number, question in waiting.items():
                if number not in self._shown:
                    self._shown[number] = self._asked(question)

    def _asked(self, question: Question) -> ui.element:
        with (
            ui.element("section")
            .classes("panel question")
            .props('role="alertdialog"')
            .mark(f"question-{question.id}") as asked
        ):
            ui.label(f"{question.subject} asks").classes("muted")
            ui.label(question.text).classes("title")
            if not self._page.may("operator"):
                ui.label("An operator has to answer.").classes("muted")
            elif question.choices:
                with ui.element("div").classes("row"):
                    for choice in question.choices:
                        self._choice(question, choice)
            else:
                self._free(question)
        return asked

    def _choice(self, question: Question, choice: str) -> None:
        act = self._page.acts("operator", f"Answer {choice!r}", lambda: self._answer(question, choice))
        button(choice, act, "main").mark(f"answer-{choice}")

    def _free(self, question: Question) -> None:
        with ui.element("div").classes("row"):
            text = ui.input("Answer").props("outlined dense").classes("grow")
            act = self._page.acts("operator", "Answer", lambda: self._answer(question, str(text.value)))
            text.on("keydown.enter", act)
            button("Answer", act, "main").mark("answer")

    def _answer(self, question: Question, text: str) -> None:
        self._page.lab.answer(question.id, text)
        self.refresh()


def show_questions(page: PageContext) -> None:
    """Show what runs ask."""
    asking = Asking(page)
    page.watch(asking.refresh, kinds={"question"})
    page.every(LOOKED_AT, asking.refresh)
