"""Decide when the values that people look at are read: only while somebody looks, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

__all__ = ["LOOKED_AT", "PERIOD", "SHARE", "LiveValues"]

PERIOD: Final = 1.0
"""A value is read at most once in so many seconds."""
SHARE: Final = 0.05
"""What a device is asked for this takes at most this part of its time, however slowly it answers."""
LOOKED_AT: Final = 4.0
"""So many seconds after the last look nobody looks any more."""
LONGEST: Final = 60.0
"""One that can't be read is tried again after at most so many seconds."""


@dataclass(slots=True)
class Reading:
    """One value: when somebody looked at it last, when it may be read next, how often in a row it couldn't be."""

    looked_at: float
    next_at: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class LiveValues:
    """The values of a lab's devices that are looked at, by device and key; times are monotonic seconds.

    Of a device at most one is read at a time.
    """

    _readings: dict[str, dict[str, Reading]] = field(default_factory=dict[str, dict[str, Reading]])
    _under_way: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    _quiet_until: dict[str, float] = field(default_factory=dict[str, float])

    def look(self, device: str, key: str, now: float) -> None:
        """Note that somebody looks at a value."""
        readings = self._readings.setdefault(device, {})
        readings.setdefault(key, Reading(now)).looked_at = now

    def begin(self, free: Collection[str], now: float) -> list[tuple[str, str]]:
        """Return what is to be read now, one value a device: only of devices that are free, the longest due first.

        Each has to be told of by `ended`.
        """
        self._forget(now)
        begun: list[tuple[str, str]] = []
        for device, readings in self._readings.items():
            due = [(reading.next_at, key) for key, reading in readings.items() if reading.next_at <= now]
            if due and device in free and device not in self._under_way and device not in self._quiet_until:
                key = min(due, key=lambda found: found[0])[1]
                self._under_way[device] = (key, now)
                begun.append((device, key))
        return begun

    def ended(self, device: str, now: float, *, took: float, well: bool) -> None:
        """Note that a reading has ended, and how long it took the device: the longer it is left alone then."""
        key, began = self._under_way.pop(device)
        self._quiet_until[device] = now + took * (1 / SHARE - 1)
        reading = self._readings.get(device, {}).get(key)
        if reading is not None:
            reading.failures = 0 if well else min(reading.failures + 1, 10)
            reading.next_at = began + min(LONGEST, PERIOD * 2**reading.failures)

    def _forget(self, now: float) -> None:
        """Forget what nobody looks at any more, and which devices were to be left alone until now."""
        for device, readings in list(self._readings.items()):
            for key in [key for key, reading in readings.items() if now - reading.looked_at > LOOKED_AT]:
                del readings[key]
            if not readings:
                del self._readings[device]
        for device in [device for device, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[device]
