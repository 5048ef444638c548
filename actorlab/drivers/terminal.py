"""Read and write a serial port's descriptor as if it were a socket."""

from __future__ import annotations

import os

from actorlab.drivers.interruptible import HasDescriptor

__all__ = ["Terminal"]


class Terminal:
    """The descriptor under an open port of pyserial, on POSIX.

    pyserial's own `write` spins while the system's buffer is full.
    """

    def __init__(self, port: HasDescriptor) -> None:
        os.set_blocking(port.fileno(), False)
        self._port = port

    def fileno(self) -> int:
        """Return the descriptor. Raise `OSError` if the port was closed: its number may be another file's by now."""
        return self._port.fileno()

    def send(self, data: memoryview, /) -> int:
        """Send the beginning of `data`."""
        return os.write(self.fileno(), data)

    def recv(self, size: int, /) -> bytes:
        """Return what has come; nothing says that the port is gone, if it was readable."""
        return os.read(self.fileno(), size)
