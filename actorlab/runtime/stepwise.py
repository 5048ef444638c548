"""Tell a timeline in terms of steps: their places, their waits, the chain that matters, the use of each device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actorlab.core.timeline import ALMOST, Waited
from actorlab.rehearsal.durations import NO_TIME
from actorlab.rehearsal.rehearsal import DeviceUse, Entry, Link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actorlab.core.timeline import Activity
    from actorlab.core.virtual_lab import VirtualLab, VirtualRun
    from actorlab.rehearsal.durations import Estimate
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["Stepwise"]

BODIES: Final = ("step", "cleanup")
SHOWN: Final = (int, float, str, bool)


class Stepwise:
    """What a virtual lab's timeline says of one run and those within it."""

    def __init__(
        self,
        stage: VirtualLab,
        root: VirtualRun,
        actors: Mapping[str, RunActor],
        estimates: Mapping[tuple[str, int], Estimate],
    ) -> None:
        self._stage = stage
        self._all = stage.timeline.activities
        self._actors = actors
        self._estimates = estimates
        self._depths = {run.id: depth for run in stage.runs.values() if (depth := below(root, run)) is not None}
        self._own = [it for it in self._all if it.run in self._depths]
        self._last = root.last if root.ended else self._own[-1].number
        self._chain = stage.timeline.chain(self._last)
        self._waits = self._all_waits()
        self.begins = root.wait.end
        """When the run has its lease."""

    @property
    def last(self) -> int:
        """The number of the activity that the end is."""
        return self._last

    def entries(self) -> tuple[Entry, ...]:
        """Return the steps and clean-ups, in the order in which they begin."""
        critical = {activity.number for activity in self._chain}
        return tuple([self._entry(it, critical=it.number in critical) for it in self._own if it.kind in BODIES])

    def spread(self) -> dict[int, Estimate]:
        """Return the estimates of what takes time, by the numbers of the activities, of all runs."""
        known = self._estimates
        return {
            it.number: known[it.run, it.step] for it in self._all if (it.run, it.step) in known and it.kind in BODIES
        }

    def critical_path(self) -> tuple[Link, ...]:
        """Return the steps and waits that follow one another up to the end."""
        own = {activity.number for activity in self._own}  # what others do in the meantime is a wait
        return tuple([link for activity in self._chain if activity.number in own for link in self._links(activity)])

    def devices(self, end: float) -> tuple[DeviceUse, ...]:
        """Return how much each device is used, and waited for."""
        busy: dict[str, list[tuple[float, float]]] = {}
        waited: dict[str, float] = {}
        for activity in self._own:
            if activity.kind not in BODIES:
                continue
            work = self._work(activity)
            for device in (*work.exclusive, *work.shared):
                busy.setdefault(device, []).append((activity.begin, activity.end))
            for wait in self._waits.get(activity.number, ()):
                for device in wait.what.split(", "):
                    waited[device] = waited.get(device, 0.0) + wait.seconds
        whole = end - self.begins
        used = {device: covered(spans) for device, spans in sorted(busy.items())}
        return tuple([
            DeviceUse(device, seconds, waited.get(device, 0.0), seconds / whole if whole else 0.0)
            for device, seconds in used.items()
        ])  # fmt: skip

    def _work(self, activity: Activity) -> Work:
        actor = self._actors[activity.run]
        return actor.work[activity.step] if activity.step >= 0 else actor.cleanups[-1 - activity.step]

    def _entry(self, activity: Activity, *, critical: bool) -> Entry:
        work = self._work(activity)
        values = tuple([value for value in (*work.args, *work.kwargs.values()) if type(value) in SHOWN])
        return Entry(
            activity.run, self._depths[activity.run], activity.step, activity.attempt, work.name, values,
            work.exclusive, work.shared, activity.begin, activity.end,
            self._estimates.get((activity.run, activity.step), NO_TIME),
            self._waits.get(activity.number, ()), critical,
        )  # fmt: skip

    def _links(self, activity: Activity) -> Iterator[Link]:
        name = self._actors[activity.run].name
        if activity.delay:
            yield Link(f"{name} waits for its time", activity.begin - activity.delay, activity.begin)
        if activity.kind == "lease" and activity.seconds > ALMOST:
            why = ", ".join(f"{wait.what} (of {wait.by})" for wait in activity.waits) or "its lease"
            yield Link(f"{name} waits for {why}", activity.begin, activity.end)
        elif activity.kind in BODIES:
            yield Link(self._entry(activity, critical=True).title, activity.begin, activity.end)

    # -- who waits for whom

    def _all_waits(self) -> dict[int, tuple[Waited, ...]]:
        """Return for what steps waited after their values were known; the first of a run has the waits for its lease.

        Most wait for nothing, and aren't in it.
        """
        waits: dict[int, tuple[Waited, ...]] = {}
        leases: dict[str, tuple[Waited, ...]] = {}
        for activity in self._own:
            if activity.kind == "lease":
                leases[activity.run] = self._waits_for_lease(activity)
            elif activity.kind == "step" and activity.attempt == 1:
                run = self._stage.runs[activity.run]
                found = leases.pop(activity.run, ()) + self._waits_for_steps(run, activity.step, activity.begin)
                if found:
                    waits[activity.number] = found
        return waits

    def _waits_for_lease(self, activity: Activity) -> tuple[Waited, ...]:
        """Return for what a run waited: for earlier steps, if it is a step itself, and for its lease."""
        run = self._stage.runs.get(activity.run)
        before: tuple[Waited, ...] = ()
        if run is not None and run.parent is not None:
            before = self._waits_for_steps(run.parent, run.origin[0], activity.begin)
        return before + (activity.waits if activity.seconds > ALMOST else ())

    def _waits_for_steps(self, run: VirtualRun, step: int, begin: float) -> tuple[Waited, ...]:
        """Return for which device, or turn, a step waited, and who had it last."""
        plan, final = run.script.spec.plan, run.final
        loose = plan.loose[step] if plan.loose else ()
        turns = [parent for parent in loose if parent in final]
        if not turns:
            return ()
        firm = [self._all[final[it]].end for it in plan.parents[step] if it in final and it not in loose]
        ready = max([run.wait.end, *firm])
        if begin - ready <= ALMOST:
            return ()
        last = max(turns, key=lambda parent: self._all[final[parent]].end)
        actor = self._actors[run.id]
        devices = actor.drawing.graph.common_devices(last, step) if actor.drawing is not None else []
        return (Waited(", ".join(devices) or "its turn", actor.work[last].name, begin - ready),)


def below(root: VirtualRun, run: VirtualRun) -> int | None:
    """Return how many runs down from another one a run is; None if it isn't within that."""
    depth = 0
    while run is not root:
        if run.parent is None:
            return None
        run, depth = run.parent, depth + 1
    return depth


def covered(spans: list[tuple[float, float]]) -> float:
    """Return for how long at least one of some spans lasts."""
    total, until = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
