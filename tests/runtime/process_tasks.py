"""Be the bodies that a lab runs in worker processes, and what they use; in a module that can be imported there."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from actorlab import (
    Cancelled,
    NotLeased,
    Range,
    Run,
    Shared,
    ask,
    ask_operator,
    checkpoint,
    current_run,
    emit,
    log,
    parameter,
    perform,
    phase,
    progress,
    query,
    record,
    shield,
    sleep,
    spawn,
    stream,
    task,
    track,
    wait,
)

# -- a device


class Channel:
    """A part."""

    def __init__(self) -> None:
        self.level = 0.0

    def set(self, level: float) -> None:
        self.level = level

    @query
    def get(self) -> float:
        return self.level


class Rig:
    """A device in the lab's own process, which tells of it."""

    def __init__(self) -> None:
        self.channels = [Channel(), Channel()]
        self.log: list[str] = []
        self.gain = 1

    @query
    def pid(self) -> int:
        return os.getpid()

    @query
    def history(self) -> list[str]:
        return list(self.log)

    def set(self, volts: Annotated[float, Range(0, 10)]) -> float:
        self.log.append(f"set {volts}")
        return volts

    def hang(self) -> None:
        while True:
            sleep(10)

    def broken(self) -> None:
        text = "smoke"
        raise OSError(text)

    def image(self) -> npt.NDArray[np.float64]:
        return np.arange(1e6)

    def made(self) -> Channel:
        return self.channels[1]

    def make_safe(self) -> None:
        self.log.append("safe")

    @stream
    def counted(self, count: int) -> Iterator[int]:
        yield from range(count)


# -- bodies of every kind


@task(worker="process")
def pid() -> int:
    return os.getpid()


def plain_pid() -> int:
    return os.getpid()


@task(worker="process")
def function(rig: Rig, count: int) -> list[float]:
    return [rig.set(number) for number in track(range(count), "setting")]


@task(worker="process")
def generator(rig: Rig, count: int) -> Generator[tuple[int, int, str], None, list[float]]:
    values = []
    for number in range(count):
        yield number, count, "setting"
        values.append(rig.set(number))
    return values


@task(worker="process")
async def coroutine(rig: Rig, count: int) -> list[float]:
    return [await ask(rig.set, number) async for number in track(range(count), "setting")]


@task(worker="process")
async def async_generator(rig: Rig, count: int) -> AsyncGenerator[tuple[int, int, str]]:
    for number in range(count):
        yield number, count, "setting"
        await ask(rig.set, number)


@task(worker="process")
class Sweep:
    """A class with `run`."""

    def __init__(self, rig: Rig, count: int) -> None:
        self._rig = rig
        self._count = count

    def run(self) -> list[float]:
        return [self._rig.set(number) for number in track(range(self._count), "setting")]


# -- devices


def uses(rig: Rig) -> dict[str, Any]:
    rig.gain = 3
    rig.channels[1].set(0.5)
    made = rig.made()
    made.set(made.get() + 1)
    replies = [ask(rig.set, number) for number in range(3)]
    return {
        "pid": rig.pid(),
        "gain": rig.gain,
        "channels": [channel.get() for channel in rig.channels],
        "asked": [reply.result() for reply in replies],
        "performed": perform(rig, longest),
        "image": float(rig.image().sum()),
        "streamed": [item.value for item in rig.counted(50)],
        "log": list(rig.log),
        "is a rig": isinstance(rig, Rig),
        "name": repr(rig),
    }


def longest(rig: Rig) -> int:
    return max(map(len, rig.log))


def fails_with(rig: Rig, what: str) -> Any:
    match what:
        case "range":
            return rig.set(11)
        case "fault":
            return rig.broken()
        case "missing":
            return rig.nothing  # type: ignore[attr-defined]  # that is the point
        case _:
            return rig


def reads_shared(rig: Shared[Rig]) -> float:
    return rig.channels[0].get()


def commands_shared(rig: Shared[Rig]) -> float:
    return rig.set(1)


def uses_in_thread(rig: Rig) -> Any:
    found: list[Any] = []

    def use() -> None:
        try:
            found.append(rig.set(1))
        except NotLeased as error:
            found.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    raise found[0]


# -- the ambient verbs


def ambient(rig: Rig) -> dict[str, Any]:
    run: Run[Any] | None = current_run()
    assert run is not None
    with phase("first", weight=0.5):
        progress(1, 2, "halfway")
    for number in range(3):
        record(number=number, square=number**2)
    log("hello", number=1, odd=threading.Lock())
    logging.getLogger("mine").warning("beware of %s", "the dog")
    answered = emit("handed over", {"a": 1}, acknowledged=20.0)
    told = ask_operator("Is it in?", choices=("yes", "no"))
    gain = parameter("gain", 2, Range(0, 10))
    child = spawn(set_rig, rig, 5.0)
    return {
        "run": (run.id, run.name, str(run.state)),
        "rows": run.data.column("number"),
        "answered": answered,
        "told": told,
        "gain": gain,
        "child": child.result(),
        "child's": (child.name, child.done(), str(child.state)),
    }


def set_rig(rig: Rig, volts: float) -> tuple[float, int]:
    return rig.set(volts), os.getpid()


def spawns(depth: int) -> list[int]:
    """Return the processes of a chain of children, each of which waits for the next."""
    mine = [os.getpid()]
    if depth:
        child: Run[list[int]] = spawn(task(worker="process")(spawns), depth - 1)
        wait([child])
        mine += child.result()
    return mine


async def spawns_async() -> int:
    return await spawn(plain_pid)


def leaves_child() -> None:
    spawn(broken_child)


def broken_child() -> None:
    text = "child"
    raise ValueError(text)


def many_steps(count: int) -> int:
    for number in range(count):
        progress(number, count, "counting")
    progress(count, count, "counted")
    return count


def waits_for_word(where: str) -> str:
    """Tell progress at once, then wait for a file without saying anything."""
    progress(1, 10, "one")
    progress(2, 10, "two")
    progress(3, 10, "three")
    while not Path(where).exists():
        time.sleep(0.01)
    return "seen"


# -- the end


def marks(where: str, what: str) -> None:
    with Path(where).open("a") as file:
        file.write(f"{what}\n")


def sleeps(where: str) -> None:
    marks(where, "begun")
    try:
        sleep(1000)
    finally:
        marks(where, "finally")


async def sleeps_async(where: str) -> None:
    marks(where, "begun")
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0)
        marks(where, "finally")


def tracks(where: str) -> None:
    marks(where, "begun")
    try:
        for _ in track(range(10**9)):
            pass
    finally:
        marks(where, "finally")


def shields(where: str) -> None:
    marks(where, "begun")
    try:
        with shield(20):
            while not Path(f"{where}.go").exists():
                sleep(0.01)
            marks(where, "shielded")
        checkpoint()
    finally:
        marks(where, "finally")


def hangs_in_call(rig: Rig, where: str) -> None:
    marks(where, "begun")
    try:
        rig.hang()
    finally:
        marks(where, "finally")


def spins(where: str) -> None:
    """Never come to a checkpoint."""
    marks(where, "begun")
    try:
        while True:
            time.sleep(0.01)
    finally:
        marks(where, "left")


def swallows(where: str) -> None:
    marks(where, "begun")
    while True:
        with suppress(Cancelled):
            sleep(0.01)
        time.sleep(0.01)


def counts(where: str) -> int:
    """Count, item by item, until a file is there."""
    number = 0
    for number in track(range(10**9)):
        record(number=number)
        sleep(0.005)
        if Path(where).exists():
            break
    return number


async def counts_async(where: str) -> int:
    number = 0
    while not os.path.exists(where):  # noqa: ASYNC240, PTH110 - nobody else is on this loop
        number += 1
        record(number=number)
        await asyncio.sleep(0.005)
        await checkpoint()
    return number


def dies(how: str) -> None:
    match how:
        case "exit":
            os._exit(3)
        case "crash":
            ctypes.string_at(0)
        case _:
            os.kill(os.getpid(), signal.SIGKILL)


# -- what can't travel


class Odd(Exception):
    """An error of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(f"odd {code}")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return Odd, (self.code,)


class Stubborn(Exception):
    """An error that can't be pickled."""

    def __init__(self, lock: Any) -> None:
        super().__init__("can't be pickled")
        self.lock = lock


def raises(what: str) -> Any:
    match what:
        case "odd":
            raise Odd(7)
        case "stubborn":
            raise Stubborn(threading.Lock())
        case "exit":
            raise SystemExit(4)
        case _:
            return threading.Lock()


def total(array: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
    return float(array.sum()), array * 2


def prints(text: str) -> None:
    print(text)  # noqa: T201 - that is the point


# -- others

READY: dict[str, int] = {}


def set_up() -> None:
    READY["pid"] = os.getpid()


def set_up_badly() -> None:
    text = "no licence"
    raise RuntimeError(text)


def set_up_for_ever() -> None:
    threading.Event().wait()


def was_set_up() -> bool:
    return READY.get("pid") == os.getpid()


def fails_first(where: str) -> int:
    marks(where, "begun")
    tries = len(Path(where).read_text().splitlines())
    if tries == 1:
        os._exit(1)
    if tries == 2:
        text = "again"
        raise OSError(text)
    return tries
