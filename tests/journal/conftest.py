"""Give journal tests a place for a journal: a file, or a database on a PostgreSQL server of our own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file that doesn't exist yet."""
    return tmp_path / "journal.db"


def binary(name: str) -> str | None:
    """Find a program of PostgreSQL: Debian keeps them out of the way."""
    found = shutil.which(name)
    if found is None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name)
        found = next((str(folder / name) for folder in reversed(folders) if (folder / name).exists()), None)
    return found


class Server:
    """A PostgreSQL server on loopback, in a folder of its own; it refuses to run as root."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self.user = user
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    def run(self, name: str, *arguments: str) -> None:
        """Run one of its programs."""
        found = binary(name)
        assert found is not None
        other = (
            () if self.user is None else ("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups")
        )
        command = [*other, found, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=50)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def begin(self) -> None:
        """Make the database."""
        self.run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "lab", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start the server; what it says goes into a file, since it would keep a pipe open."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync=off -c max_connections=20"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it, in order or "immediate"."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def make_database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"lab_{os.urandom(4).hex()}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "lab", name)
        return f"postgresql://lab@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a server, where there is one to be started."""
    pytest.importorskip("psycopg", reason="psycopg isn't installed")
    if binary("initdb") is None or binary("pg_ctl") is None:
        pytest.skip("there is no PostgreSQL server here")
    user = None
    if os.geteuid() == 0:
        names = [name for name in ("postgres", "nobody") if any(entry.pw_name == name for entry in pwd.getpwall())]
        if not names or shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL doesn't run as root, and nobody else is here")
        user = names[0]
    folder = Path(tempfile.mkdtemp(prefix="actorlab-postgres-"))  # not pytest's, which others may not enter
    if user is not None:
        shutil.chown(folder, user)
    made = Server(folder, user)
    try:
        made.begin()
        yield made
        made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest) -> str | Path:
    """Name the place of a journal that doesn't exist yet, of each kind."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return folder / "journal.db"
    found: Server = request.getfixturevalue("server")
    return found.make_database()
