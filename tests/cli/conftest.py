"""Give the tests of the command line a lab in a hurry, programs, and the command itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import IO

import pytest
from typer.testing import CliRunner, Result

from actorlab.cli.main import app

COMMAND = (sys.executable, "-m", "actorlab.cli.main")


@pytest.fixture(autouse=True)
def as_if_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let programs save their data elsewhere, and undo what loading them does to the interpreter."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path) or name == "program":
            del sys.modules[name]


@pytest.fixture
def actorlab() -> Callable[..., Result]:
    """Return the command, run in this process."""

    def command(*arguments: str | Path) -> Result:
        # A wide terminal, so that no message is broken into lines.
        return CliRunner(env={"COLUMNS": "400"}).invoke(app, [str(argument) for argument in arguments])

    return command


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a program."""

    def write(text: str) -> Path:
        file = tmp_path / "program.py"
        file.write_text(dedent(text))
        return file

    return write


@pytest.fixture
def experiment(program: Callable[[str], Path], lab_file: Path) -> Callable[[str], Path]:
    """Return what writes a program beside a lab's file."""
    assert lab_file.exists()
    return program


def lab_text(resources: Mapping[str, str] | None = None) -> str:
    """Write a lab.yaml with a laser, a meter and an oven, on a bench in a hurry or at these addresses."""
    kinds = {"laser": "Laser", "meter": "PowerMeter", "oven": "Oven"}
    lines = ["bench: {time_scale: 50}", "devices:"]
    for name, kind in kinds.items():
        address = resources[name] if resources else f"bench:{name}"
        lines.append(f'  {name}: {{class: "actorlab.simulation:{kind}", address: "{address}"}}')
    return "\n".join(lines) + "\n"


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    """Write the lab's file beside the program."""
    file = tmp_path / "lab.yaml"
    file.write_text(lab_text())
    return file


class Started:
    """The command in a process of its own, whose lines can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []

    def await_out(self, text: str) -> None:
        """Read stdout up to a line with this text."""
        await_line(self.process.stdout, text, self.out)

    def await_err(self, text: str) -> None:
        """Read stderr up to a line with this text."""
        await_line(self.process.stderr, text, self.err)

    def end(self) -> int:
        """Wait for the end, read the rest, and return the exit code."""
        out, err = self.process.communicate(timeout=30)
        self.out += out.splitlines()
        self.err += err.splitlines()
        return self.process.returncode


def await_line(stream: IO[str] | None, text: str, read: list[str]) -> None:
    assert stream is not None
    for line in stream:
        read.append(line.rstrip())
        if text in line:
            return
    pytest.fail(f"no {text!r} in {read}", pytrace=False)


@contextmanager
def started(*arguments: str | Path) -> Generator[Started]:
    """Start the command in a process of its own; it is killed at the end, if it still lives."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield Started(process)
        finally:
            process.kill()


@pytest.fixture(name="started")
def started_command() -> Callable[..., AbstractContextManager[Started]]:
    """Return what starts the command in a process of its own."""
    return started
