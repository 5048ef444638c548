"""Runs of the past are asked for through a server; what was cut off or has failed goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from actorlab import Client, ConfigError, Lab, RunState, record, task, workflow
from actorlab.server import Role, Server, Tokens, create_token

from .conftest import Gates, Laser, Served, asks, fails, sweep, twice

PATIENCE = 5.0


@task
def prepare(laser: Laser) -> float:
    """Tune it."""
    record(wavelength=laser.set_wavelength(1500.0))
    return 1.0


@task
def measure(laser: Laser, first: float) -> float:
    """Measure, if the weather allows."""
    if laser.gain < 2:
        message = "it rains"
        raise OSError(message)
    return first + 1


@workflow
def outdoors(laser: Laser) -> float:
    """Prepare, then measure."""
    return measure(laser, prepare(laser))


@task
def picture() -> None:
    """Record what is kept in files."""
    for number in range(3):
        record(image=np.full((600, 600), float(number)))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Served]:
    """Serve a lab that keeps a journal."""
    lab = Lab("kept", journal=tmp_path / "lab.db", cancel_grace=1.0)
    lab.register(sweep, fails, twice, outdoors, asks)
    gates = Gates()
    lab.add("laser", Laser, gates)
    with Server(lab, port=0) as server:
        yield Served(lab, server, gates)
    lab.close()


@pytest.fixture
def historian(kept: Served) -> Iterator[Client]:
    """Use it."""
    with Client(kept.url, timeout=20) as made:
        yield made


def test_runs_of_the_past_are_listed_filtered_and_paged(historian: Client) -> None:
    ids = [historian.start("sweep", "laser", [1500.0]).id for _ in range(3)]
    for run in historian.runs:
        run.exception(PATIENCE)
    failed = historian.start("fails")
    failed.exception(PATIENCE)
    assert [run["id"] for run in historian.history()] == [failed.id, *reversed(ids)]
    assert [run["id"] for run in historian.history(state="failed")] == [failed.id]
    assert [run["id"] for run in historian.history(name="sweep", limit=2)] == ids[:0:-1]
    assert [run["id"] for run in historian.history(name="sweep", before=ids[1])] == [ids[0]]
    assert historian.history(since=historian.history()[0]["created"] + 100) == []
    assert historian.history()[0]["error"] == "LookupError: no luck"


def test_one_run_of_the_past_is_told_with_its_steps_events_rows_and_reasons(kept: Served, historian: Client) -> None:
    run = historian.start("twice", "laser")
    run.result(PATIENCE)
    past = historian.past(run.id)
    assert (past["state"], [step["name"] for step in past["steps"]]) == ("succeeded", ["sweep", "sweep"])
    assert past["arguments"]["args"] == [{"name": "laser", "path": []}]
    swept = historian.start("sweep", "laser", [1500.0, 1510.0])
    swept.result(PATIENCE)
    rows = list(historian.past_rows(swept.id))
    assert [row["values"] for row in rows] == [{"wavelength": 1500.0}, {"wavelength": 1510.0}]
    path = f"{kept.url}/history/{swept.id.replace('#', '%23')}"
    first = httpx.get(f"{path}/events", params={"limit": 2}).json()
    rest = httpx.get(f"{path}/events", params={"after": first["next"]}).json()
    assert len(first["events"]) == 2
    assert first["events"][-1]["number"] < rest["events"][0]["number"]
    assert [row["values"] for row in httpx.get(f"{path}/data?after=1&limit=1").json()["rows"]] == [
        {"wavelength": 1510.0}
    ]
    failed = historian.start("fails")
    failed.exception(PATIENCE)
    assert any("no luck" in reason for reason in historian.why(failed.id)["reasons"])
    with pytest.raises(ConfigError, match=f"no run 'x#1'; the latest: {failed.id}"):
        historian.past("x#1")


def test_a_run_that_failed_is_retried_and_keeps_what_was_done(historian: Client) -> None:
    run = historian.start("outdoors", "laser")
    assert isinstance(run.exception(PATIENCE), OSError)
    laser: Any = historian.device("laser")
    laser.gain = 2.0
    again = historian.retry(run.id)
    assert again.id == run.id
    assert again.result(PATIENCE) == 2.0
    assert len(list(historian.past_rows(run.id))) == 1  # it wasn't prepared once more
    with pytest.raises(ConfigError, match="has succeeded already"):
        historian.retry(run.id)


def test_a_run_that_failed_is_resumed_with_answers(historian: Client) -> None:
    run = historian.start("outdoors", "laser")
    run.exception(PATIENCE)
    laser: Any = historian.device("laser")
    laser.gain = 2.0
    resumed = historian.resume(run.id, answers={"devices": "go on", "measure": "redo"})
    assert resumed.result(PATIENCE) == 2.0


def test_what_can_not_go_on_is_said(kept: Served, historian: Client) -> None:
    answer = httpx.post(f"{kept.url}/runs/nothing%231/retry")
    assert (answer.status_code, answer.json()["type"]) == (404, "JournalError")
    assert historian.requeue() == ()


def test_a_lab_without_a_journal_says_so(served: Served, client: Client) -> None:
    answer = httpx.get(f"{served.url}/history")
    assert (answer.status_code, "keeps no journal" in answer.json()["message"]) == (409, True)
    run = client.start("fails")
    run.exception(PATIENCE)
    for verb in (client.retry, client.resume):
        with pytest.raises(ConfigError, match="no journal"):
            verb(run.id)
    assert httpx.post(f"{served.url}/runs/other%231/resume").status_code == 404


def test_an_interrupted_run_goes_on_in_another_lab(tmp_path: Path) -> None:
    first = Lab("first", journal=tmp_path / "lab.db", cancel_grace=1.0)
    first.register(asks)
    first.add("laser", Laser, Gates())
    run = first.start("asks", "laser")
    while not first.questions:
        first.ask(lambda: None)
    first.close()
    assert run.state is RunState.INTERRUPTED
    second = Lab("second", journal=tmp_path / "lab.db", cancel_grace=1.0)
    second.register(asks)
    second.add("laser", Laser, Gates())
    with Server(second, port=0) as server, Client(server.url) as client:
        assert [told["id"] for told in client.history(state="interrupted")] == [run.id]
        with pytest.raises(ConfigError, match="was interrupted when the lab ended; `resume` goes on"):
            _ = client.get(run.id).state
        resumed = client.resume(run.id, answers={"devices": "go on", "asks": "redo"})
        while not client.questions:
            pass
        client.answer(client.questions[0]["id"], "yes")
        assert resumed.result(PATIENCE) == "yes"
    second.close()


def test_only_an_admin_sees_tracebacks_of_the_past(kept: Served, tmp_path: Path) -> None:
    roles: tuple[Role, ...] = ("viewer", "admin")
    tokens = {role: create_token(tmp_path / "tokens.json", f"a {role}", role) for role in roles}
    run = kept.lab.start("outdoors", "laser")
    run.exception(PATIENCE)
    seen: dict[Role, str] = {}
    with Server(kept.lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        for role in roles:
            with Client(server.url, token=tokens[role]) as client:
                seen[role] = str(client.past(run.id))
    assert "Traceback" in seen["admin"]
    assert "Traceback" not in seen["viewer"]
    assert 'test_history.py",' not in seen["viewer"]
    assert "it rains" in seen["viewer"]


def test_large_arrays_come_themselves_and_not_as_files_of_the_server(kept: Served, historian: Client) -> None:
    kept.lab.register(picture)
    run = historian.start("picture")
    run.result(PATIENCE)
    for rows in (list(run.rows()), list(historian.past_rows(run.id))):
        assert [row["values"]["image"].shape for row in rows] == [(600, 600)] * 3
        assert all(
            np.array_equal(row["values"]["image"], np.full((600, 600), float(at))) for at, row in enumerate(rows)
        )
    path = f"{kept.url}/runs/{run.id.replace('#', '%23')}/data"
    (row, *_) = httpx.get(path).json()["rows"]
    assert len(str(row)) < 10_000  # a reference, for who doesn't ask for them
    shutil.rmtree(next(Path(kept.lab.journalling.journal.where).parent.glob("*.zarr")))  # type: ignore[union-attr]
    gone = list(run.rows())
    assert [row["values"] for row in gone] == [None] * 3
    assert all("can't be read" in str(row["error"]) for row in gone)


def test_the_journal_says_whose_token_a_run_was_asked_for_by(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    keys = {name: create_token(tokens, name, "operator") for name in ("ada", "bob")}
    with Lab("kept", journal=tmp_path / "lab.db") as lab:
        lab.register(outdoors)
        laser = lab.add("laser", Laser, Gates())
        with Server(lab, port=0, tokens=Tokens.read(tokens)) as server, Client(server.url, token=keys["ada"]) as ada:
            run = ada.start("outdoors", laser="laser")
            with pytest.raises(OSError, match="rains"):
                run.result(PATIENCE)
            assert ada.past(run.id)["asker"] == "ada"
            with Client(server.url, token=keys["bob"]) as bob, pytest.raises(OSError, match="rains"):
                bob.retry(run.id).result(PATIENCE)
            assert ada.past(run.id)["asker"] == "bob"
            own = lab.start(prepare, laser)
            own.result(PATIENCE)
            assert "@" in ada.past(own.id)["asker"]
