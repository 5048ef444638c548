"""A call is answered alike whether it is plain or not; what is wrong is said by the same rules."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from actorlab import Client, Device, Lab
from actorlab.server import Server


class Echo(Device):
    """A device that gives back what it gets."""

    def echo(self, value: Any = None, *, times: int = 1) -> Any:
        return value if times == 1 else [value] * times


@pytest.fixture
def url(lab: Lab) -> Any:
    """Serve it."""
    lab.add("echo", Echo)
    with Server(lab, port=0) as server:
        yield server.url


PATH = "/devices/echo/call/echo"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({}, None),
        ({"args": [1.5]}, 1.5),
        ({"args": [True], "kwargs": {"times": 2}}, [True, True]),
        ({"kwargs": {"value": "x" * 5000}}, "x" * 5000),
        ({"args": ["ü\ud800"]}, "ü\ud800"),
        ({"args": [[1, {"a": 2}]]}, [1, {"a": 2}]),
        ({"args": [2**70]}, 2**70),
    ],
)
def test_what_is_sent_comes_back_in_whatever_form(url: str, kind: str, body: dict[str, Any], result: Any) -> None:
    answer = httpx.post(url + PATH, content=json.dumps(body), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()) == (200, {"result": result})


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"args": 1}', b'{"kwargs": []}', b'{"argz": []}', b'{"args": [1, 2]}',
     b'{"kwargs": {"speed": 1}}', b"\xff\xfe", b'{"args": [1], "kwargs": {"value": 1}}', b"[" * 4000],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_reaches_no_device(url: str, content: bytes) -> None:
    answer = httpx.post(url + PATH, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["type"] in {"ConfigError", "TypeError"}


def test_numbers_that_are_none_come_back_as_they_are(url: str) -> None:
    with Client(url) as client:
        echo: Any = client.device("echo")
        assert echo.echo(float("inf")) == float("inf")
        assert str(echo.echo(float("nan"))) == "nan"
        assert echo.echo((1, 2)) == (1, 2)
        assert echo.echo(b"\x00") == b"\x00"
