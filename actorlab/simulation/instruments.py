"""Answer SCPI as the instruments of the bench do: a command table each, over the physics they share."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from actorlab.drivers.scpi import block
from actorlab.simulation.physics import (
    AMBIENT,
    LAMP_HOT,
    LaserLight,
    World,
    spectral_axis,
    spectrum,
)

__all__ = ["INSTRUMENTS", "Instrument"]

Answer: TypeAlias = str | bytes | None
Handler: TypeAlias = Callable[[float, str], Answer]
"""What a command does, given the time (s) and the text of its parameters."""

SETTLED: Final = 1e-3
RELATIVE_NOISE: Final = 2e-4
WORDS: Final = {"ON": True, "1": True, "OFF": False, "0": False}
LONGEST_ERROR_QUEUE: Final = 20


class Refused(Exception):
    """The instrument puts this into its error queue (SCPI-1999, volume 2, §21.8)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f'{code},"{text}"')


class Instrument:
    """An instrument with an identity, an error queue and settings that `reset` forgets."""

    model = ""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.noise = np.random.default_rng(seed)
        self.errors: deque[str] = deque(maxlen=LONGEST_ERROR_QUEUE)
        self._table = [
            (_header(pattern), handler) for pattern, handler in {**self._common(), **self.commands()}.items()
        ]

    def commands(self) -> Mapping[str, Handler]:
        """Return the table of commands; capitals are the short form of a word."""
        raise NotImplementedError

    def reset(self, now: float) -> None:
        """Forget all settings. What has inertia (a temperature, a position) goes on from where it is."""

    def power_cycle(self, now: float) -> None:
        """Do what losing the mains does."""
        self.errors.clear()
        self.reset(now)

    def execute(self, command: str, now: float) -> bytes | None:
        """Execute one command at this time; return its answer without terminator, if it has one."""
        header, _, parameters = command.strip().partition(" ")
        try:
            answer = self._handler(header)(now, parameters.strip())
        except Refused as refusal:
            self.errors.append(str(refusal))
            return None
        return answer.encode("ascii") if isinstance(answer, str) else answer

    def noisy(self, value: float) -> float:
        """Return a value as a real instrument measures it."""
        return value * (1 + RELATIVE_NOISE * float(self.noise.standard_normal()))

    def _handler(self, header: str) -> Handler:
        for pattern, handler in self._table:
            if pattern.fullmatch(header):
                return handler
        raise Refused(-113, "Undefined header")

    def _common(self) -> Mapping[str, Handler]:
        return {
            "*IDN?": lambda now, _: f"actorlab,{self.model},0,1.0",
            "*RST": lambda now, _: self.reset(now),
            "*CLS": lambda now, _: self.errors.clear(),
            "*OPC?": lambda now, _: "1",
            "SYSTem:ERRor?": lambda now, _: self.errors.popleft() if self.errors else '0,"No error"',
        }


class TunableLaser(Instrument):
    """A laser diode whose wavelength settles some time after it was set."""

    model = "tunable laser"

    def commands(self) -> Mapping[str, Handler]:
        """Give and take the wavelength in nm, the current in mA."""
        return {
            "SOURce:WAVelength": self.tune,
            "SOURce:WAVelength?": lambda now, _: _shown(self.world.laser.wavelength.at(now)),
            "SOURce:WAVelength:SETTled?": lambda now, _: _flag(self.world.laser.wavelength.within(SETTLED, now)),
            "SOURce:CURRent": lambda now, text: self.change(current=_number(text, 0, 150)),
            "SOURce:CURRent?": lambda now, _: _shown(self.world.laser.current),
            "OUTPut": lambda now, text: self.change(on=_switch(text)),
            "OUTPut?": lambda now, _: _flag(self.world.laser.on),
        }

    def reset(self, now: float) -> None:
        """Switch the light off."""
        default = LaserLight()
        tuned = self.world.laser.wavelength.toward(default.wavelength.target, now)
        self.world.laser = replace(default, wavelength=tuned)

    def tune(self, now: float, text: str) -> None:
        """Begin to change the wavelength."""
        laser = self.world.laser
        self.world.laser = replace(laser, wavelength=laser.wavelength.toward(_number(text, 1500, 1600), now))

    def change(self, *, current: float | None = None, on: bool | None = None) -> None:
        """Change the current, or switch the light."""
        laser = self.world.laser
        self.world.laser = replace(
            laser, current=laser.current if current is None else current, on=laser.on if on is None else on
        )


class OpticalPowerMeter(Instrument):
    """A power meter behind an etalon."""

    model = "power meter"

    def commands(self) -> Mapping[str, Handler]:
        """Give the power in W."""
        return {"READ:POWer?": lambda now, _: _shown(self.noisy(self.world.power_at_meter(now)) / 1000)}


class TubeOven(Instrument):
    """An oven that follows its set-point with a thermal time constant, and cools down when its output is off."""

    model = "oven"
    setpoint = AMBIENT
    heating = False

    def commands(self) -> Mapping[str, Handler]:
        """Give and take temperatures in K."""
        return {
            "SOURce:TEMPerature": lambda now, text: self.change(now, setpoint=_number(text, 280, 450)),
            "SOURce:TEMPerature?": lambda now, _: _shown(self.setpoint),
            "MEASure:TEMPerature?": lambda now, _: _shown(self.world.oven.at(now)),
            "OUTPut": lambda now, text: self.change(now, heating=_switch(text)),
            "OUTPut?": lambda now, _: _flag(self.heating),
        }

    def reset(self, now: float) -> None:
        """Stop heating."""
        self.change(now, setpoint=AMBIENT, heating=False)

    def change(self, now: float, *, setpoint: float | None = None, heating: bool | None = None) -> None:
        """Change the set-point, or switch the heater."""
        self.setpoint = self.setpoint if setpoint is None else setpoint
        self.heating = self.heating if heating is None else heating
        self.world.oven = self.world.oven.toward(self.setpoint if self.heating else AMBIENT, now)


class SourceMeasureUnit(Instrument):
    """A source-meter in contact with the diode of the sample on the stage."""

    model = "source-meter"
    volts = 0.0
    on = False

    def commands(self) -> Mapping[str, Handler]:
        """Give and take the voltage in V, the current in A."""
        return {
            "SOURce:VOLTage": self.set_voltage,
            "SOURce:VOLTage?": lambda now, _: _shown(self.volts),
            "OUTPut": self.switch,
            "OUTPut?": lambda now, _: _flag(self.on),
            "MEASure:CURRent?": self.measure,
        }

    def reset(self, now: float) -> None:
        """Switch the output off."""
        self.volts, self.on = 0.0, False

    def set_voltage(self, now: float, text: str) -> None:
        """Set the voltage of the output."""
        self.volts = _number(text, -10, 10)

    def switch(self, now: float, text: str) -> None:
        """Switch the output."""
        self.on = _switch(text)

    def measure(self, now: float, text: str) -> str:
        """Measure the current."""
        return _shown(self.noisy(self.world.diode_current(self.volts, now)) if self.on else 0.0)


class HalogenLamp(Instrument):
    """A lamp whose filament warms up."""

    model = "lamp"
    on = False

    def commands(self) -> Mapping[str, Handler]:
        """Give the temperature of the filament in K."""
        return {
            "OUTPut": lambda now, text: self.switch(now, on=_switch(text)),
            "OUTPut?": lambda now, _: _flag(self.on),
            "MEASure:TEMPerature?": lambda now, _: _shown(self.world.lamp.at(now)),
        }

    def reset(self, now: float) -> None:
        """Switch the lamp off."""
        self.switch(now, on=False)

    def switch(self, now: float, *, on: bool) -> None:
        """Switch the lamp."""
        self.on = on
        self.world.lamp = self.world.lamp.toward(LAMP_HOT if on else AMBIENT, now)


class GratingSpectrometer(Instrument):
    """A spectrometer that sees the lamp through the sample, and sends its data as binary blocks."""

    model = "spectrometer"
    seconds = 0.1
    ready_at: float | None = None

    def commands(self) -> Mapping[str, Handler]:
        """Give and take times in s, wavelengths in nm."""
        return {
            "SENSe:INTegration": self.set_integration,
            "SENSe:INTegration?": lambda now, _: _shown(self.seconds),
            "INITiate": self.initiate,
            "ABORt": lambda now, _: self.reset_exposure(),
            "STATus:READy?": lambda now, _: _flag(self.ready_at is not None and now >= self.ready_at),
            "TRACe:WAVelength?": lambda now, _: block(spectral_axis().astype("<f8").tobytes()),
            "TRACe:DATA?": self.data,
        }

    def reset(self, now: float) -> None:
        """Forget the exposure."""
        self.seconds = 0.1
        self.reset_exposure()

    def reset_exposure(self) -> None:
        """Have no data."""
        self.ready_at = None

    def set_integration(self, now: float, text: str) -> None:
        """Set how long an exposure takes."""
        self.seconds = _number(text, 1e-3, 10)

    def initiate(self, now: float, text: str) -> None:
        """Begin an exposure."""
        self.ready_at = now + self.seconds

    def data(self, now: float, text: str) -> bytes:
        """Return the counts of the exposure that has ended."""
        if self.ready_at is None or now < self.ready_at:
            raise Refused(-230, "Data corrupt or stale")
        return block(spectrum(self.world, self.seconds, self.ready_at, self.noise).astype("<f4").tobytes())


class SampleStage(Instrument):
    """A stage that carries the samples along a line."""

    model = "stage"

    def commands(self) -> Mapping[str, Handler]:
        """Give and take positions in mm."""
        return {
            "MOVE:ABSolute": lambda now, text: self.move(now, _number(text, 0, 50)),
            "MOVE:SAMPle": lambda now, text: self.move(now, self.position_of(text.strip('"'))),
            "MOVE:DONE?": lambda now, _: _flag(self.world.stage.done(now)),
            "STOP": lambda now, _: self.reset(now),
            "POSition?": lambda now, _: _shown(self.world.stage.at(now)),
            "SAMPle?": self.sample,
            "SAMPle:CATalog?": lambda now, _: ",".join(f'"{sample.name}"' for sample in self.world.samples),
        }

    def reset(self, now: float) -> None:
        """Stop where it is."""
        self.move(now, self.world.stage.at(now))

    def move(self, now: float, position: float) -> None:
        """Begin to move."""
        self.world.stage = self.world.stage.toward(position, now)

    def sample(self, now: float, text: str) -> str:
        """Return the name of the sample in the beam, or nothing between two."""
        sample = self.world.sample(now)
        return f'"{sample.name if sample else ""}"'

    def position_of(self, name: str) -> float:
        """Return where a sample lies."""
        for sample in self.world.samples:
            if sample.name == name:
                return sample.position
        raise Refused(-224, "Illegal parameter value")


INSTRUMENTS: Final[Mapping[str, type[Instrument]]] = {
    "laser": TunableLaser,
    "meter": OpticalPowerMeter,
    "oven": TubeOven,
    "smu": SourceMeasureUnit,
    "lamp": HalogenLamp,
    "spectrometer": GratingSpectrometer,
    "stage": SampleStage,
}


def _header(pattern: str) -> re.Pattern[str]:
    """Return what matches a header: each word in its long or its short form (its capitals), in any case."""
    words = re.sub(r"([A-Z]+)([a-z]+)", r"\1(?:\2)?", pattern.replace("?", r"\?").replace("*", r"\*"))
    return re.compile(f":?{words}", re.IGNORECASE)


def _number(text: str, low: float, high: float) -> float:
    if not text:
        raise Refused(-109, "Missing parameter")
    try:
        value = float(text)
    except ValueError:
        raise Refused(-104, "Data type error") from None
    if not low <= value <= high:
        raise Refused(-222, "Data out of range")
    return value


def _switch(text: str) -> bool:
    if text.upper() not in WORDS:
        raise Refused(-224, "Illegal parameter value")
    return WORDS[text.upper()]


def _shown(value: float) -> str:
    return f"{value:.9E}"


def _flag(value: bool) -> str:
    return "1" if value else "0"
