"""Tell people what went wrong, a paragraph each, and what came out."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import typer
from rich.console import Console
from rich.text import Text

from actorlab.errors import ActorLabError
from actorlab.runtime.shown_values import shortened

__all__ = ["FAILED", "INTERRUPTED", "WRONG_USE", "in_words", "paragraphs", "result_text", "tell_error", "wrong_use"]

FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130


@contextmanager
def wrong_use(*, debug: bool) -> Generator[None]:
    """Leave with 2 and a paragraph if a block raises an error of actorlab; with `debug`, with the traceback."""
    try:
        yield
    except ActorLabError as error:
        tell_error(error, debug=debug)
        raise typer.Exit(WRONG_USE) from None


def tell_error(error: BaseException, *, debug: bool = False) -> None:
    """Write an error and its notes to stderr, without a traceback but for `debug`."""
    if debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    first, *others = paragraphs(error)
    console.print(Text.assemble(("error: ", "bold red"), first))
    for other in others:
        console.print(Text(f"  {other}"))


def paragraphs(error: BaseException) -> list[str]:
    """Return an error's message and notes, and those of the errors in a group."""
    told = [in_words(error), *getattr(error, "__notes__", ())]
    if isinstance(error, BaseExceptionGroup):
        members = cast("tuple[BaseException, ...]", error.exceptions)  # pyright: ignore[reportUnknownMemberType]  # narrowed
        told += [paragraph for member in members for paragraph in paragraphs(member)]
    return told


def in_words(error: BaseException) -> str:
    """Say an error's message; those of others need their type to be understood."""
    if isinstance(error, ActorLabError):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return str(error.message)
    said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def result_text(value: Any) -> Text:
    """Return what came out: the fields of a dataclass a line each, so also where things are saved; else the value."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return Text(shortened(value))
    names = [field.name for field in dataclasses.fields(value)]
    width = max(map(len, names), default=0)
    lines = Text()
    for name in names:
        item = getattr(value, name)
        lines.append(f"{name:<{width}}  ", "dim")
        lines.append(shortened(item), "cyan" if isinstance(item, Path) else "")
        lines.append("\n" if name != names[-1] else "")
    return lines
