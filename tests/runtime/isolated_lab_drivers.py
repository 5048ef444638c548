"""Be the drivers that a lab puts into processes of their own; in a module which those processes can import."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import actorlab
from actorlab import query

Image = npt.NDArray[np.uint16]


class Channel:
    """A part."""

    def __init__(self) -> None:
        self._volts = 0.0

    def set(self, volts: float) -> None:
        self._volts = volts

    @query
    def volts(self) -> float:
        return self._volts


class Rig:
    """Do what drivers do, and what they shouldn't; what is done to it is written into a file, line by line."""

    def __init__(self, marks: str) -> None:
        self._marks = Path(marks)
        self._level = 0.0
        self.channels = {1: Channel(), 2: Channel()}
        self.first = self.channels[1]
        self.serial = "R1"
        self.mark("made")

    def mark(self, text: str) -> None:
        with self._marks.open("a") as file:
            file.write(f"{text}\n")

    def connect(self) -> None:
        self.mark("connect")

    def make_safe(self) -> None:
        self.mark("make_safe")

    def disconnect(self) -> None:
        self.mark("disconnect")

    # what it is for

    @property
    def level(self) -> float:
        return self._level

    @level.setter
    def level(self, level: float) -> None:
        self._level = level

    def add(self, first: Any, second: Any = 0) -> Any:
        return first + second

    def channel(self, number: int) -> Channel:
        return self.channels[number]

    def scan(self, count: int) -> Iterator[int]:
        yield from range(count)

    @query
    def pid(self) -> int:
        return os.getpid()

    @query
    def note(self) -> None:
        self.mark("noted")

    @query
    def done(self) -> list[str]:
        return self._marks.read_text().splitlines()

    def frame(self, mebibytes: float) -> Image:
        return np.full(int(mebibytes * 2**19), 7, np.uint16)

    def emptied(self, image: Image) -> float:
        """Write into an argument."""
        total = float(image.sum())
        image[:] = 0
        return total

    def say(self, text: str) -> None:
        logging.getLogger("rigs.mine").warning(text)

    # waiting

    def nap(self, seconds: float) -> str:
        self.mark("nap")
        actorlab.sleep(seconds)
        return "rested"

    def nap_in_exchange(self, seconds: float) -> None:
        with actorlab.exchange():
            self.mark("exchange")
            actorlab.sleep(seconds)

    def hang(self) -> None:
        self.mark("hang")
        threading.Event().wait()

    @query
    def stuck(self) -> None:
        self.mark("stuck")
        threading.Event().wait()

    # failing

    def fail(self, text: str) -> None:
        raise ValueError(text)

    def lose_the_link(self) -> None:
        msg = "the other side is gone"
        raise ConnectionResetError(msg)

    def leave(self) -> None:
        raise SystemExit(3)

    # dying

    def crash(self) -> None:
        ctypes.string_at(0)

    @query
    def crashing(self) -> None:
        ctypes.string_at(0)

    def exit(self, code: int) -> None:
        os._exit(code)

    def hold_the_gil(self) -> None:
        """Search for hours, in C, without ever letting another thread run."""
        self.mark("hold")
        re.match(r"(a+)+$", "a" * 60 + "b")


class Stoppable(Rig):
    """The same with hooks that end a call and bring the instrument back into step."""

    def __init__(self, marks: str) -> None:
        super().__init__(marks)
        self._ended = threading.Event()

    def hang(self) -> None:
        self.mark("hang")
        self._ended.wait()
        msg = "it was told to end"
        raise InterruptedError(msg)

    def interrupt(self) -> None:
        self.mark("interrupt")
        self._ended.set()

    def resync(self) -> None:
        self.mark("resync")
        self._ended.clear()


class Unstoppable(Rig):
    """A driver whose hook for ending a call does nothing."""

    def interrupt(self) -> None:
        self.mark("interrupt")


class HangsWhenMade(Rig):
    """A driver that can't be made."""

    def __init__(self, marks: str) -> None:
        super().__init__(marks)
        threading.Event().wait()


class HangsInConnect(Rig):
    """A driver that can't connect."""

    def connect(self) -> None:
        self.mark("connect")
        threading.Event().wait()


class SleepsInConnect(Rig):
    """A driver that waits very long for its instrument, in the way that the lab knows of."""

    def connect(self) -> None:
        self.mark("connect")
        actorlab.sleep(1000)


class HangsInDisconnect(Rig):
    """A driver that can't disconnect."""

    def disconnect(self) -> None:
        self.mark("disconnect")
        threading.Event().wait()


class SleepsInDisconnect(Rig):
    """A driver that disconnects for ever, in the way that the lab knows of."""

    def disconnect(self) -> None:
        self.mark("disconnect")
        actorlab.sleep(1000)


class HangsInMakeSafe(Rig):
    """A driver that can't be made safe in its first life."""

    def make_safe(self) -> None:
        lives = self.done().count("made")
        self.mark("make_safe")
        if lives == 1:
            threading.Event().wait()


class Dies(Rig):
    """A driver whose process ends as it connects, but for the first time."""

    def connect(self) -> None:
        self.mark("connect")
        if self.done().count("connect") > 1:
            os._exit(7)


def doubled(rig: Rig) -> float:
    """Be done with a rig in its own process."""
    return 2 * rig.level


def where_it_is(rig: Rig) -> int:
    """Say in which process this is."""
    del rig
    return os.getpid()


def nap_with(rig: Rig) -> None:
    """Sleep in a rig's own process, without one of its methods."""
    rig.mark("nap")
    actorlab.sleep(1000)
