"""Offer actorlab on the command line: run an experiment, draw it, look at the devices, simulate a bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actorlab.cli.journal_commands import add_journal_commands
from actorlab.cli.options import AsEvents, Debug, JournalPlace, LabFile, LabOfJournal, Parameters, Program, Quiet
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


add_journal_commands(app)


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
