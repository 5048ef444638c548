"""Put a form on a page, and read what is filled in; what is wrong is said at its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from nicegui import ui

from actorlab.dashboard.form_kinds import (
    Anything,
    Choice,
    DeviceChoice,
    Either,
    Flag,
    Listed,
    Number,
    Words,
    choice_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actorlab.dashboard.form_kinds import Raw
    from actorlab.dashboard.forms import Field, Form

__all__ = ["FormView"]

Widget: TypeAlias = ui.input | ui.textarea | ui.select | ui.switch


class FormView:
    """The fields of a form, in the element in which it is made.

    It is used on the event loop: `read` waits for nothing.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._widgets: dict[str, Widget] = {field.name: widget_of(field) for field in form.fields}

    def read(self) -> dict[str, Any] | None:
        """Return the values, or None if something is wrong; each field says what."""
        filled = self._form.read({name: widget.value for name, widget in self._widgets.items()})
        self.blame(filled.errors)
        return None if filled.errors else filled.values

    def blame(self, errors: Mapping[str, str]) -> None:
        """Say at each field what is wrong with it, or nothing."""
        for name, widget in self._widgets.items():
            if not isinstance(widget, ui.switch):
                widget.error = errors.get(name)

    def fill(self, raws: Mapping[str, Raw]) -> None:
        """Fill in some fields."""
        for name, raw in raws.items():
            widget: Any = self._widgets.get(name)
            if widget is not None:
                widget.set_value(raw)


def widget_of(field: Field) -> Widget:
    """Make the element of a field in the present one."""
    made = made_for(field)
    made.mark(f"field-{field.name}")
    made.props(f'data-field="{field.name}"')
    if field.help:
        if isinstance(made, ui.switch):
            made.tooltip(field.help)
        else:
            made.props["hint"] = field.help
    return made


def made_for(field: Field) -> Widget:
    """Make the element that suits what a field takes."""
    match field.kind:
        case Flag():
            return ui.switch(field.label, value=bool(field.initial))
        case Choice():
            texts = [choice_text(value) for value in field.kind.values]
            return select_of(field, texts)
        case DeviceChoice():
            return select_of(field, list(field.kind.names))
        case Anything():
            made = ui.textarea(field.label, value=text_in(field), placeholder=field.kind.example)
            return made.props('autogrow input-class="font-mono" spellcheck=false').classes("wide")
        case Number():
            mode = "numeric" if field.kind.whole else "decimal"
            return text_field(field).props(f"inputmode={mode}")
        case Words() | Listed() | Either():
            return text_field(field)
        case _:
            assert_never(field.kind)


def text_field(field: Field) -> ui.input:
    """Make a line of text."""
    return ui.input(field.label, value=text_in(field)).props("autocomplete=off spellcheck=false").classes("wide")


def text_in(field: Field) -> str:
    """Return what a line of text holds at first."""
    return field.initial if isinstance(field.initial, str) else ""


def select_of(field: Field, texts: list[str]) -> ui.select:
    """Make a list to choose from."""
    several = isinstance(field.kind, DeviceChoice) and field.kind.several
    initial = field.initial if field.initial in texts or several else None
    made = ui.select(texts, label=field.label, value=initial, multiple=several, clearable=not field.required)
    return made.props("use-chips" if several else "").classes("wide")
