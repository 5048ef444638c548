"""Time ``import actorlab`` in a fresh interpreter, and see that nothing heavy comes with it.

Run it with ``python -m benchmarks.bench_import [--quick]``.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Effort, Row, main, take_turns

LONGEST = 0.35
"""So many seconds it may take."""
HEAVY = (
    "bluesky", "dask", "fastapi", "fastcs", "matplotlib", "networkx", "nicegui", "numpy", "ophyd", "pandas", "pydantic",
    "pyvisa", "pyvisa_py", "ray", "rich", "ruamel", "sqlalchemy", "starlette", "typer", "uvicorn", "zmq",
)  # fmt: skip
PROGRAM = """
import sys, time
begin = time.perf_counter()
import actorlab
print(time.perf_counter() - begin, *sys.modules)
"""


def seconds_of_import() -> float:
    """Import the package in a fresh interpreter.

    Raises:
        AssertionError: a package of servers, plots, clusters, instruments or the command line came with it.

    """
    command = [sys.executable, "-c", PROGRAM]
    seconds, *modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    heavy = sorted({module.partition(".")[0] for module in modules} & set(HEAVY))
    if heavy:
        message = f"`import actorlab` imports {', '.join(heavy)}: import it where it is used"
        raise AssertionError(message)
    return float(seconds)


def bench(effort: Effort) -> list[Row]:
    """Time the import, next to the longest that is wanted."""
    timings = take_turns({"import actorlab": seconds_of_import, "what is wanted": lambda: LONGEST}, effort.rounds)
    return [timings.row("import actorlab", "what is wanted", 1.0)]


if __name__ == "__main__":
    main(bench)
