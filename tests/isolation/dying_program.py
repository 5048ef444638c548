"""Be a lab that has an isolated driver and is killed: ``python -m tests.isolation.dying_program MARKS DRIVER WHAT``."""

# ruff: noqa: T201 - what is printed is what the tests wait for

from __future__ import annotations

import os
import signal
import sys
import time

from actorlab.device import DeviceConfig
from tests.isolation import isolated_drivers
from tests.isolation.lab_side import Made


def main(marks: str, driver: str, what: str) -> None:
    """Do one thing with the driver, and go on for ever."""
    config = DeviceConfig(timeout=0.5, safe_timeout=0.5)
    made = Made(getattr(isolated_drivers, driver), marks, config=config)
    made.meantime.during = lambda _: signal.pause()
    made.child.hook("connect")
    print(made.child.pid, flush=True)
    if what == "fork":
        if os.fork():
            print(os.getpid(), flush=True)
        signal.pause()
    elif what == "disconnect":
        made.child.hook("disconnect")
        print("disconnected", flush=True)
        time.sleep(1000)
    elif what == "idle":
        print("idle", flush=True)
        signal.pause()
    elif what == "leave":
        return
    made.child.call(what)


if __name__ == "__main__":
    main(*sys.argv[1:])
