"""Show the runs that the journal knows, also those of other days: search them, and open one."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nicegui import ui

from actorlab.core.run_state import RunState
from actorlab.dashboard.run_facts import clock_words
from actorlab.dashboard.run_look import SIGNS, TONES, state_words
from actorlab.dashboard.run_style import add_style
from actorlab.dashboard.run_tree import link_to_run
from actorlab.dashboard.widgets import button, heading
from actorlab.encoding import only_ours
from actorlab.errors import ActorLabError
from actorlab.rehearsal.words import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorlab.dashboard.page import PageContext
    from actorlab.journal.reader import KeptRun
    from actorlab.runtime.lab import Lab

__all__ = ["Wish", "show_history", "show_kept", "wish_of"]

PAGE: Final = 50
ANY: Final = "any state"
LONGEST: Final = 120
DAY: Final = 86_400.0


class Wish(NamedTuple):
    """Which runs somebody wants to see; times are seconds since 1970."""

    text: str = ""
    state: str | None = None
    since: float | None = None
    until: float | None = None
    with_parts: bool = False
    before: str | None = None


def wish_of(*, text: str, state: str, since: str, until: str, with_parts: bool, before: str | None = None) -> Wish:
    """Read what stands in the fields; days are those of the clock on the wall, the last one included.

    Raises:
        ValueError: a day is none.

    """
    return Wish(
        text.strip()[:LONGEST],
        None if state == ANY else state,
        day_of(since),
        None if (last := day_of(until)) is None else last + DAY,
        with_parts,
        before,
    )


def day_of(text: str) -> float | None:
    """Return the begin of a day in seconds since 1970. Raise `ValueError` if it is none."""
    if not text.strip():
        return None
    try:
        return dt.datetime.strptime(text.strip(), "%Y-%m-%d").astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        message = f"{text!r} is no day: write it as 2026-01-31"
        raise ValueError(message) from error


def found_in(lab: Lab, wish: Wish) -> list[KeptRun]:
    """Return the runs of a journal that somebody wants to see, one more than a page has; for a thread."""
    assert lab.journalling is not None  # noqa: S101 - else nobody could ask
    journal = lab.journalling.journal
    journal.flush()
    with journal.reader(resolve=only_ours) as reader:
        return reader.runs(
            text=wish.text or None, state=wish.state, since=wish.since, until=wish.until, roots=not wish.with_parts,
            limit=PAGE + 1, before=wish.before, brief=True,
        )  # fmt: skip


def show_history(page: PageContext) -> None:
    """Show the runs of the past, or say why there are none."""
    add_style()
    if page.lab.journalling is None:
        with ui.element("section").classes("panel"):
            heading("History", 1)
            ui.label("The lab keeps no journal, so that nothing of the past is known: Lab(journal=…) keeps one.")
        return
    HistoryPanel(page)


class HistoryPanel:
    """The search in one browser."""

    def __init__(self, page: PageContext) -> None:
        self._page = page
        self._pages: list[str] = []
        """The last runs of the pages that were turned over."""
        self._last = ""
        with ui.element("section").classes("panel"):
            heading("History", 1)
            with ui.element("div").classes("row search"):
                props = "dense outlined clearable debounce=300"
                self._text = ui.input("Run, task, error or person").props(props).classes("grow").mark("search")
                states = [ANY, *(state.value for state in RunState)]
                self._state = (
                    ui.select(states, value=ANY, label="State")
                    .props("dense outlined options-dense")
                    .classes("w-select")
                )
                self._since = ui.input("From day", placeholder="2026-01-31").props(props)
                self._until = ui.input("To day", placeholder="2026-01-31").props(props)
                self._parts = ui.switch("with runs inside others")
            self._wrong = ui.label().classes("error-text")
            self._box = ui.element("div").classes("run-tree").mark("history")
            with ui.element("div").classes("row pages"):
                self._newer = button("Newer", self._turn_back, "quiet")
                self._where = ui.label().classes("small muted")
                self._older = button("Older", self._turn_on, "quiet")
        for field in (self._text, self._state, self._since, self._until, self._parts):
            field.on_value_change(self._anew)
        page.watch(lambda _: self.refresh(), kinds={"none"})

    async def refresh(self) -> None:
        """Search, and show what was found."""
        try:
            wish = wish_of(
                text=str(self._text.value or ""), state=str(self._state.value), since=str(self._since.value or ""),
                until=str(self._until.value or ""), with_parts=bool(self._parts.value),
                before=self._pages[-1] if self._pages else None,
            )  # fmt: skip
        except ValueError as error:
            self._wrong.text = str(error)
            return
        self._wrong.text = ""
        try:
            runs = await self._page.look(found_in, self._page.lab, wish)
        except ActorLabError as error:
            self._wrong.text = str(error)
            return
        shown = runs[:PAGE]
        self._box.clear()
        with self._box:
            for run in shown:
                show_kept(run)
            if not shown:
                ui.label("No such runs.").classes("muted")
        self._last = shown[-1].id if shown else ""
        first = PAGE * len(self._pages) + 1
        self._where.text = f"{first:,} to {first + len(shown) - 1:,}" if shown else ""
        self._newer.set_visibility(bool(self._pages))
        self._older.set_visibility(len(runs) > PAGE)

    async def _anew(self) -> None:
        self._pages.clear()
        await self.refresh()

    async def _turn_on(self) -> None:
        self._pages.append(self._last)
        await self.refresh()

    async def _turn_back(self) -> None:
        del self._pages[-1:]
        await self.refresh()


def show_asker(run: KeptRun) -> None:
    """Say who asked for a run."""
    ui.label(run.asker or "").classes("small muted")


def show_kept(run: KeptRun, show_end: Callable[[KeptRun], None] = show_asker) -> None:
    """Show the line of a run, with something of its own at the end."""
    state = RunState(run.state)
    with ui.element("div").classes("run-line kept-line").props('role="listitem"'):
        ui.link(run.id, link_to_run(run.id)).classes("run-title")
        ui.label(f"{SIGNS[state]} {state_words(state)}").classes(f"chip chip-plain chip-{TONES[state]}")
        ui.label(clock_words(run.created)).classes("small muted run-time")
        ui.label(took(run)).classes("small muted run-time")
        wrong = run.error if run.error and state is not RunState.SUCCEEDED else ""
        text = wrong or run.task or run.kind
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        ui.label(text).classes(f"small run-remark {'error-text' if TONES[state] == 'bad' and wrong else 'muted'}")
        show_end(run)


def took(run: KeptRun) -> str:
    """Say how long a run took."""
    if run.started is None:
        return ""
    return in_words(max(0.0, (time.time() if run.ended is None else run.ended) - run.started))
