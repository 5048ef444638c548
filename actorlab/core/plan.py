"""Count which steps may begin: a graph compiled to tuples of numbers, and the counters of one execution."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Countdown", "Plan"]

Steps = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Say which steps each step waits for; steps are numbered in written order.

    `loose` names, for each step, those of its parents whose end is enough, because it only awaits their devices;
    without the success of its other parents it can't run. Left empty, every parent has to succeed.
    """

    parents: tuple[Steps, ...]
    loose: tuple[Steps, ...] = ()
    children: tuple[Steps, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        children: list[list[int]] = [[] for _ in self.parents]
        for index, parents in enumerate(self.parents):
            for parent in parents:
                children[parent].append(index)
        object.__setattr__(self, "children", tuple(map(tuple, children)))

    @property
    def size(self) -> int:
        """How many steps there are."""
        return len(self.parents)


class Countdown:
    """Count down what each step still waits for, in one execution of a plan.

    Report a success by `ended`. Where the rest shall go on after a failure, report that by `skip` and then `ended`: the
    first tells who can't run any more, the second who can run now.
    """

    __slots__ = ("_children", "_loose", "_missing", "_skipped", "left")

    def __init__(self, plan: Plan) -> None:
        self.left = plan.size
        """How many steps have neither ended nor been skipped."""
        self._children = plan.children
        self._loose = plan.loose
        self._missing = list(map(len, plan.parents))
        self._skipped: dict[int, None] = {}

    def ready(self) -> list[int]:
        """Return the steps that wait for nothing, in written order: where an execution begins."""
        return [index for index, missing in enumerate(self._missing) if not missing]

    def ended(self, index: int) -> list[int]:
        """Take the end of a step, and return the steps that may begin now, in written order."""
        self.left -= 1
        ready = self._count(index)
        return self._pass_on(ready) if self._skipped else ready

    def skip(self, index: int) -> list[int]:
        """Return all steps that can't run since this one failed, in written order; none of them gets ready."""
        before = len(self._skipped)
        hopeless = [index]
        for step in hopeless:  # grows while it is walked
            for child in self._children[step]:
                if child not in self._skipped and not (self._loose and step in self._loose[child]):
                    self._skipped[child] = None
                    hopeless.append(child)
        self.left -= len(self._skipped) - before
        return sorted(hopeless[1:])

    def _count(self, index: int) -> list[int]:
        missing = self._missing
        ready: list[int] = []
        for child in self._children[index]:
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
        return ready

    def _pass_on(self, reached: list[int]) -> list[int]:
        """Let skipped steps end when it is their turn: until then earlier steps have the devices they'd have taken."""
        ready: list[int] = []
        for index in reached:  # grows while it is walked
            if index in self._skipped:
                reached.extend(self._count(index))
            else:
                ready.append(index)
        return sorted(ready)
