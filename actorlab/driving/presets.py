"""Know how the instruments of other packages are used as devices; none of these packages is imported for it."""

from __future__ import annotations

from typing import Any, Final

from actorlab.device import DeviceConfig

__all__ = ["PYMEASURE", "QCODES", "comes_from", "preset_of"]


def comes_from(cls: type, package: str, name: str) -> bool:
    """Tell whether a class is, or is derived from, a package's class of this name."""
    return any(base.__name__ == name and base.__module__.partition(".")[0] == package for base in cls.__mro__)


def preset_of(cls: type) -> DeviceConfig | None:
    """Return the preset for a class of another package, which is known by its bases; None if it isn't known."""
    if comes_from(cls, "pymeasure", "Instrument"):
        return PYMEASURE
    return QCODES if comes_from(cls, "qcodes", "Instrument") else None


# -- PyMeasure


def close_adapter(instrument: Any) -> None:
    """Close a PyMeasure instrument's connection, if its adapter is one that can be closed."""
    close = getattr(getattr(instrument, "adapter", None), "close", None)
    if close is not None:
        close()


def pymeasure_identity(instrument: Any) -> str:
    """Return what a PyMeasure instrument says of itself, or its model's name if it doesn't speak SCPI."""
    try:
        return str(instrument.id)
    except (AttributeError, NotImplementedError):
        return str(getattr(instrument, "name", ""))


PYMEASURE: Final = DeviceConfig(
    connect=None,
    disconnect=close_adapter,
    make_safe="shutdown",
    interrupt=None,
    resync=None,
    identify=pymeasure_identity,
)
"""A PyMeasure instrument opens its adapter when it is made; `shutdown` is its safe state and usually closes nothing."""


# -- QCoDeS


def leave_registry(instrument: Any) -> None:
    """Take an instrument out of QCoDeS's registry: the lab's device is found by the lab, and its name stays free."""
    instrument.remove_instance(instrument)


def close_qcodes(instrument: Any) -> None:
    """Close a QCoDeS instrument; if its driver fails to, at least the connection is closed and the name is free."""
    try:
        instrument.close()
    except BaseException:
        bases: list[Any] = list(type(instrument).__mro__)
        next(base for base in bases if base.__module__.startswith("qcodes.instrument.")).close(instrument)
        raise
    finally:
        leave_registry(instrument)


def qcodes_identity(instrument: Any) -> str:
    """Return what a QCoDeS instrument says of itself: vendor, model, serial number, firmware."""
    return ", ".join(str(word) for word in instrument.get_idn().values() if word)


QCODES: Final = DeviceConfig(
    connect=leave_registry,
    disconnect=close_qcodes,
    make_safe=None,
    interrupt=None,
    resync=None,
    identify=qcodes_identity,
)
"""A QCoDeS instrument connects when it is made, and knows no safe state: name it with ``make_safe``."""
