"""Rehearse an experiment without a lab: its devices are names only, or simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actorlab.cli.binding import bind_parameters, split_parameters
from actorlab.cli.picturing import DrawnDevice
from actorlab.cli.program import lab_file_for, load_program, split_program
from actorlab.config import LabConfig, read_lab_file
from actorlab.core.run_state import RunState
from actorlab.device import DeviceConfig
from actorlab.errors import ConfigError
from actorlab.rehearsal.durations import NoHistory
from actorlab.runtime.devices import configured
from actorlab.runtime.on_paper import PaperLab, places_of
from actorlab.runtime.rehearsing import rehearse_on_paper
from actorlab.runtime.simulating import simulate_on_paper
from actorlab.runtime.twin import Recipe

if TYPE_CHECKING:
    from actorlab.rehearsal.rehearsal import Rehearsal

__all__ = ["exit_code", "rehearsed", "write_picture"]

WRITERS: Final[dict[str, Callable[[Rehearsal], str]]] = {
    ".svg": lambda it: it.to_svg(),
    ".mmd": lambda it: it.to_mermaid(),
    ".json": lambda it: it.to_json(),
}


def rehearsed(program: str, lab: Path | None, parameters: list[str], *, simulate: bool = False) -> Rehearsal:
    """Rehearse a program in the lab of a file, without connecting it. Raise `ActorLabError` if that can't be."""
    file, name = split_program(program)
    task = load_program(file, name)
    lab_file = lab_file_for(file, lab)
    config = LabConfig() if lab_file is None else read_lab_file(lab_file)
    devices = None if lab_file is None else {key: item.factory for key, item in config.devices.items()}
    binding = bind_parameters(task, split_parameters(parameters), devices)
    names = list(config.devices) if lab_file is not None else binding.devices
    drawn: dict[str, Any] = {device: DrawnDevice(device) for device in binding.devices}
    args, kwargs = binding.resolved(drawn.__getitem__)
    paper = PaperLab(names, config.cancel_grace, places_of(config.max_runs, config.limits))
    if simulate:
        return simulate_on_paper(paper, recipes_of(config), task, tuple(args), kwargs, NoHistory())
    return rehearse_on_paper(paper, task, tuple(args), kwargs, NoHistory())


def recipes_of(config: LabConfig) -> dict[str, Recipe]:
    """Return how each device would be made."""
    recipes: dict[str, Recipe] = {}
    for name, entry in config.devices.items():
        factory, its = configured(DeviceConfig(**entry.options())(entry.factory))
        recipes[name] = Recipe(factory, tuple(entry.arguments), entry.kwargs, its)
    return recipes


def write_picture(rehearsal: Rehearsal, output: Path) -> str:
    """Write a rehearsal to a file, and say so. Raise `ConfigError` if it is no kind of file that can be written."""
    writer = WRITERS.get(output.suffix)
    if writer is None:
        message = f"-o {output}: it draws .svg, .mmd for Mermaid, or writes .json"
        raise ConfigError(message)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(writer(rehearsal), encoding="utf-8")
    return f"{output}: {len(rehearsal.entries)} steps of {rehearsal.name}"


def exit_code(rehearsal: Rehearsal) -> int:
    """Return 0 if the run would succeed, as far as is known, else 1."""
    return int(rehearsal.state is not RunState.SUCCEEDED or bool(rehearsal.violations))
