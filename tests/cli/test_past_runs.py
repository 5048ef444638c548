"""Hold what the command tells of the runs in a journal, whether their lab has ended or still runs elsewhere."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from actorlab import Lab, query, record, spawn, task, workflow
from actorlab.data import load
from actorlab.journal import Journal, JournalReader

Command = Callable[..., Result]
COMMAND = (sys.executable, "-m", "actorlab.cli.main")
Start = Callable[..., AbstractContextManager[Any]]


class Stage:
    """A device."""

    def __init__(self) -> None:
        self.place = 0

    def move(self, place: int) -> None:
        self.place = place

    @query
    def identify(self) -> str:
        return "stage 7"

    def make_safe(self) -> None:
        pass


@task
def scan(stage: Stage, points: int) -> int:
    for point in range(points):
        stage.move(point)
        record(point=point, height=point / 2)
    return points


@task
def judge(points: int) -> None:
    try:
        int("no number")
    except ValueError as error:
        text = f"{points} points are too few"
        raise RuntimeError(text) from error


@workflow
def night(stage: Stage, points: int) -> None:
    judge(scan(stage, points))


@workflow
def week(stage: Stage) -> None:
    night(stage, 2)


@task
def alone(stage: Stage) -> int:
    return spawn(scan, stage, 1).result()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Leave the journal of a lab in which three runs have ended."""
    with Lab(journal=tmp_path / "journal.db", durable=False) as lab:
        stage = lab.add("stage", Stage)
        lab.run(scan, stage, 3)
        assert lab.start(night, stage, points=4).exception() is not None
        lab.run(sum, [1, 2])
    return tmp_path / "journal.db"


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


# -- runs


def test_runs_lists_the_latest_first(actorlab: Command, journal: Path) -> None:
    assert journal.exists()
    _, *told = lines(actorlab("runs"))
    assert [line.split()[0] for line in told] == ["sum#3", "night#2", "scan#1"]
    assert "✘ failed" in told[1]
    assert told[1].endswith("RuntimeError: 4 points are too few")


def test_what_is_piped_is_never_broken_into_lines(tmp_path: Path) -> None:
    text = "a name as long as nobody would give one to a run of his own free will " * 3
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.append("x#1", "run", {"name": "x", "kind": "task", "task": text}, 0.0)
    told = subprocess.run([*COMMAND, "show", "x#1"], capture_output=True, text=True, check=True, timeout=30)
    assert any(text.strip() in line for line in told.stdout.splitlines())


def test_in_a_narrow_window_what_went_wrong_gives_way(journal: Path) -> None:
    mine, its = pty.openpty()
    command = [*COMMAND, "runs", "--journal", str(journal)]
    environment = {**os.environ, "TERM": "dumb"}  # which is 80 characters wide
    subprocess.run(command, env=environment, stdout=its, check=True, timeout=30)
    os.close(its)
    told = os.read(mine, 100_000).decode()
    os.close(mine)
    (failed,) = [line.strip() for line in told.splitlines() if line.startswith("night#2")]
    assert "✘ failed" in failed
    assert failed.endswith("…")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "failed"], ["night#2"]),
        (["--state", "failed", "--state", "succeeded"], ["sum#3", "night#2", "scan#1"]),
        (["--name", "scan"], ["scan#1"]),
        (["--since", "2h", "--limit", "1"], ["sum#3"]),
        (["--since", "2099-01-01"], []),
        (["--limit", "0"], ["sum#3", "night#2", "scan#1"]),
    ],
)
def test_runs_lists_those_that_are_wanted(
    actorlab: Command, journal: Path, options: list[str], expected: list[str]
) -> None:
    told = lines(actorlab("runs", "--journal", journal, "--json", *options))
    assert [json.loads(line)["id"] for line in told] == expected


def test_runs_says_that_there_are_more(actorlab: Command, journal: Path) -> None:
    assert lines(actorlab("runs", "--journal", journal, "--limit", "2"))[-1].startswith("… and older ones")
    assert "no such runs" in actorlab("runs", "--journal", journal, "--state", "paused").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--state", "fialed"], "did you mean 'failed'?"),
        (["--since", "yesterday"], "say how long ago"),
        (["--journal", "elsewhere.db"], "there is no journal elsewhere.db"),
        (["--lab", "nowhere.yaml"], "nowhere.yaml can't be read"),
    ],
)
def test_nonsense_is_refused(actorlab: Command, journal: Path, options: list[str], said: str) -> None:
    assert journal.exists()
    refused = actorlab("runs", *options)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_the_file_of_a_lab_leads_to_its_journal(actorlab: Command, journal: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "lab.yaml").write_text(f"journal: {journal}\ndevices:\n  x: {{class: 'gone:Driver'}}\n")
    assert lines(actorlab("runs", "--lab", folder / "lab.yaml"))[1].startswith("sum#3")
    (folder / "lab.yaml").write_text("journal: null\n")
    assert "says that no journal is kept" in actorlab("runs", "--lab", folder / "lab.yaml").stderr


# -- show


def test_show_tells_all_that_is_known_of_a_run(actorlab: Command, journal: Path) -> None:
    told = lines(actorlab("show", "night#2", "--journal", journal))
    text = "\n".join(told)
    assert told[0].startswith("night#2 ✘ failed")
    assert "arguments stage, points=4" in told
    assert "├─ ✔ 0 scan 0.0 s stage" in told
    assert "└─ ✘ 1 judge failed 0.0 s RuntimeError: 4 points are too few" in told
    assert "identify=stage 7" in text
    assert "data: 4 rows" in told
    assert "height last 1.5" in told
    assert "error in judge (step 1 of night#2)" in told
    assert "raise RuntimeError(text) from error" in told, "the traceback"
    assert "ValueError: invalid literal for int() with base 10: 'no number'" in told, "the cause"
    assert f"source {Path(__file__)}, sha256" in text


def test_show_has_the_runs_inside_a_run_in_its_tree(actorlab: Command, tmp_path: Path) -> None:
    with Lab(journal=tmp_path / "journal.db", durable=False) as lab:
        stage = lab.add("stage", Stage)
        assert lab.start(week, stage).exception() is not None
        lab.run(alone, stage)
    told = lines(actorlab("show", "week#1"))
    begin = told.index("steps") + 1
    assert [re.split(r" \d\.\d s", line)[0] for line in told[begin : begin + 3]] == [
        "└─ ✘ 0 night failed",
        "├─ ✔ 0 scan",
        "└─ ✘ 1 judge failed",
    ]
    assert any(line.startswith("error in judge (step 1 of week#1/night#2)") for line in told)
    parent = json.loads(actorlab("show", "alone#3", "--json").stdout)
    assert [child["name"] for child in parent["children"]] == ["scan"]
    assert "└─ ✔ scan#4" in "\n".join(lines(actorlab("show", "alone#3")))
    assert "scan#4" in actorlab("runs", "--all").stdout
    assert "scan#4" not in actorlab("runs").stdout


def test_show_as_json_has_the_same(actorlab: Command, journal: Path) -> None:
    told = json.loads(actorlab("show", "night#2", "--journal", journal, "--json").stdout)
    assert (told["id"], told["state"]) == ("night#2", "failed")
    assert [(step["name"], step["state"]) for step in told["steps"]] == [("scan", "succeeded"), ("judge", "failed")]
    assert told["steps"][0]["began"] <= told["steps"][0]["ended"] <= told["steps"][1]["began"]
    assert told["data"] == {"rows": 4, "columns": {"point": "", "height": ""}, "last": {"point": 3, "height": 1.5}}
    assert told["devices"]["stage"]["settings"]["identify"] == "stage 7"
    assert told["source"]["sha256"]


def test_show_draws_what_was_done_when(actorlab: Command, journal: Path, tmp_path: Path) -> None:
    assert actorlab("show", "night#2", "--journal", journal, "-o", tmp_path / "night.svg").exit_code == 0
    picture = (tmp_path / "night.svg").read_text()
    assert picture.startswith("<svg")
    assert "judge failed" in picture
    refused = actorlab("show", "night#2", "--journal", journal, "-o", "night.png")
    assert refused.exit_code == 2


@pytest.mark.parametrize(("typed", "said"), [("nihgt#2", "did you mean night#2?"), ("scan", "did you mean scan#1?"),
                                             ("???", "the latest are sum#3, night#2, scan#1")])  # fmt: skip
def test_an_unknown_run_leads_to_known_ones(actorlab: Command, journal: Path, typed: str, said: str) -> None:
    refused = actorlab("show", typed, "--journal", journal)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_in_an_empty_journal_there_are_no_runs(actorlab: Command, tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal.db").close()
    assert "no runs yet" in actorlab("runs").stdout
    assert "there are no runs at all" in actorlab("show", "scan#1").stderr


# -- export


def test_export_writes_what_was_recorded(actorlab: Command, journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "data.csv"
    assert lines(actorlab("export", "scan#1", "-o", file, "--journal", journal)) == [f"{file}: 3 rows of scan#1"]
    _, *rows = csv.reader(file.read_text().splitlines())
    assert [row[-2:] for row in rows] == [["0", "0.0"], ["1", "0.5"], ["2", "1.0"]]
    refused = actorlab("export", "scan#1", "-o", file, "--journal", journal)
    assert (refused.exit_code, "--overwrite replaces it" in refused.stderr) == (2, True)
    assert actorlab("export", "scan#1", "-o", file, "--journal", journal, "--overwrite").exit_code == 0


@pytest.mark.parametrize("ending", [".json", ".h5", ".nc", ".zarr"])
def test_export_knows_these_formats(actorlab: Command, journal: Path, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    pytest.importorskip("zarr")
    file = tmp_path / f"data{ending}"
    assert actorlab("export", "scan#1", "-o", file, "--journal", journal).exit_code == 0
    assert file.exists()
    if ending == ".json":
        saved = load(file)
        assert saved.data["columns"]["height"] == [0.0, 0.5, 1.0]
        assert saved.metadata["run"] == "scan#1"


def test_what_cant_be_exported_is_said(actorlab: Command, journal: Path) -> None:
    assert "has recorded no rows" in actorlab("export", "sum#3", "-o", "x.csv", "--journal", journal).stderr
    refused = actorlab("export", "scan#1", "-o", "x.pdf", "--journal", journal)
    assert (refused.exit_code, ".csv" in refused.stderr) == (2, True)


# -- a lab that still runs, in another process


RUNNING = """
    from actorlab import checkpoint, record, sleep, task
    from actorlab.simulation import Laser, Oven

    @task
    def glow(laser: Laser) -> None:
        laser.on()
        record(on=True)
        print("it glows", flush=True)
        while True:
            checkpoint()
            sleep(0.01)
"""


@pytest.fixture
def glowing(started: Start, experiment: Callable[[str], Path]) -> Iterator[Any]:
    with started("run", f"{experiment(RUNNING)}:glow") as run:
        run.await_out("it glows")
        yield run


def test_a_running_lab_is_looked_at_paused_resumed_asked_and_cancelled(
    actorlab: Command, glowing: Any, tmp_path: Path
) -> None:
    assert "◐ running" in lines(actorlab("runs"))[1]
    assert lines(actorlab("show", "glow#1"))[0].startswith("glow#1 ◐ running")
    assert lines(actorlab("pause", "glow#1", "--reason", "lunch")) == ["glow#1 paused"]
    assert "lunch" in actorlab("why", "glow#1").stdout
    with JournalReader.open(tmp_path / "journal.db") as reader:
        reader.ask("resume", {"run": "glow#1"})
    assert lines(actorlab("why", "glow#1"))[0] == "glow#1 is running"
    assert lines(actorlab("export", "glow#1", "-o", "on.csv")) == ["on.csv: 1 rows of glow#1"]
    assert lines(actorlab("cancel", "glow#1", "--reason", "enough")) == ["glow#1 cancelled"]
    assert glowing.end() == 1
    assert any("enough" in line for line in glowing.err)
    assert "cancelled it: enough" in actorlab("why", "glow#1").stdout
    assert lines(actorlab("cancel", "glow#1")) == ["glow#1 has ended already: cancelled"]
    assert actorlab("pause", "glow#1").exit_code == 2


def test_of_a_lab_that_was_killed_it_says_what_it_was_doing(actorlab: Command, glowing: Any) -> None:
    glowing.process.kill()
    glowing.end()
    told = lines(actorlab("why", "glow#1"))
    assert told == [
        "glow#1 was running when its lab ended; go on with it by: actorlab resume glow#1",
        "step 0, glow on laser: running",
    ]
    assert "! cut off" in lines(actorlab("runs"))[1]
    assert lines(actorlab("show", "glow#1"))[0] == "glow#1 ! cut off"
    refused = actorlab("cancel", "glow#1")
    assert refused.exit_code == 2
    assert "actorlab resume glow#1" in refused.stderr
