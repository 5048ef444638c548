"""Offer on the command line what concerns a journal: look at its runs, steer them, go on with them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actorlab.cli.options import (
    AgainFrom,
    AsEvents,
    Changed,
    Debug,
    JournalPlace,
    LabOfJournal,
    Quiet,
    Reason,
    RunId,
    Wait,
)

if TYPE_CHECKING:
    from actorlab.journal import JournalReader, KeptRun

__all__ = ["add_journal_commands"]

# Each command imports what it needs when it is called, as in `main`.


def add_journal_commands(app: typer.Typer) -> None:
    """Add the commands, in the order in which they are listed."""
    for command in (runs, show, cancel, pause, resume, retry, why, export):
        app.command()(command)


@contextmanager
def kept_run(
    run: str, journal: str | None, lab: Path | None, *, debug: bool
) -> Generator[tuple[JournalReader, KeptRun]]:
    """Open a journal and find a run in it; whatever is wrong is told, and the command left, as by `wrong_use`."""
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        yield reader, find_run(reader, run)


def runs(
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    states: Annotated[list[str] | None, typer.Option("--state", help="Only those in this state.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those since then: 2h, 3d, 2026-11-20.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 20,
    *,
    children: Annotated[bool, typer.Option("--all", help="Also those that other runs have started.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one run a line, as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """List the runs in a journal, the latest first."""
    from actorlab.cli.kept import opened_journal  # noqa: PLC0415 - see above
    from actorlab.cli.runs_table import Wanted, list_runs  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(list_runs(reader, Wanted(states or (), since, name, limit, children), as_json=json))


def show(
    run: RunId,
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Draw what was done when, as .svg.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Show what a run did: its steps, when and by whom, its devices, its errors, its data."""
    from actorlab.cli.showing import show_run  # noqa: PLC0415 - see above

    with kept_run(run, journal, lab, debug=debug) as (reader, kept):
        raise typer.Exit(show_run(reader, kept, output, as_json=json))


def cancel(
    run: RunId,
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    reason: Reason = "",
    wait: Wait = 10.0,
    *,
    debug: Debug = False,
) -> None:
    """Cancel a run of a lab in another process, and wait for its end.

    It exits with 1 if it has not ended by then.
    """
    from actorlab.cli.asking import cancel_run  # noqa: PLC0415 - see above

    with kept_run(run, journal, lab, debug=debug) as (reader, kept):
        raise typer.Exit(cancel_run(reader, kept, reason, wait))


def pause(
    run: RunId,
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    reason: Reason = "",
    wait: Wait = 10.0,
    *,
    debug: Debug = False,
) -> None:
    """Let a run of a lab in another process stand still; `resume` lets it go on. It keeps its devices.

    It exits with 1 if it doesn't stand by then.
    """
    from actorlab.cli.asking import pause_run  # noqa: PLC0415 - see above

    with kept_run(run, journal, lab, debug=debug) as (reader, kept):
        raise typer.Exit(pause_run(reader, kept, reason, wait))


def resume(
    run: RunId,
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            metavar="STEP=WORD",
            help="What would be asked: redo, skip or abort of a step; go-on, again, all-again or abort of devices.",
        ),
    ] = None,
    again_from: AgainFrom = None,
    *,
    changed: Changed = False,
    json: AsEvents = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Let a paused run go on, or go on with one that was interrupted.

    If no lab runs, this opens the lab, and goes on until the end of the run, as `run` does.
    """
    from actorlab.cli.displays import display_for  # noqa: PLC0415 - see above
    from actorlab.cli.resuming import Wish, go_on, read_answers  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        wish = Wish(run, read_answers(answers or []), again_from, changed=changed)
        raise typer.Exit(go_on(wish, journal, lab, display_for(json=json, quiet=quiet, debug=debug)))


def retry(
    run: RunId,
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    again_from: AgainFrom = None,
    *,
    changed: Changed = False,
    json: AsEvents = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Do again what failed in a run, or was cut off; the steps that had finished are kept, and nobody is asked.

    If no lab runs, this opens the lab, and goes on until the end of the run, as `run` does.
    """
    from actorlab.cli.displays import display_for  # noqa: PLC0415 - see above
    from actorlab.cli.resuming import Wish, go_on  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        wish = Wish(run, {}, again_from, changed=changed, insists=True)
        raise typer.Exit(go_on(wish, journal, lab, display_for(json=json, quiet=quiet, debug=debug)))


def why(run: RunId, journal: JournalPlace = None, lab: LabOfJournal = None, *, debug: Debug = False) -> None:
    """Say why a run waits; or how it ended, and what it was doing then."""
    from actorlab.cli.asking import why_run  # noqa: PLC0415 - see above

    with kept_run(run, journal, lab, debug=debug) as (reader, kept):
        raise typer.Exit(why_run(reader, kept))


def export(
    run: RunId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file: .csv, .h5, .nc, .zarr or .json.")],
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file, if there is one.")] = False,
    debug: Debug = False,
) -> None:
    """Write the rows that a run has recorded so far to a file."""
    from actorlab.cli.exporting import export_run  # noqa: PLC0415 - see above

    with kept_run(run, journal, lab, debug=debug) as (reader, kept):
        raise typer.Exit(export_run(reader, kept, output, reader.folder, overwrite=overwrite))
