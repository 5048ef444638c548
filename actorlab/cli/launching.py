"""Start a lab's server in the background, say how it is, end it, and show its log."""

from __future__ import annotations

from pathlib import Path

import typer

from actorlab.cli.program import lab_file_for
from actorlab.client.launching import launch, log_tail
from actorlab.client.launching import stop_server as stop_it
from actorlab.client.record import log_of, record_of
from actorlab.errors import ConfigError

__all__ = ["file_of", "show_log", "show_status", "start_server", "stop"]

NOT_SERVED = 1
"""The exit code where no server runs, or it doesn't end."""


def start_server(given: Path | None, wait: float) -> int:
    """Start a server if none runs, say where it is, and return the exit code."""
    file = file_of(given)
    url, log = launch(file, wait)
    typer.echo(f"{file} is served at {url}; its log is {log}")
    return 0


def show_status(given: Path | None) -> int:
    """Say how a lab is served, and return the exit code."""
    file = file_of(given)
    record = record_of(file)
    typer.echo(f"{file} {record}" if record is not None else f"{file} isn't served")
    return 0 if record is not None else NOT_SERVED


def stop(given: Path | None, wait: float) -> int:
    """End a server, and return the exit code."""
    file = file_of(given)
    try:
        record = stop_it(file, wait)
    except TimeoutError as error:
        typer.echo(f"error: {error}", err=True)
        return NOT_SERVED
    typer.echo(f"{file} isn't served" if record is None else f"{file} is served no more (process {record.pid})")
    return 0


def show_log(given: Path | None) -> int:
    """Show the end of a log, and return the exit code."""
    log = log_of(file_of(given))
    if not log.exists():
        typer.echo(f"there is no {log}: no server was started in the background", err=True)
        return NOT_SERVED
    typer.echo(log_tail(log, 20_000))
    return 0


def file_of(given: Path | None) -> Path:
    """Return the lab's file. Raise `ConfigError` if there is none."""
    file = lab_file_for(None, given)
    if file is None:
        message = "there is no lab.yaml here: name the lab's file"
        raise ConfigError(message)
    return file.resolve()
