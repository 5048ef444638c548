"""`actorlab serve` does what the lab's file and the command line say, and ends in time whatever hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

from actorlab import ActorLabError, Client, NotAllowed
from actorlab.config.reading import read_lab_file, read_server_section
from actorlab.errors import ConfigError
from actorlab.server.serving import PORT

COMMAND = (sys.executable, "-m", "actorlab.cli.main")
DEVICES = 'devices:\n  lamp: {class: "lamps:Lamp", timeout: 2, safe_timeout: 0.5}\n'
LAMPS = """
import time

class Lamp:
    def switch(self, on: bool) -> bool:
        return on

    def hang(self) -> None:
        time.sleep(3600)
"""
Start = Callable[..., subprocess.Popen[str]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes a lab's file."""
    (tmp_path / "lamps.py").write_text(LAMPS)

    def written(*lines: str, journal: str = "null") -> Path:
        file = tmp_path / "lab.yaml"
        file.write_text("\n".join([f"journal: {journal}", "cancel_grace: 0.5", *lines, DEVICES]))
        return file

    return written


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts the command; what still runs is killed at the end."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "serve", *arguments]
        begun.append(subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=tmp_path))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def url_of(process: subprocess.Popen[str]) -> str:
    """Return where a server is, as soon as it says so."""
    assert process.stdout is not None
    return process.stdout.readline().split(" at ")[1].split(";")[0]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False, cwd=cwd)


def test_the_section_is_read_with_its_files_where_they_are(write: Write, tmp_path: Path) -> None:
    file = write("server: {port: 0, origins: ['https://a.example'], tls: {certificate: c.pem}, tokens: sub/t.json}")
    section = read_server_section(file)
    assert section == read_lab_file(file).server
    assert section.tls is not None
    assert (section.tls.certificate, section.tls.key) == (str(tmp_path / "c.pem"), None)
    assert section.tokens == str(tmp_path / "sub" / "t.json")
    assert read_server_section(write()).port == PORT


@pytest.mark.parametrize(
    ("line", "said"),
    [("server: {prot: 1}", "prot"), ("server: {port: 70000}", "port"), ("server: {origins: ['*']}", "origins")],
)
def test_a_mistake_in_the_section_is_said_with_its_line(write: Write, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"lab\.yaml:3: server\.?.*{said}"):
        read_server_section(write(line))


def test_https_tokens_and_sites_are_those_of_the_file(write: Write, start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    write("server: {port: 0, origins: ['https://a.example'], tls: {certificate: c.pem}, tokens: t.json}")
    made = run("token", "create", "ada", "--role", "operator", cwd=tmp_path)
    assert "first one" in made.stderr
    url = url_of(start())
    assert url.startswith("https://127.0.0.1:")
    with Client(url, token=made.stdout, verify=tmp_path / "authority.pem") as client:
        assert client.device("lamp").switch(True)
        assert run("token", "list", cwd=tmp_path).stdout.split()[:2] == ["ada", "operator"]
        assert run("token", "revoke", "ada", cwd=tmp_path).returncode == 0
        with pytest.raises(NotAllowed):
            _ = client.health
    assert run("token", "revoke", "ada", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "nobody would have to say who they are"),  # noqa: S104 - it is refused
        (("--certificate", "missing.pem"), "https can't be spoken"),
        (("--allow-origin", "*"), "no site"),
    ],
)
def test_what_is_unsafe_is_refused_before_a_device_is_touched(
    write: Write, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write()
    (tmp_path / "lamps.py").write_text("raise SystemExit('touched')")
    ended = run("serve", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_a_second_server_on_the_same_journal_says_who_has_it(write: Write, start: Start, tmp_path: Path) -> None:
    write("server: {port: 0}", journal="journal.db")
    first = start()
    url = url_of(first)
    second = run("serve", cwd=tmp_path)
    assert second.returncode != 0
    assert f"process {first.pid}" in second.stderr
    assert httpx.get(f"{url}/health").json()["open"]


def test_a_signal_ends_it_in_time_while_calls_hang(write: Write, start: Start) -> None:
    write("server: {port: 0}")
    process = start()
    url = url_of(process)
    with Client(url, reconnect=0.1) as client, ThreadPoolExecutor(3) as callers:
        calls = [callers.submit(client.device("lamp").hang) for _ in range(3)]
        while client.status("lamp")["state"] != "busy":
            pass
        process.send_signal(signal.SIGTERM)
        for call in calls:
            with pytest.raises(ActorLabError):
                call.result(20)
    assert process.wait(30) != 0, "a call had to be left behind"
    assert process.stderr is not None
    assert "lamp" in process.stderr.read()
