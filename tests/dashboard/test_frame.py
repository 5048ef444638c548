"""The dashboard's frame: who gets in, the tabs, one a process, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from actorlab import Lab
from actorlab.dashboard.panels import PANELS
from actorlab.errors import ConfigError
from actorlab.server import Server
from tests.dashboard.conftest import Served

Look = Callable[..., Page]


def test_a_browser_finds_the_devices_at_the_servers_address(served: Served, look: Look) -> None:
    page = look(served.url)
    expect(page.get_by_role("heading", name="laser")).to_be_visible()
    expect(page.get_by_text("idle", exact=True)).to_be_visible()


def test_the_tabs_lead_to_the_other_pages(served: Served, look: Look) -> None:
    page = look(served.url)
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_role("heading", name="Log")).to_be_visible()


def test_rest_stays_where_it_is(served: Served) -> None:
    assert httpx.get(f"{served.url}/devices").json()["laser"]["state"] == "idle"
    assert httpx.get(f"{served.url}/nothing").json()["type"] == "ConfigError"


@pytest.mark.parametrize("path", ["/", "/dashboard/log", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"])
def test_pages_of_other_sites_get_nothing(served: Served, path: str) -> None:
    assert httpx.get(served.url + path, headers={"Host": "evil.example"}).status_code == 403
    assert httpx.get(served.url + path, headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_process_shows_one_dashboard_at_a_time_and_says_so(served: Served) -> None:
    with Lab("other") as other:
        second = Server(other, port=0, dashboard=True)
        with pytest.raises(ConfigError, match="shows a dashboard already, that of lab 'optics'"):
            second.start()
        second.stop()
        with Server(other, port=0) as plain:
            assert httpx.get(f"{plain.url}/health").json()["lab"] == "other"
    assert httpx.get(served.url).status_code == 200


def test_one_dashboard_can_follow_another(lab: Lab) -> None:
    for _ in range(2):
        with Server(lab, port=0, dashboard=True) as server:
            assert "laser" in httpx.get(server.url).text


def test_no_page_may_be_framed_and_none_loads_from_elsewhere(served: Served) -> None:
    headers = httpx.get(served.url).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_no_page_is_wider_than_a_phone(served: Served, look: Look) -> None:
    page = look(served.url, width=360)
    for panel in PANELS:
        page.goto(served.url + panel.path)
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, panel.path
        expect(page.get_by_role("button", name="Emergency stop")).to_be_in_viewport(ratio=1)


def test_light_or_dark_is_chosen_once_for_all_pages(served: Served, look: Look) -> None:
    page = look(served.url)
    assert not page.evaluate("document.documentElement.classList.contains('dark')")
    page.get_by_role("button", name="Light, dark").click()
    page.goto(f"{served.url}/dashboard/log")
    expect(page.locator("html.dark body.body--dark")).to_be_visible()
    page.get_by_role("button", name="Light, dark").click()
    expect(page.locator("html.dark")).to_have_count(0)


def test_everything_is_reached_by_the_keyboard(served: Served, look: Look) -> None:
    page = look(served.url)
    expect(page.get_by_role("heading", name="laser")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.get_by_role("button", name="Emergency stop").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Why?")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Why?")).to_be_hidden()
    assert served.lab.stopped is None


def test_the_emergency_stop_is_in_reach_beside_open_questions_and_menus(served: Served, look: Look) -> None:
    page = look(served.url, width=360)
    served.lab.start("asks", "laser")
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.get_by_text("Call a method").click()
    page.get_by_label("Method or attribute").click()
    expect(page.get_by_role("option").first).to_be_visible()
    page.get_by_role("button", name="Emergency stop").click()
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_role("alert").filter(has_text="no reason was given")).to_be_visible()
