"""Hold that every program in workflows/ runs, alone and by the command line, and saves what it found."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab.cli.program import load_program
from actorlab.config import ConfiguredLab, read_lab_file
from actorlab.simulation.physics import Etalon

WORKFLOWS = Path(__file__).parents[1] / "workflows"
PROGRAMS = sorted(path.name for path in WORKFLOWS.glob("*.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the experiments, with the same bench in a hurry."""
    copy = tmp_path / "workflows"
    shutil.copytree(WORKFLOWS, copy, ignore=shutil.ignore_patterns("__pycache__", "journal.db*"))
    lab = (copy / "lab.yaml").read_text(encoding="utf-8")
    assert "time_scale: 1 " in lab
    (copy / "lab.yaml").write_text(lab.replace("time_scale: 1 ", "time_scale: 30 "), encoding="utf-8")
    return copy


def ran(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder.parent, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def by_command(folder: Path, program: str, *arguments: str) -> dict[str, Any]:
    printed = ran("-m", "actorlab.cli.main", "run", f"workflows/{program}", "--json", *arguments, folder=folder)
    last: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert last["state"] == "succeeded"
    result: dict[str, Any] = last["result"]
    return result


def table(file: Path) -> tuple[list[str], np.ndarray[Any, Any]]:
    with file.open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    return header, np.array(rows, dtype=float)


def test_these_are_the_experiments() -> None:
    assert PROGRAMS == ["characterise.py", "iv_curve.py", "wavelength_sweep.py"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_runs_alone(folder: Path, program: str) -> None:
    printed = ran(f"workflows/{program}", folder=folder)
    assert "Report(" in printed
    assert list(folder.parent.glob("results/*/*/*"))


def test_the_sweep_shows_the_etalon(folder: Path) -> None:
    result = by_command(folder, "wavelength_sweep.py", "-p", "points=61")
    header, rows = table(folder.parent / result["data"])
    assert header == ["wavelength_nm", "power_mw"]
    assert rows.shape == (61, 2)
    assert list(rows[[0, -1], 0]) == [1540.0, 1570.0]
    wavelengths, powers = rows.T
    expected = np.array([Etalon().transmission(float(nm)) for nm in wavelengths])
    assert np.corrcoef(powers, expected)[0, 1] > 0.99
    assert result["brightest"] == wavelengths[np.argmax(powers)]


def test_the_diode_is_nearly_ideal(folder: Path) -> None:
    result = by_command(folder, "iv_curve.py", "-p", "kelvin=310", "-p", "sample=sample 1")
    assert result["ideality"] == pytest.approx(1.0, abs=0.1)
    header, rows = table(folder.parent / result["data"])
    assert header == ["voltage_v", "current_a"]
    assert np.all(np.diff(rows[:, 1]) > 0)


def test_a_sample_is_characterised(folder: Path) -> None:
    result = by_command(folder, "characterise.py", "-p", "kelvins=300,350", "-p", "exposures=3")
    data = folder.parent / result["data"]
    content = json.loads(data.read_text(encoding="utf-8"))
    assert [curve["title"] for curve in content["curves"]] == ["300 K", "350 K"]
    cold, hot = (np.array(curve["y"]) for curve in content["curves"])
    assert np.all(hot[1:] > cold[1:]), "a warmer diode conducts better"
    counts, wavelengths = np.array(content["spectrum"]["y"]), np.array(content["spectrum"]["x"])
    inside = (wavelengths > 690) & (wavelengths < 790)
    assert wavelengths[inside][np.argmin(counts[inside])] == pytest.approx(740, abs=5), "there sample 3 absorbs"
    assert sorted(path.name for path in data.parent.glob("*.csv")) == [
        "300_K.csv",
        "350_K.csv",
        "lamp_through_sample_3.csv",
    ]


def test_the_plot_is_a_picture(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = by_command(folder, "characterise.py", "-p", "kelvins=300", "-p", "exposures=2")
    assert (folder.parent / result["plot"]).read_bytes().startswith(b"\x89PNG\r\n")


def test_without_matplotlib_the_data_is_saved_and_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(folder.parent)
    with ConfiguredLab(read_lab_file("workflows/lab.yaml")) as lab:
        events = lab.events.subscribe()
        task = load_program(Path("workflows/characterise.py"), None)
        names = ("stage", "oven", "smu", "lamp", "spectrometer")
        result = lab.run(task, *(lab.add_configured(name) for name in names), kelvins=(300.0,), exposures=2)
        events.close()
    assert result.plot is None
    assert result.data.exists()
    assert "install it by pip install '.[plot]'" in " ".join(str(event.data) for event in events)
    sys.modules.pop("characterise", None)
    assert capsys.readouterr().err == ""


def test_the_spectrum_overlaps_the_curves_and_the_oven_and_lamp_end_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(folder.parent)
    with ConfiguredLab(read_lab_file("workflows/lab.yaml")) as lab:
        task = load_program(Path("workflows/characterise.py"), None)
        names = ("stage", "oven", "smu", "lamp", "spectrometer")
        run = lab.start(task, *(lab.add_configured(name) for name in names), kelvins=(300.0, 320.0), exposures=20)
        run.result()
        bench = lab.bench
        assert bench is not None
        spans = {(step.name, *step.values): (step.began or 0.0, step.ended or 0.0) for step in run.steps}
        spectrum, first, second = spans["spectrum", 20], spans["iv_curve", 300.0], spans["iv_curve", 320.0]
        assert spectrum[0] < first[1]
        assert first[0] < spectrum[1], "they share nothing but the stage, on which both only rely"
        assert first[1] <= second[0], "both use the oven"
        for device in ("oven", "lamp"):
            assert [it for it in bench.executed(device) if it.startswith("OUTP ")][-1] == "OUTP 0"
    sys.modules.pop("characterise", None)
