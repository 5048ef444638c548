"""Be the drivers that the tests put into processes of their own; in a module which those processes can import."""

# ruff: noqa: T201 - what is printed is what the tests wait for

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

import actorlab
from actorlab.scope import current

Image = npt.NDArray[np.uint16]


@dataclass
class Frame:
    """An image with what was set as it was taken."""

    image: Image
    exposure: float


class TwoWords(Exception):
    """An exception that pickles but can't be unpickled: its text isn't its arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class LinkBroken(ConnectionError):
    """The same, for a connection."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class Mute(Exception):
    """An exception that can't be pickled, and whose text can't be told."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __str__(self) -> str:
        msg = "no text"
        raise RuntimeError(msg)


@dataclass
class OnlyAtHome:
    """Data that can be unpickled only in the process that pickled it."""

    pid: int = field(default_factory=os.getpid)

    def __reduce__(self) -> Any:
        return only_at, (self.pid,)


def only_at(pid: int) -> OnlyAtHome:
    if pid != os.getpid():
        msg = "not here"
        raise RuntimeError(msg)
    return OnlyAtHome()


class Channel:
    """A part."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._volts = 0.0

    def set(self, volts: float) -> None:
        self._volts = volts

    def volts(self) -> float:
        return self._volts


class Meter:
    """Do what a driver may do, and some of what it may not."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.channels = {1: Channel(1), 2: Channel(2)}
        self.log: list[str] = []
        self._part: weakref.ref[Channel] | None = None

    def power(self) -> float:
        return 1.0 + self.offset

    def add(self, first: Any, second: Any = 0) -> Any:
        return first + second

    def echo(self, value: Any) -> Any:
        return value

    def kind_of(self, value: Any) -> str:
        return type(value).__qualname__

    # where it is

    def pid(self) -> int:
        return os.getpid()

    def surroundings(self) -> dict[str, Any]:
        return {
            "cwd": str(Path.cwd()),
            "path": [str(entry) for entry in sys.path],
            "stdin": sys.stdin.read(),
            "session": os.getsid(0),
            "warnings": list(sys.warnoptions),
            "main": sys.modules["__main__"].__dict__.get("__file__"),
            "fds": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()),
        }

    def inherited(self) -> str:
        """Say which descriptors a program inherits that the driver starts."""
        code = "import os; print([fd for fd in range(3, 100) if os.path.exists(f'/proc/self/fd/{fd}')])"
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, close_fds=False, check=True)
        return made.stdout.strip()

    # frames

    def frame(self, mebibytes: float = 8, fill: int = 7) -> Image:
        return np.full(int(mebibytes * 2**19), fill, np.uint16)

    def framed(self) -> Frame:
        return Frame(self.frame(), 0.25)

    def zero(self, image: Image) -> float:
        """Write into an argument."""
        total = float(image.sum())
        image[:] = 0
        return total

    # waiting

    def nap(self, seconds: float) -> str:
        actorlab.sleep(seconds)
        return "rested"

    def nap_carefully(self, seconds: float) -> None:
        try:
            actorlab.sleep(seconds)
        except BaseException as error:
            self.log.append(f"{type(error).__name__}: {error}")
            raise

    def nap_stubbornly(self, seconds: float) -> str:
        try:
            actorlab.sleep(seconds)
        except actorlab.Cancelled:
            actorlab.checkpoint()
            return "went on"
        return "rested"

    def nap_in_exchange(self, seconds: float) -> None:
        with actorlab.exchange():
            actorlab.sleep(seconds)
        actorlab.sleep(seconds)

    def nap_in_thread(self, seconds: float) -> str:
        scope, ends = current.get(), list[str]()

        def sleep() -> None:
            scope.sleep(seconds)
            ends.append("slept")

        thread = threading.Thread(target=sleep)
        thread.start()
        thread.join()
        return ends[0]

    def count(self, to: int) -> Iterator[int]:
        for number in range(to):
            actorlab.sleep(number)
            yield number

    def forbidden(self) -> None:
        current.get().forbid("lab.run")

    # parts

    def channel(self, number: int) -> Channel:
        return self.channels[number]

    def new_channel(self) -> Channel:
        made = Channel(3)
        self._part = weakref.ref(made)
        return made

    def part_lives(self) -> bool:
        return self._part is not None and self._part() is not None

    # failing

    def fail(self, text: str) -> NoReturn:
        raise ValueError(text)

    def fail_in_two_words(self, kind: str = "") -> NoReturn:
        error = LinkBroken if kind else TwoWords
        raise error(*(["this", "that"]))

    def fail_mutely(self) -> NoReturn:
        raise Mute

    def leave(self) -> NoReturn:
        raise SystemExit(3)

    def press_ctrl_c(self) -> NoReturn:
        raise KeyboardInterrupt

    def mute_made(self) -> Mute:
        return Mute()

    def local_data(self) -> Any:
        @dataclass
        class Local:
            number: int

        return Local(3)

    def only_at_home(self) -> OnlyAtHome:
        return OnlyAtHome()

    # dying

    def crash(self) -> None:
        ctypes.string_at(0)

    def exit(self, code: int) -> None:
        os._exit(code)

    def hold_the_gil(self) -> None:
        """Search for hours, in C, without ever letting another thread run."""
        print("holding", flush=True)
        re.match(r"(a+)+$", "a" * 60 + "b")

    def start_a_process(self) -> int:
        return subprocess.Popen(["/bin/sleep", "1000"]).pid

    def start_a_thread_that_stays(self) -> None:
        threading.Thread(target=threading.Event().wait).start()

    # telling

    def say(self, level: int, text: str, *args: Any, **extra: Any) -> None:
        logging.getLogger("meters.mine").log(level, text, *args, extra=extra)

    def say_much(self, lines: int) -> None:
        logger = logging.getLogger("meters.much")
        for number in range(lines):
            logger.warning("line %d", number)

    def say_error(self) -> None:
        try:
            self.fail("inside")
        except ValueError:
            logging.getLogger("meters.mine").exception("it went wrong")

    def publish(self, stream: str, values: list[Any]) -> None:
        publish: Callable[[str, Any], None] = current.get().publish
        thread = threading.Thread(target=lambda: deque(map(publish, repeat(stream), values)))
        thread.start()
        thread.join()


class Interruptible:
    """A driver that waits until it is interrupted."""

    def __init__(self, hook: str = "works") -> None:
        self._ended = threading.Event()
        self._hook = hook
        self.threads: list[str] = []

    def wait(self) -> str:
        print("waiting", flush=True)
        self._ended.wait()
        return "interrupted"

    def heard(self) -> list[str]:
        return self.threads

    def interrupt(self) -> None:
        self.threads.append(threading.current_thread().name)
        if self._hook == "fails":
            msg = "the hook fails"
            raise ValueError(msg)
        if self._hook == "hangs":
            threading.Event().wait()
        self._ended.set()


class Marked:
    """A driver that writes into a file what is done to it, line by line."""

    def __init__(self, marks: str) -> None:
        self._marks = Path(marks)
        self.mark("made")

    def mark(self, text: str) -> None:
        with self._marks.open("a") as file:
            file.write(f"{text}\n")

    def connect(self) -> None:
        self.mark("connect")

    def make_safe(self) -> None:
        print("printed where nobody may read it")
        actorlab.sleep(0.01)
        self.mark("make_safe")

    def disconnect(self) -> None:
        self.mark("disconnect")

    def power(self) -> float:
        return 1.0

    def work(self) -> None:
        """Wait as drivers shouldn't."""
        print("working", flush=True)
        try:
            time.sleep(1000)
        finally:
            self.mark("work ends")

    def nap(self) -> None:
        print("sleeping", flush=True)
        try:
            actorlab.sleep(1000)
        except actorlab.Cancelled:
            self.mark("cancelled")
            raise

    def hold_the_gil(self) -> None:
        Meter().hold_the_gil()


class MarkedInterruptible(Marked):
    """The same with hooks that end a call and bring the instrument back into step."""

    def __init__(self, marks: str) -> None:
        super().__init__(marks)
        self._ended = threading.Event()

    def work(self) -> None:
        print("working", flush=True)
        self._ended.wait()
        self.mark("work ends")

    def interrupt(self) -> None:
        self.mark("interrupt")
        self._ended.set()

    def resync(self) -> None:
        self.mark("resync")


class Lamp:
    """A driver whose hooks have other names."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def open_it(self) -> object:
        self.done.append("open_it")
        return threading.Lock()  # which stays

    def shutdown(self) -> None:
        self.done.append("shutdown")

    def identify(self) -> str:
        return "Lamp 3"

    def history(self) -> list[str]:
        return self.done


def meter_with(offset: float, *, more: float) -> Meter:
    """Make a meter: a factory need not be a class."""
    return Meter(offset + more)


def meter_of(samples: bytes) -> Meter:
    """Make a meter of something large."""
    return Meter(float(len(samples)))


def broken(text: str) -> Meter:
    """Fail as a factory."""
    raise ValueError(text)


def local_class() -> object:
    """Make an object whose class nobody else can import."""

    class Hidden:
        def power(self) -> float:
            return 2.0

    return Hidden()


def dies_at_once() -> Meter:
    """End the process as a factory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Meter()
