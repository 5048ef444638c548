"""Call a method of a device by a form, and show what it returns, or what is wrong, in place."""

from __future__ import annotations

import inspect
import json
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from actorlab.dashboard.fitting import fitting_devices
from actorlab.dashboard.form_view import FormView
from actorlab.dashboard.forms import form_of
from actorlab.dashboard.widgets import button, fold, select
from actorlab.errors import text_of
from actorlab.quantities.hints import signature_of
from actorlab.server.telling import plain

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext

__all__ = ["DeviceCall"]

LONGEST: Final = 2000


class DeviceCall:
    """The fold of a device's card in which its methods are called, and its attributes read and set."""

    def __init__(self, page: PageContext, name: str, description: dict[str, Any]) -> None:
        self._page = page
        self._name = name
        members = sorted(description["members"].items(), key=lambda found: found[1]["kind"] != "method")
        lifecycle = {hook for name, hook in description["hooks"].items() if name != "make_safe"}  # those have buttons
        self._members: dict[str, dict[str, Any]] = {
            member: told
            for member, told in members
            if told["kind"] in {"method", "attribute"} and member not in lifecycle and not member.isupper()
        }
        self._view: FormView | None = None
        fold("Call a method", self._fill).mark(f"calls-{name}")

    def _fill(self) -> None:
        labels = {member: label_of(member, told) for member, told in self._members.items()}
        self._choice = select(labels, "Method or attribute").classes("wide").mark(f"member-{self._name}")
        self._box = ui.element("div").classes("form")
        self._answer = ui.label().classes("answer").props('role="status"').mark(f"answer-{self._name}")
        self._answer.set_visibility(False)
        self._choice.on_value_change(self._show_form)

    def _show_form(self) -> None:
        member = self._choice.value
        self._box.clear()
        self._answer.set_visibility(False)
        self._view = None
        if member is None:
            return
        told = self._members[member]
        with self._box:
            if told["doc"]:
                ui.label(told["doc"]).classes("muted small")
            if told["kind"] == "method":
                self._view = FormView(
                    form_of(told["parameters"], lambda wanted: fitting_devices(self._page.lab, wanted))
                )
                self._button("Call", lambda: self._call(member))
            else:
                self._show_attribute(member, told)

    def _show_attribute(self, member: str, told: dict[str, Any]) -> None:
        if told["writable"]:
            schema = {"type": "object", "properties": {"value": told["schema"]}, "required": ["value"]}
            self._view = FormView(form_of(schema, lambda wanted: fitting_devices(self._page.lab, wanted)))
        with ui.element("div").classes("row"):
            if told["writable"]:
                self._button("Set", lambda: self._set(member))
            if told["readable"]:
                self._button("Read", lambda: self._carry_out(member, read_attribute, None))

    def _button(self, what: str, handler: Any) -> None:
        act = self._page.acts("operator", f"{what} {self._name}.{self._choice.value}", handler)
        button(what, act, "main" if what != "Read" else "plain").classes("self-start").mark(
            f"{what.lower()}-{self._name}"
        )

    async def _call(self, member: str) -> None:
        values = self._view.read() if self._view is not None else {}
        if values is not None:
            await self._carry_out(member, call_method, values)

    async def _set(self, member: str) -> None:
        values = self._view.read() if self._view is not None else None
        if values is not None:
            await self._carry_out(member, set_attribute, values["value"])

    async def _carry_out(self, member: str, use: Any, values: Any) -> None:
        self._say("…", "muted")
        began = time.monotonic()
        try:
            found = await self._page.call(use, self._page.lab, self._name, member, values)
        except Exception as error:  # noqa: BLE001 - the boundary to a driver: its author's own errors are shown here
            self._say(text_of(error), "error-text")
        else:
            self._say(f"{found}  ({1000 * (time.monotonic() - began):.0f} ms)", "")

    def _say(self, text: str, tone: str) -> None:
        self._answer.text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        self._answer.classes(replace=f"answer mono {tone}")
        self._answer.set_visibility(True)


def label_of(member: str, told: dict[str, Any]) -> str:
    """Say what a member is."""
    if told["kind"] == "attribute":
        return f"{member} (attribute)"
    return f"{member}()" if not told["query"] else f"{member}(), a query"


# -- in a thread, as these may wait for the device


def call_method(lab: Any, name: str, member: str, values: dict[str, Any]) -> str:
    """Call a method, and write down what it returns."""
    static = inspect.getattr_static(lab.cells[name].cls, member, None)
    signature = signature_of(static, lab.cells[name].cls)
    hints = {} if signature is None else {item.name: item.annotation for item in signature.parameters.values()}
    kwargs = {given: as_member(hints.get(given), value) for given, value in values.items()}
    return written(getattr(lab.device(name), member)(**kwargs))


def as_member(hint: Any, value: Any) -> Any:
    """Return the member of an enum that a form names, and anything else as it is."""
    if not (isinstance(hint, type) and issubclass(hint, Enum)):
        return value
    return next((member for member in hint if value in {member.value, member.name}), value)


def read_attribute(lab: Any, name: str, member: str, _: None) -> str:
    """Read an attribute, and write it down."""
    return written(getattr(lab.device(name), member))


def set_attribute(lab: Any, name: str, member: str, value: Any) -> str:
    """Set an attribute."""
    setattr(lab.device(name), member, value)
    return "set"


def written(value: Any) -> str:
    """Write what a device returned."""
    if value is None:
        return "done"
    told = plain(value)
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
