"""The dashboard's frame: who gets in, the tabs, one a process, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from actorlab import Lab
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
