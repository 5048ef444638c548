from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from actorlab.errors import JournalError, JournalInUse
from actorlab.journal import Journal, JournalReader
from tests.journal.conftest import Server

now = time.monotonic
PROGRAM = Path(__file__).with_name("writing_program.py")


def test_a_second_lab_on_a_server_is_told_who_has_the_journal(server: Server) -> None:
    url = server.make_database()
    with Journal.open(url, lab="first"), JournalReader.open(url) as reader:
        with pytest.raises(JournalInUse, match="the lab 'first' of"):
            Journal.open(url)
        owner = reader.owner()
        assert owner is not None
        assert owner.lab == "first"
    with Journal.open(url, lab="second") as journal:
        assert journal.previous is not None
        assert journal.previous.clean


def test_a_server_that_was_gone_for_a_while_costs_nothing(server: Server) -> None:
    url = server.make_database()
    troubled, recovered = threading.Event(), threading.Event()
    with Journal.open(url, on_trouble=lambda _: troubled.set(), on_recovered=recovered.set) as journal:
        journal.append("a#1", "step", [0], now())
        journal.flush()
        server.stop("immediate")
        try:
            journal.append("a#1", "step", [1], now())
            with pytest.raises(JournalError, match="can't be reached"):
                journal.flush()
            assert troubled.wait(5)
        finally:
            server.start()
        journal.append("a#1", "step", [2], now())
        assert recovered.wait(15)
        journal.flush()
        with journal.reader() as reader:
            assert [event.payload for event in reader.events("a#1")] == [[0], [1], [2]]


def taken_over(url: str) -> Journal:
    """Cut the connections of a journal's writer, as a network does, and open it before he is back."""
    engine = sa.create_engine(url.replace("postgresql", "postgresql+psycopg"), poolclass=sa.NullPool)
    end = time.monotonic() + 10
    while True:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        try:
            return Journal.open(url, lab="second")
        except JournalError:  # he was faster
            assert time.monotonic() < end


def test_who_lost_the_server_and_his_place_writes_no_more(server: Server) -> None:
    url = server.make_database()
    first = Journal.open(url, lab="first")
    first.append("a#1", "step", [0], now())
    first.flush()
    with taken_over(url) as second:
        second.append("b#1", "step", [0], now())
        second.flush()
        first.append("a#1", "step", [1], now())
        with pytest.raises(JournalError):  # whichever of the two it met first
            first.flush()
        with pytest.raises(JournalError, match="the lab 'second' of"):
            first.flush()
    with pytest.raises(JournalError, match="couldn't be written"):
        first.close(timeout=0.1)
    with JournalReader.open(url) as reader:
        assert [(event.run, event.payload) for event in reader.events()] == [("a#1", [0]), ("b#1", [0])]


def opened_soon(url: str) -> Journal:
    """Open a journal as soon as the server has noticed that its last writer is gone."""
    end = time.monotonic() + 5
    while True:
        try:
            return Journal.open(url)
        except JournalInUse:
            assert time.monotonic() < end


@pytest.mark.slow
def test_a_killed_writer_leaves_the_server_what_it_said_and_frees_its_lock(server: Server) -> None:
    url = server.make_database()
    command = [sys.executable, str(PROGRAM), url, "a#1", "durable"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
    last = int(lines[-1])
    with JournalReader.open(url) as reader:
        until = time.monotonic() + 5
        while (owner := reader.owner()) is not None and time.monotonic() < until:
            threading.Event().wait(0.05)
        assert owner is None, "who has crashed has it no more"
    with opened_soon(url) as journal, JournalReader.open(url) as reader:
        assert journal.previous is not None
        assert not journal.previous.clean
        steps = [event.payload[0] for event in reader.events("a#1", kinds=("step",))]
        assert steps == list(range(len(steps)))
        assert len(steps) > last


def test_a_foreign_or_newer_database_is_named_and_left_alone(server: Server) -> None:
    url = server.make_database()
    engine = sa.create_engine(url.replace("postgresql", "postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE patients (name TEXT)")
    with pytest.raises(JournalError, match="a database of something else"):
        Journal.open(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE patients")
    Journal.open(url).close()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE meta SET value='99' WHERE key='schema'")
    with pytest.raises(JournalError, match="written by a newer actorlab"):
        Journal.open(url)


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(JournalError, match=r"postgresql\+psycopg://lab:\*\*\*@127.0.0.1:1/none can't be reached"):
        Journal.open("postgresql://lab:secret@127.0.0.1:1/none")
