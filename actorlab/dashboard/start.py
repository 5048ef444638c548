"""Start a task or workflow by a form made of what it takes; rehearse it first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from nicegui import ui

from actorlab.dashboard.fitting import fitting_devices
from actorlab.dashboard.form_view import FormView
from actorlab.dashboard.forms import Form, blamed, form_of
from actorlab.dashboard.placing import placed
from actorlab.dashboard.run_graph import coloured_gantt
from actorlab.dashboard.run_style import add_style
from actorlab.dashboard.run_tree import link_to_run
from actorlab.dashboard.widgets import button, heading
from actorlab.errors import ActorLabError
from actorlab.rehearsal.words import in_words
from actorlab.server.rehearsal_routes import SECONDS, STEPS

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext
    from actorlab.rehearsal.rehearsal import Rehearsal
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run import Run

__all__ = ["show_start"]

MANY: Final = 12
"""From so many tasks on they can be searched."""


async def show_start(page: PageContext) -> None:
    """Show the tasks that the lab knows, and the form of the one that the address names."""
    add_style()
    described = await page.look(descriptions, page.lab)
    chosen = page.query.get("task", "")
    with ui.element("div").classes("side"):
        TaskList(described, chosen)
        if chosen in described:
            StartForm(page, chosen, described[chosen])
        else:
            with ui.element("section").classes("panel"):
                heading("Start a run", 1)
                known = f"The lab knows no task {chosen!r}." if chosen else "Choose a task or workflow."
                none = "The lab knows no tasks by name: lab.register(…) or lab.discover(…) tells it some."
                ui.label(known if described else none).classes("muted")


def descriptions(lab: Lab) -> dict[str, dict[str, Any]]:
    """Describe all tasks; for a thread."""
    return {name: lab.describe_task(name) for name in lab.tasks}


class TaskList:
    """The tasks by name, workflows first."""

    def __init__(self, described: dict[str, dict[str, Any]], chosen: str) -> None:
        self._links: list[tuple[str, ui.link]] = []
        with ui.element("nav").classes("panel").props('aria-label="Tasks"') as nav:
            if len(described) >= MANY:
                search = ui.input("Search").props("dense outlined clearable").classes("wide")
                search.on_value_change(lambda: self._search(str(search.value or "")))
            if chosen in described:
                nav.classes("tasks-beside")
            with ui.element("div").classes("tasks"):
                for name in sorted(described, key=lambda name: (described[name].get("kind") != "workflow", name)):
                    self._show(name, described[name], here=name == chosen)

    def _show(self, name: str, description: dict[str, Any], *, here: bool) -> None:
        with ui.link(target=f"/dashboard/start?task={quote(name, safe='')}").classes("task") as link:
            ui.label(name).classes("heading")
            said = description.get("description") or ""
            ui.label(f"{description.get('kind', 'task')}{f': {said}' if said else ''}").classes("small muted")
        if here:
            link.classes("task-here").props('aria-current="page"')
        self._links.append((f"{name} {said}".lower(), link))

    def _search(self, text: str) -> None:
        for told, link in self._links:
            link.set_visibility(text.lower() in told)


class StartForm:
    """The form of one task in one browser."""

    def __init__(self, page: PageContext, name: str, description: dict[str, Any]) -> None:
        self._page = page
        self._name = name
        self._form: Form = form_of(description["parameters"], partial(fitting_devices, page.lab))
        with ui.element("section").classes("panel"):
            ui.link("All tasks", "/dashboard/start").classes("only-narrow")
            heading(name, 1)
            if description.get("description"):
                ui.label(str(description["description"])).classes("muted")
            if not page.may("operator"):
                ui.label("An operator can start it here.").classes("muted")
                return
            with ui.element("div").classes("form fields"):
                self._view = FormView(self._form)
                if not self._form.fields:
                    ui.label("It takes nothing.").classes("muted")
            self._wrong = ui.label().classes("error-text").mark("start-error")
            self._wrong.set_visibility(False)
            with ui.element("div").classes("row"):
                button("Rehearse", page.acts("operator", f"rehearse {name}", self._rehearse)).mark("rehearse")
                button("Start", page.acts("operator", f"start {name}", self._start), "main").mark("start")
            self._rehearsed = ui.element("div").classes("form").mark("rehearsal")

    def _read(self) -> dict[str, Any] | None:
        self._blame("")
        values = self._view.read()
        if values is None:
            self._blame("Some fields aren't right yet.")
        return values

    def _blame(self, text: str) -> None:
        self._wrong.text = text
        self._wrong.set_visibility(bool(text))

    def _refused(self, error: ActorLabError) -> None:
        """Say at each field what the lab says of it, and the rest below the form."""
        fields = blamed(self._form, str(error))
        self._view.blame(fields)
        self._blame(str(error))

    async def _rehearse(self) -> None:
        values = self._read()
        if values is None:
            return
        try:
            found, picture = await self._page.desk.reckon(rehearsed, self._page.lab, self._name, values)
        except ActorLabError as error:
            self._refused(error)
            return
        self._rehearsed.clear()
        with self._rehearsed:
            show_rehearsal(found, picture)

    async def _start(self) -> None:
        values = self._read()
        if values is None:
            return
        try:
            run = await self._page.call(started, self._page.lab, self._name, values)
        except ActorLabError as error:
            self._refused(error)
            return
        self._page.lab.logger.info("a run is started", run=run.id, by=self._page.who.name)
        ui.navigate.to(link_to_run(run.id))


def started(lab: Lab, name: str, values: dict[str, Any]) -> Run[Any]:
    """Start a task by its name; for a thread."""
    args, kwargs = placed(lab.tasks[name].signature, values)
    return lab.start(name, *args, **kwargs)


def rehearsed(lab: Lab, name: str, values: dict[str, Any]) -> tuple[Rehearsal, str]:
    """Rehearse a task by its name; for a thread."""
    task, args, kwargs = lab.catalogue.call(name, *placed(lab.tasks[name].signature, values))
    found = lab.rehearse.using(steps=STEPS, seconds=SECONDS)(task, *args, **kwargs)
    return found, coloured_gantt(found)


def show_rehearsal(found: Rehearsal, picture: str) -> None:
    """Show what a run would do."""
    low, high = found.interval
    took = f"It takes about {in_words(found.makespan)}"
    took += (
        f", eight times out of ten {in_words(low)} to {in_words(high)}" if high - low > 0.001 * found.makespan else ""
    )
    ui.label(f"{took}." if not found.reason else f"It would end {found.state}: {found.reason}").classes("heading")
    if found.begins > 0:
        ui.label(f"It begins after {in_words(found.begins)}.")
    for conflict in found.conflicts:
        until = "until when isn't known" if conflict.seconds is None else f"for {in_words(conflict.seconds)} more"
        ui.label(f"{conflict.device}: {conflict.by} has it, {until}").classes("small")
    for wrong in found.violations:
        ui.label(f"{wrong.step}: {wrong.why}").classes("error-text")
    for unknown in found.unknown:
        ui.label(unknown).classes("small muted")
    ui.html(picture, sanitize=False).classes("picture")
