"""Let people in by their token, without it ever standing in an address, a log or a page."""

from __future__ import annotations

import html
import logging
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from actorlab.dashboard.sessions import COOKIE, LONGEST
from actorlab.server.refusing import Refused
from actorlab.server.tokens import digest_of

if TYPE_CHECKING:
    from actorlab.dashboard.sessions import Sessions
    from actorlab.server.desk import Desk

__all__ = ["LOGIN", "LOGOUT", "logged_in", "logged_out"]

LOGIN: Final = "/dashboard/login"
LOGOUT: Final = "/dashboard/logout"
LARGEST: Final = 4096
"""The form of the login page has fewer bytes."""
log = logging.getLogger("actorlab.dashboard")


async def logged_in(request: Request, desk: Desk, sessions: Sessions) -> Response:
    """Show the login page, or take the token that was typed there."""
    tokens = desk.tokens
    if tokens is None:
        return RedirectResponse("/", 303)
    if request.method == "GET":
        return login_page(desk.lab.name)
    if request.method != "POST":
        return PlainTextResponse("the login page takes GET and POST", 405)
    token = await token_in(request)
    digest = digest_of(token)
    who = tokens.who_has(digest)
    if who is None:
        return refused(request, desk, token)
    log.info("%s has logged in as %s", who.name, who.role)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE, sessions.begin(who, lambda: tokens.who_has(digest)), max_age=int(LONGEST), httponly=True,
        samesite="strict", secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


def refused(request: Request, desk: Desk, token: str) -> Response:
    """Let nobody in; who guesses has to wait."""
    try:
        desk.refuse_guesses(request, token)
    except Refused as guesses:
        return login_page(desk.lab.name, str(guesses.error), guesses.status)
    log.warning("a login was refused: the token isn't known")
    return login_page(desk.lab.name, "This token isn't known here.", 401)


def logged_out(request: Request, sessions: Sessions) -> Response:
    """Forget who asks; a link can't do that, only the button."""
    if request.method != "POST":
        return RedirectResponse("/", 303)
    sessions.end(request)
    answer = RedirectResponse(LOGIN, 303)
    answer.delete_cookie(COOKIE)
    return answer


async def token_in(request: Request) -> str:
    """Read the token from the form; nothing, if that is none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return ""
    try:
        return parse_qs(body.decode()).get("token", [""])[0].strip()
    except ValueError:
        return ""


def login_page(lab: str, error: str = "", status: int = 200) -> Response:
    """Write the login page."""
    page = Template((Path(__file__).parent / "login.html").read_text(encoding="utf-8"))
    shown = f'<p class="error" role="alert">{html.escape(error)}</p>' if error else ""
    return HTMLResponse(page.substitute(lab=html.escape(lab), error=shown), status)
