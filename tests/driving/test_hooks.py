"""Hold hooks to their design: by configuration, by the preset of another package, by their usual names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from actorlab import ConfigError, Device, DeviceConfig
from actorlab.driving.hooks import Hooks
from actorlab.driving.presets import PYMEASURE, QCODES, preset_of

NAMES = ("connect", "disconnect", "make_safe", "interrupt", "resync", "identify")


def nothing(_: object) -> None:
    """Be a method without arguments."""


def needing(_: object, channel: int) -> int:
    """Be a method which needs an argument."""
    return channel


def foreign(module: str, name: str = "Instrument", **methods: Callable[..., Any]) -> type:
    """Make a class that looks as if it came from another package."""
    return type(name, (), {"__module__": module, **methods})


PyMeasure = foreign("pymeasure.instruments.instrument", shutdown=nothing)
QCoDeS = foreign("qcodes.instrument.instrument", close=nothing)


# -- presets


def test_a_class_is_known_by_its_bases_and_nothing_is_imported_for_it() -> None:
    before = set(sys.modules)
    assert preset_of(type("Keithley", (PyMeasure,), {})) is PYMEASURE
    assert preset_of(type("Yokogawa", (QCoDeS,), {})) is QCODES
    assert preset_of(PyMeasure) is PYMEASURE
    for other in (
        Device,
        foreign("mylab.instruments"),
        foreign("pymeasure.instruments.channel", "Channel"),
        foreign("pymeasurements.instrument"),
        foreign("qcodes.instrument.instrument", "InstrumentBase"),
    ):
        assert preset_of(other) is None
    assert not [name for name in set(sys.modules) - before if name.startswith(("pymeasure", "qcodes"))]


@pytest.mark.parametrize("base", [PyMeasure, QCoDeS])
def test_of_a_foreign_class_only_those_methods_are_hooks_that_its_preset_names(base: type) -> None:
    methods = dict.fromkeys(("connect", "disconnect", "close", "shutdown", "stop", "interrupt"), nothing)
    driver = type("Motor", (base,), {"__module__": "mylab", **methods})
    found = Hooks.of(driver, DeviceConfig()).found
    preset = preset_of(driver)
    assert found == {name: getattr(preset, name) for name in NAMES if getattr(preset, name) is not None}


@pytest.mark.parametrize("base", [PyMeasure, QCoDeS])
def test_a_hook_with_a_name_of_ours_was_written_for_us(base: type) -> None:
    driver = type("Motor", (base,), dict.fromkeys(("make_safe", "resync", "identify"), nothing))
    found = Hooks.of(driver, DeviceConfig()).found
    assert {name: found[name] for name in ("make_safe", "resync", "identify")} == {
        name: name for name in ("make_safe", "resync", "identify")
    }
    preset = preset_of(base)
    assert preset is not None
    needs = type("Motor", (base,), {"make_safe": needing})
    assert Hooks.of(needs, DeviceConfig()).found.get("make_safe") == preset.make_safe


@pytest.mark.parametrize("base", [PyMeasure, QCoDeS])
def test_the_configuration_goes_before_the_preset(base: type) -> None:
    config = DeviceConfig(disconnect=None, make_safe="off", interrupt="halt", connect=nothing, identify=None)
    found = Hooks.of(base, config).found
    assert found == {"make_safe": "off", "interrupt": "halt", "connect": nothing}


def test_presets_can_be_given_to_other_classes_and_changed() -> None:
    class Alike:
        def shutdown(self) -> None: ...

        def stop(self) -> None: ...

    assert Hooks.of(Alike, PYMEASURE).found["make_safe"] == "shutdown"
    changed = DeviceConfig(timeout=5, make_safe="stop").over(PYMEASURE)
    assert Hooks.of(Alike, changed).found["make_safe"] == "stop"
    assert changed.disconnect is PYMEASURE.disconnect


# -- hooks that are named


class Shutter:
    """A class with a method that needs an argument."""

    def __init__(self) -> None:
        self.off = lambda: None

    def close(self, channel: int) -> None: ...

    def park(self, speed: float = 1.0) -> None: ...


def test_a_method_that_needs_arguments_is_never_a_hook_not_even_if_it_is_named() -> None:
    assert Hooks.of(Shutter, DeviceConfig()).found == {}
    named = Hooks.of(Shutter, DeviceConfig(disconnect="close"))
    with pytest.raises(ConfigError, match=r"DeviceConfig\(disconnect='close'\): it needs arguments; give a function"):
        named.check(Shutter())


def test_a_named_hook_may_be_a_method_or_lie_in_the_object_or_be_known_to_its_getattr() -> None:
    class Delegating(Shutter):
        def __getattr__(self, name: str) -> Any:
            if name == "halt":
                return lambda: None
            raise AttributeError(name)

    for name in ("park", "off", "halt"):
        Hooks.of(Delegating, DeviceConfig(make_safe=name)).check(Delegating())
    for name in ("of", "nothing"):
        with pytest.raises(ConfigError, match=f"make_safe='{name}'.*Delegating has no such method"):
            Hooks.of(Delegating, DeviceConfig(make_safe=name)).check(Delegating())


def test_resync_and_identify_can_be_configured() -> None:
    config = DeviceConfig(resync="park", identify=lambda shutter: f"a {type(shutter).__name__}")
    hooks = Hooks.of(Shutter, config)
    hooks.check(Shutter())
    assert hooks.has("resync")
    assert hooks.call("identify", Shutter()) == "a Shutter"
