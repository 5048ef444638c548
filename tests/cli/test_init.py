"""Hold that a lab which was just begun works: its experiment, its test, its devices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def begun(actorlab: Command, tmp_path: Path) -> Path:
    """Begin a lab, and return its folder."""
    made = actorlab("init", tmp_path / "new" / "lab")
    assert made.exit_code == 0, made.stderr
    assert "actorlab run power_curve.py" in made.stdout
    return tmp_path / "new" / "lab"


def test_its_experiment_runs_and_is_kept(actorlab: Command, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(begun)
    ran = actorlab("run", "power_curve.py", "-p", "points=3", "--quiet")
    assert ran.exit_code == 0, ran.stderr
    assert float(ran.stdout) > 0
    assert "data: 3 rows" in actorlab("show", "power_curve#1").stdout
    devices = actorlab("devices").stdout
    assert devices.count("ok") == 2, devices


def test_its_test_passes(begun: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=begun, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_nothing_is_written_over(actorlab: Command, begun: Path) -> None:
    (begun / "lab.yaml").write_text("mine")
    refused = actorlab("init", begun)
    assert refused.exit_code == 2
    assert "has lab.yaml" in refused.stderr
    assert (begun / "lab.yaml").read_text() == "mine"


def test_a_file_is_no_folder(actorlab: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert actorlab("init", tmp_path / "file" / "lab").exit_code == 2
