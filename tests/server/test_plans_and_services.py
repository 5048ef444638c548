"""Services are steered, and tasks rehearsed, through a server; runs are listed by what is wanted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from actorlab import Client, ConfigError, RestartPolicy, checkpoint, sleep, task, workflow

from .conftest import Laser, Served
from .test_server import until

PATIENCE = 5.0


@task(restart=RestartPolicy(delay=0.01))
def watch() -> None:
    """Watch for ever."""
    while True:
        checkpoint()
        sleep(0.01)


@task(takes=2.0)
def slow(laser: Laser) -> float:
    """Take its time."""
    return laser.set_wavelength(1500.0)


@workflow
def plan(laser: Laser, times: int = 2) -> None:
    """Do it several times."""
    for _ in range(times):
        slow(laser)


def test_a_service_is_looked_at_stopped_and_started(served: Served, client: Client) -> None:
    served.lab.serve(watch)
    until(lambda: client.services["watch"]["state"] == "running")
    client.stop_service("watch")
    until(lambda: client.services["watch"]["state"] == "stopped")
    client.start_service("watch")
    until(lambda: client.services["watch"]["state"] == "running")
    before = client.services["watch"]["run"]
    client.restart_service("watch")
    until(lambda: client.services["watch"]["run"] != before)
    with pytest.raises(ConfigError, match="no service 'clock'; it has watch"):
        client.stop_service("clock")
    answer = httpx.post(f"{served.url}/services/watch/__class__")
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["path.verb"])


def until_watch_is(client: Client, state: str) -> None:
    """Wait until the service is in a state."""
    until(lambda: client.services["watch"]["state"] == state)


def test_a_group_of_services_is_stopped_and_started_together(served: Served, client: Client) -> None:
    group = served.lab.group("watchers")
    group.serve(watch)
    url = f"{served.url}/service_groups"
    assert httpx.get(url).json()["watchers"] == {
        "name": "watchers", "strategy": "one_for_one", "services": ["watch"], "gave_up": "",
    }  # fmt: skip
    for verb, state in (("stop", "stopped"), ("start", "running")):
        assert httpx.post(f"{url}/watchers/{verb}").status_code == 202
        until_watch_is(client, state)
    assert "it has watchers" in httpx.post(f"{url}/others/stop").json()["message"]


def test_a_rehearsal_tells_when_what_would_be_done_and_touches_nothing(served: Served, client: Client) -> None:
    served.lab.register(plan)
    told = client.rehearse("plan", "laser")
    assert told["makespan"] == pytest.approx(4.0, abs=0.1)
    assert [step["name"] for step in told["steps"]] == ["slow", "slow"]
    assert [link["what"] for link in told["critical_path"]]
    laser: Any = client.device("laser")
    assert laser.wavelength == 1500.0
    assert client.runs == ()
    assert client.status("laser")["calls"] == 1  # the one above


def test_a_rehearsal_is_bounded_and_says_what_does_not_fit(served: Served, client: Client) -> None:
    served.lab.register(plan)
    url = f"{served.url}/rehearsals"
    body = {"task": "plan", "parameters": {"laser": "laser", "times": 50}}
    answer = httpx.post(url, json=body, params={"steps": 10})
    assert (answer.status_code, "more than 10 steps" in answer.json()["message"]) == (422, True)
    assert httpx.post(url, json={"task": "plam"}).status_code == 404
    with pytest.raises(ConfigError, match="times"):
        client.rehearse("plan", "laser", times="many")


def test_runs_are_listed_by_state_and_name_and_page_by_page(served: Served, client: Client) -> None:
    ids = [client.start("sweep", "laser", [1500.0]).id for _ in range(4)]
    for run in client.runs:
        run.exception(PATIENCE)
    client.start("fails").exception(PATIENCE)
    url = f"{served.url}/runs"
    assert [run.id for run in client.runs][:4] == ids  # the oldest first, as in a lab
    assert [run["name"] for run in httpx.get(url, params={"state": "failed"}).json()] == ["fails"]
    page = httpx.get(url, params={"name": "sweep", "limit": 2}).json()
    assert [run["id"] for run in page] == ids[:1:-1]
    page = httpx.get(url, params={"name": "sweep", "limit": 2, "before": page[-1]["id"]}).json()
    assert [run["id"] for run in page] == ids[1::-1]
    assert httpx.get(url, params={"before": "sweep#77"}).status_code == 404
    assert httpx.get(url, params={"state": "happy"}).json()["fields"].keys() == {"query.state.0"}


def test_a_lease_is_revoked(client: Client) -> None:
    run = client.start("wait_for_gain", "laser")
    until(lambda: client.status("laser")["holder"] == run.id)
    run.revoke("it is needed elsewhere")
    assert run.exception(PATIENCE) is not None
    until(lambda: client.status("laser")["holder"] == "")


def test_progress_and_interlocks_are_told(served: Served, client: Client) -> None:
    assert client.progress is None
    served.lab.interlock(lambda: True, "veto", message="the door")
    (told,) = client.interlocks
    assert (told["message"], told["then"], told["tripped"]) == ("the door", "veto", False)
    client.start("sweep", "laser", [1500.0]).result(PATIENCE)
    progress = client.progress
    assert progress is not None
    assert progress["done"] == 1.0
