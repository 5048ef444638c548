"""Say where the lab of a file keeps its journal."""

from __future__ import annotations

from typing import Final

from actorlab.config.source import Source
from actorlab.hidden import HiddenText

__all__ = ["JOURNAL", "journal_in", "none_for_false"]

JOURNAL: Final = "journal.db"
"""Where a journal is kept if nothing is said about it: beside the lab's file, else here."""


def none_for_false(said: object) -> object:
    """Return None for False: both say that there is none."""
    return None if said is False else said


def journal_in(source: Source, said: str | None) -> str | None:
    """Return where the journal is of which a file says this: a path is seen from where it stands."""
    known = source.content.get("journal")
    if isinstance(known, HiddenText):  # what checks the file has made a plain text of it
        said = known
    if said is None or "://" in said:
        return said
    return str(source.beside(("journal",), said))
