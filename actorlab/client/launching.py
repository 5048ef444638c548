"""Start a lab's server in the background if none runs, stop it, and say how it is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from actorlab.client.address import address_of
from actorlab.client.client import Client
from actorlab.client.connection import Connection
from actorlab.client.record import ServerRecord, log_of, record_of
from actorlab.client.wire import readable
from actorlab.errors import CallTimeout, ConfigError, NotAllowed, ServerUnavailable
from actorlab.locking import only_one

if TYPE_CHECKING:
    from actorlab.client.address import Verify

__all__ = ["ensure_server", "launch", "log_tail", "stop_server"]

PAUSE: Final = 0.05
LOOKING: Final = 5.0
"""A server that runs says within so many seconds that it does."""
LAST: Final = 4000
"""Of a log so many of its last characters are told."""
DETACHED: Final = """
import subprocess, sys
log, *command = sys.argv[1:]
with open(log, "ab") as file:
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, pass_fds=({}))
"""
"""Starts a program and ends, so that it is nobody's child and outlives whoever wanted it."""
monotonic = time.monotonic


class Wanted(NamedTuple):
    """A server that somebody wants."""

    command: list[str]
    folder: Path
    log: Path
    lock: Path
    lab_file: Path | None
    url: str | None


def ensure_server(
    lab: str | Path | Sequence[str] = "lab.yaml",
    *,
    url: str | None = None,
    token: str | None = None,
    verify: Verify = True,
    log: str | Path | None = None,
    timeout: float = 30.0,
) -> Client:
    """Return a client of a lab's server, and start one in the background where none runs; it outlives this program.

    `lab` is a lab's file, or a command that serves one at `url`. What the server says goes into `log`: beside the lab's
    file, lab.server.log. Of several programs that do this at once one starts it, and all get the same. It has `timeout`
    seconds until it answers.

    Raises:
        ConfigError: there is no such file, or a command stands without its url.
        ServerUnavailable: it has ended, or doesn't answer in time; the message has the end of its log.
        NotAllowed: it wants a token, or another one.

    """
    wanted = wanted_of(lab, url, log)
    return Client(ensured(wanted, token, verify, timeout), token=token, verify=verify)


def launch(lab_file: Path, timeout: float) -> tuple[str, Path]:
    """Start a lab's server in the background if none runs; return where it is, and its log."""
    wanted = wanted_of(lab_file, None, None)
    try:
        return ensured(wanted, None, True, timeout), wanted.log
    except NotAllowed:  # it asks for a token, so it is there
        record = record_of(lab_file)
        return "" if record is None else record.url, wanted.log


def ensured(wanted: Wanted, token: str | None, verify: Verify, timeout: float) -> str:
    """Return where a server answers, after starting it if need be."""
    end = monotonic() + timeout
    found = answering(wanted, token, verify, min(LOOKING, timeout))
    if found is not None:
        return found
    try:
        with only_one(wanted.lock, timeout):
            return awaited(wanted, token, verify, end)
    except TimeoutError as error:
        message = f"another program has tried to start the server for more than {timeout:g} s: {error}"
        raise ServerUnavailable(message) from error
    except OSError as error:
        message = f"the server can't be started: {error}"
        raise ServerUnavailable(message) from error


def wanted_of(lab: str | Path | Sequence[str], url: str | None, log: str | Path | None) -> Wanted:
    """Return what is to run."""
    if not isinstance(lab, str | Path):
        if url is None:
            message = "say by url=… where the command serves a lab"
            raise ConfigError(message)
        place = address_of(url)
        written = Path(log) if log is not None else Path(f"server-{place.port}.log")
        lock = written.with_name(f".{written.name}.lock")
        return Wanted([str(part) for part in lab], Path.cwd(), written.resolve(), lock.resolve(), None, url)
    file = Path(lab).resolve()
    if not file.is_file():
        message = f"there is no lab's file {file}"
        raise ConfigError(message)
    command = [sys.executable, "-m", "actorlab.cli.main", "serve", str(file)]
    if url is not None:
        address = address_of(url)
        command += ["--host", address.host, "--port", str(address.port)]
    written = Path(log).resolve() if log is not None else log_of(file)
    return Wanted(command, file.parent, written, file.with_name(f".{file.stem}.server.lock"), file, url)


def answering(wanted: Wanted, token: str | None, verify: Verify, seconds: float) -> str | None:
    """Return where the server is if it answers now. Raises `NotAllowed`."""
    record = record_of(wanted.lab_file) if wanted.lab_file is not None else None
    url = wanted.url if record is None else record.url
    if not url:
        return None
    connection = Connection(url, token, seconds, verify=verify)
    try:
        connection.get("/health")
    except (ServerUnavailable, CallTimeout):
        return None
    finally:
        connection.close()
    return url


def started(wanted: Wanted) -> int | None:
    """Start a server, and return what can be read from when it has ended; None: it isn't known here when."""
    posix = os.name == "posix"
    ended, held = os.pipe() if posix else (None, None)
    program = DETACHED.format("" if held is None else f"{held},")
    try:
        subprocess.run(  # noqa: S603 - the command is what whoever asks for the server wants to run
            [sys.executable, "-I", "-S", "-c", program, str(wanted.log), *wanted.command],
            cwd=wanted.folder, check=True, timeout=LOOKING, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, pass_fds=() if held is None else (held,),
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        if ended is not None:
            os.close(ended)
        said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else str(error)
        message = f"{wanted.command[0]} can't be started in {wanted.folder}: {said.strip()[-LAST:]}"
        raise ServerUnavailable(message) from error
    finally:
        if held is not None:
            os.close(held)
    return ended


def awaited(wanted: Wanted, token: str | None, verify: Verify, end: float) -> str:
    """Wait until the server answers, and return where it is; start it if it isn't there, or was just killed.

    Another program may have started it meanwhile, or somebody did by hand, and it still begins.
    """
    begun, alive = False, None
    try:
        while True:
            runs = wanted.lab_file is not None and record_of(wanted.lab_file) is not None  # or begins: who came first
            ended = alive is not None and readable(alive) and not runs
            found = answering(wanted, token, verify, max(PAUSE, min(LOOKING, end - monotonic())))
            if found is not None:
                return found
            if not begun and not runs:
                begun, alive = True, started(wanted)
            if ended or monotonic() > end:
                how = "has ended" if ended else "doesn't answer in time"
                message = f"the server that was started {how}; its log {wanted.log} ends so:\n{log_tail(wanted.log)}"
                raise ServerUnavailable(message)
            time.sleep(PAUSE)
    finally:
        if alive is not None:
            os.close(alive)


def log_tail(log: Path, characters: int = LAST) -> str:
    """Return the end of a log, or why there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - characters))
            return file.read().decode(errors="replace").rstrip()
    except OSError as error:
        return f"({error})"


def stop_server(lab_file: Path, timeout: float = 30.0) -> ServerRecord | None:
    """End the server of a lab in order, and return how it was served when it has ended; None: it wasn't.

    Raises:
        ConfigError: it runs on another machine.
        TimeoutError: it hasn't ended after so many seconds; it goes on ending.

    """
    record = record_of(lab_file)
    if record is None:
        return None
    if record.host != socket.gethostname():
        message = f"{lab_file} {record}: stop it there"
        raise ConfigError(message)
    end = monotonic() + timeout
    told = 0
    while (now := record_of(lab_file)) is not None:
        if now.pid not in {0, told}:  # before it has said its number, and as it ends, there is none: 0 would be us all
            told = now.pid
            with suppress(ProcessLookupError):
                os.kill(told, signal.SIGTERM)
        if monotonic() > end:
            message = f"{lab_file} {record}; it was told to end, and hasn't after {timeout:g} s: {log_of(lab_file)}"
            raise TimeoutError(message)
        time.sleep(PAUSE)
    return record
