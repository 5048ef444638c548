"""Time a direct device call inside a run, next to LabDaemon's call in process (a lock, no actor).

LabDaemon is no dependency: ``pip install labdaemon`` into the environment of the benchmark; without it there is no row.
Run it with ``python -m benchmarks.bench_direct [--quick]``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from actorlab import DeviceConfig, Lab
from benchmarks.harness import Effort, Row, main, seconds_each, take_turns

CALLS = 100_000
DIRECT = "direct call in a run"
LABDAEMON = "call of LabDaemon's in process"


class Meter:
    """A device that answers at once, with what LabDaemon asks of one."""

    def __init__(self, device_id: str = "meter") -> None:
        self.device_id = device_id

    def power(self) -> float:
        """Return a number."""
        return 1.0


def calls(meter: Meter, count: int) -> float:
    """Call a device again and again, and return the seconds of each call: the body of a run."""
    return seconds_each(count, meter.power)


def meter_of_labdaemon() -> Any:
    """Make the same device one of LabDaemon's."""
    daemon: Any = import_module("labdaemon").LabDaemon()
    daemon.register_plugins({"Meter": Meter}, {})
    return daemon.add_device("meter", "Meter")


def bench(effort: Effort) -> list[Row]:
    """Time the two."""
    if find_spec("labdaemon") is None:
        return []
    count = effort.pieces(CALLS)
    theirs = meter_of_labdaemon()
    with Lab("direct") as lab:
        meter = lab.add("meter", DeviceConfig(direct=True)(Meter))
        timings = take_turns(
            {
                DIRECT: lambda: lab.run(calls, meter, count),
                LABDAEMON: lambda: seconds_each(count, theirs.power),
            },
            effort.rounds,
        )
    return [timings.row(DIRECT, LABDAEMON, 1.2)]


if __name__ == "__main__":
    main(bench)
