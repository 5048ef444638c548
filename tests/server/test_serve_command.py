"""The command line serves a lab, and makes tokens for it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from actorlab import Client, RunCancelled

COMMAND = (sys.executable, "-m", "actorlab.cli.main")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    """Write a lab with a laser on the bench."""
    file = tmp_path / "lab.yaml"
    file.write_text('journal: null\ndevices:\n  laser: {class: "actorlab.simulation:Laser", address: "bench:laser"}\n')
    return file


@pytest.fixture
def start(lab_file: Path) -> Iterator[Start]:
    """Return what starts the command; what still runs is killed at the end."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "serve", str(lab_file), *arguments]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_the_lab_with_clients_connected(start: Start, number: signal.Signals) -> None:
    process = start("--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split(";")[0]
    with httpx.stream("GET", f"{url}/events", timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: snapshot"
        process.send_signal(number)
        assert list(lines)  # it ends
    assert process.wait(20) == 0


HOLDING = """
import time
import actorlab as al
from actorlab.simulation import Laser

@al.task
def hold(laser: Laser, seconds: float) -> float:
    al.sleep(seconds)
    return seconds

@al.task
def ignore(laser: Laser) -> None:
    laser.identify()
    time.sleep(60)
"""
WITH_TASKS = "journal: kept.db\ndiscover: {folders: [tasks]}"


def url_of(process: subprocess.Popen[str]) -> str:
    """Return where a lab is served, when it is."""
    assert process.stdout is not None
    return process.stdout.readline().split(" at ")[1].split(";")[0]


@pytest.fixture
def holding(lab_file: Path) -> None:
    """Let the lab have tasks."""
    (lab_file.parent / "tasks").mkdir()
    (lab_file.parent / "tasks" / "holding.py").write_text(HOLDING)
    lab_file.write_text(lab_file.read_text().replace("journal: null", WITH_TASKS))


@pytest.mark.usefixtures("holding")
def test_clients_hear_how_their_runs_and_the_lab_end_when_a_signal_ends_the_server(start: Start) -> None:
    process = start("--port", "0")
    url = url_of(process)
    with Client(url) as client, ThreadPoolExecutor() as pool, httpx.stream("GET", f"{url}/events", timeout=20) as told:
        run = client.start("hold", laser="laser", seconds=60)
        waiting = pool.submit(run.result, 20)
        lines = told.iter_lines()
        assert next(lines) == "event: snapshot"
        process.send_signal(signal.SIGINT)
        with pytest.raises(RunCancelled, match="the lab was closed"):
            waiting.result(20)
        assert [line for line in lines if line.startswith("event: ")][-1] == "event: end"
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.startswith(f"SIGINT: waiting for {run.id} to end")
    assert "a third time leaves at once" in said
    assert len(said.splitlines()) == 1  # no traceback, and nothing of uvicorn's


def test_a_lease_ends_with_the_server_that_gave_it(start: Start) -> None:
    process = start("--port", "0")
    url = url_of(process)
    httpx.post(f"{url}/leases", json={"devices": ["laser"]}).raise_for_status()
    with httpx.stream("GET", f"{url}/events", timeout=20) as told:
        lines = told.iter_lines()
        assert next(lines) == "event: snapshot"
        process.send_signal(signal.SIGTERM)
        assert any("the server that gave it stops" in line for line in lines)
    assert process.wait(20) == 0


@pytest.mark.usefixtures("holding")
def test_a_second_signal_is_an_emergency_stop(start: Start) -> None:
    process = start("--port", "0")
    assert process.stderr is not None
    with Client(url_of(process)) as client:
        run = client.start("ignore", laser="laser")
        while run.state != "running":
            pass
    process.send_signal(signal.SIGINT)
    assert f"waiting for {run.id}" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "SIGINT: emergency stop\nall devices are safe: laser" in said


@pytest.mark.usefixtures("holding")
def test_a_run_that_only_waited_when_the_server_ended_waits_again_behind_the_next(start: Start) -> None:
    first = start("--port", "0")
    assert first.stdout is not None
    url = first.stdout.readline().split(" at ")[1].split(";")[0]
    with Client(url) as client:
        client.start("hold", laser="laser", seconds=60)
        waiting = client.start("hold", laser="laser", seconds=0)
        while not waiting.reasons:
            pass
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    second = start("--port", "0")
    assert second.stdout is not None
    url = second.stdout.readline().split(" at ")[1].split(";")[0]
    with Client(url) as client:
        assert client.get(waiting.id).result(20) == 0
    second.send_signal(signal.SIGTERM)
    _, told = second.communicate(timeout=20)
    assert f"{waiting.id} waits again" in told


def test_a_port_in_use_ends_the_command_with_an_error(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--port", str(taken.getsockname()[1]))
        _, told = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "is another one running" in told


def test_a_token_is_made_and_lets_its_owner_in(start: Start, lab_file: Path) -> None:
    made = subprocess.run(
        [*COMMAND, "token", "create", "ada", "--role", "viewer", "--lab", lab_file],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    process = start("--host", "0.0.0.0", "--port", "0")  # noqa: S104 - with tokens it may
    assert process.stdout is not None
    place = process.stdout.readline().split(";")[0]
    assert f"for other machines http://{socket.gethostname()}:" in place
    port = place.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/health").status_code == 401
    with Client(url, token=made.stdout.strip()) as client:
        assert client.health["open"]


def test_the_base_needs_no_server() -> None:
    program = "import sys, actorlab; assert not {'httpx', 'fastapi', 'uvicorn'} & set(sys.modules); actorlab.Client"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
