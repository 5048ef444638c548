"""Serve a small lab with its dashboard, and look at it by Debian's Chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from actorlab import Device, Lab, Range, ask_operator, checkpoint, query, sleep, task
from actorlab.server import Role, Server, Tokens, create_token

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE = 20_000  # milliseconds: a browser shares the cores with the other tests


class Laser(Device):
    """A laser of nobody's."""

    def __init__(self) -> None:
        self.nanometres = 1500.0
        self.mode = "cw"
        self.fault = False

    def tune(
        self,
        nanometres: Annotated[float, Range(1400, 1600)],
        mode: Literal["cw", "pulsed"] = "cw",
        *,
        slow: bool = False,
    ) -> float:
        """Tune it to a wavelength."""
        self.nanometres = nanometres
        self.mode = mode
        return nanometres if not slow else -nanometres

    @query
    def wavelength(self) -> float:
        """Tell the wavelength."""
        return self.nanometres

    def break_down(self) -> None:
        """Fail."""
        message = "the interlock loop is open"
        raise RuntimeError(message)

    def make_safe(self) -> None:
        """Switch it off."""
        self.mode = "off"


@task
def hold(laser: Laser) -> None:
    """Hold a laser until somebody ends that."""
    del laser
    while True:
        checkpoint()
        sleep(0.02)


@task
def asks(laser: Laser) -> str:
    """Ask somebody."""
    del laser
    return ask_operator("Is the sample in?", choices=("yes", "no"))


class Served(NamedTuple):
    """A lab that is served, and tokens for it by role, if it asks for any."""

    lab: Lab
    server: Server
    tokens: dict[Role, str]

    @property
    def url(self) -> str:
        """Return where it is."""
        return self.server.url


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Make a lab that ends quickly."""
    made = Lab("optics", cancel_grace=1.0)
    made.register(hold, asks)
    made.add("laser", Laser)
    yield made
    made.close()


@pytest.fixture
def served(lab: Lab) -> Iterator[Served]:
    """Serve it to everybody on this machine."""
    with Server(lab, port=0, dashboard=True) as server:
        yield Served(lab, server, {})


@pytest.fixture
def guarded(lab: Lab, tmp_path: Path) -> Iterator[Served]:
    """Serve it to those with a token."""
    roles: tuple[Role, ...] = ("viewer", "operator", "admin")
    tokens: dict[Role, str] = {role: create_token(tmp_path / "tokens.json", f"{role}-ada", role) for role in roles}
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json"), dashboard=True) as server:
        yield Served(lab, server, tokens)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser once for the tests of a file."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser of its own; nothing may go wrong in it, and nothing come from elsewhere."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(url: str, *, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        origin = "/".join(url.split("/")[:3])

        def note(asked: Request) -> None:
            if not asked.url.startswith((origin, "data:", "ws")):
                wrong.append(asked.url)

        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", note)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def in_thread() -> Callable[[Callable[[], object]], None]:
    """Do something in a thread and wait for it: Playwright has an event loop in this one."""

    def done(function: Callable[[], object]) -> None:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join(PATIENCE / 1000)
        assert not thread.is_alive()

    return done
