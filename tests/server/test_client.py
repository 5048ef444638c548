"""A client has what a lab has: devices, tasks and runs by name, with members, signatures, documentation and types."""

from __future__ import annotations

import asyncio
import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import (
    ActorLabError,
    Client,
    ConfigError,
    Device,
    Lab,
    RunState,
    ServerUnavailable,
    checkpoint,
    progress,
    record,
    spawn,
    task,
    workflow,
)
from actorlab.client.signatures import signature_from
from actorlab.server import Server

PATIENCE = 5.0


class Jammed(Exception):
    """A driver's own error."""

    def __init__(self, angle: float) -> None:
        super().__init__(f"jammed at {angle}")
        self.angle = angle


class Quit(BaseException):
    """An error that nobody raises here."""


class Stage(Device):
    """A stage that turns."""

    def __init__(self, limit: float = 90.0) -> None:
        self.limit = limit
        self.angle = 0.0

    def turn(self, angle: float, speed: int = 1, *, softly: bool = False) -> float:
        """Turn to an angle.

        Slowly.
        """
        del speed, softly
        if angle > self.limit:
            raise Jammed(angle)
        self.angle = angle
        return angle


class Hexapod(Stage):
    """A stage that also tilts."""

    def tilt(self, angle: float) -> None:
        """Tilt."""


@task
def scan(stage: Stage, angles: list[float], label: str = "a") -> float:
    """Turn here and there."""
    for number, angle in enumerate(angles):
        record(angle=stage.turn(angle), field=np.array([angle, 1.0]))
        progress(number + 1, len(angles), f"{label} {angle}")
    return sum(angles)


@task(lease="step")
def many(stage: Stage) -> float:
    """Scan twice."""
    return sum(spawn(scan, stage, [angle]).result() for angle in (1.0, 2.0))


@workflow
def both(stage: Stage) -> float:
    """Scan, and scan again."""
    scan(stage, [1.0])
    return scan(stage, [2.0])


@task
def waits(stage: Stage) -> None:
    """Wait until it is cancelled."""
    del stage
    while True:
        checkpoint()


@pytest.fixture
def stage_client(lab: Lab) -> Any:
    """Serve a lab with a stage, and use it."""
    lab.register(scan, many, both, waits, Stage)
    lab.add("stage", Stage)
    with Server(lab, port=0) as server, Client(server.url) as client:
        yield client


# -- devices


def test_a_device_has_the_members_documentation_and_signatures_of_its_driver(stage_client: Client) -> None:
    stage: Any = stage_client.device("stage")
    assert {"turn", "angle", "limit"} <= set(dir(stage))
    assert stage.turn.__doc__ == "Turn to an angle."
    assert str(inspect.signature(stage.turn)) == "(angle: float, speed: int = 1, softly: bool = False) -> float"
    assert stage.__doc__ == "A stage that turns."
    with pytest.raises(AttributeError, match="offers no 'fly'"):
        stage.fly()


def test_with_a_class_a_device_is_an_instance_of_it_or_refused_at_once(stage_client: Client) -> None:
    stage = stage_client.device("stage", Stage)
    assert isinstance(stage, Stage)
    assert stage.turn(3.0) == 3.0
    stage.angle = 4.0
    assert stage.angle == 4.0
    assert not isinstance(stage_client.device("stage"), Stage)
    with pytest.raises(ConfigError, match="stage is no Hexapod: it has no tilt"):
        stage_client.device("stage", Hexapod)


def test_devices_and_tasks_are_mappings(stage_client: Client) -> None:
    assert list(stage_client.devices) == ["stage"]
    assert stage_client.devices["stage"].turn(1.0) == 1.0
    assert {"scan", "many"} <= set(stage_client.tasks)
    assert "oven" not in stage_client.devices
    with pytest.raises(KeyError, match="no device 'oven'"):
        _ = stage_client.devices["oven"]
    assert stage_client.tasks.get("nothing") is None


def test_the_error_of_a_driver_is_of_its_own_class_where_that_is_loaded(
    stage_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_client.device("stage", Stage)
    with pytest.raises(Jammed, match=r"jammed at 91\.0") as told:
        stage.turn(91.0)
    assert told.value.angle == 91.0
    assert any("answered by" in note for note in told.value.__notes__)
    monkeypatch.delitem(sys.modules, __name__)
    with pytest.raises(Exception, match=r"jammed at 91\.0") as unknown:
        stage.turn(91.0)
    assert type(unknown.value) is not Jammed


def test_a_server_makes_no_error_here_that_ends_the_program() -> None:
    from actorlab.client.connection import KNOWN  # noqa: PLC0415 - only this test looks inside

    for name in (f"{__name__}:Quit", "builtins:SystemExit", "builtins:KeyboardInterrupt", "os:system", "builtins:int"):
        with pytest.raises(LookupError):
            KNOWN(name)
    assert KNOWN(f"{__name__}:Jammed") is Jammed


def test_a_device_is_there_for_whoever_ensures_it(stage_client: Client) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: stage_client.ensure_device("other", "Stage", limit=10.0), range(4)))
    assert [stage.limit for stage in made] == [10.0] * 4
    stage_client.disconnect("other")
    assert stage_client.ensure_device("other").turn(2.0) == 2.0
    with pytest.raises(ConfigError, match="knows no type of device 'Oven'"):
        stage_client.ensure_device("third", "Oven")


# -- tasks and runs


def test_a_task_is_called_with_a_signature_of_its_own(stage_client: Client) -> None:
    remote = stage_client.task("scan")
    assert str(inspect.signature(remote)) == "(stage: 'Stage', angles: list, label: str = 'a')"
    assert remote.__doc__ == "Turn here and there."
    assert remote("stage", [1.0, 2.0]) == 3.0
    assert remote(stage=stage_client.device("stage"), angles=[4.0]) == 4.0
    assert stage_client.tasks["scan"].start(stage_client.device("stage", Stage), [5.0]).result(PATIENCE) == 5.0
    with pytest.raises(ConfigError, match="knows no task 'nothing'"):
        stage_client.task("nothing")


def test_a_run_has_its_data_progress_children_and_steps(stage_client: Client) -> None:
    run = stage_client.start("scan", stage="stage", angles=[1.0, 2.0], label="b")
    run.result(PATIENCE)
    assert (run.name, run.state) == ("scan", RunState.SUCCEEDED)
    assert run.progress is not None
    assert (run.progress.done, run.progress.fraction, run.progress.message) == (2, 1.0, "b 2.0")
    frame = run.data.to_pandas()
    assert list(frame["angle"]) == [1.0, 2.0]
    assert [list(row.values["field"]) for row in run.data.rows] == [[1.0, 1.0], [2.0, 1.0]]
    assert run.data.attributes["run"] == run.id
    parent = stage_client.start("many", stage="stage")
    assert parent.result(PATIENCE) == 3.0
    assert [child.result(PATIENCE) for child in parent.children] == [1.0, 2.0]
    steps = stage_client.start("both", "stage")
    assert steps.result(PATIENCE) == 2.0
    assert [(step.name, step.state, step.devices) for step in steps.steps] == [
        ("scan", RunState.SUCCEEDED, ("stage",))
    ] * 2
    assert stage_client.get(run.id) == run
    assert len({run, stage_client.get(run.id), parent}) == 2


def test_a_run_is_awaited_without_blocking_the_loop_and_outlives_who_waits(stage_client: Client) -> None:
    async def program() -> float:
        async with stage_client as client:
            run = client.start("waits", stage="stage")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await run
            assert run.state is RunState.RUNNING
            run.cancel()
            with pytest.raises(ActorLabError):
                await run
            result: float = await client.start("scan", "stage", [1.0])
            return result

    assert asyncio.run(program()) == 1.0
    with pytest.raises(ServerUnavailable, match="closed"):
        _ = stage_client.health


def test_awaiting_at_a_server_that_is_gone_is_an_error(lab: Lab) -> None:
    lab.register(scan, Stage)
    lab.add("stage", Stage)
    with Server(lab, port=0) as server:
        client = Client(server.url, reconnect=0.1)
        run = client.start("scan", "stage", [1.0])

    async def program() -> None:
        await run

    with pytest.raises(ServerUnavailable, match="does a server run there"):
        asyncio.run(program())
    client.close()


# -- signatures


NAMES = st.lists(st.from_regex(r"[a-z]{1,4}_", fullmatch=True), unique=True, max_size=5)
SCHEMAS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["number", "string", "array", "odd"]), "default": st.integers()}
)


@given(st.data(), NAMES, st.booleans())
def test_every_schema_has_a_signature_that_takes_what_is_needed(data: Any, names: list[str], others: bool) -> None:
    needed = data.draw(st.sets(st.sampled_from(names))) if names else set()
    properties = {name: data.draw(SCHEMAS) for name in names}
    schema = {"properties": properties, "required": sorted(needed), "additionalProperties": others}
    signature = signature_from(schema)
    signature.bind(**dict.fromkeys(needed))
    signature.bind(**dict.fromkeys(names))
    assert [name for name in signature.parameters if name != "others"] == names
    if needed:
        with pytest.raises(TypeError):
            signature.bind()


def test_what_takes_anything_says_so() -> None:
    assert str(signature_from({"type": "object"})) == "(*args, **kwargs)"
