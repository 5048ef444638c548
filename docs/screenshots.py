"""Take the pictures of the dashboard while an experiment runs: `python docs/screenshots.py`; it needs Chromium."""  # noqa: INP001 - a program

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from actorlab.cli.ordering import order
from actorlab.config import ConfiguredLab
from actorlab.server import Server

DOCS: Final = Path(__file__).resolve().parent
PROGRAM: Final = DOCS.parent / "workflows" / "characterise.py"
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
COURSE: Final = 15.0
"""So many seconds after the first time the live values have a course: the oven cools."""
SEEN: Final = 6.0
"""So many seconds after its begin much goes on in the experiment."""
RUN: Final = "characterise%232"


def main() -> None:
    """Run the experiment, and look at it."""
    ordered = order(f"{PROGRAM}", None, [])
    with ConfiguredLab(ordered.config) as lab, sync_playwright() as playwright:
        for name in ordered.binding.devices:
            lab.add_configured(name)
        args, kwargs = ordered.binding.resolved(lab.device)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with Server(lab, port=0, dashboard=True) as server:
            devices = browser.new_page(viewport={"width": 1280, "height": 880}, color_scheme="light")
            devices.goto(server.url)
            watch_oven(devices)
            lab.start(ordered.task, *args, **kwargs).result()
            time.sleep(COURSE)
            lab.start(ordered.task, *args, **kwargs)
            time.sleep(SEEN)
            devices.screenshot(path=DOCS / "dashboard_light.png")
            run = browser.new_page(viewport={"width": 1280, "height": 1230}, color_scheme="dark")
            run.goto(f"{server.url}/dashboard/runs?run={RUN}")
            run.get_by_text("planned:").wait_for()
            run.screenshot(path=DOCS / "dashboard_dark.png")
        browser.close()


def watch_oven(page: Page) -> None:
    """Have its temperature read also while it heats."""
    oven = page.locator("article").filter(has=page.get_by_role("heading", name="oven"))
    oven.get_by_text("Choose live values").click()
    oven.get_by_text("also while a task uses it").click()
    oven.get_by_text("Choose live values").click()


if __name__ == "__main__":
    main()
