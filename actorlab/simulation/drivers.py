"""Drive the instruments of the bench, exactly as one would drive real ones: SCPI by VISA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from actorlab.device import query
from actorlab.drivers.limits import within
from actorlab.drivers.scpi import ErrorEntry, InstrumentError
from actorlab.drivers.visa import VisaDevice
from actorlab.scope import current

__all__ = ["Lamp", "Laser", "Oven", "PowerMeter", "SourceMeter", "Spectrometer", "Spectrum", "Stage"]

QUICK: Final = 0.005
SLOW: Final = 0.05


class Switched(VisaDevice):
    """An instrument with an output, which is off when the instrument is safe."""

    def on(self) -> None:
        """Switch the output on."""
        self._switch("1")

    def off(self) -> None:
        """Switch the output off."""
        self._switch("0")

    @query
    def is_on(self) -> bool:
        """Return whether the output is on."""
        return self.query_bool("OUTP?")

    def make_safe(self) -> None:
        """Switch the output off."""
        self.off()

    def _switch(self, state: str) -> None:
        """Switch and read back: a command that was lost on its way must not pass for executed."""
        with current.get().exchange():
            self.write(f"OUTP {state}")
            found = self.query("OUTP?")
        if found != state:
            raise InstrumentError(repr(self), [ErrorEntry(0, f"the output is {found} after OUTP {state}")])


class Laser(Switched):
    """A tunable laser, 1500 to 1600 nm; it emits above 12 mA, 0.4 mW per mA."""

    model: ClassVar[str] = "tunable laser"

    def set_wavelength(self, nm: float) -> None:
        """Tune to a wavelength in nm, 1500 to 1600, and wait until it has settled."""
        self.write(f"SOUR:WAV {within('wavelength', nm, 1500, 1600, 'nm')!r}")
        while not self.settled():
            current.get().sleep(QUICK)

    @query
    def wavelength(self) -> float:
        """Return the present wavelength in nm."""
        return self.query_float("SOUR:WAV?")

    @query
    def settled(self) -> bool:
        """Return whether the wavelength is the one that was set."""
        return self.query_bool("SOUR:WAV:SETT?")

    def set_current(self, milliamps: float) -> None:
        """Set the current in mA, 0 to 150."""
        self.write(f"SOUR:CURR {within('current', milliamps, 0, 150, 'mA')!r}")

    @query
    def current(self) -> float:
        """Return the current that is set, in mA."""
        return self.query_float("SOUR:CURR?")


class PowerMeter(VisaDevice):
    """An optical power meter. On the bench it sees the laser through an etalon."""

    model: ClassVar[str] = "power meter"

    @query
    def power(self) -> float:
        """Return the power in mW."""
        return 1000 * self.query_float("READ:POW?")


class Oven(Switched):
    """An oven, 280 to 450 K; its output is its heater."""

    model: ClassVar[str] = "oven"
    AMBIENT: ClassVar[float] = 295.0
    TOLERANCE: ClassVar[float] = 0.1

    def heat_to(self, kelvin: float) -> None:
        """Heat or cool to a temperature in K, 280 to 450, and wait until it is there within 0.1 K."""
        self.set_target(kelvin)
        self.on()
        while abs(self.temperature() - kelvin) > self.TOLERANCE:
            current.get().sleep(SLOW)

    def set_target(self, kelvin: float) -> None:
        """Set the temperature to hold in K, 280 to 450, and don't wait."""
        self.write(f"SOUR:TEMP {within('temperature', kelvin, 280, 450, 'K')!r}")

    @query
    def target(self) -> float:
        """Return the temperature to hold in K."""
        return self.query_float("SOUR:TEMP?")

    @query
    def temperature(self) -> float:
        """Return the present temperature in K."""
        return self.query_float("MEAS:TEMP?")

    def make_safe(self) -> None:
        """Set the target to ambient and switch the heater off."""
        self.set_target(self.AMBIENT)
        self.off()


class SourceMeter(Switched):
    """A source-meter, -10 to 10 V. On the bench it is in contact with the diode of the sample in place."""

    model: ClassVar[str] = "source-meter"

    def set_voltage(self, volts: float) -> None:
        """Set the voltage of the output in V, -10 to 10."""
        self.write(f"SOUR:VOLT {within('voltage', volts, -10, 10, 'V')!r}")

    @query
    def voltage(self) -> float:
        """Return the voltage that is set, in V."""
        return self.query_float("SOUR:VOLT?")

    @query
    def current(self) -> float:
        """Measure the current in A; it is 0 while the output is off."""
        return self.query_float("MEAS:CURR?")

    def make_safe(self) -> None:
        """Set 0 V and switch the output off."""
        self.set_voltage(0)
        self.off()


class Lamp(Switched):
    """A halogen lamp, which takes some seconds to glow steadily."""

    model: ClassVar[str] = "lamp"
    GLOWING: ClassVar[float] = 2880.0

    def warm_up(self) -> None:
        """Switch the lamp on and wait until it glows steadily."""
        self.on()
        while self.temperature() < self.GLOWING:
            current.get().sleep(SLOW)

    @query
    def temperature(self) -> float:
        """Return the temperature of the filament in K."""
        return self.query_float("MEAS:TEMP?")


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What a spectrometer saw: `counts` at `wavelengths` (nm), one each for a pixel, in an exposure of `seconds`."""

    wavelengths: NDArray[np.float64]
    counts: NDArray[np.float32]
    seconds: float


class Spectrometer(VisaDevice):
    """A spectrometer, 400 to 900 nm in 512 pixels, 0 to 65,535 counts.

    On the bench it sees the lamp through the sample.
    """

    model: ClassVar[str] = "spectrometer"

    def acquire(self, seconds: float) -> Spectrum:
        """Expose for some seconds, 0.001 to 10, and return the spectrum."""
        self.write(f"SENS:INT {within('integration time', seconds, 0.001, 10, 's')!r}")
        self.write("INIT")
        while not self.query_bool("STAT:READ?"):
            current.get().sleep(QUICK)
        wavelengths = self.query_binary("TRAC:WAV?", "<f8")
        return Spectrum(wavelengths, self.query_binary("TRAC:DATA?", "<f4"), seconds)

    def make_safe(self) -> None:
        """End the exposure."""
        with current.get().exchange():
            self.write("ABOR")
            self.query("*OPC?")  # answered when that is done: what is only on its way is not safe yet


class Stage(VisaDevice):
    """A linear stage, 0 to 50 mm, that carries samples."""

    model: ClassVar[str] = "stage"

    def move_to(self, millimetres: float) -> None:
        """Move to a position in mm, 0 to 50, and wait until it is there."""
        self.write(f"MOVE:ABS {within('position', millimetres, 0, 50, 'mm')!r}")
        self._arrive()

    def mount(self, sample: str) -> None:
        """Bring a sample, one of `samples`, into place, and wait until it is there."""
        known = self.samples()
        if sample not in known:
            message = f"no sample {sample!r} on the stage: use one of {', '.join(known)}"
            raise ValueError(message)
        self.write(f'MOVE:SAMP "{sample}"')
        self._arrive()

    @query
    def position(self) -> float:
        """Return the present position in mm."""
        return self.query_float("POS?")

    @query
    def sample(self) -> str:
        """Return the name of the sample in place; it is empty between two."""
        return self.query("SAMP?").strip('"')

    @query
    def samples(self) -> list[str]:
        """Return the names of the samples on the stage."""
        return [name.strip('"') for name in self.query("SAMP:CAT?").split(",")]

    def make_safe(self) -> None:
        """Stop where it is, and wait until it stands."""
        self.write("STOP")
        self._arrive()

    def _arrive(self) -> None:
        while not self.query_bool("MOVE:DONE?"):
            current.get().sleep(QUICK)
