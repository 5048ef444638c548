"""Make the small things that all panels use, so that they look and behave alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, TypeAlias

from nicegui import ui

__all__ = ["Fact", "Kind", "button", "fact", "fold", "heading", "select", "show_text"]

Kind: TypeAlias = Literal["plain", "main", "quiet", "danger"]


def button(text: str, handler: Callable[..., Awaitable[None] | object], kind: Kind = "plain") -> ui.button:
    """Show a button: the main thing to do here, one of several, one that is rarely needed, or a dangerous one."""
    made = ui.button(text, on_click=handler, color=None)
    return made.props("no-caps unelevated no-wrap").classes(f"button button-{kind}")


def fold(title: str, fill: Callable[[], object]) -> ui.expansion:
    """Show a title under which something is folded away; it is made when somebody opens it first."""
    made = ui.expansion(title).props("dense").classes("fold")
    filled: list[bool] = []

    def opened() -> None:
        if not filled:
            filled.append(True)
            with made:
                fill()

    made.on_value_change(opened)
    return made


def heading(text: str, level: int = 2) -> ui.label:
    """Show the title of a part of the page, also to those who hear it."""
    return ui.label(text).classes("title").props(f'role="heading" aria-level="{level}"')


class Fact(NamedTuple):
    """A name with a text beside it."""

    name: ui.element
    value: ui.element
    text: ui.label

    def show(self, text: str) -> None:
        """Show a text, or nothing at all."""
        self.text.text = text
        self.name.set_visibility(bool(text))
        self.value.set_visibility(bool(text))


def fact(name: str, classes: str = "") -> Fact:
    """Show a name with a text beside it; in an element ``dl`` of the class ``facts``."""
    with ui.element("dt") as title:
        ui.label(name)
    with ui.element("dd") as value:
        return Fact(title, value, ui.label().classes(classes))


def select(options: dict[str, str] | list[str], label: str, *, value: str | None = None) -> ui.select:
    """Show a choice."""
    return ui.select(options, label=label, value=value).props("dense outlined options-dense")


def show_text(label: ui.label, text: str) -> None:
    """Show a text, or nothing at all."""
    label.text = text
    label.set_visibility(bool(text))
