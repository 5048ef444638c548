"""Open a serial port that nobody else uses, for bytes to and from an instrument."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from actorlab.drivers.interruptible import InterruptibleWait
from actorlab.drivers.terminal import Terminal
from actorlab.drivers.transport import Transport
from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from serial import Serial

__all__ = ["SerialTransport"]

BREATH: Final = 0.005
IN_USE: Final = "another program uses it: end that one first"
ADVICE: Final = {
    errno.ENOENT: "is it plugged in? python -m serial.tools.list_ports lists what is there",
    errno.EACCES: "you may not use it: join the group that owns it, as ls -l shows",
    errno.EAGAIN: IN_USE,
    errno.EBUSY: IN_USE,
}


class SerialTransport(Transport):
    """A serial port, real or USB, with an instrument behind it; on POSIX systems only.

    `path` is that of the port (``"/dev/ttyUSB0"``). `baudrate` is in bits per second; `bytesize` is 5 to 8 bits;
    `parity` is none, even, odd, mark or space, by its first letter; `stopbits` is 1, 1.5 or 2; `xonxoff` and `rtscts`
    switch flow control on. `timeout` (seconds) bounds the instrument's silence. `terminator` ends each answer.

    It needs pyserial: ``pip install "actorlab[serial]"``. The port is opened exclusively: a second program that asks
    for that too (another lab does) is refused.
    """

    def __init__(
        self,
        path: str,
        *,
        baudrate: int = 9600,
        bytesize: Literal[5, 6, 7, 8] = 8,
        parity: Literal["N", "E", "O", "M", "S"] = "N",
        stopbits: float = 1,
        xonxoff: bool = False,
        rtscts: bool = False,
        timeout: float = 2.0,
        terminator: bytes = b"\n",
    ) -> None:
        self.path = path
        self.baudrate = baudrate
        self.bytesize = bytesize
        self.parity = parity
        self.stopbits = stopbits
        self.xonxoff = xonxoff
        self.rtscts = rtscts
        self._serial: Serial | None = None
        super().__init__(timeout, terminator)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def _open_port(self, wait: InterruptibleWait) -> Terminal:
        del wait  # opening a serial port waits for nothing
        if os.name != "posix":
            message = f"{self!r} needs Linux, macOS or another POSIX system: use a VisaDevice here"
            raise ConfigError(message)
        import termios  # noqa: PLC0415 - only POSIX has it

        try:
            self._serial = self._open_serial()
        except ValueError as error:
            message = f"{self!r}: {error}"
            raise ConfigError(message) from error
        except (OSError, termios.error) as error:
            raise ConnectionError(self._refusal(error)) from error
        return Terminal(self._serial)

    def _open_serial(self) -> Serial:
        try:
            from serial import Serial  # noqa: PLC0415 - only the extra "serial" has it
        except ImportError as error:
            message = f'{self!r} needs pyserial: pip install "actorlab[serial]"'
            raise ConfigError(message) from error
        return Serial(
            self.path,
            baudrate=self.baudrate,
            bytesize=self.bytesize,
            parity=self.parity,
            stopbits=self.stopbits,
            xonxoff=self.xonxoff,
            rtscts=self.rtscts,
            timeout=0,
            exclusive=True,
        )

    def _refusal(self, error: Exception) -> str:
        number = error.args[0]
        if number in ADVICE:
            return f"{self!r} can't be opened: {os.strerror(number)}; {ADVICE[number]}"
        return f"{self!r} can't be opened: {error}; is it a serial port, and can it do what is asked of it?"

    def _close_port(self) -> None:
        port, self._serial = self._serial, None
        if port is None:
            return
        with suppress(OSError):  # closing what is broken already
            try:
                self._drain(port)
            finally:
                port.close()

    def _drain(self, port: Serial) -> None:
        """Let what was written go out, which a last command needs; give up what the instrument doesn't take.

        The system's own close may wait half a minute for that.
        """
        end = time.monotonic() + self.timeout
        while port.out_waiting and time.monotonic() < end:
            time.sleep(BREATH)
        if port.out_waiting:
            port.reset_output_buffer()
