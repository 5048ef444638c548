"""Be the work that a desktop program has done in worker processes: in a module which those can import."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actorlab import emit, progress, task, track

FONTS: list[str] = []
"""What the initializer has loaded into this process."""


class TraceError(Exception):
    """An error of the program's own, which carries more than a text."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line

    def __reduce__(self) -> tuple[type[TraceError], tuple[int]]:
        return type(self), (self.line,)


def load_fonts() -> None:
    """Prepare a process once, so that all work in it finds that done."""
    FONTS.append("sans")


def no_fonts(log: str) -> None:
    """Fail to prepare it, and leave a trace of each attempt."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    message = "no fonts here"
    raise FileNotFoundError(message)


@task(worker="process")
def fonts_and_pid() -> tuple[list[str], int]:
    return list(FONTS), os.getpid()


@task(worker="process")
def count_dark(image: npt.NDArray[np.uint8]) -> int:
    """Compute something of every pixel."""
    dark = 0
    for row in track(list(image), "tracing"):
        dark += int((row < 100).sum())
    return dark


@task(worker="process")
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(worker="process")
def fail() -> None:
    raise TraceError(line=7)


@task(worker="process")
def give(kind: str) -> Any:
    """Return what can't be pickled."""
    return {"lock": threading.Lock(), "generator": (letter for letter in kind)}[kind]


@task(worker="process")
def trace_for_ever(log: str) -> None:
    """Work, and leave a mark at each step."""
    with Path(log).open("a", encoding="utf-8") as file:
        for step in track(range(10**9)):
            file.write(f"{step}\n")
            file.flush()


@task(worker="process")
def spin_for_ever(log: str) -> None:
    """Work as code of a library which knows of no cancellation."""
    step = 0
    with Path(log).open("a", encoding="utf-8") as file:
        while True:
            step += 1
            file.write(f"{step}\n")
            file.flush()


@task(worker="process")
def render(size: int) -> str:
    """Hand memory over to the program, and give it back when the program has said that it has it."""
    memory = SharedMemory(create=True, size=size)
    try:
        np.ndarray(size, np.uint8, memory.buf)[:] = 7
        progress(1, 1, "rendered")
        return str(emit("image", memory.name, acknowledged=20))
    finally:
        memory.close()
        memory.unlink()
