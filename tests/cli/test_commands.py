"""Hold what the commands print, and how they exit."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.testing import Result

Command = Callable[..., Result]
Write = Callable[[str], Path]
Start = Callable[..., AbstractContextManager[Any]]

COMMAND = (sys.executable, "-m", "actorlab.cli.main")

SWEEP = """
    from dataclasses import dataclass
    from pathlib import Path
    from actorlab import task, track, workflow, log
    from actorlab.simulation import Laser, PowerMeter

    @dataclass
    class Report:
        best: float
        data: Path

    @task
    def measure(laser: Laser, meter: PowerMeter, currents: list[float]) -> list[float]:
        laser.on()
        powers = []
        for current in track(currents, "sweeping"):
            laser.set_current(current)
            powers.append(meter.power())
        laser.off()
        log("measured", points=len(powers))
        return powers

    @task
    def save(powers: list[float]) -> Report:
        Path("powers.txt").write_text(str(powers))
        return Report(max(powers), Path("powers.txt"))

    @workflow
    def sweep(laser: Laser, meter: PowerMeter, currents: list[float] = [10, 20]) -> Report:
        return save(measure(laser, meter, currents))
"""

FAILING = """
    from actorlab import task, cleanup, workflow
    from actorlab.simulation import Laser

    @task
    def spoil(laser: Laser) -> None:
        laser.set_current(20)
        raise ValueError("the sample is gone")

    def tidy(laser: Laser) -> None:
        raise RuntimeError("no broom")

    @task
    def look(laser: Laser) -> None:
        laser.current()

    @workflow
    def spoiled(laser: Laser) -> None:
        cleanup(tidy, laser)
        look(laser)
        spoil(laser)
"""


def test_a_run_prints_what_happens_then_the_result(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(SWEEP), "-p", "currents=20,30")
    assert done.exit_code == 0, done.output
    lines = [line.partition("  ")[2] for line in done.stdout.splitlines()]
    order = [lines.index(f"sweep#1/{step}") for step in ("measure running", "measure succeeded", "save succeeded")]
    assert order == sorted(order)
    assert "sweep#1/measure: measured points=2" in lines
    assert lines.index("sweep#1 succeeded") > order[-1]
    assert done.stdout.splitlines()[-1].split() == ["data", "powers.txt"]
    assert Path("powers.txt").exists()


def test_quiet_prints_the_result_only(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(SWEEP), "--quiet")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["best", "data"]


def test_json_prints_an_event_a_line_and_the_result_last(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(SWEEP), "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1]["kind"] == "result"
    assert told[-1]["state"] == "succeeded"
    assert told[-1]["result"]["data"] == "powers.txt"
    assert told[-1]["error"] is None
    events = told[:-1]
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    assert ("laser", "device", "idle") in [(it["subject"], it["kind"], it["data"].get("state")) for it in events]
    assert ("sweep#1", "run", "succeeded") in [(it["subject"], it["kind"], it["data"].get("state")) for it in events]


def test_only_the_devices_that_are_needed_are_connected(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(SWEEP), "--json")
    assert '"subject":"meter"' in done.stdout
    assert '"subject":"oven"' not in done.stdout


def test_a_failed_run_is_told_by_paragraphs_and_exits_with_1(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(FAILING), "-q")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: ValueError: the sample is gone",
        "  in step spoil of spoiled#1",
        "  the clean-up tidy failed: RuntimeError('no broom')",
    ]


def test_debug_shows_where_an_error_comes_from(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(FAILING), "-q", "--debug")
    assert 'raise ValueError("the sample is gone")' in done.stderr
    assert "Traceback" in done.stderr


def test_a_failed_run_is_told_in_json_too(actorlab: Command, experiment: Write) -> None:
    done = actorlab("run", experiment(FAILING), "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, last["state"], last["result"]) == (1, "failed", None)
    assert last["error"]["type"] == "ValueError"
    assert "in step spoil of spoiled#1" in last["error"]["notes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nofile.py",), "there is no file nofile.py"),
        (("program.py:swep",), "program.py has no workflow, task or function 'swep'; did you mean 'sweep'?"),
        (("program.py", "-p", "curents=1"), "sweep has no parameter 'curents'; did you mean 'currents'?"),
        (("program.py", "-p", "currents=a"), "sweep takes list[float] for currents: Input should be a valid number"),
        (("program.py", "-p", "laser=lamp"), "the lab has none named 'lamp'"),
        (("program.py", "-p", "laser=oven"), "something of class Laser, but device 'oven' is of class Oven"),
        (("program.py:measure",), "measure needs a value for currents (list[float])"),
        (("program.py", "--lab", "nolab.yaml"), "nolab.yaml can't be read: No such file or directory"),
    ],
)
def test_wrong_use_is_one_paragraph_and_exits_with_2(
    actorlab: Command, experiment: Write, arguments: tuple[str, ...], said: str
) -> None:
    experiment(SWEEP)
    done = actorlab("run", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0\n", "program.py can't be loaded: ZeroDivisionError: division by zero (program.py:1)"),
        ("def f(:\n", "program.py can't be loaded: SyntaxError: "),
        ("x = 1\n", "program.py defines no workflow and no task"),
        (
            "from actorlab import task\n@task\ndef a(): ...\n@task\ndef b(): ...\n",
            "defines a, b: say which, as in program.py:a",
        ),
    ],
)
def test_a_program_that_cannot_be_loaded_is_said(actorlab: Command, program: Write, text: str, said: str) -> None:
    program(text)
    done = actorlab("run", "program.py")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_a_mistake_in_the_labs_file_is_said_with_its_line(actorlab: Command, program: Write, lab_file: Path) -> None:
    lab_file.write_text(
        "devices:\n  laser:\n    clas: x\n    class: actorlab.simulation:Laser\n    address: bench:laser\n"
    )
    done = actorlab("run", program(SWEEP))
    assert done.exit_code == 2
    assert "lab.yaml:3: devices.laser has no key 'clas'; did you mean 'class'?" in done.stderr


def test_a_workflow_that_cannot_be_drawn_exits_with_2(actorlab: Command, experiment: Write) -> None:
    file = experiment("""
        from actorlab import workflow
        from actorlab.simulation import Laser

        @workflow
        def acts(laser: Laser) -> None:
            laser.on()
    """)
    done = actorlab("run", file, "-q")
    assert done.exit_code == 2
    assert "put it in a task" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_device_that_does_not_answer_at_start_exits_with_1(actorlab: Command, program: Write, lab_file: Path) -> None:
    from actorlab.simulation import Bench  # noqa: PLC0415 - an address where nobody listens any more

    with Bench() as gone:
        address = gone.resources["laser"]
    options = "restart: {restart: never}"
    lab_file.write_text(f'devices:\n  laser: {{class: "actorlab.simulation:Laser", address: "{address}", {options}}}\n')
    done = actorlab("run", program(FAILING), "-q")
    assert done.exit_code == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: 1 of the 1 devices didn't connect; check addresses, cables and power")
    assert second.startswith(f"└── laser ({address}): ")


def test_a_program_without_devices_needs_no_lab_file(actorlab: Command, program: Write) -> None:
    file = program("from actorlab import task\n@task\ndef double(number: int) -> int:\n    return 2 * number\n")
    done = actorlab("run", file, "-q", "-p", "number=4")
    assert (done.exit_code, done.stdout) == (0, "8\n")


def test_the_lab_file_beside_the_program_goes_before_the_one_here(
    actorlab: Command, tmp_path: Path, lab_file: Path
) -> None:
    assert lab_file.parent == tmp_path
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "lab.yaml").write_text("nonsense: 1\n")
    (tmp_path / "deep" / "program.py").write_text("from actorlab import task\n@task\ndef f(): ...\n")
    assert "deep/lab.yaml:1" in actorlab("run", "deep/program.py").stderr


@pytest.mark.parametrize(("name", "begin"), [("graph.svg", "<svg"), ("graph.mmd", "flowchart TD")])
def test_a_workflow_is_drawn_without_touching_a_device(
    actorlab: Command, experiment: Write, name: str, begin: str
) -> None:
    done = actorlab("graph", experiment(SWEEP), "-o", name)
    assert (done.exit_code, done.stdout) == (0, f"{name}: 2 steps of sweep in 2 layers\n")
    assert Path(name).read_text().startswith(begin)


def test_a_workflow_is_drawn_without_a_lab_file_too(actorlab: Command, program: Write) -> None:
    done = actorlab("graph", program(SWEEP), "-o", "graph.mmd")
    assert done.exit_code == 0, done.output
    assert "s0 --> s1" in Path("graph.mmd").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("program.py", "-o", "graph.png"), "it draws .svg, or .mmd for Mermaid"),
        (("program.py:measure", "-o", "graph.svg"), "measure isn't a workflow"),
    ],
)
def test_what_cannot_be_drawn_is_said(actorlab: Command, program: Write, arguments: tuple[str, ...], said: str) -> None:
    program(SWEEP)
    done = actorlab("graph", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.usefixtures("lab_file")
def test_devices_are_listed_with_who_they_say_they_are(actorlab: Command) -> None:
    done = actorlab("devices")
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert rows[0] == ["laser", "Laser", "bench:laser", "ok", "actorlab,tunable", "laser,0,1.0"]
    assert [row[0] for row in rows] == ["laser", "meter", "oven"]


def test_a_device_that_does_not_answer_is_listed_with_the_reason(actorlab: Command, lab_file: Path) -> None:
    wrong = lab_file.read_text().replace("bench:meter", "bench:stage")
    lab_file.write_text(wrong)
    done = actorlab("devices")
    assert done.exit_code == 1
    assert "expected a power meter, found" in done.stdout
    assert "oven" in done.stdout, "the others are tried all the same"


def test_devices_need_a_lab_file(actorlab: Command) -> None:
    done = actorlab("devices")
    assert done.exit_code == 2
    assert "there is no lab.yaml here: name the lab's file by --lab FILE" in done.stderr


def test_a_bench_serves_until_it_is_interrupted(started: Start) -> None:
    with started("bench", "--any-port") as bench:
        bench.await_out("Ctrl-C ends it")
        assert bench.out[0].split()[0] == "laser"
        from actorlab.simulation import Laser  # noqa: PLC0415 - after the slow start

        with Laser(bench.out[0].split()[1]) as laser:
            laser.set_current(20)
            assert laser.current() == 20
        bench.process.terminate()
        assert bench.end() == 0


def test_a_live_tree_is_drawn_on_a_terminal(experiment: Write) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "run", str(experiment(SWEEP))],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # so a terminal ends
            pass
        finally:
            os.close(ours)
        assert process.wait(30) == 0
    text = shown.decode()
    assert "└─" in text
    assert "save" in text
    assert "\x1b[?25h" in text, "the cursor is back"
    assert re.sub(r"\x1b\[[\d;?]*\w", "", text).rstrip().endswith("data  powers.txt")


def test_importing_actorlab_imports_no_command_line() -> None:
    code = (
        "import sys, actorlab; "
        "print([name for name in ('typer', 'rich', 'matplotlib', 'ruamel.yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_imports_no_instrument_drivers() -> None:
    code = (
        "import sys; from actorlab.cli.main import app; app(['--help'], standalone_mode=False); "
        "print([name for name in ('pyvisa', 'numpy', 'networkx', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# -- tasks by name


@pytest.fixture
def known_tasks(tmp_path: Path, lab_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the lab's file name a folder with tasks: one that works, one that is broken, one that opts out."""
    monkeypatch.delenv("ACTORLAB_PATH", raising=False)
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "sweeps.py").write_text(dedent(SWEEP))
    (folder / "broken.py").write_text("import nothing_that_is_there\n")
    (folder / "hidden.py").write_text("__actorlab_discover__ = False\n")
    lab_file.write_text(lab_file.read_text() + "discover: {folders: [tasks], entry_points: false}\n")
    return folder


def test_tasks_lists_what_is_known_by_name_and_what_was_skipped(actorlab: Command, known_tasks: Path) -> None:
    shown = actorlab("tasks")
    assert shown.exit_code == 0
    line = next(line for line in shown.stdout.splitlines() if line.startswith("measure"))
    assert line.split()[:3] == ["measure", "task", "tasks"]
    assert "laser: Laser, meter: PowerMeter, currents" in line
    assert str(known_tasks / "sweeps.py") in line
    assert "[currents]" in next(line for line in shown.stdout.splitlines() if line.startswith("sweep "))
    assert re.search(r"error: .*broken\.py:1: it can't be imported, .*nothing_that_is_there", shown.stdout)
    assert "hidden.py opts out" in shown.stdout


def test_tasks_as_json_has_the_schemas(actorlab: Command, known_tasks: Path) -> None:
    told = json.loads(actorlab("tasks", "--json").stdout)
    found = {entry["name"]: entry for entry in told["found"]}
    assert found["measure"]["parameters"]["properties"]["laser"]["device"] == "Laser"
    assert found["save"]["place"].startswith(str(known_tasks))
    assert [problem["level"] for problem in told["problems"]] == ["error"]


def test_a_task_is_run_by_its_name(actorlab: Command, known_tasks: Path) -> None:
    assert known_tasks.is_dir()
    shown = actorlab("run", "sweep", "-p", "currents=10,20", "--quiet")
    assert (shown.exit_code, "powers.txt" in shown.stdout) == (0, True), shown.output


def test_a_name_that_is_neither_a_file_nor_a_task_is_said(actorlab: Command, known_tasks: Path) -> None:
    assert known_tasks.is_dir()
    shown = actorlab("run", "swep")
    assert shown.exit_code == 2
    assert "there is no file swep, and no task of that name" in shown.stderr
    assert "did you mean 'sweep'?" in shown.stderr
