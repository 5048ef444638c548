"""Open the lab that a file describes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actorlab.config.importing import importable
from actorlab.config.model import BENCH, DeviceEntry, LabConfig
from actorlab.config.reading import read_lab_file
from actorlab.config.telemetry import provider_for
from actorlab.device import DeviceConfig
from actorlab.errors import ActorLabError, DeviceUnavailable
from actorlab.runtime.devices import Adding
from actorlab.runtime.lab import Lab
from actorlab.runtime.left_behind import LeftBehind
from actorlab.simulation.bench import Bench

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["ConfiguredLab", "lab_from_yaml"]


def lab_from_yaml(path: str | Path) -> ConfiguredLab:
    """Open the lab that a file describes, with its journal, all its devices, and the bench if an address names it.

    Raises:
        ConfigError: the file is wrong; the message names it and the line.
        JournalInUse: another process has its journal.
        DeviceUnavailable: a device didn't connect; all others are disconnected again.

    """
    config = read_lab_file(path)
    lab = ConfiguredLab(config, config.journal)
    try:
        lab.look_for_tasks()
        lab.add_all(lab.config.devices)
    except BaseException:
        lab.close()
        raise
    return lab


class ConfiguredLab(Lab):
    """A lab that was described by a file; the bench that simulates its devices, if any, lives as long as it does.

    What its runs do is kept in `journal`, if one is given.
    """

    def __init__(self, config: LabConfig, journal: str | Path | None = None) -> None:
        self.config = config
        self.bench = Bench(config.bench.time_scale, seed=config.bench.seed) if config.simulated else None
        provider: TracerProvider | None = None
        with ExitStack() as around:
            if config.folder is not None:
                around.enter_context(importable(config.folder))  # a driver's process starts, and starts again, later on
            if self.bench is not None:
                self.bench.start()
                around.callback(self.bench.close)
            if config.telemetry:
                provider, shut_down = provider_for(config.name)
                around.callback(shut_down)
            super().__init__(
                config.name, journal=journal, durable=config.durable, cancel_grace=config.cancel_grace,
                max_runs=config.max_runs, limits=config.limits, keep_finished=config.keep_finished,
                processes=config.processes, process_initializer=config.process_initializer, keep_rows=config.keep_rows,
            )  # fmt: skip
            self._around = around.pop_all()
        if provider is not None:
            self.trace(provider)

    def look_for_tasks(self) -> None:
        """Look for tasks and device classes as the file says. Raise `ConfigError` if a required one is missing."""
        if self.config.discover is not None:
            self.config.discover.look(self.discover)

    def add_configured(self, name: str) -> Any:
        """Add one of the devices in the file, and return its proxy. Raises what `Lab.add` raises."""
        return self.inventory.connected(self._begin(name))

    def add_all(self, names: Iterable[str]) -> None:
        """Add some of the devices in the file, all at the same time.

        Raises:
            DeviceUnavailable: some didn't connect; the message is the tree of what failed, and why.

        """
        absent = {name: error for name, error in self.tried(names).items() if error is not None}
        if absent:
            text = tree_of_absent(self.config, absent)
            raise DeviceUnavailable(text) from ExceptionGroup("devices that didn't connect", list(absent.values()))

    def tried(self, names: Iterable[str]) -> dict[str, ActorLabError | None]:
        """Add some of the devices in the file, all at the same time, and return why those that failed did."""
        begun = {name: self._begin(name) for name in names}
        return {name: self._outcome(adding) for name, adding in begun.items()}

    def _outcome(self, adding: Adding) -> ActorLabError | None:
        try:
            self.inventory.connected(adding)
        except ActorLabError as error:
            return error
        return None

    def _begin(self, name: str) -> Adding:
        entry = self.config.devices[name]
        factory = DeviceConfig(**entry.options())(entry.factory)
        return self.inventory.begin(name, factory, tuple(self._arguments(entry)), entry.kwargs)

    def _arguments(self, entry: DeviceEntry) -> list[Any]:
        if self.bench is None or entry.instrument is None:
            return entry.arguments
        return [self.bench.resources[entry.instrument], *entry.args]

    def on_bench(self, args: list[Any]) -> list[Any]:
        """Return what a device is made with, with an instrument of the bench for its address, such as bench:laser.

        Without a bench, or such an instrument, it is the device that says what is wrong with its address.
        """
        first = args[0] if args else None
        if self.bench is None or not isinstance(first, str) or not first.startswith(BENCH):
            return args
        return [self.bench.resources.get(first.removeprefix(BENCH), first), *args[1:]]

    def _end(self, reason: str | None, timeout: float | None = None) -> LeftBehind:
        try:
            return super()._end(reason, timeout)
        finally:
            self._around.close()


def tree_of_absent(config: LabConfig, absent: Mapping[str, BaseException]) -> str:
    """Write which devices didn't connect, and why."""
    heads = [f"{name} ({config.devices[name].address or 'no address'}): " for name in absent]
    whys = [error.__cause__ or error for error in absent.values()]
    stems = ["├── "] * (len(absent) - 1) + ["└── "]
    lines = [f"{stem}{head}{type(why).__name__}: {why}" for stem, head, why in zip(stems, heads, whys, strict=True)]
    hint = "check addresses, cables and power; a device with `optional: true` may be absent at the start"
    return "\n".join([f"{len(absent)} of the {len(config.devices)} devices didn't connect; {hint}", *lines])
