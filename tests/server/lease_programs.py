"""Programs that use a lab's server from processes of their own; the first argument says which, the second where."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from actorlab import Client, Device, DeviceBusy, Lab, LeaseLost, LeaseTimeout, query
from actorlab.server import Server


class Instrument(Device):
    """An instrument that writes down who has commanded it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def use(self, who: str) -> None:
        """Do something."""
        self.log.append(who)

    @query
    def done(self) -> list[str]:
        """Return who has commanded it."""
        return list(self.log)

    def make_safe(self) -> None:
        """Switch it off."""
        self.log.append("safe")


def say(text: str) -> None:
    """Tell whoever has started this."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def serve() -> None:
    """Serve two instruments until the input ends."""
    with Lab() as lab:
        for name in ("laser", "meter"):
            lab.add(name, Instrument)
        with Server(lab, port=0) as server:
            say(server.url)
            sys.stdin.read()


def fight(url: str, seconds: str = "2") -> None:
    """Want the laser all the time, in leases and outside; tell how often it was had, and what was refused."""
    me, rounds, end = str(os.getpid()), 0, time.monotonic() + float(seconds)
    with Client(url, timeout=20) as client:
        laser: Any = client.device("laser")
        while time.monotonic() < end:
            tried(lambda: laser.use(f"outside {me}"))
            tried(client.lease("laser", timeout=0).__enter__)
            with client.lease("laser", ttl=5, timeout=20, label=me) as lease:
                for step in range(5):
                    laser.use(f"{lease.id} {me} {step}")
            rounds += 1
    say(f"rounds {rounds}")


def tried(use: Callable[[], Any]) -> None:
    """Try what may be refused, and tell by whose lease; what is granted is given back."""
    try:
        granted = use()
    except (DeviceBusy, LeaseTimeout) as refused:
        say(f"refused {refused}")
    else:
        if granted is not None:
            granted.__exit__(None, None, None)


def hold(url: str) -> None:
    """Hold the laser, and use it whenever a line comes in."""
    with Client(url, timeout=20) as client, client.lease("laser", ttl=2.0) as lease:
        laser: Any = client.device("laser")
        laser.use("held")
        say(lease.id)
        for _ in sys.stdin:
            try:
                laser.use("held")
            except LeaseLost as lost:
                say(f"lost {lost}")
            else:
                say("used")


def wait(url: str) -> None:
    """Wait for the laser."""
    with Client(url, timeout=20) as client, client.lease("laser", timeout=60):
        say("granted")


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"serve": serve, "fight": fight, "hold": hold, "wait": wait}
    programs[sys.argv[1]](*sys.argv[2:])
