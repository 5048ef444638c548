from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from actorlab.errors import JournalError, JournalInUse
from actorlab.journal import Holder, Journal, JournalReader, schema
from actorlab.journal.database import Database, clear, place_of
from actorlab.journal.lock import network_file_system
from actorlab.journal.migrations import Migration, migrate


def filled(path: Path, events: int = 2000) -> bytes:
    """Write a journal of some pages, and return the file."""
    with Journal.open(path) as journal:
        for number in range(events):
            journal.append("a#1", "step", [number, "x" * 100], 0.0)
            if number % 100 == 0:
                journal.flush()
    return path.read_bytes()


def test_a_second_lab_is_told_who_has_the_journal_and_may_read(path: Path) -> None:
    with Journal.open(path, lab="first"):
        program = (
            "import sys, actorlab.journal as j\ntry: j.Journal.open(sys.argv[1])\nexcept Exception as e: print(repr(e))"
        )
        command = [sys.executable, "-c", program, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
        assert "JournalInUse" in done.stdout
        assert "the lab 'first' of " in done.stdout
        assert f"process {os.getpid()}, since" in done.stdout
        with pytest.raises(JournalInUse) as caught:
            Journal.open(path)
        assert isinstance(caught.value.holder, Holder)
        assert caught.value.holder.lab == "first"
        with JournalReader.open(path) as reader:
            owner = reader.owner()
            assert owner is not None
            assert owner.pid == os.getpid()
    with JournalReader.open(path) as reader:
        assert reader.owner() is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not a database at all, but somebody's notes", "is no SQLite database, so no journal: it was left as it is"),
        (b"SQLite format 3\0" + bytes(200), "is damaged"),
    ],
)
def test_a_file_of_something_else_is_named_and_left_alone(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    for open_it in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match=why):
            open_it(path)
    assert path.read_bytes() == content


def test_a_foreign_database_is_named_and_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE patients (name TEXT)")
    connection.execute("INSERT INTO patients VALUES ('eva')")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    for open_it in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match=r"is a database of something else \(it holds patients\)"):
            open_it(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="is a database of something else"):
        JournalReader.open(path)
    filled(path, 1)
    with JournalReader.open(path) as reader:
        assert len(reader.events()) == 1


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_torn_file_is_named_and_left_alone(path: Path, share: float) -> None:
    whole = filled(path)
    torn = whole[: int(len(whole) * share)]
    path.write_bytes(torn)
    with pytest.raises(JournalError, match="is damaged") as caught:
        Journal.open(path)
    assert "nothing was changed" in str(caught.value)
    assert path.read_bytes() == torn


def test_rubbish_in_the_middle_is_found_after_a_crash_and_when_it_is_read(path: Path) -> None:
    whole = bytearray(filled(path))
    for begin in range(8 * 4096, len(whole) - 4096, 4096):
        whole[begin : begin + 64] = bytes(range(64))
    path.write_bytes(whole)
    with JournalReader.open(path) as reader, pytest.raises(JournalError, match="is damaged"):
        reader.events()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE openings SET ended=NULL")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="is damaged"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_newer_journal_is_named_and_left_alone(path: Path) -> None:
    filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value='99' WHERE key='schema'")
    connection.commit()
    connection.close()
    for open_it in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match="written by a newer actorlab"):
            open_it(path)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("{}/nowhere/journal.db", "is no folder: make it first"),
        ("{}", "is a folder: give the path of a file in it"),
        ("mysql://x/y", "can't be kept in mysql"),
        ("what://ever/it is", "is no database|can't be kept"),
    ],
)
def test_a_place_that_does_not_do_is_named(tmp_path: Path, where: str, why: str) -> None:
    with pytest.raises(JournalError, match=why):
        Journal.open(where.format(tmp_path))
    with pytest.raises(JournalError, match="there is no journal"):
        JournalReader.open(tmp_path / "none.db")


def test_a_url_of_sqlite_is_a_path(path: Path) -> None:
    with Journal.open(f"sqlite:///{path}") as journal:
        assert journal.where == str(path)


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
me@host:/ /mnt/with\\040space fuse.sshfs rw 0 0
C: /mnt/c 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lab", ""), ("/home/eva", "nfs4"), ("/home/local/x", ""), ("/mnt/with space/x", "fuse.sshfs"),
        ("/mnt/c/Users", "9p"), ("/homeless", ""), ("/home", "nfs4"),
    ],
)  # fmt: skip
def test_a_network_file_system_is_known_by_its_mount(path: str, kind: str) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.journal.lock.NETWORKED", frozenset(("ext4", "tmpfs", "overlay", "xfs", "btrfs")))
    with pytest.raises(JournalError, match="lies on a network file system"):
        Journal.open(path)
    assert not path.exists()


def older(path: Path) -> None:
    """Make a journal as an imagined older actorlab would have: runs had no asker, and events no opening."""
    filled(path, 50)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO runs SELECT 'a#1','a',1,'task',NULL,1,'failed',1.0,NULL,NULL,NULL,'eva',NULL,'{}'")
    connection.execute("ALTER TABLE runs DROP COLUMN asker")
    connection.execute("UPDATE meta SET value='0' WHERE key='schema'")
    connection.commit()
    connection.close()


def add_asker(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN asker TEXT")


def break_down(connection: sa.Connection) -> None:
    connection.exec_driver_sql("DELETE FROM events")
    message = "half way"
    raise RuntimeError(message)


def migrated(path: Path, migration: Migration) -> None:
    database = Database(place_of(path))
    try:
        migrate(database, 0, {0: migration})
    finally:
        database.close()


def test_an_older_journal_is_brought_up_to_date_after_a_copy_was_made(path: Path) -> None:
    older(path)
    with pytest.raises(JournalError, match="written by an older actorlab"):
        JournalReader.open(path)
    with pytest.raises(JournalError, match="no way leads from 0 on"):
        Journal.open(path)
    migrated(path, add_asker)
    with Journal.open(path) as journal:
        journal.append("b#1", "run", {"asker": "new"}, 0.0)
    with JournalReader.open(path) as reader:
        assert [(run.id, run.state, run.asker) for run in reader.runs()][1] == ("a#1", "failed", None)
        assert len(reader.events("a#1")) == 50
    copy = sqlite3.connect(path.with_name("journal.db.schema-0"))
    assert copy.execute("SELECT value FROM meta WHERE key='schema'").fetchone() == ("0",)
    assert copy.execute("SELECT count(*) FROM events").fetchone() != (0,)
    copy.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    older(path)
    with pytest.raises(JournalError, match=r"can't be brought from schema 0 to 1 \(half way\): it is as it was"):
        migrated(path, break_down)
    migrated(path, add_asker)
    with JournalReader.open(path) as reader:
        assert len(reader.events("a#1")) == 50


def test_the_schema_says_which_one_it_is(path: Path) -> None:
    filled(path, 1)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION,)
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    ("said", "way"),
    [
        ("attempt to write a readonly database", "see to the rights"),
        ("database or disk is full", "see whether the disk is full"),
        ("disk I/O error", "see whether the disk is full, or broken"),
        ("unable to open database file", "see whether its folder is there"),
        ("connection refused", "can't be reached"),
    ],
)
def test_what_a_database_says_is_told_with_the_way_out(said: str, way: str) -> None:
    assert way in str(clear("journal.db", sqlite3.OperationalError(said)))


AS_NOBODY = """
import os, sys
from actorlab.journal import Journal, JournalReader, keeping
keeping.new_opening('lab', {})  # which imports things
os.setuid(65534)
with JournalReader.open(sys.argv[1]) as reader:
    print(len(reader.events()))
try:
    Journal.open(sys.argv[1])
except Exception as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may become somebody else")
def test_a_folder_that_may_only_be_read_can_be_read() -> None:
    shared = Path("/tmp") / f"actorlab-{os.getpid()}"  # noqa: S108 - pytest's own folders are root's alone
    shared.mkdir()
    try:
        path = shared / "journal.db"
        filled(path, 5)
        shared.chmod(0o555)
        for file in shared.iterdir():
            file.chmod(0o444)
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
        lines = done.stdout.splitlines()
        assert lines[0] == "5", done.stderr
        assert "can't be written" in lines[1]
    finally:
        shared.chmod(0o755)
        for file in shared.iterdir():
            file.unlink()
        shared.rmdir()


COUNT = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("SELECT count(*) FROM events").fetchone()[0])
db.close()
"""


def test_what_is_written_after_another_process_has_closed_the_file_is_there(path: Path) -> None:
    def counted_elsewhere() -> int:
        done = subprocess.run([sys.executable, "-c", COUNT, str(path)], check=True, timeout=30, stdout=subprocess.PIPE)
        return int(done.stdout)

    with Journal.open(path) as journal:
        journal.reader().close()  # which must not give up the locks by which the other knows that it isn't the last
        assert counted_elsewhere() == 0
        journal.append("", "later", {}, 0.0)
        journal.flush()
        assert counted_elsewhere() == 1
