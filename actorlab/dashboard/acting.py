"""Steer a run from a page: ask for the reason, check who asks, and tell what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from actorlab.dashboard.widgets import button
from actorlab.errors import ActorLabError, ConfigError, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actorlab.dashboard.page import PageContext
    from actorlab.dashboard.run_look import Act
    from actorlab.runtime.lab import Lab

__all__ = ["Acting"]

WORDS: Final[dict[Act, tuple[str, str, str]]] = {
    "cancel": ("Cancel", "It is cancelled when its work has stopped and its devices are safe.", "is to be cancelled"),
    "pause": ("Pause", "It stands still at its next checkpoint, and keeps its devices.", "is to pause"),
    "resume": ("Go on", "", "goes on"),
    "retry": ("Try again", "What had succeeded is kept; the rest is done again.", "is tried again"),
}
"""For each: the button, what it means, and what is told when it was asked for."""


class Acting:
    """The buttons that steer runs, on one page; without the right to that there are none."""

    def __init__(self, page: PageContext, refused: Callable[[str], None] | None = None) -> None:
        """Steer runs from `page`; it calls `refused(why)` to show in place why one can't go on, and "" before."""
        self._page = page
        self._refused = refused

    @property
    def act(self) -> Callable[[Act, str], Awaitable[None]] | None:
        """Return what a button of a run calls, or None."""
        return self.ask if self._page.may("operator") else None

    async def ask(self, what: Act, run: str) -> None:
        """Ask for the reason, then act; to go on needs none."""
        title, meaning, _ = WORDS[what]
        if what == "resume":
            await self._acts(what, run, lambda: "")()
            return
        with ui.dialog() as dialog, ui.card().classes("dialog").props("flat bordered"):
            ui.label(f"{title} {run}?").classes("title").props('role="heading" aria-level="2"')
            ui.label(meaning).classes("muted")
            why = ui.input("Reason (for the journal)").props("autofocus autocomplete=off maxlength=500").classes("wide")
            why.mark("reason")
            with ui.element("div").classes("row end"):
                button("Leave it", dialog.close, "quiet")
                act = self._acts(what, run, lambda: str(why.value or "").strip(), dialog.close)
                button(title, act, "danger" if what == "cancel" else "main").mark("confirm")
                why.on("keydown.enter", act)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _acts(
        self, what: Act, run: str, reason: Callable[[], str], then: Callable[[], object] = lambda: None
    ) -> Callable[[], Awaitable[None]]:
        async def do() -> None:
            said = reason()
            then()
            by = f"{said} ({self._page.who.name})" if said else f"by {self._page.who.name}"
            self._page.lab.logger.info("somebody steers a run", what=what, run=run, by=self._page.who.name, reason=said)
            if await self._do(what, run, by):
                self._page.tell(f"{run} {WORDS[what][2]}")

        return self._page.acts("operator", f"{WORDS[what][0].lower()} {run}", do)

    async def _do(self, what: Act, run: str, by: str) -> bool:
        """Do it, and tell whether that went well; if not, and nobody shows it in place, raise what was wrong."""
        page, lab = self._page, self._page.lab
        refused = self._refused
        if refused is not None:
            refused("")
        try:
            if what == "retry":
                await page.call(lab.retry, run)
            elif what == "resume" and await page.look(has_ended, lab, run):
                await page.call(lab.resume, run)
            else:
                await page.look(steer, lab, what, run, by)
        except ActorLabError as error:
            if refused is None:
                raise
            refused(f"{run}: {text_of(error)}")
            return False
        return True


def has_ended(lab: Lab, run_id: str) -> bool:
    """Tell whether a run isn't under way in this lab, so that only its journal can tell how to go on."""
    return all(run.done() for run in lab.runs if run.id == run_id)


def steer(lab: Lab, what: Act, run_id: str, reason: str) -> None:
    """Ask a run for something. Raise `ConfigError` if there is none of this id, or it has ended."""
    run = lab.get(run_id)
    if run.done():
        message = f"{run_id} has ended: it is {run.state}"
        raise ConfigError(message)
    match what:
        case "cancel":
            run.cancel(reason)
        case "pause":
            run.pause(reason)
        case _:
            run.resume()
