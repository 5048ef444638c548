"""Offer actorlab on the command line: run an experiment, draw it, look at the devices, simulate a bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actorlab.cli.server_commands import add_to

__all__ = ["app"]

# Each command imports what it needs when it is called: `actorlab --help` and a mistyped option are answered at once.

app = typer.Typer(
    help="Orchestrate laboratory instruments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

add_to(app)

Program = Annotated[
    str,
    typer.Argument(
        metavar="FILE[:NAME]",
        help="A Python file, and the workflow, task or function in it that is meant; or a NAME that `tasks` lists.",
    ),
]
LabFile = Annotated[
    Path | None,
    typer.Option("--lab", metavar="FILE", help="The lab's file. Default: lab.yaml beside FILE, or else here."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", "-p", metavar="NAME=VALUE", help="A parameter: text, a,b,c or JSON; or a device's name."
    ),
]
JournalPlace = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PATH|URL",
        help="The journal. Default: the lab's file says, or ACTORLAB_JOURNAL, else journal.db.",
    ),
]
LabOfJournal = Annotated[
    Path | None,
    typer.Option("--lab", metavar="FILE", help="The file of the lab whose journal is meant. Default: lab.yaml here."),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, as `runs` lists it: sweep#3.")]
Reason = Annotated[str, typer.Option(help="What to say to those who ask why.")]
AgainFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="STEP", help="Do this step again, and all that are written after it."),
]
Changed = Annotated[
    bool,
    typer.Option("--changed", help="The workflow has changed: keep the values of steps that are as they were."),
]
AsEvents = Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON; the result is the last.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]
Wait = Annotated[float, typer.Option(min=0, help="Wait at most so many seconds.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]


@app.command()
def run(
    program: Program,
    lab: LabFile = None,
    parameters: Parameters = None,
    journal: JournalPlace = None,
    *,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep nothing of what happens.")] = False,
    json: AsEvents = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run an experiment on the devices of a lab.

    What happens is kept in a journal, beside the lab's file, unless that says otherwise: `actorlab show` tells it.
    Ctrl-C cancels it and waits until the devices are safe; a second one is an emergency stop, a third leaves at once.
    It exits with 0, with 1 if the experiment failed, 2 if it was asked for wrongly, 130 if it was interrupted.
    """
    from actorlab.cli.displays import display_for  # noqa: PLC0415 - see above
    from actorlab.cli.ordering import order  # noqa: PLC0415
    from actorlab.cli.running import carry_out  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        ordered = order(program, lab, parameters or [], journal, no_journal=no_journal)
        display = display_for(json=json, quiet=quiet, debug=debug)
    raise typer.Exit(carry_out(ordered, display))


@app.command()
def graph(
    program: Program,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture's file: .svg, or .mmd for Mermaid.")],
    lab: LabFile = None,
    parameters: Parameters = None,
    *,
    debug: Debug = False,
) -> None:
    """Draw a workflow: what follows what, and why; no device is touched."""
    from actorlab.cli.picturing import picture  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        typer.echo(picture(program, lab, parameters or [], output))


@app.command()
def tasks(
    lab: LabFile = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with the schemas of all parameters.")] = False,
    debug: Debug = False,
) -> None:
    """List the tasks, workflows and classes of devices that are known by name, and what was skipped, and why.

    They are looked for as the lab's file says under `discover`; else in what is installed and in ACTORLAB_PATH.
    """
    from actorlab.cli.cataloguing import list_tasks  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(list_tasks(lab, as_json=json))


@app.command()
def rehearse(
    program: Program,
    lab: LabFile = None,
    parameters: Parameters = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to a file: .svg, .mmd for Mermaid, or .json.")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Let the bodies run, on simulated twins of the devices, in virtual time.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what an experiment would do, and when; no device is touched.

    It exits with 1 if the experiment would not succeed, as far as that is known.
    """
    from rich.console import Console  # noqa: PLC0415 - see above

    from actorlab.cli.rehearsing import exit_code, rehearsed, write_picture  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        found = rehearsed(program, lab, parameters or [], simulate=simulate)
        if output is not None:
            typer.echo(write_picture(found, output))
        else:
            Console(highlight=False).print(found)
    raise typer.Exit(exit_code(found))


@app.command()
def devices(
    lab: LabFile = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show how they stand until Ctrl-C.")] = False,
    debug: Debug = False,
) -> None:
    """Connect each device of a lab, and tell who it says it is."""
    from actorlab.cli.listing import list_devices  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415
    from actorlab.cli.watching import watch_devices  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(watch_devices(lab) if watch else list_devices(lab))


@app.command()
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write. Default: it is printed.")
    ] = None,
    *,
    debug: Debug = False,
) -> None:
    """Describe the keys of a lab's file as a JSON Schema, by which editors complete and check it."""
    from actorlab.cli.describing import write_schema  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        write_schema(output)


@app.command()
def bench(
    time_scale: Annotated[float, typer.Option(help="So many seconds of physics pass in one second.")] = 1.0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    *,
    any_port: Annotated[bool, typer.Option("--any-port", help="Take free ports, and not the standard ones.")] = False,
    debug: Debug = False,
) -> None:
    """Simulate a bench of instruments until Ctrl-C; print their addresses."""
    from actorlab.cli.benching import serve_bench  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        serve_bench(time_scale, host, any_port=any_port)


@app.command()
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


@app.command()
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
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415 - see above
    from actorlab.cli.showing import show_run  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(show_run(reader, find_run(reader, run), output, as_json=json))


@app.command()
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
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(cancel_run(reader, find_run(reader, run), reason, wait))


@app.command()
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
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(pause_run(reader, find_run(reader, run), reason, wait))


@app.command()
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


@app.command()
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


@app.command()
def why(run: RunId, journal: JournalPlace = None, lab: LabOfJournal = None, *, debug: Debug = False) -> None:
    """Say why a run waits; or how it ended, and what it was doing then."""
    from actorlab.cli.asking import why_run  # noqa: PLC0415 - see above
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(why_run(reader, find_run(reader, run)))


@app.command()
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
    from actorlab.cli.kept import find_run, opened_journal  # noqa: PLC0415
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug), opened_journal(journal, lab) as reader:
        raise typer.Exit(export_run(reader, find_run(reader, run), output, reader.folder, overwrite=overwrite))


@app.command()
def doctor(
    journal: JournalPlace = None,
    lab: LabOfJournal = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one finding a line, as JSON.")] = False,
) -> None:
    """Look whether everything is there and well: Python, VISA, the lab's file, the journal, the disk, the extras.

    No instrument is touched, and nothing is waited for without a bound. It exits with 1 if something is wrong.
    """
    from actorlab.cli.checking import check_all  # noqa: PLC0415 - see above

    raise typer.Exit(check_all(journal, lab, as_json=json))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where; it is made.")] = Path(),
    *,
    debug: Debug = False,
) -> None:
    """Begin a lab: lab.yaml, a driver, an experiment, a test; all of it works on simulated instruments."""
    from actorlab.cli.beginning import begin_lab  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        typer.echo(begin_lab(folder))


if __name__ == "__main__":  # `python -m actorlab.cli.main` is the command, too, where scripts aren't on the path
    app(prog_name="actorlab")
