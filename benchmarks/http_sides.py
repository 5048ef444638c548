"""Be one side of a device call by HTTP, of actorlab or a peer.

It is started as ``http_sides.py serve NAME`` or ``http_sides.py call NAME PORT``, with the Python of an environment
that has NAME, and imports nothing else: peers need versions that don't go together. A server says its port; a client
makes as many calls as each line of its input says, and prints the seconds.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

NANOMETRES = 1550.0
Call = Callable[[], object]


class Laser:
    """A device that answers at once."""

    def set_wavelength(self, nanometres: float) -> float:
        """Do nothing."""
        return nanometres


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def when_it_answers(port: int) -> None:
    """Say the port as soon as somebody listens at it; within 20 s."""
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            break
    print(port, flush=True)


def until_told() -> None:
    """Wait for the end of the input."""
    sys.stdin.read()


# -- servers


def serve_actorlab() -> None:
    """Serve a lab with a laser."""
    lab_class = import_module("actorlab").Lab
    server_class = import_module("actorlab.server").Server
    with lab_class() as lab:
        lab.add("laser", Laser)
        with server_class(lab, port=0) as server:
            print(server.url.rpartition(":")[2], flush=True)
            until_told()


def serve_labdaemon() -> None:
    """Serve a daemon with a laser, without its log."""
    import_module("loguru").logger.remove()
    module = import_module("labdaemon")

    class Theirs(Laser):
        """A laser as LabDaemon wants it."""

        def __init__(self, device_id: str) -> None:
            self.device_id = device_id

        def connect(self) -> None:
            """Do nothing."""

        def disconnect(self) -> None:
            """Do nothing."""

    daemon = module.LabDaemon()
    daemon.register_plugins({"Laser": Theirs}, {})
    daemon.add_device("laser", "Laser")
    port = free_port()
    import_module("labdaemon.server").LabDaemonServer(daemon, host="127.0.0.1", port=port).start()
    when_it_answers(port)
    until_told()


def serve_labthings() -> None:
    """Serve a thing: an action, which its client polls for, and a property, which is answered at once."""
    lt: Any = import_module("labthings_fastapi")

    class LaserThing(lt.Thing):  # type: ignore[misc]  # it is installed in another environment
        """A laser as LabThings-FastAPI wants it."""

        wavelength: float = lt.property(default=NANOMETRES)

        @lt.action  # type: ignore[untyped-decorator]  # likewise
        def set_wavelength(self, nanometres: float) -> float:
            """Do nothing."""
            return nanometres

    port = free_port()
    served = lt.ThingServer.from_things({"laser": LaserThing})
    run = import_module("uvicorn").run
    threading.Thread(target=run, args=(served.app,), kwargs={"port": port, "log_level": "error"}, daemon=True).start()
    when_it_answers(port)
    until_told()


def serve_pydase() -> None:
    """Serve a service with a method, without its log."""
    logging.disable(logging.INFO)
    pydase: Any = import_module("pydase")

    class LaserService(pydase.DataService):  # type: ignore[misc]  # it is installed in another environment
        """A laser as pydase wants it."""

        def set_wavelength(self, nanometres: float) -> float:
            """Do nothing."""
            return nanometres

    port = free_port()
    threading.Thread(target=when_it_answers, args=(port,), daemon=True).start()
    threading.Thread(target=end_with_input, daemon=True).start()
    pydase.Server(LaserService(), host="127.0.0.1", web_port=port, enable_web=True).run()


def end_with_input() -> None:
    """End this process at the end of the input: pydase's server wants the main thread."""
    until_told()
    os._exit(0)


# -- clients


def call_actorlab(port: int) -> Call:
    """Use our client."""
    client = import_module("actorlab").Client(f"http://127.0.0.1:{port}")
    return partial(client.device("laser").set_wavelength, NANOMETRES)


def call_labdaemon(port: int) -> Call:
    """Use LabDaemon's client."""
    client = import_module("labdaemon.server").ServerAPI(f"http://127.0.0.1:{port}")
    return partial(client.call_device_method, "laser", "set_wavelength", [NANOMETRES])


def labthings(port: int) -> Any:
    """Return LabThings-FastAPI's client."""
    return import_module("labthings_fastapi").ThingClient.from_url(f"http://127.0.0.1:{port}/laser/")


def call_labthings(port: int) -> Call:
    """Use its action."""
    return partial(labthings(port).set_wavelength, nanometres=NANOMETRES)


def read_labthings(port: int) -> Call:
    """Read its property, which its client has in one request."""
    client = labthings(port)
    return lambda: client.wavelength


def call_pydase(port: int) -> Call:
    """Use pydase's client, which speaks by WebSocket, without its log."""
    logging.disable(logging.INFO)
    client = import_module("pydase").Client(url=f"ws://127.0.0.1:{port}")
    return partial(client.proxy.set_wavelength, NANOMETRES)


SERVERS: dict[str, Callable[[], None]] = {
    "actorlab": serve_actorlab, "labdaemon": serve_labdaemon, "labthings": serve_labthings, "pydase": serve_pydase,
}  # fmt: skip
CLIENTS: dict[str, Callable[[int], Call]] = {
    "actorlab": call_actorlab, "labdaemon": call_labdaemon, "labthings": call_labthings,
    "labthings-property": read_labthings, "pydase": call_pydase,
}  # fmt: skip


def call(name: str, port: int) -> None:
    """Make as many calls as each line of the input says, and print the seconds of each."""
    do = CLIENTS[name](port)
    do()
    print("ready", flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            do()
        print("seconds", (time.perf_counter() - begin) / int(line), flush=True)
    os._exit(0)  # no peer's threads keep it


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        SERVERS[sys.argv[2]]()
    else:
        call(sys.argv[2], int(sys.argv[3]))
