from __future__ import annotations

import importlib
import math
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab.encoding import StandIn
from actorlab.errors import JournalError
from actorlab.journal import Journal, JournalReader, freeze

now = time.monotonic


def test_what_is_appended_is_read_back_in_its_order(where: str | Path) -> None:
    with Journal.open(where) as journal:
        for number in range(100):
            journal.append(f"sweep#{number % 3}", "step", (number, "running"), now())
        journal.append("", "note", {"text": "of the lab"}, now())
        journal.flush()
        with journal.reader() as reader:
            everything = reader.events()
            mine = reader.events("sweep#1")
            assert [event.kind for event in reader.events("")] == ["note"]
    assert [event.number for event in everything] == list(range(1, 102))
    assert [event.payload for event in everything[:-1]] == [[number, "running"] for number in range(100)]
    assert [event.payload[0] for event in mine] == list(range(1, 100, 3))
    assert all(abs(event.time - time.time()) < 60 for event in everything)


def test_values_of_every_kind_come_back_from_a_payload(where: str | Path) -> None:
    value = (1, {"a": np.arange(3.0)}, 2j, {5: None})
    with Journal.open(where) as journal:
        journal.append("a#1", "value", {"step": 0, "value": freeze(value)}, now())
        journal.append("a#1", "odd", {"nan": math.nan, "error": ValueError("boo"), "set": {1}}, now())
        journal.append(
            "a#1", "socket", {"value": freeze(threading.Lock(), lenient=True), "raw": threading.Lock()}, now()
        )
        journal.flush()
        with journal.reader() as reader:
            first, odd, lock = (event.payload for event in reader.events("a#1"))
    assert first["step"] == 0
    assert first["value"][0] == 1
    assert first["value"][1]["a"].tolist() == [0.0, 1.0, 2.0]
    assert first["value"][2:] == (2j, {5: None})
    assert math.isnan(odd["nan"])
    assert repr(odd["error"]) == "ValueError('boo')"
    assert odd["set"] == {1}
    assert isinstance(lock["value"], StandIn)
    assert "_thread.lock can't be written down" in lock["raw"].why


def test_large_values_are_kept_once_and_found_again(path: Path) -> None:
    value = np.arange(100_000)
    with Journal.open(path) as journal:
        for number in range(5):
            journal.append("a#1", "run" if number == 0 else "value", {"value": freeze(value)}, now())
            journal.flush()
        with journal.reader() as reader:
            assert all((event.payload["value"] == value).all() for event in reader.events("a#1"))
            assert (reader.run("a#1").about["value"] == value).all()
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM blobs").fetchone()
    connection.close()
    assert count == 1


def test_the_listing_follows_the_events(where: str | Path) -> None:
    with Journal.open(where) as journal:
        journal.append("scan#1", "run", {"kind": "workflow", "task": "m:scan", "asker": "eva", "tags": ["x"]}, now())
        journal.append("fit#1", "run", {"kind": "task", "parent": "scan#1"}, now())
        journal.append("scan#1", "state", {"state": "running"}, now())
        journal.flush()
        with journal.reader() as reader:
            scan, fit = reader.run("scan#1"), reader.run("fit#1")
            assert (scan.state, scan.kind, scan.task, scan.asker, scan.number) == (
                "running",
                "workflow",
                "m:scan",
                "eva",
                1,
            )
            assert scan.about == {"tags": ["x"]}
            assert scan.started is not None
            assert scan.ended is None
            assert (fit.state, fit.parent) == ("waiting", "scan#1")
            assert [run.id for run in reader.children("scan#1")] == ["fit#1"]
            assert [run.id for run in reader.runs(roots=True)] == ["scan#1"]
            journal.append("fit#1", "state", {"state": "running"}, now())
            journal.append("fit#1", "state", {"state": "failed", "error": ValueError("no\nline")}, now())
            journal.append("scan#1", "state", {"state": "succeeded"}, now())
            journal.flush()
            scan, fit = reader.run("scan#1"), reader.run("fit#1")
            assert (scan.state, fit.state, fit.error) == ("succeeded", "failed", "ValueError: no")
            assert fit.ended is not None
            assert fit.started is not None
            assert [run.id for run in reader.runs(state="failed")] == ["fit#1"]
            assert [run.id for run in reader.runs(name="scan", since=time.time() - 60, limit=5)] == ["scan#1"]
            assert reader.runs(since=time.time() + 60) == []
            assert reader.unfinished() == []
            with pytest.raises(JournalError, match="there is no run 'scan#2'"):
                reader.run("scan#2")


def test_ids_go_on_and_an_unclean_end_is_seen_at_the_next_opening(where: str | Path) -> None:
    with Journal.open(where, lab="first", about={"who": "me"}) as journal:
        journal.append("a#7", "run", {}, now())
        assert journal.previous is None
    second = Journal.open(where, lab="second")
    assert second.last_numbers == {"a": 7}
    assert second.previous is not None
    assert second.previous.clean
    assert second.previous.about["who"] == "me"
    second._writer._finish = lambda clean: second._kept.close(False)  # noqa: ARG005 - as if it had crashed
    second.close()
    with Journal.open(where) as third:
        assert third.previous is not None
        assert (third.previous.lab, third.previous.clean) == ("second", False)
        assert third.opening.id == 3


def test_a_unit_that_changes_on_the_way_stays_with_its_values(path: Path) -> None:
    units: Any = importlib.import_module("pint").get_application_registry()
    lengths = [units.Quantity(1.0, "um"), units.Quantity(2.0, "nm"), 3.0]
    with Journal.open(path) as journal:
        for number, length in enumerate(lengths):
            journal.record("a#1", "body", {"length": length}, 1000.0 + number)
            journal.flush()
        with journal.reader() as reader:
            found = reader.recorded("a#1")
    assert found.units == {}
    assert found.columns["length"] == lengths


def test_rows_come_back_by_columns_with_their_units(where: str | Path) -> None:
    units: Any = importlib.import_module("pint").get_application_registry()
    with Journal.open(where) as journal:
        for number in range(10):
            values: dict[str, Any] = {"x": float(number), "n": number, "ok": True, "t": str(number)}
            journal.record("a#1", "body", values | {"length": units.Quantity(number, "nm")}, 1000.0 + number)
            if number == 5:
                journal.record("a#1", "other", {"y": 2**70, "x": np.float64(0.5)}, 1000.5)
        journal.flush()
        with journal.reader() as reader:
            found = reader.recorded("a#1")
            assert reader.count_recorded("a#1") == len(found) == 11
    assert found.columns["x"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.5, 6.0, 7.0, 8.0, 9.0]
    assert found.columns["y"] == [None] * 6 + [2**70] + [None] * 4
    assert found.columns["ok"][0] is True
    assert found.columns["t"][:2] == ["0", "1"]
    assert found.columns["length"][1] == 1
    assert found.units == {"length": "nanometer"}
    assert found.times[5:8] == [1005.0, 1000.5, 1006.0]
    assert found.bodies[5:8] == ["body", "other", "body"]


def test_rows_are_numbered_on_in_the_next_opening(where: str | Path) -> None:
    for _ in range(2):
        with Journal.open(where) as journal:
            for number in range(3):
                journal.record("a#1", "b", {"x": number}, 0.0)
    with JournalReader.open(where) as reader:
        assert reader.recorded("a#1").columns == {"x": [0, 1, 2, 0, 1, 2]}


def test_durations_keep_the_latest_over_openings(where: str | Path) -> None:
    with Journal.open(where) as journal:
        for number in range(100):
            journal.took("m:f", ("laser", "meter"), float(number))
        journal.took("m:g", (), 1.0)
    with Journal.open(where) as journal:
        journal.took("m:f", ("laser", "meter"), 100.0)
        journal.flush()
        with journal.reader() as reader:
            (found,) = reader.durations("m:f")
            assert reader.durations()[1].devices == ()
    assert found.devices == ("laser", "meter")
    assert found.times == 101
    assert found.seconds == [float(number) for number in range(37, 101)]


def test_devices_are_known_by_what_was_told_last(where: str | Path) -> None:
    with Journal.open(where) as journal:
        for identity in ("old", "new"):
            journal.append("", "device", {"name": "laser", "identity": identity}, now())
            journal.flush()
        with journal.reader() as reader:
            (found,) = reader.devices()
    assert (found.name, found.about) == ("laser", {"identity": "new"})


def test_a_callback_comes_when_everything_before_is_on_disk(where: str | Path) -> None:
    with Journal.open(where) as journal, JournalReader.open(where) as reader:
        seen: list[Any] = []
        done = threading.Event()

        def written(error: JournalError | None) -> None:
            seen.append((error, len(reader.events("a#1"))))
            done.set()

        for number in range(50):
            journal.append("a#1", "step", (number,), now())
        journal.when_written(written)
        assert done.wait(5)
        assert seen == [(None, 50)]


def test_other_processes_ask_and_are_answered(where: str | Path) -> None:
    came = threading.Event()
    with Journal.open(where, on_request=lambda _: came.set()) as journal, JournalReader.open(where) as reader:
        answers: list[Any] = []

        def ask(kind: str) -> None:
            try:
                answers.append(reader.ask(kind, {"run": "a#1", "values": (1, 2)}, timeout=5))
            except ValueError as error:
                answers.append(error)

        for kind in ("cancel", "fail"):
            asker = threading.Thread(target=ask, args=(kind,))
            asker.start()
            assert came.wait(5)
            came.clear()
            (request,) = journal.pending()
            assert (request.kind, request.payload) == (kind, {"run": "a#1", "values": (1, 2)})
            journal.answer(request.id, ("done", 1), error=None if kind == "cancel" else ValueError("no"))
            asker.join(5)
        assert journal.pending() == ()
    assert answers[0] == ("done", 1)
    assert repr(answers[1]) == "ValueError('no')"
    with JournalReader.open(where) as reader, pytest.raises(JournalError, match="nobody would answer"):
        reader.ask("cancel")


def test_importing_the_journal_imports_no_database() -> None:
    import subprocess  # noqa: PLC0415 - only here

    heavy = ("sqlalchemy", "sqlite3", "numpy", "pydantic")
    program = f"import sys, actorlab.journal; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"


def test_rows_are_read_one_by_one_with_their_units_and_in_their_order(where: str | Path) -> None:
    units: Any = importlib.import_module("pint").get_application_registry()
    with Journal.open(where) as journal:
        for number in range(300):
            body = f"b{number % 3}"
            journal.record("a#1", body, {"n": number, "at": units.Quantity(float(number), "nm")}, float(number))
            if number % 100 == 0:
                journal.flush()
        journal.flush()
        with journal.reader() as reader:
            rows = reader.rows("a#1")
            assert len(rows) == 300
            found = list(rows)
    assert [row.values["n"] for row in found] == list(range(300))
    assert [row.body for row in found[:4]] == ["b0", "b1", "b2", "b0"]
    assert found[7].time == 7.0
    assert found[7].values["at"] == units.Quantity(7.0, "nm")


def test_rows_that_come_slowly_are_put_together(where: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.journal.store.TOGETHER", 20)
    expected: list[Any] = []
    with Journal.open(where) as journal:
        for number in range(100):
            values: dict[str, Any] = {"n": number, "t": ("x", number)} if number % 3 else {"n": number / 2}
            if number % 5 == 0:
                values = {"n": number / 2, "t": "other"}  # the same names with other kinds
            expected.append(values)
            journal.record("a#1", "b", values, 0.0)
            journal.flush()
        with journal.reader() as reader:
            assert [row.values for row in reader.rows("a#1")] == expected
            assert reader.recorded("a#1").columns["n"] == [values["n"] for values in expected]
            with reader._database.transaction() as connection:
                chunks = connection.exec_driver_sql("SELECT count(*) FROM rows").scalar()
    assert chunks is not None
    assert chunks <= 30


def test_a_request_that_nobody_answers_expires(where: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.journal.inbox.AGAIN", 0.1)
    came = threading.Event()
    with Journal.open(where, on_request=lambda _: came.set()) as journal, journal.reader() as reader:
        with pytest.raises(JournalError, match=r"hasn't answered within|before it expired"):
            reader.ask("cancel", timeout=0.6)
        assert came.is_set()
        assert journal.pending() == ()
        end = time.monotonic() + 5
        while journal._inbox._pending:
            assert time.monotonic() < end
        asked = "SELECT answer FROM inbox"
        with reader._database.transaction() as connection:
            (answer,) = connection.exec_driver_sql(asked).one()
    assert "before it expired" in answer
