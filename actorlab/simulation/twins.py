"""Give each device a simulated twin: its own, or for the drivers of this package an instrument of a virtual bench."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from actorlab.driving.in_thread import InThread
from actorlab.errors import ConfigError
from actorlab.runtime.twin import Recipe, TwinCell
from actorlab.simulation.bench import Bench
from actorlab.simulation.drivers import Lamp, Laser, Oven, PowerMeter, SourceMeter, Spectrometer, Stage

__all__ = ["twins_of"]

INSTRUMENT_OF: Final = {
    Laser: "laser", PowerMeter: "meter", Oven: "oven", SourceMeter: "smu", Lamp: "lamp",
    Spectrometer: "spectrometer", Stage: "stage",
}  # fmt: skip


@contextmanager
def twins_of(recipes: Mapping[str, Recipe], clock: Callable[[], float]) -> Generator[dict[str, TwinCell]]:
    """Make the twins of some devices for the length of a block; `clock` (s) is what their physics goes by.

    Raises:
        ConfigError: a device has no twin; the message says how it gets one.

    """
    with ExitStack() as opened:
        benches = Benches(opened, clock)
        twins: dict[str, TwinCell] = {}
        for name, recipe in recipes.items():
            cell = twins[name] = TwinCell(name, twin_of(name, recipe, benches), recipe.config)
            opened.callback(cell.hook, "disconnect")
            cell.hook("connect")
        yield twins


class Benches:
    """The virtual benches that are needed: a second device of one kind stands on a second one."""

    def __init__(self, opened: ExitStack, clock: Callable[[], float]) -> None:
        self._opened = opened
        self._clock = clock
        self._benches: list[Bench] = []
        self._used: dict[str, int] = {}

    def resource(self, instrument: str) -> str:
        """Return the address of an instrument that no other device has."""
        place = self._used.get(instrument, 0)
        self._used[instrument] = place + 1
        if place == len(self._benches):
            self._benches.append(self._opened.enter_context(Bench(clock=self._clock, seed=place + 1)))
        return self._benches[place].resources[instrument]


def twin_of(name: str, recipe: Recipe, benches: Benches) -> InThread:
    """Make a device's twin: by its configuration, or by its class."""
    config, factory = recipe.config, recipe.factory
    if config.twin is not None:
        return InThread(config.twin, (), {}, config, 1)
    cls: Any = factory if isinstance(factory, type) else object
    known = [instrument for driver, instrument in INSTRUMENT_OF.items() if issubclass(cls, driver)]
    if known:
        return InThread(cls, (benches.resource(known[0]), *recipe.args[1:]), recipe.kwargs, config, 1)
    text = (
        f"{name} has no simulated twin: give it one by DeviceConfig(twin=…), or twin: module:function in lab.yaml, a "
        f"function that makes an object with the same methods which needs no instrument"
    )
    raise ConfigError(text)
