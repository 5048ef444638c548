"""Serve a lab to other programs until somebody ends it, and make tokens for those who may use it."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

import typer

from actorlab.cli.launching import file_of
from actorlab.cli.running import left_by_crash
from actorlab.cli.serve_ending import end_served
from actorlab.cli.signals import Signalled, listening
from actorlab.client.record import recorded
from actorlab.config import ConfiguredLab, lab_from_yaml
from actorlab.config.reading import read_server_section
from actorlab.errors import ConfigError
from actorlab.server import Role, Server, Tokens, create_token, list_tokens, revoke_token
from actorlab.server.doors import certified, listening_at, refuse_open_door

__all__ = ["new_token", "revoke", "serve_lab", "tokens_of"]

EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - it is only recognised
"""A server at one of these answers at every address of its machine."""
TURN: Final = 0.5
"""A lab that stops itself is noticed within so many seconds."""


def serve_lab(given: Path | None, said: dict[str, Any], *, dashboard: bool) -> int:
    """Open a lab, serve it until a signal comes, and close both in order; return the exit code.

    What `said` doesn't say stands in the lab's file. The port is taken, and all else looked at, before any device is.
    """
    file = file_of(given)
    doors = doors_of(file, said)
    signals: SimpleQueue[Signalled] = SimpleQueue()
    with (
        listening(signals.put),
        recorded(file) as tell,
        closing(listening_at(doors["host"], doors["port"])) as taken,
    ):
        lab = lab_from_yaml(file)
        try:
            if left := left_by_crash(lab):
                typer.echo(left, err=True)
            ask_again(lab)
            with Server(lab, **doors, listening=taken, dashboard=dashboard) as server:
                tell(server.url)
                typer.echo(f"{lab.name} is served at {places_of(server.url)}; Ctrl-C ends it")
                end_served(lab, server, signals, until_end(lab, signals))
        finally:
            ended = lab.close()
    return told_left(lab, str(ended) if ended else "")


def places_of(url: str) -> str:
    """Return where a server is, also for other machines if it answers at every address of this one."""
    host = urlsplit(url).hostname or ""
    if host not in EVERYWHERE:
        return url
    shown = f"[{host}]" if ":" in host else host
    return f"{url}, for other machines {url.replace(shown, socket.gethostname(), 1)}"


def doors_of(file: Path, said: dict[str, Any]) -> dict[str, Any]:
    """Return what `Server` takes, from the command line over the lab's file. Raise `ConfigError` if it is wrong."""
    section = read_server_section(file)
    tokens = Path(section.tokens)
    tls = {} if section.tls is None or "certificate" in said else section.tls.model_dump()
    doors: dict[str, Any] = {
        "host": section.host, "port": section.port, "origins": section.origins, **tls, **said,
        "tokens": Tokens.read(tokens) if tokens.exists() else None,
    }  # fmt: skip
    refuse_open_door(doors["host"], doors["tokens"], doors["origins"])
    certified(doors.get("certificate"), doors.get("key"))
    return doors


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


def new_token(name: str, role: Role, given: Path | None) -> tuple[str, bool]:
    """Make a token for somebody, kept as a hash; return it, and whether it is the first one."""
    file = tokens_file(given)
    first = not file.exists()
    return create_token(file, name, role), first


def tokens_of(given: Path | None) -> list[dict[str, str]]:
    """Return who has a token."""
    return list_tokens(tokens_file(given))


def revoke(name: str, given: Path | None) -> None:
    """Take somebody's token away."""
    revoke_token(tokens_file(given), name)


def tokens_file(given: Path | None) -> Path:
    """Return where the tokens of a lab are kept."""
    return Path(read_server_section(file_of(given)).tokens)
