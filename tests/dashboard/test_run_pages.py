"""In a browser: a workflow is started by its form and watched, another is cancelled, a plot grows, history finds it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from actorlab import Device, Lab, checkpoint, parameter, record, shield, sleep, stream, task, workflow
from actorlab.server import Server
from tests.dashboard.conftest import Served

Look = Callable[..., Page]


class Gates:
    """What tests and bodies tell each other."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.more = threading.Semaphore(0)
        self.heard = threading.Event()
        self.ended = threading.Event()


class Camera(Device):
    """A camera of nobody's."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def lid_is_open(self) -> bool:
        """Look at the lid."""
        return self._gates.go_on.is_set()

    @stream
    def frames(self, bright: float = 1.0) -> Iterator[Any]:
        """Take pictures."""
        try:
            while True:
                self._gates.heard.set()
                yield np.array([[0.0, bright], [2.0, 3.0]])
                sleep(0.02)
        finally:
            self._gates.ended.set()


@task
def needs_a_hand(camera: Camera) -> str:
    """Fail until somebody has helped; only what stands at the top of a file can be tried again."""
    if not camera.lid_is_open():
        message = "the lid is closed"
        raise RuntimeError(message)
    return "the lid was open"


def tasks(gates: Gates) -> list[Any]:
    """Return tasks that wait for a test."""

    @task
    def count(camera: Camera, until: int) -> int:
        """Record some rows."""
        del camera
        for number in range(until):
            gates.more.acquire()
            checkpoint()
            record(number=number, square=parameter("gain", 1.0) * number**2, image=np.eye(4) * number)
        return until

    @task
    def hold(camera: Camera) -> None:
        """Hold a camera until somebody ends that."""
        del camera
        while not gates.go_on.is_set():
            checkpoint()
            sleep(0.01)

    @task
    def breaks() -> None:
        """Fail."""
        message = "the beam was <b>lost</b>"
        raise LookupError(message)

    @workflow
    def both(camera: Camera, points: tuple[int, ...] = (1, 2)) -> list[int]:
        """Count twice."""
        return [count(camera, each) for each in points]

    @task
    def lingers(camera: Camera) -> None:
        """End slowly."""
        del camera
        try:
            while True:
                checkpoint()
                sleep(0.01)
        finally:
            with shield(30):
                gates.more.acquire()

    return [count, hold, breaks, both, lingers, needs_a_hand]


@pytest.fixture
def gates() -> Iterator[Gates]:
    made = Gates()
    yield made
    made.go_on.set()
    made.more.release(100)


@pytest.fixture
def bench(tmp_path: Path, gates: Gates) -> Iterator[Lab]:
    """Make a lab with a journal, which ends quickly."""
    made = Lab("optics", journal=tmp_path / "journal.db", cancel_grace=1.0)
    made.register(*tasks(gates))
    made.add("camera", Camera, gates)
    yield made
    gates.go_on.set()
    gates.more.release(100)
    made.close()


@pytest.fixture
def url(bench: Lab) -> Iterator[str]:
    """Serve it to everybody on this machine."""
    with Server(bench, port=0, dashboard=True) as server:
        yield server.url


def test_a_workflow_is_started_by_its_form_and_watched_to_its_end(url: str, look: Look, gates: Gates) -> None:
    page = look(f"{url}/dashboard/start")
    page.get_by_role("link", name=re.compile("both")).click()
    expect(page.get_by_text("Count twice.").last).to_be_visible()
    points = page.get_by_label("points")
    points.fill("1, many")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("value 2: a whole number is wanted, not 'many'")).to_be_visible()
    points.fill("1, 3")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.get_by_text("It takes about 2 s")).to_be_visible()
    expect(page.locator("svg").get_by_text("count(3)", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="both#1")).to_be_visible()
    expect(page.get_by_text("▶ running").first).to_be_visible()
    expect(page.get_by_text("○ 1 waiting")).to_be_visible()
    gates.more.release(4)
    expect(page.locator("h1, [role=heading]").filter(has_text="both#1").locator("xpath=..")).to_contain_text(
        "succeeded"
    )
    expect(page.get_by_text("[1, 3]")).to_be_visible()
    expect(page.get_by_text("✓ 2 succeeded")).to_be_visible()


def test_a_run_is_cancelled_with_a_reason_and_that_is_told(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    run = bench.start("hold", camera="camera")
    waiting = bench.start("hold", camera="camera")
    page = look(f"{url}/dashboard/runs")
    line = page.locator(f'[data-run="{run.id}"]')
    expect(line).to_contain_text("running")
    expect(page.locator(f'[data-run="{waiting.id}"]')).to_contain_text(run.id)  # for whom it waits
    page.get_by_role("button", name=f"Cancel {run.id}").click()
    page.get_by_label("Reason").fill("wrong sample")
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    expect(line).to_contain_text("cancelled")
    expect(line).to_contain_text("wrong sample (somebody on this machine)")
    expect(page.locator(f'[data-run="{waiting.id}"]')).to_contain_text("running")
    page.get_by_role("button", name=f"Pause {waiting.id}").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(f'[data-run="{waiting.id}"]')).to_contain_text("paused")
    page.get_by_role("button", name=f"Go on {waiting.id}").click()
    expect(page.locator(f'[data-run="{waiting.id}"]')).to_contain_text("running")
    gates.go_on.set()
    expect(page.locator(f'[data-run="{waiting.id}"]')).to_contain_text("succeeded")


def test_a_run_is_cancelling_until_its_work_has_stopped(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    run = bench.start("lingers", camera="camera")
    page = look(f"{url}/dashboard/runs?run={run.id.replace('#', '%23')}")
    expect(page.get_by_text("▶ running")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("◌ cancelling")).to_be_visible()
    expect(page.get_by_text("it has ended within")).to_be_visible()
    assert not run.done()
    gates.more.release()
    expect(page.get_by_text("✗ cancelled")).to_be_visible()
    assert run.done()


def test_several_runs_are_drawn_side_by_side(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    gates.more.release(4)
    runs = [bench.start("count", camera="camera", until=2) for _ in range(2)]
    runs[-1].result(5)
    page = look(f"{url}/dashboard/data")
    expect(page.get_by_text("2 rows", exact=True)).to_be_visible()
    page.get_by_label("Runs", exact=True).click()
    page.get_by_role("option", name=runs[0].id).click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("4 rows", exact=True)).to_be_visible()
    names = "() => Object.values([...actorlabPlots.plots.values()].at(-1)?.names ?? {}).sort()"
    page.wait_for_function(f"() => ({names})().length === 2")
    assert page.evaluate(names) == [f"{run.id}: square" for run in runs]


def test_a_plot_grows_with_the_rows_and_parameters_can_be_set(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    run = bench.start("count", camera="camera", until=6)
    gates.more.release(3)
    page = look(f"{url}/dashboard/runs?run={run.id.replace('#', '%23')}")
    expect(page.get_by_text("3 rows", exact=True)).to_be_visible()
    expect(page.locator("canvas")).to_be_visible()
    points = (
        "() => Object.values([...actorlabPlots.plots.values()].find((plot) => plot.y === 'square')?.points ?? {})[0]"
    )
    page.wait_for_function(f"() => (({points})() ?? []).length === 3")
    page.get_by_label("gain").fill("2")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text(f"{run.id}: gain set")).to_be_visible()
    gates.more.release(3)
    expect(page.get_by_text("6 rows", exact=True)).to_be_visible()
    page.wait_for_function(f"() => (({points})() ?? []).length === 6")
    assert page.evaluate(points) == [[0, 0], [1, 1], [2, 4], [3, 18], [4, 32], [5, 50]]
    expect(page.locator("img.shot")).to_have_attribute("src", re.compile("^data:image/png;base64,"))


def test_a_failed_run_tells_its_error_and_history_finds_it(url: str, look: Look, bench: Lab) -> None:
    run = bench.start("breaks")
    run.exception(5)
    page = look(f"{url}/dashboard/history")
    page.get_by_label("Run, task, error or person").fill("BEAM")
    expect(page.get_by_text("the beam was <b>lost</b>")).to_be_visible()
    page.get_by_label("Run, task, error or person").fill("nothing of that")
    expect(page.get_by_text("No such runs.")).to_be_visible()
    page.get_by_label("Run, task, error or person").fill("")
    page.get_by_role("link", name=run.id).click()
    expect(page.get_by_text("LookupError: the beam was <b>lost</b>").first).to_be_visible()
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("Traceback (most recent call last)")).to_be_visible()
    assert page.locator("b").count() == 0


def test_what_has_failed_is_tried_again_and_watched(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    run = bench.start("needs_a_hand", camera="camera")
    run.exception(5)
    page = look(f"{url}/dashboard/runs?run={run.id.replace('#', '%23')}")
    expect(page.get_by_text("RuntimeError: the lid is closed").first).to_be_visible()
    gates.go_on.set()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("the lid was open")).to_be_visible()
    expect(page.get_by_text("✓ succeeded")).to_be_visible()


def test_a_run_that_the_lab_has_forgotten_is_opened_from_the_journal(look: Look, tmp_path: Path, gates: Gates) -> None:
    gates.more.release(3)
    with Lab(journal=tmp_path / "old.db") as lab:
        lab.register(*tasks(gates))
        lab.add("camera", Camera, gates)
        run = lab.start("both", camera="camera")
        run.result(5)
    with Lab(journal=tmp_path / "old.db") as lab, Server(lab, port=0, dashboard=True) as server:
        page = look(f"{server.url}/dashboard/history")
        page.get_by_role("link", name=run.id).click()
        expect(page.get_by_text("✓ 2 succeeded")).to_be_visible()
        expect(page.get_by_text("What was done")).to_be_visible()
        page.goto(f"{server.url}/dashboard/runs?run=nothing%2399")
        expect(page.get_by_role("heading", name="No such run")).to_be_visible()


def test_a_stream_is_heard_while_somebody_looks_and_no_longer(
    url: str, look: Look, gates: Gates, in_thread: Callable[[Callable[[], object]], None]
) -> None:
    page = look(f"{url}/dashboard/data")
    page.get_by_label("bright").fill("1.5")
    page.get_by_role("button", name="Listen", exact=True).click()
    expect(page.get_by_text("camera.frames: 2 x 2, 0 (dark) to 3 (bright)")).to_be_visible()
    assert gates.heard.is_set()
    page.goto("about:blank")
    in_thread(lambda: gates.ended.wait(10))


def test_a_viewer_sees_the_runs_and_no_buttons(guarded: Served, look: Look, lab: Lab) -> None:
    run = lab.start("hold", "laser")
    page = look(guarded.url)
    page.get_by_label("Token").fill(guarded.tokens["viewer"])
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{guarded.url}/dashboard/runs")
    expect(page.locator(f'[data-run="{run.id}"]')).to_contain_text("running")
    assert page.get_by_role("button", name=re.compile("Cancel|Pause|Go on|Try again")).count() == 0
    page.get_by_role("link", name=run.id).click()
    expect(page.get_by_role("heading", name=run.id)).to_be_visible()
    assert page.get_by_role("button", name=re.compile("Cancel|Pause|Go on|Try again")).count() == 0
    page.goto(f"{guarded.url}/dashboard/start?task=hold")
    expect(page.get_by_text("An operator can start it here.")).to_be_visible()
    assert page.get_by_role("button", name=re.compile("Start|Rehearse")).count() == 0


def test_many_runs_are_shown_a_page_at_a_time(url: str, look: Look, bench: Lab) -> None:
    runs = [bench.start(str.upper, "a") for _ in range(45)]
    runs[-1].result(5)
    page = look(f"{url}/dashboard/runs")
    expect(page.get_by_text("1 to 20 of 45")).to_be_visible()
    assert page.locator("[data-run]").count() == 20
    page.get_by_role("button", name="Older runs").click()
    expect(page.get_by_text("21 to 40 of 45")).to_be_visible()
    page.get_by_role("button", name="waiting 0").click()
    expect(page.get_by_text("There are no runs.")).to_be_visible()


def test_a_long_curve_is_thinned_and_stays_in_order_as_it_grows(url: str, look: Look, bench: Lab, gates: Gates) -> None:
    run = bench.start("count", camera="camera", until=4500)
    page = look(f"{url}/dashboard/runs?run={run.id.replace('#', '%23')}")
    for rows in (900, 2700, 4500):
        gates.more.release(rows - len(run.data))
        expect(page.get_by_text(f"{rows:,} rows", exact=True)).to_be_visible()
    curve = "[...actorlabPlots.plots.values()].find((plot) => plot.y === 'square')"
    points = f"() => Object.values({curve}?.points ?? {{}})[0]"
    page.wait_for_function(f"() => ({points})()?.at(-1)[0] === 4499")
    drawn = page.evaluate(points)
    assert len(drawn) <= 3000
    assert drawn == sorted(drawn)
    assert drawn[-1] == [4499, 4499**2]
