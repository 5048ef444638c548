"""Draw a workflow without a lab: its devices are names only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final, NoReturn

from actorlab.arguments import DeviceRef
from actorlab.cli.binding import bind_parameters, split_parameters
from actorlab.cli.ordering import chosen
from actorlab.config import read_lab_file
from actorlab.core.graph import Graph
from actorlab.drawing import draw
from actorlab.drawing_svg import graph_svg
from actorlab.errors import ConfigError, WorkflowError
from actorlab.task import Workflow

__all__ = ["picture"]

LARGEST: Final = 1000
"""Nobody finds his way through a picture of more steps."""


class DrawnDevice(DeviceRef):
    """Stand for a device while a workflow is drawn; nothing can be done with it."""

    def __init__(self, name: str) -> None:
        self._actorlab_name = name

    def __getattr__(self, member: str) -> NoReturn:
        """Refuse to act."""
        if member.startswith("_"):
            raise AttributeError(member)
        message = f"the workflow uses {self._actorlab_name}.{member} itself: put it in a task"
        raise WorkflowError(message)


def picture(program: str, lab: Path | None, parameters: list[str], output: Path) -> str:
    """Write a workflow's picture to a file, and say what is in it. Raise `ActorLabError` if that can't be."""
    if output.suffix not in (".svg", ".mmd"):
        message = f"-o {output}: it draws .svg, or .mmd for Mermaid"
        raise ConfigError(message)
    task, lab_file = chosen(program, lab)
    if not isinstance(task, Workflow):
        message = f"{task.name} isn't a workflow, so there is nothing to draw: a task is one step"
        raise ConfigError(message)
    devices = None if lab_file is None else {key: item.factory for key, item in read_lab_file(lab_file).devices.items()}
    binding = bind_parameters(task, split_parameters(parameters), devices)
    drawn: dict[str, Any] = {device: DrawnDevice(device) for device in binding.devices}
    args, kwargs = binding.resolved(drawn.__getitem__)
    graph = draw(task, tuple(args), kwargs).graph
    if len(graph.nodes) > LARGEST:
        raise too_large(task.name, graph)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(graph_svg(graph) if output.suffix == ".svg" else graph.mermaid(), encoding="utf-8")
    return f"{output}: {len(graph.nodes)} steps of {task.name} in {len(graph.layers())} layers"


def too_large(name: str, graph: Graph) -> ConfigError:
    """Make the error for a graph of which a picture would show nothing; it says what is in it."""
    steps = ", ".join(f"{count:,} {step}" for step, count in Counter(node.name for node in graph.nodes).most_common(5))
    text = (
        f"{name} has {len(graph.nodes):,} steps ({steps}) in {len(graph.layers()):,} layers: a picture of more than "
        f"{LARGEST:,} can't be read; draw it with fewer, by its parameters (name=value)"
    )
    return ConfigError(text)
