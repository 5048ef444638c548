"""Be drivers with streams and periodic methods, in a module which their processes can import."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from actorlab import Device, Pushed, periodic, query, sleep, stream

BEAT = 0.002


class IsolatedLens(Device):
    """A part that publishes from a thread of its own."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    @stream
    def pushed(self, scale: int) -> Pushed[int]:
        self._log.append("start")
        ended = threading.Event()
        thread = threading.Thread(target=self._push, args=(scale, ended), daemon=True)
        thread.start()
        return Pushed(ended.set)

    def _push(self, scale: int, ended: threading.Event) -> None:
        number = 0
        while not ended.wait(0.001):
            self.pushed.publish(scale * number)
            number += 1


class IsolatedCamera(Device):
    """A camera in a process of its own."""

    def __init__(self) -> None:
        self._log: list[str] = []
        self.lens = IsolatedLens([])

    @stream
    def frames(self) -> Iterator[int]:
        self._log.append("arm")
        number = 0
        try:
            while True:
                sleep(0.001)
                yield number
                number += 1
        finally:
            self._log.append("disarm")

    @stream
    def images(self, count: int) -> Iterator[npt.NDArray[np.uint16]]:
        for _ in range(count):
            yield np.zeros((100, 200), np.uint16)

    @stream
    def objects(self) -> Iterator[IsolatedLens]:
        yield self.lens

    @stream
    def pushed(self, scale: int) -> Pushed[int]:
        self._log.append("start")
        ended = threading.Event()
        threading.Thread(target=self._push, args=(scale, ended), daemon=True).start()

        def stop() -> None:
            ended.set()
            self._log.append("stop")

        return Pushed(stop)

    def _push(self, scale: int, ended: threading.Event) -> None:
        number = 0
        while not ended.wait(0.001):
            self.publish("pushed", scale * number)
            number += 1

    def snap(self) -> str:
        self._log.append("snap")
        return "snapped"

    @query
    def read(self) -> list[str]:
        return self._log

    def die(self) -> None:
        os._exit(3)


class IsolatedPart:
    """A part with beats of its own."""

    def __init__(self) -> None:
        self.count = 0

    @periodic(BEAT)
    def look(self) -> None:
        self.count += 1


class IsolatedThing(Device):
    """A device with periodic methods in a process of its own."""

    def __init__(self) -> None:
        self._beats = 0
        self.parts = [IsolatedPart()]

    def connect(self) -> None:
        self.wished.start()

    @periodic(BEAT)
    def poll(self) -> None:
        self._beats += 1

    @periodic(BEAT, autostart=False)
    def rest(self) -> None: ...

    @periodic(BEAT, autostart=False)
    def wished(self) -> None: ...

    @query
    def beats(self) -> int:
        return self._beats

    def stop_itself(self) -> None:
        self.poll.stop()

    def start_rest(self) -> None:
        self.rest.start()

    def own_status(self) -> str:
        return str(self.poll.status)
