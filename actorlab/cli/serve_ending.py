"""End a lab that is served: in a thread, while signals are heard, of which a second one is an emergency stop."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from actorlab.cli.displays import ResultOnly
from actorlab.cli.emergency import leave_at_once
from actorlab.cli.signals import Signalled
from actorlab.cli.telling import INTERRUPTED
from actorlab.runtime.lab import Lab
from actorlab.server import Server

__all__ = ["end_served"]

TICK: Final = 0.05
NAMED: Final = 3
"""So many runs are named that are waited for."""


def end_served(lab: Lab, server: Server, signals: SimpleQueue[Signalled], why: str) -> None:
    """Say what is waited for, close the lab while its server answers, then stop that; a signal is an emergency stop."""
    display = ResultOnly()
    display.say(f"{why}: {waited_for(lab)}; once more is an emergency stop, a third time leaves at once")
    with ThreadPoolExecutor(1, "actorlab cli: the end") as ending:
        end = ending.submit(server.stop_with_lab)
        while not end.done():
            with suppress(Empty):
                stop_at_once(lab, signals.get(timeout=TICK).name, display)
        end.result()


def waited_for(lab: Lab) -> str:
    """Say what has to end before the server does."""
    runs = [run.id for run in lab.runs if not run.state.terminal]
    if not runs:
        return "the lab makes its devices safe, then the server ends"
    names = ", ".join(runs[:NAMED]) + (f" and {len(runs) - NAMED} more" if len(runs) > NAMED else "")
    return f"waiting for {names} to end; the lab makes its devices safe, then the server ends"


def stop_at_once(lab: Lab, name: str, display: ResultOnly) -> None:
    """Stop in an emergency, and leave the process; a closed lab has made its devices safe, or said which not."""
    if lab.ending.over:
        left = str(lab.ending.left) if lab.ending.left else "the lab is closed, and its devices are safe"
        display.say(f"{name}: leaving at once; {left}")
        sys.stdout.flush()
        os._exit(INTERRUPTED)
    events = lab.events.subscribe(kinds=["emergency"], snapshot=False)
    leave_at_once(lab, name, display, lambda: iter(lambda: events.get(0), None))
