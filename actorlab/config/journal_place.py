"""Say where the lab of a file keeps its journal."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from actorlab.config.environment import read_source
from actorlab.config.secret_texts import with_secrets
from actorlab.config.source import Source
from actorlab.errors import ConfigError
from actorlab.hidden import HiddenText

__all__ = ["JOURNAL", "journal_in", "none_for_false", "read_journal_place"]

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


def read_journal_place(path: Path) -> str | None:
    """Return where the lab of a file keeps its journal, if it does; its devices aren't looked at.

    Raises:
        ConfigError: a file can't be read or is no YAML, or this is no path and no URL.

    """
    whole = read_source(path)
    needed = {key: value for key, value in whole.content.items() if key in {"journal", "secrets"}}
    source = with_secrets(replace(whole, content=needed), os.environ)
    said = none_for_false(source.content.get("journal", JOURNAL))
    if not isinstance(said, str | None):
        message = f"{source.spot(('journal',))}: journal: {said!r} is no path and no URL"
        raise ConfigError(message)
    return journal_in(source, said)
