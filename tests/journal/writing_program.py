"""Write a journal until it is killed, saying on stdout what is known to be on disk."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial

from actorlab.errors import JournalError
from actorlab.journal import Journal


def main(path: str, run: str, mode: str) -> None:
    """Write steps and rows for ever."""
    journal = Journal.open(path, durable=mode == "durable")
    room = threading.Semaphore(8)

    def say(number: int, error: JournalError | None) -> None:
        sys.stdout.write(f"{number} {error or ''}\n")
        sys.stdout.flush()
        room.release()

    sys.stdout.write("open\n")
    sys.stdout.flush()
    journal.append(run, "run", {"kind": "task"}, time.monotonic())
    for number in range(1_000_000):
        journal.append(run, "step", [number], time.monotonic())
        journal.record(run, "b", {"n": number, "x": 0.5}, 0.0)
        if number % 7 == 0:
            room.acquire()
            journal.when_written(partial(say, number))


if __name__ == "__main__":
    main(*sys.argv[1:])
