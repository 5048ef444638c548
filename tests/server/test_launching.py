"""A lab's server is started in the background where none runs, by one of those who want it, and outlives them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actorlab import ConfigError, Lab, NotAllowed, ServerUnavailable
from actorlab.cli.main import app
from actorlab.client import ensure_server
from actorlab.client.launching import launch, stop_server
from actorlab.client.record import ServerRecord, log_of, path_of_record, record_of, recorded
from actorlab.server import Server, create_token

COMMAND = (sys.executable, "-m", "actorlab.cli.main")
LAB = """
journal: null
server: {port: 0}
cancel_grace: 1
devices:
  lamp: {class: "lamps:Lamp"}
"""
LAMPS = """
class Lamp:
    def switch(self, on: bool) -> bool:
        return on
"""
WAIT = 50.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it sends signals")


@pytest.fixture
def lab_file(tmp_path: Path) -> Iterator[Path]:
    """Write a lab; whatever serves it at the end is killed."""
    file = tmp_path / "lab.yaml"
    file.write_text(LAB)
    (tmp_path / "lamps.py").write_text(LAMPS)
    yield file
    record = record_of(file)
    if record is not None and record.pid:
        os.kill(record.pid, signal.SIGKILL)


def command(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code, and what it has said."""
    told = CliRunner().invoke(app, arguments)
    return told.exit_code, told.output


def test_two_programs_that_want_a_server_at_once_get_the_same_which_outlives_them(lab_file: Path) -> None:
    program = (
        "from actorlab.client import ensure_server\n"
        f"with ensure_server({str(lab_file)!r}, timeout={WAIT}) as client:\n"
        "    print(client.device('lamp').switch(True), client.url)"
    )
    with ThreadPoolExecutor(2) as threads:
        run = [sys.executable, "-c", program]
        told = set(threads.map(lambda _: subprocess.check_output(run, text=True, timeout=WAIT), range(2)))
    record = record_of(lab_file)
    assert record is not None
    assert told == {f"True {record.url}\n"}
    assert "is served at" in log_of(lab_file).read_text()
    with ensure_server(lab_file) as client:
        assert client.url == record.url
    # killed at once, it is known to be gone, and the next one starts another
    os.kill(record.pid, signal.SIGKILL)
    with ensure_server(lab_file, timeout=WAIT) as client:
        assert client.device("lamp").switch(True)
        assert client.health["open"]
        again = record_of(lab_file)
        assert again is not None
        assert again.pid != record.pid
    assert stop_server(lab_file, WAIT) is not None
    assert record_of(lab_file) is None
    assert stop_server(lab_file) is None


def test_the_command_line_starts_shows_and_stops_a_server(lab_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab_file.parent)
    assert command("server", "status") == (1, f"{lab_file} isn't served\n")
    assert command("server", "logs")[0] == 1
    assert "is served at http://127.0.0.1:" in command("server", "start")[1]
    record = record_of(lab_file)
    assert record is not None
    assert command("server", "status") == (0, f"{lab_file} {record}\n")
    code, told = command("serve", "--port", "0")
    assert (code, record.url in told) == (2, True)
    assert command("server", "stop") == (0, f"{lab_file} is served no more (process {record.pid})\n")
    assert "then the server ends" in command("server", "logs")[1]
    assert command("server", "status")[0] == 1
    assert command("server", "stop")[0] == 0


def test_a_server_that_can_not_begin_is_said_with_the_end_of_its_log(lab_file: Path) -> None:
    (lab_file.parent / "lamps.py").write_text("raise ImportError('no lamps here')")
    with pytest.raises(ServerUnavailable, match=r"has ended; its log .*lab\.server\.log ends so:\n[^$]*no lamps here"):
        ensure_server(lab_file, timeout=WAIT)


def test_a_server_with_tokens_lets_in_who_has_one_only(lab_file: Path) -> None:
    token = create_token(lab_file.parent / "tokens.json", "ada", "operator")
    url, _ = launch(lab_file, WAIT)
    with pytest.raises(NotAllowed, match="say who asks"):
        ensure_server(lab_file)
    with ensure_server(lab_file, token=token) as client:
        assert client.url == url
        assert client.health["open"]


def test_a_command_is_run_that_serves_at_an_address(lab_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    monkeypatch.chdir(lab_file.parent)
    serve = [*COMMAND, "serve", "lab.yaml", "--port", port]
    with ensure_server(serve, url=f"http://127.0.0.1:{port}", timeout=WAIT) as client:
        assert client.health["devices"] == 1
    assert Path(f"server-{port}.log").exists()


def test_what_can_not_be_meant_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no lab's file"):
        ensure_server(tmp_path / "lab.yaml")
    with pytest.raises(ConfigError, match="say by url"):
        ensure_server(["serve"])
    with pytest.raises(ServerUnavailable, match="can't be started"):
        ensure_server([str(tmp_path / "missing")], url="http://127.0.0.1:1", log=tmp_path / "log", timeout=5)


def test_a_server_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    idle = [sys.executable, "-c", "import time; time.sleep(5)"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerUnavailable, match="doesn't answer"):
            ensure_server(idle, url=url, log=tmp_path / "log", timeout=0.3)


def test_a_server_that_somebody_begins_is_waited_for(lab_file: Path) -> None:
    with ThreadPoolExecutor(1) as elsewhere, Lab() as lab:
        with recorded(lab_file) as tell:
            asked = elsewhere.submit(ensure_server, lab_file, timeout=WAIT)
            with Server(lab, port=0) as server:
                tell(server.url)
                with asked.result(WAIT) as client:
                    assert client.health["devices"] == 0
        assert not log_of(lab_file).exists(), "no other was started"


def test_a_lab_is_recorded_once_and_as_long_as_the_block_lasts(lab_file: Path) -> None:
    with recorded(lab_file) as tell:
        begun = record_of(lab_file)
        assert begun is not None
        assert (begun.url, begun.pid) == ("", os.getpid())
        tell("http://127.0.0.1:1")
        assert "at http://127.0.0.1:1, by process" in str(record_of(lab_file))
        with pytest.raises(ConfigError, match="actorlab server stop"), recorded(lab_file):
            pass
        looking = [threading.Thread(target=record_of, args=(lab_file,)) for _ in range(20)]
        for thread in looking:
            thread.start()
        for thread in looking:
            thread.join()
    assert record_of(lab_file) is None
    with recorded(lab_file):
        assert record_of(lab_file) is not None


FORGETFUL = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open(sys.argv[1], "w").close()))
print("ready", flush=True)
signal.pause()
"""


def test_who_stops_a_server_that_has_taken_its_number_back_is_not_stopped_itself(lab_file: Path) -> None:
    with recorded(lab_file):
        record = path_of_record(lab_file)
        command = (sys.executable, "-c", FORGETFUL, str(record))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            told = ServerRecord("http://127.0.0.1:1", server.pid, socket.gethostname(), time.time())
            record.write_text(json.dumps(told._asdict()))
            with pytest.raises(TimeoutError, match="was told to end"):
                stop_server(lab_file, 0.5)
        assert not record.read_text()
