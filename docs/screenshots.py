"""Take the pictures of the dashboard while an experiment runs: `python docs/screenshots.py`; it needs Chromium."""  # noqa: INP001 - a program

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import sync_playwright

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
SIZES: Final[dict[str, tuple[int, int, Literal["light", "dark"]]]] = {
    "dashboard_light": (1280, 860, "light"),
    "dashboard_dark": (1280, 860, "dark"),
}


def main() -> None:
    """Run the experiment, and look at it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    ordered = order(f"{PROGRAM}", None, [])
    with ConfiguredLab(ordered.config) as lab, sync_playwright() as playwright:
        for name in ordered.binding.devices:
            lab.add_configured(name)
        args, kwargs = ordered.binding.resolved(lab.device)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with Server(lab, port=0, dashboard=True) as server:
            pages = {
                name: browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                for name, (width, height, scheme) in SIZES.items()
            }
            for page in pages.values():
                page.goto(server.url)
            lab.start(ordered.task, *args, **kwargs).result()
            time.sleep(COURSE)
            lab.start(ordered.task, *args, **kwargs)
            time.sleep(SEEN)
            for name, page in pages.items():
                page.screenshot(path=DOCS / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
