"""Serve a lab to other programs until somebody ends it, and make tokens for those who may use it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import typer

from actorlab.cli.program import lab_file_for
from actorlab.cli.running import left_by_crash
from actorlab.cli.signals import Signalled, listening
from actorlab.config import ConfiguredLab, lab_from_yaml
from actorlab.errors import ConfigError
from actorlab.server import Role, Server, Tokens, create_token
from actorlab.server.tokens import TOKENS

__all__ = ["new_token", "serve_lab"]

TURN: Final = 0.5
"""A lab that stops itself is noticed within so many seconds."""


def serve_lab(given: Path | None, host: str, port: int, *, dashboard: bool) -> int:
    """Open a lab, serve it until a signal comes, and close both in order; return the exit code."""
    file = lab_of(given)
    tokens = file.parent / TOKENS
    known = Tokens.read(tokens) if tokens.exists() else None
    signals: SimpleQueue[Signalled] = SimpleQueue()
    with listening(signals.put):
        lab = lab_from_yaml(file)
        try:
            if left := left_by_crash(lab):
                typer.echo(left, err=True)
            ask_again(lab)
            with Server(lab, host=host, port=port, tokens=known, dashboard=dashboard) as server:
                typer.echo(f"{lab.name} is served at {server.url}; Ctrl-C ends it")
                typer.echo(f"{until_end(lab, signals)}: the server ends, then the lab", err=True)
        finally:
            ended = lab.close()
    return told_left(lab, str(ended) if ended else "")


def ask_again(lab: ConfiguredLab) -> None:
    """Ask again for the runs that only waited when the lab ended, and say which."""
    try:
        for run in lab.requeue():
            typer.echo(f"{run.id} waits again", err=True)
    except ConfigError as error:
        typer.echo(str(error), err=True)


def until_end(lab: ConfiguredLab, signals: SimpleQueue[Signalled]) -> str:
    """Wait for a signal, or until the lab stops itself, and say which it was."""
    while not lab.ending.over:
        with suppress(Empty):
            return signals.get(timeout=TURN).name
    return "the lab has stopped itself"


def told_left(lab: ConfiguredLab, left: str) -> int:
    """Say what had to be left behind, and return the exit code."""
    if left:
        typer.echo(left, err=True)
    return lab.exit_code


def lab_of(given: Path | None) -> Path:
    """Return the lab's file. Raise `ConfigError` if there is none."""
    file = lab_file_for(None, given)
    if file is None:
        message = "there is no lab.yaml here: name the lab's file"
        raise ConfigError(message)
    return file


def new_token(name: str, role: Role, given: Path | None) -> str:
    """Make a token for somebody, kept as a hash beside the lab's file, and return it."""
    return create_token(lab_of(given).parent / TOKENS, name, role)
