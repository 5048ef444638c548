"""In a browser: after a crash the runs that were cut off stand on the page of the runs, and an operator goes on."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from actorlab import Device, Lab, checkpoint, sleep, task
from actorlab.server import Server

Look = Callable[..., Page]


class Stage(Device):
    """A stage that holds its task until it may go on."""

    def __init__(self, begun: threading.Event, go_on: threading.Event) -> None:
        self._begun = begun
        self._go_on = go_on

    def is_there(self) -> bool:
        """Tell whether it has arrived."""
        self._begun.set()
        return self._go_on.is_set()


@task
def move(stage: Stage) -> str:
    """Wait for a stage; only what stands at the top of a file can be gone on with."""
    while not stage.is_there():
        checkpoint()
        sleep(0.01)
    return "it has arrived"


def cut_off(folder: Path, runs: int) -> tuple[Path, list[str]]:
    """Return the journal of a lab that has crashed in the middle of some runs, and their ids."""
    left = folder / "left.db"
    ids: list[str] = []
    with Lab(journal=folder / "journal.db") as lab:
        lab.register(move)
        go_on = threading.Event()
        for number in range(runs):
            begun = threading.Event()
            ids.append(lab.start(move, lab.add(f"stage{number}", Stage, begun, go_on)).id)
            assert begun.wait(5)
        assert lab.journalling is not None
        lab.journalling.journal.flush()
        for end in ("", "-wal"):
            if Path(f"{folder}/journal.db{end}").exists():
                shutil.copy(f"{folder}/journal.db{end}", f"{left}{end}")
        go_on.set()
    return left, ids


def test_after_a_crash_an_operator_goes_on_with_the_runs_that_were_cut_off(look: Look, tmp_path: Path) -> None:
    journal, (first, second) = cut_off(tmp_path, 2)
    there = threading.Event()
    there.set()
    with Lab(journal=journal, cancel_grace=1.0) as lab, Server(lab, port=0, dashboard=True) as server:
        lab.register(move)
        lab.add("stage0", Stage, threading.Event(), there)
        page = look(f"{server.url}/dashboard/runs")
        expect(page.get_by_role("heading", name="Interrupted before this lab opened")).to_be_visible()
        expect(page.get_by_text("There are no runs since this lab opened.")).to_be_visible()
        expect(page.get_by_role("button", name=f"Try again {first}")).to_be_visible()

        page.get_by_role("button", name=f"Go on {second}").click()  # its stage isn't there
        expect(page.get_by_role("alert").filter(has_text="stage1")).to_be_visible()

        page.get_by_role("button", name=f"Go on {first}").click()
        expect(page.get_by_text(f"{first} asks")).to_be_visible()
        page.get_by_role("button", name="redo", exact=True).click()
        expect(page.locator(f'[data-run="{first}"]')).to_contain_text("succeeded")
        expect(page.get_by_role("button", name=re.compile("Go on"))).to_have_count(1)

        page.get_by_role("link", name=second).click()
        expect(page.get_by_text("✗ interrupted").first).to_be_visible()
        page.get_by_role("button", name="Go on", exact=True).click()
        expect(page.get_by_role("alert").filter(has_text="stage1")).to_be_visible()
        lab.add("stage1", Stage, threading.Event(), there)
        page.get_by_role("button", name="Go on", exact=True).click()
        expect(page.get_by_text(f"{second} asks")).to_be_visible()
        page.get_by_role("button", name="redo", exact=True).click()
        expect(page.get_by_text("it has arrived")).to_be_visible()

        page.goto(f"{server.url}/dashboard/runs")
        expect(page.locator(f'[data-run="{second}"]')).to_contain_text("succeeded")
        expect(page.get_by_role("heading", name="Interrupted before this lab opened")).to_be_hidden()
