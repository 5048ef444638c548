"""Show the parameters which a run's bodies have declared, and set them while it goes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.form_view import FormView
from actorlab.dashboard.forms import Form, form_of, no_devices
from actorlab.dashboard.widgets import button, heading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.lab import Lab

__all__ = ["ParametersBox", "form_for"]

TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class ParametersBox:
    """The parameters of one run in one browser; what somebody is writing isn't overwritten."""

    def __init__(self, page: PageContext, run_id: str) -> None:
        self._page = page
        self._run_id = run_id
        self._shown: dict[str, Any] | None = None
        self._view: FormView | None = None
        with ui.element("section").classes("panel") as self._box:
            heading("Parameters")
            self._fields = ui.element("div").classes("form fields").mark("parameters")

    def show(self, values: Mapping[str, Any]) -> None:
        """Show the present values."""
        self._box.set_visibility(bool(values))
        if dict(values) == self._shown:
            return
        self._shown = dict(values)
        self._fields.clear()
        with self._fields:
            if not self._page.may("operator"):
                for name, value in values.items():
                    ui.label(f"{name}: {value}")
                return
            self._view = FormView(form_for(values))
            with ui.element("div").classes("row"):
                button("Set", self._page.acts("operator", f"set parameters of {self._run_id}", self._set)).mark("set")

    async def _set(self) -> None:
        filled = None if self._view is None else self._view.read()
        if not filled:
            return
        self._page.lab.logger.info("parameters are set", run=self._run_id, by=self._page.who.name, **filled)
        await self._page.look(partial(set_parameters, self._page.lab, self._run_id, filled))
        self._page.tell(f"{self._run_id}: {', '.join(filled)} set", "positive")


def set_parameters(lab: Lab, run_id: str, values: Mapping[str, Any]) -> None:
    """Set parameters of a run."""
    lab.get(run_id).set(**values)


def form_for(values: Mapping[str, Any]) -> Form:
    """Return a form for values as they are; those of no type of JSON are written as JSON or text."""
    properties: dict[str, Any] = {}
    for name, value in values.items():
        kind = TYPES.get(type(value))
        properties[name] = {} if kind is None else {"default": value, "type": kind}
    return form_of({"properties": properties, "additionalProperties": False}, no_devices)
