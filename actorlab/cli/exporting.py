"""Write the rows that a run has recorded to a file, from its journal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from actorlab.data import Dataset, MovedRows, save
from actorlab.errors import ConfigError
from actorlab.journal import JournalReader, KeptRun
from actorlab.runtime.shown_values import argument_text

__all__ = ["export_run"]


def export_run(reader: JournalReader, run: KeptRun, output: Path, folder: Path | None, *, overwrite: bool) -> int:
    """Write the rows of a run in the format that the file's name says; return 0.

    Raises:
        ConfigError: there are no rows, no such format, the file is there already, or a package is missing.

    """
    rows = reader.rows(run.id)
    if not len(rows):
        message = f"{run.id} has recorded no rows, so there is nothing to export"
        raise ConfigError(message)
    data = Dataset(rows if folder is None else MovedRows(rows, folder), lambda: about(reader, run))
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        if output.suffix.lower() == ".json":
            save_json(reader, run, output, overwrite=overwrite)
        else:
            data.export(output, overwrite=overwrite)
    except FileExistsError as error:
        message = f"{output} is there already: --overwrite replaces it"
        raise ConfigError(message) from error
    except (ValueError, OSError) as error:
        message = f"{run.id} can't be exported to {output}: {error}"
        raise ConfigError(message) from error
    print(f"{output}: {len(rows)} rows of {run.id}")  # noqa: T201 - a command line prints
    return 0


def save_json(reader: JournalReader, run: KeptRun, output: Path, *, overwrite: bool) -> None:
    """Write the columns as `actorlab.data.load` reads them."""
    kept = reader.recorded(run.id)
    content = {"time": kept.times, "step": kept.bodies, "columns": kept.columns, "units": kept.units}
    save(output, content, overwrite=overwrite, **about(reader, run))


def about(reader: JournalReader, run: KeptRun) -> dict[str, Any]:
    """Return what stands with the data."""
    opening = next((each for each in reader.openings() if each.id == run.opening), None)
    told = run.about
    args: Any = told.get("args") or ()
    kwargs: Any = told.get("kwargs") or {}
    return {
        "run": run.id,
        "name": run.name,
        "state": run.state,
        "reason": run.error,
        "began": moment(run.started),
        "ended": moment(run.ended),
        "lab": None if opening is None else opening.lab,
        "devices": list(told.get("devices") or ()),
        "parameters": {
            **{str(number): argument_text(value) for number, value in enumerate(args)},
            **{name: argument_text(value) for name, value in kwargs.items()},
        },
        "actorlab": None if opening is None else opening.about.get("actorlab"),
    }


def moment(at: float | None) -> str | None:
    """Write a time in UTC."""
    return None if at is None else dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
