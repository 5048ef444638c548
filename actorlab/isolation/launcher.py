"""Start a process of our own without importing the program there, end it, and know how it ended."""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from _thread import allocate_lock
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final, NamedTuple

from actorlab.errors import ConfigError
from actorlab.isolation.dying import ProcessDied, frames_in, how_it_ended, last_words
from actorlab.isolation.logs import levels
from actorlab.isolation.memory import Slots, anonymous_file
from actorlab.isolation.wire import Wire

__all__ = ["Ending", "OwnProcess", "check_system"]

monotonic = time.monotonic
START: Final = """\
import pickle, sys
with open(int(sys.argv.pop()), "rb") as file:
    start = pickle.load(file)
sys.path[:] = start["path"]
from importlib import import_module
sys.exit(import_module(start["program"]).main(start))
"""
"""The whole program of a process: the lab's `sys.path` comes first, as it says where actorlab is."""
FLAGS: Final = (
    ("isolated", "-I"), ("ignore_environment", "-E"), ("no_user_site", "-s"), ("no_site", "-S"), ("optimize", "-O"),
    ("dont_write_bytecode", "-B"), ("dev_mode", "-Xdev"), ("utf8_mode", "-Xutf8"),
)  # fmt: skip
TICK: Final = 0.01
"""Seconds between two looks at a process where the system can't tell of its end by a descriptor."""


class Ending(NamedTuple):
    """How a process ended, in words, and where it was then, if it crashed."""

    how: str
    stack: str


class OwnProcess:
    """One process, started to run the `main` of a module; all is for any thread, except `close`."""

    def __init__(self, name: str, program: str, needs: Mapping[str, Any]) -> None:
        self.name = name
        with ExitStack() as cleanup:
            outgoing, incoming = Slots.make("actorlab to driver"), Slots.make("actorlab from driver")
            cleanup.callback(outgoing.close)
            cleanup.callback(incoming.close)
            calls, its_calls = socket.socketpair()
            self.side, its_side = socket.socketpair()
            self._dump = appended(anonymous_file("actorlab stack"))
            cleanup.callback(os.close, self._dump)
            for sock in (calls, self.side):
                cleanup.callback(sock.close)
            with its_calls, its_side:
                start = dict(
                    what_each_needs(), **needs, program=program,
                    name=name, calls=its_calls.fileno(), side=its_side.fileno(),
                    outgoing=incoming.fd, incoming=outgoing.fd, dump=self._dump,
                )  # fmt: skip
                told = anonymous_file("actorlab start")  # the shared memory may be needed before this is read
                try:
                    os.write(told, pickle.dumps(start))
                    os.lseek(told, 0, os.SEEK_SET)
                    self._popen = start_process(name, start, told)
                finally:
                    os.close(told)
            cleanup.pop_all()
        self.wire = Wire(calls, outgoing, incoming)
        self.pid = self._popen.pid
        self.end = end_descriptor(self.pid)
        """Readable as soon as the process has ended; None where the system has no such thing."""
        # Who signals the process and who reaps it: in between, its number could go to another process. A mailbox's
        # reader might be stuck in a handler of the program's logging.
        self._reaping = allocate_lock()
        # The dump is emptied, written by the process and read; one looks at a time.
        self._looking = allocate_lock()

    # -- its end

    @property
    def ended(self) -> bool:
        """Tell whether it has ended; if so, it is no zombie."""
        with self._reaping:
            return self._popen.poll() is not None

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most some seconds, and tell whether it has come."""
        end = monotonic() + seconds
        while not self.ended:
            left = end - monotonic()
            if left <= 0:
                return False
            if self.end is None:
                time.sleep(min(left, TICK))
            else:
                waits = select.poll()
                waits.register(self.end, select.POLLIN)
                waits.poll(left * 1000)
        return True

    def kill(self) -> None:
        """End it at once, with the processes that the driver has started, and wake who waits for its answer."""
        with self._reaping:
            if self._popen.poll() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
        self.wire.shutdown()

    def died(self, patience: float = 0.5) -> ProcessDied:
        """Make the error for a call which it can't answer any more; its end may still take a moment."""
        ending = self.ending(patience)
        text = f"the process of {self.name} (pid {self.pid}) {ending.how}"
        return ProcessDied(f"{text}: {ending.stack}" if ending.stack else text, ending.stack)

    def ending(self, patience: float = 0.5) -> Ending:
        """Tell how it has ended; that may still take a moment."""
        self.wait(patience)
        with self._looking:
            return Ending(how_it_ended(self._popen.returncode), last_words(self._read_dump()))

    def close(self) -> None:
        """Give back all that it needed."""
        self.wire.close()
        self.side.close()
        with self._looking:
            os.close(self._dump)
            self._dump = -1
        if self.end is not None:
            os.close(self.end)
            self.end = None

    # -- where it is

    def stack(self, patience: float = 0.5) -> str:
        """Return the driver's frames in its main thread, the most recent call last; it needn't take part in Python."""
        end = monotonic() + patience
        with self._looking:
            if self._dump < 0:
                return ""
            os.ftruncate(self._dump, 0)
            with self._reaping:
                if self._popen.poll() is None:
                    os.kill(self.pid, signal.SIGUSR1)
            while not complete(dump := self._read_dump()) and monotonic() < end:
                time.sleep(TICK / 5)
        return frames_in(dump)

    def _read_dump(self) -> str:
        if self._dump < 0:
            return ""
        return os.pread(self._dump, 1 << 20, 0).decode(errors="replace")


def complete(dump: str) -> bool:
    """Tell whether faulthandler has written the outermost frame, or all that it writes."""
    return dump.endswith(("in <module>\n", "  ...\n", "<no Python frame>\n"))


def check_system(name: str, option: str = "isolation='process'") -> None:
    """Refuse where no such process can be started.

    Raises:
        ConfigError: it says why.

    """
    if os.name != "posix":
        text = f"{name}: {option} needs Linux or macOS; on this system leave it out"
        raise ConfigError(text)
    if not sys.executable or getattr(sys, "frozen", False):
        text = f"{name}: {option} needs a Python interpreter to start, and this program comes without one"
        raise ConfigError(text)


def what_each_needs() -> dict[str, Any]:
    """Return what each process has to know before it can import anything."""
    return {
        "path": sys.path, "parent": os.getpid(), "levels": levels(), "disabled": logging.root.manager.disable,
    }  # fmt: skip


def start_process(name: str, start: dict[str, Any], fd: int) -> subprocess.Popen[bytes]:
    """Start the interpreter: with our warnings and flags, in a session of its own, away from the terminal's signals."""
    flags = [flag for field, flag in FLAGS for _ in range(getattr(sys.flags, field))]
    flags += [f"-W{option}" for option in sys.warnoptions]
    fds = [start[field] for field in ("calls", "side", "outgoing", "incoming", "dump")]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, *flags, "-P", "-c", START, name, str(fd)],
        stdin=subprocess.DEVNULL,
        pass_fds=[*fds, fd],
        start_new_session=True,
    )


def appended(fd: int) -> int:
    """Have all that is written to a file go to its end, also after it was emptied."""
    import fcntl  # noqa: PLC0415 - not everywhere

    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


def end_descriptor(pid: int) -> int | None:
    """Return a descriptor that becomes readable at the end of a process, where the system has it."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None
