"""Find the journal that is meant: the one named, else that of the lab's file, else the one here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from actorlab.cli.program import lab_file_for
from actorlab.config import JOURNAL, read_journal_place
from actorlab.errors import ConfigError

__all__ = ["VARIABLE", "journal_for_lab", "journal_there"]

VARIABLE: Final = "ACTORLAB_JOURNAL"
"""The environment variable that names a journal for all commands."""


def journal_for_lab(given: str | None, lab: Path | None, configured: str | None) -> str | None:
    """Return where a lab is to keep its journal: as an option says, or a lab's file that is named, or the environment.

    `configured` is what the lab's file says, be it named or found.
    """
    if given is not None:
        return given
    return configured if lab is not None else os.environ.get(VARIABLE) or configured


def journal_there(given: str | None, lab: Path | None) -> str:
    """Return where the journal is that is to be read.

    Raises:
        ConfigError: the lab's file says that none is kept.

    """
    file = None if given is not None else lab_file_for(None, lab)
    configured = JOURNAL if file is None else read_journal_place(file)
    place = journal_for_lab(given, lab, configured)
    if place is None:
        message = f"{file} says that no journal is kept: name one by --journal, or by the variable {VARIABLE}"
        raise ConfigError(message)
    return place
