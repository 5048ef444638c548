"""Refuse a value that the instrument can't take, before anything is sent."""

from __future__ import annotations

__all__ = ["within"]


def within(what: str, value: float, low: float, high: float, unit: str) -> float:
    """Return the value, if it lies between `low` and `high`, both included; else raise `ValueError`.

    >>> within("wavelength", 1550, 1500, 1600, "nm")
    1550.0
    """
    if not low <= value <= high:  # not a number (NaN) is refused as well
        message = f"{what} {value:g} {unit} is out of range: use {low:g} to {high:g} {unit}"
        raise ValueError(message)
    return float(value)
