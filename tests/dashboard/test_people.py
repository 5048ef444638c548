"""The dashboard's people: who gets in, who may act, several at once, questions, the emergency stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from actorlab.dashboard.sessions import COOKIE, Session
from actorlab.errors import NotAllowed
from actorlab.server import Role
from actorlab.server.desk import GUESSES
from actorlab.server.tokens import Who, revoke_token
from tests.dashboard.conftest import Served

Look = Callable[..., Page]


def test_a_question_stands_in_every_browser_and_goes_once_answered(served: Served, look: Look) -> None:
    first, second = look(served.url), look(f"{served.url}/dashboard/log")
    run = served.lab.start("asks", "laser")
    for page in (first, second):
        expect(page.get_by_role("alertdialog")).to_contain_text("Is the sample in?")
    first.get_by_role("button", name="yes").click()
    for page in (first, second):
        expect(page.get_by_role("alertdialog")).to_have_count(0)
    assert run.result(5) == "yes"


def test_everything_is_stopped_and_armed_again_and_all_see_who_when_and_why(guarded: Served, look: Look) -> None:
    operator, viewer = log_in(look, guarded, "operator"), log_in(look, guarded, "viewer")
    run = guarded.lab.start("hold", "laser")
    operator.get_by_role("button", name="Emergency stop").click()
    operator.get_by_label("Why?").fill("smoke")
    operator.get_by_role("button", name="Stop everything").click()
    for page in (operator, viewer):
        expect(page.get_by_role("alert").filter(has_text="smoke (operator-ada)")).to_be_visible()
    assert run.exception(5) is not None
    viewer.get_by_role("link", name="Log", exact=True).click()
    expect(viewer.get_by_role("alert").filter(has_text="smoke")).to_be_visible()
    operator.get_by_role("button", name="Arm the lab again").click()
    operator.get_by_role("button", name="Arm again").click()
    for page in (operator, viewer):
        expect(page.get_by_role("alert").filter(has_text="smoke")).to_have_count(0)
    assert guarded.lab.stopped is None


def test_a_viewer_sees_no_button_that_acts(guarded: Served, look: Look) -> None:
    guarded.lab.start("asks", "laser")
    page = log_in(look, guarded, "viewer")
    expect(page.get_by_role("heading", name="laser")).to_be_visible()
    expect(page.get_by_text("An operator has to answer.")).to_be_visible()
    names = [button.get_attribute("aria-label") or button.inner_text() for button in page.get_by_role("button").all()]
    assert sorted(names) == ["Light, dark, or as the system has it", "Log out"]


def test_a_wrong_token_lets_nobody_in_and_is_written_nowhere(
    guarded: Served, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = look(guarded.url)
    page.get_by_label("Token").fill("let-me-in-please")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This token isn't known here.")
    assert "let-me-in" not in page.url + caplog.text


def test_the_session_is_in_a_cookie_that_no_script_reads(guarded: Served, look: Look) -> None:
    page = log_in(look, guarded, "operator")
    (cookie,) = page.context.cookies()
    assert (cookie.get("name"), cookie.get("httpOnly"), cookie.get("sameSite")) == (COOKIE, True, "Strict")
    assert guarded.tokens["operator"] not in page.content() + key_of(page) + page.url


@pytest.mark.parametrize("path", ["/", "/dashboard/log"])
def test_without_a_login_every_page_leads_to_it(guarded: Served, path: str) -> None:
    answer = httpx.get(guarded.url + path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/login")
    forged = httpx.get(guarded.url + path, cookies={COOKIE: "x" * 43})
    assert forged.status_code == 303
    assert httpx.get(f"{guarded.url}/favicon.ico").status_code == 200  # the login page's own


def test_without_a_login_there_is_no_connection_either(guarded: Served) -> None:
    assert httpx.get(f"{guarded.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling").status_code == 401


def test_who_logs_out_is_out(guarded: Served, look: Look) -> None:
    page = log_in(look, guarded, "operator")
    cookies = {COOKIE: key_of(page)}
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert httpx.get(guarded.url, cookies=cookies).status_code == 303


def test_what_is_clicked_after_logging_out_elsewhere_does_nothing(guarded: Served, look: Look) -> None:
    page = log_in(look, guarded, "operator")
    page.get_by_role("button", name="Emergency stop").click()
    httpx.post(f"{guarded.url}/dashboard/logout", cookies={COOKIE: key_of(page)})
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_text("you have logged out")).to_be_visible()
    assert guarded.lab.stopped is None


def test_a_viewer_cannot_speak_for_the_page_of_an_operator(
    guarded: Served, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    operator, viewer = log_in(look, guarded, "operator"), log_in(look, guarded, "viewer")
    page_of_operator = operator.evaluate("window.socket.io.opts.query.client_id")
    stolen = f"/_nicegui_ws/socket.io/?EIO=4&transport=polling&client_id={page_of_operator}"
    for path in (stolen, stolen.partition("&client_id")[0]):
        assert httpx.get(guarded.url + path, cookies={COOKIE: key_of(viewer)}).status_code == 403
    operator.get_by_role("button", name="Emergency stop").click()
    forged = operator.evaluate(STOP_EVENT)
    viewer.evaluate("message => window.socket.emit('event', message)", {**forged, "client_id": page_of_operator})
    viewer.evaluate("window.socket.emit('event', 'nonsense')")
    expect(viewer.get_by_role("heading", name="laser")).to_be_visible()
    viewer.reload()  # what was sent before has been heard by then
    assert guarded.lab.stopped is None
    assert "what no page of its own sends" in caplog.text
    operator.evaluate("message => window.socket.emit('event', message)", {**forged, "client_id": page_of_operator})
    expect(viewer.get_by_role("alert").filter(has_text="no reason was given")).to_be_visible()


STOP_EVENT = """() => {
  const [id, found] = Object.entries(mounted_app.elements).find(([, each]) => each.props?.label === "Stop everything");
  const listener = found.events.find(each => each.type === "click");
  return {id: Number(id), listener_id: listener.listener_id, args: ["{}"]};
}"""
"""Returns what a browser sends when the button that stops everything is clicked."""


@pytest.mark.parametrize(("mine", "needed"), [("viewer", "operator"), ("viewer", "admin"), ("operator", "admin")])
def test_whoever_asks_for_more_than_his_role_is_refused(mine: Role, needed: Role) -> None:
    session = Session(Who("ada", mine), float("inf"))
    session.check(mine, "look")
    with pytest.raises(NotAllowed, match=f"ada is {mine}, and this needs {needed}"):
        session.check(needed, "act")


def test_a_session_ends_by_itself() -> None:
    session = Session(Who("ada", "admin"), 0.0)
    assert session.over
    with pytest.raises(NotAllowed, match="log in again"):
        session.check("viewer", "look")


def test_who_is_revoked_is_out_at_once(guarded: Served, look: Look, tmp_path: Path) -> None:
    page = log_in(look, guarded, "operator")
    page.get_by_role("button", name="Emergency stop").click()
    revoke_token(tmp_path / "tokens.json", "operator-ada")
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_text("log in again")).to_be_visible()
    assert guarded.lab.stopped is None
    assert httpx.get(guarded.url, cookies={COOKIE: key_of(page)}).status_code == 303


def test_who_guesses_tokens_has_to_wait(guarded: Served) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        answers = [client.post("/dashboard/login", data={"token": f"guess {n}"}) for n in range(GUESSES + 1)]
        right = client.post("/dashboard/login", data={"token": guarded.tokens["viewer"]})
    assert [answer.status_code for answer in answers] == [401] * GUESSES + [429]
    assert right.status_code == 303


def test_a_page_of_another_site_can_log_nobody_in_or_out(guarded: Served) -> None:
    for path in ("login", "logout"):
        answer = httpx.post(
            f"{guarded.url}/dashboard/{path}", data={"token": guarded.tokens["admin"]},
            headers={"Origin": "http://evil.example"},
        )  # fmt: skip
        assert answer.status_code == 403


def key_of(page: Page) -> str:
    """Return what the browser keeps of a login."""
    return page.context.cookies()[0].get("value", "")


def log_in(look: Look, guarded: Served, role: Role) -> Page:
    """Log in in a browser of one's own."""
    page = look(guarded.url)
    page.get_by_label("Token").fill(guarded.tokens[role])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="laser")).to_be_visible()
    return page
