"""Declare the arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AgainFrom",
    "AsEvents",
    "Changed",
    "Debug",
    "JournalPlace",
    "LabFile",
    "LabOfJournal",
    "Parameters",
    "Program",
    "Quiet",
    "Reason",
    "RunId",
    "Wait",
]

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
