"""Rebuild the cores of a lab from its journal: ``python replaying.py JOURNAL`` prints how they stood at each mark."""

from __future__ import annotations

import json
import sys
from typing import Any

from actorlab.journal import JournalReader
from actorlab.replay import Cores


def state_of(runs: Any, leases: Any, devices: Any, groups: Any) -> dict[str, Any]:
    """Say how all cores stand, as JSON can hold it."""
    names = sorted(devices.names)
    return {
        "runs": {
            run: [core.state, core.reason, [core.step_state(step) for step in range(core.spec.plan.size)],
                  [core.attempts(step) for step in range(core.spec.plan.size)]]
            for run, core in sorted(runs.items())
        },
        "waiting": leases.waiting(),
        "holders": {name: leases.holders(name) for name in names},
        "devices": {name: devices.state(name) for name in names},
        "services": {
            name: [group.standing(name).state, group.standing(name).restarts]
            for group in groups.values() for name in group.names
        },
    }  # fmt: skip


def main(journal: str) -> None:
    """Print the state at each mark."""
    cores = Cores()
    with JournalReader.open(journal) as reader:
        for event in reader.events():
            if event.kind == "mark":
                told = state_of(cores.runs, cores.leases, cores.devices, cores.groups)
                sys.stdout.write(json.dumps([event.payload, told]) + "\n")
            cores.tell(event.run, event.kind, event.payload, event.time)


if __name__ == "__main__":
    main(sys.argv[1])
