"""The dashboard's devices: how they stand, their values, their methods called by forms."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from actorlab import Device, DeviceConfig, RestartPolicy
from actorlab.errors import ActorLabError
from tests.dashboard.conftest import Served

Look = Callable[..., Page]


def test_a_method_is_called_by_its_form_and_its_value_is_seen(served: Served, look: Look) -> None:
    page = look(served.url)
    choose(page, "tune()")
    fill(page, "nanometres", "1550.5")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("1550.5")
    expect(page.get_by_text("1550.5", exact=True)).to_be_visible()  # the live value of wavelength()


def test_a_choice_is_a_list_and_a_flag_a_switch(served: Served, look: Look) -> None:
    page = look(served.url)
    choose(page, "tune()")
    fill(page, "nanometres", "1500")
    page.get_by_label("mode").click()
    page.get_by_role("option", name="pulsed").click()
    page.get_by_role("switch", name="slow").click()
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("-1500")


def test_what_is_wrong_is_said_in_place(served: Served, look: Look) -> None:
    page = look(served.url)
    choose(page, "tune()")
    fill(page, "nanometres", "far")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_text("a number is wanted")).to_be_visible()
    fill(page, "nanometres", "1700")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_text("out of range")).to_be_visible()
    choose(page, "break_down()", opened=True)
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("the interlock loop is open")


def test_who_holds_a_device_is_seen_at_once_and_its_commands_are_refused_by_name(served: Served, look: Look) -> None:
    page = look(served.url)
    run = served.lab.start("hold", "laser")
    expect(page.get_by_text("hold#1", exact=True)).to_be_visible()
    choose(page, "tune()")
    fill(page, "nanometres", "1500")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("hold#1")
    run.cancel()
    expect(page.get_by_text("nobody", exact=True)).to_be_visible()


def test_a_device_is_restarted_by_its_button_but_not_unasked_while_somebody_holds_it(
    served: Served, look: Look
) -> None:
    page = look(served.url)
    page.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("laser: restart done")).to_be_visible()
    run = served.lab.start("hold", "laser")
    expect(page.get_by_text("hold#1", exact=True)).to_be_visible()
    page.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("laser is held by hold#1. Restart it?")).to_be_visible()
    page.get_by_role("button", name="Go back").click()
    assert served.lab.status("laser").restarts == 1
    run.cancel()


def test_a_device_is_disconnected_and_connected(served: Served, look: Look) -> None:
    page = look(served.url)
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_text("disconnected", exact=True)).to_be_visible()
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("idle", exact=True)).to_be_visible()


def test_a_page_shows_a_device_that_is_added_and_forgets_one_that_is_removed(served: Served, look: Look) -> None:
    page = look(served.url)
    served.lab.add("second", dict)
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    served.lab.remove("second")
    expect(page.get_by_role("heading", name="second")).to_have_count(0)


def choose(page: Page, member: str, *, opened: bool = False) -> None:
    """Choose a method of the laser."""
    if not opened:
        page.get_by_text("Call a method").click()
    page.get_by_label("Method or attribute").click()
    page.get_by_role("option", name=member, exact=True).click()


def fill(page: Page, field: str, text: str) -> None:
    """Fill in a field."""
    page.get_by_label(field).fill(text)


class Flaky(Device):
    """A device whose line is cut at times."""

    def __init__(self, cut: threading.Event) -> None:
        self._cut = cut

    def connect(self) -> None:
        if self._cut.is_set():
            message = "the line is cut"
            raise ConnectionError(message)

    def use(self) -> None:
        """Use it."""
        self.connect()


def test_a_quarantined_device_says_why_and_comes_back_by_reset(served: Served, look: Look) -> None:
    cut = threading.Event()
    served.lab.add("flaky", DeviceConfig(restart=RestartPolicy(limit=0))(Flaky), cut)
    page = look(served.url)
    card = page.locator("article").filter(has=page.get_by_role("heading", name="flaky"))
    expect(card.get_by_text("idle", exact=True)).to_be_visible()
    expect(card.get_by_role("button", name="Reset")).to_be_hidden()
    cut.set()
    with pytest.raises(ActorLabError):
        served.lab.device("flaky").use()
    expect(card.get_by_text("quarantined", exact=True)).to_be_visible()
    expect(card).to_contain_text("the line is cut")
    cut.clear()
    card.get_by_role("button", name="Reset").click()
    expect(card.get_by_text("idle", exact=True)).to_be_visible()
