"""Whatever is sent, nothing happens but a plain refusal: in one schema, logged, without a token in it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorlab import Lab
from actorlab.encoding import decode, only
from actorlab.errors import EncodingError
from actorlab.server import Server, Tokens, create_token

from .conftest import Served

PATIENCE = 5.0
CALL = "/devices/laser/call/set_wavelength"
JSON = {"Content-Type": "application/json"}
SCHEMA = {"type", "message", "origin", "time", "error"}


@pytest.fixture(autouse=True)
def unharmed(served: Served, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See after each test that nothing has changed, and nothing went wrong inside."""
    caplog.set_level(logging.INFO, "actorlab.server")
    yield
    assert served.lab.device("laser").wavelength == 1500.0
    assert (list(served.lab.devices), served.lab.runs) == (["laser"], ())
    assert not [record for record in caplog.records if record.exc_info]
    assert httpx.get(f"{served.url}/health").status_code == 200


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """See that an answer is a refusal in our schema, and return it."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    told: dict[str, Any] = answer.json()
    assert set(told) >= SCHEMA
    return told


def post(served: Served, content: bytes | str, kind: str = "application/json", path: str = CALL) -> httpx.Response:
    """Send a body."""
    return httpx.post(f"{served.url}{path}", content=content, headers={"Content-Type": kind})


def raw(served: Served, request: bytes) -> bytes:
    """Send bytes that no client would send, and return what comes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), PATIENCE) as connection:
        with suppress(OSError):  # the server may close the connection before it has all of it
            connection.sendall(request)
        with suppress(OSError):
            while chunk := connection.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer:
                    break
    return answer


def test_private_names_are_not_there(served: Served) -> None:
    with httpx.Client(base_url=served.url) as http:
        for name in ("_secret", "__class__", "__init__", "_gates", "__dict__", "mro", "set_wavelength.__globals__", ""):
            refused(http.post(f"/devices/laser/call/{name}", json={}), 404)
            refused(http.get(f"/devices/laser/attributes/{name}"), 404)
            refused(http.put(f"/devices/laser/attributes/{name}", json={"value": 1}), 404)
        for name in ("__class__", "_x", "ending", "lab_actor"):
            refused(http.get(f"/devices/{name}"), 404)
            refused(http.post("/runs", json={"task": name}), 404)


PATHS = (
    "/devices/../../etc/passwd", "/devices/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/devices/laser%00", "/devices/laser/..%2f",
    "/runs/..%2f..%2fetc", "/runs/%00", "/runs//", "/runs/%ff%fe", "/history/..%2f..%2fx", "/tasks/%0d%0aSet-Cookie:x",
    "/devices/laser/call/set_wavelength/..", "/%2e%2e/%2e%2e", "//devices", "/devices/" + "a" * 5000, "/.git/config",
    "/runs/x/data?after=-1", "/runs/x/data?limit=99999999999999999999999", "/runs/x/result?wait=nan",
    "/history?limit=1e9", "/history?since=inf", "/history/x%00y", "/runs?before=%00", "/questions/99999999999999999999",
)  # fmt: skip


def test_no_path_leads_anywhere_else(served: Served) -> None:
    for path in PATHS:
        for method in (b"GET", b"POST", b"PUT", b"DELETE"):
            head = b"%b %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % (method, path.encode())
            answer = raw(served, head)
            status = int(answer.split(b" ")[1])
            assert status in {404, 405, 409, 422}, (path, method, answer[:300])
            assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]


BODIES: list[tuple[bytes, int]] = [
    (b"", 422), (b"{", 422), (b"null", 422), (b"[]", 422), (b"\xff\xfe", 422), (b'{"args": [NaN]}', 422),
    (b'{"args": [Infinity]}', 422), (b'{"args": [1e999]}', 422), (b'{"args": [-1e999]}', 422),
    (b'{"args": [' + b"9" * 5000 + b"]}", 422), (b'{"args": [1' + b"0" * 4000 + b"]}", 422),
    (b'{"args": [1500], "args": [1550]}', 422), (b'{"args": [{"a": 1, "a": 2}]}', 422),
    (b'{"args": [1550], "more": 1}', 422), (b'{"args": {"0": 1}}', 422), (b'{"args": ["1550"]}', 422),
    (b'{"args": [1550]} {"args": [1]}', 422), (b'{"args": [1399.9]}', 422), (b'{"args": [1600.1]}', 422),
    (b'{"args": [true, false]}', 422), (b'{"kwargs": {"self": 1}}', 422), (b'{"kwargs": {"__class__": 1}}', 422),
    (b'{"args": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422),
    (b'{"args": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 422),
    (b'{"args": [' + b"[" * 150 + b"]" * 150 + b"]}", 422), (b'{"args": [' + b"0," * 1_000_001 + b"0]}", 413),
    (b'{"args": [{"$": "class", "name": "os:system"}]}', 422), (b'{"args": [{"$": "nonsense"}]}', 422),
    (b'{"args": [{"$": "unit", "unit": "10**10**10"}]}', 422),
    (b'{"args": [{"$": "Fraction", "value": "1e999999999"}]}', 422),
    (b'{"args": [{"$": "float", "value": "nan"}]}', 422), (b'{"args": ["\\ud800"]}', 422),
    (b'{"args": [{"$": "ndarray", "dtype": "|S0", "shape": [1000000000000], "base64": ""}]}', 422),
    (b'{"args": [{"$": "ndarray", "dtype": "|O", "shape": [1], "base64": "AAAAAAAAAAA="}]}', 422),
]  # fmt: skip


def test_bodies_that_make_no_sense_are_refused_and_the_field_is_named(served: Served) -> None:
    with httpx.Client(base_url=served.url, headers=JSON) as http:
        answers = [(body, status, http.post(CALL, content=body)) for body, status in BODIES]
    for body, status, answer in answers:
        told = refused(answer, status)
        assert len(json.dumps(told)) < 30_000, body[:60]
        if status == 422 and "fields" not in told:
            assert told["type"] == "EncodingError", (body[:60], told)


def test_only_json_is_read(served: Served) -> None:
    good = b'{"args": [1550]}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"):
        refused(post(served, good, kind), 415)
    assert raw(served, b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n%b" % (CALL.encode(), good)
               ).startswith(b"HTTP/1.1 415 ")  # fmt: skip


def test_large_bodies_are_refused_unread(served: Served) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % CALL.encode()
    for length in (b"100000000", b"9" * 30, b"9" * 5000):
        answer = raw(served, head + b"Content-Length: " + length + b"\r\n\r\n")
        assert answer.split(b" ")[1] in {b"413", b"400"}, answer[:200]
    answer = raw(served, head + b"Transfer-Encoding: chunked\r\n\r\n5f5e100\r\n" + b"x" * 65536)
    assert answer.startswith(b"HTTP/1.1 411 "), answer[:200]


def test_odd_headers_are_refused(served: Served) -> None:
    good = b'{"args": [1550]}'
    head = b"POST %b HTTP/1.1\r\nContent-Type: application/json\r\n" % CALL.encode()
    for odd in (
        b"Host: evil.example\r\nContent-Length: 16", b"Host: localhost\r\nContent-Length: -1",
        b"Host: localhost\r\nContent-Length: 16\r\nContent-Length: 17", b"Host: [\r\nContent-Length: 16",
        b"Host: localhost\r\nContent-Length: 1_6", b"Host: localhost\r\nOrigin: null\r\nContent-Length: 16",
        b"Host: localhost\r\nContent-Length: 16\r\nTransfer-Encoding: chunked",
        b"Host: localhost\0\r\nContent-Length: 16",
        b"Host: localhost\r\nContent-Length: 16\r\nActorlab-Lease: \xff\xff",
        b"Host: localhost\r\nX: " + b"y" * 3_000_000 + b"\r\nContent-Length: 16",
    ):  # fmt: skip
        answer = raw(served, head + odd + b"\r\n\r\n" + good)
        assert not answer or answer.split(b" ")[1][:1] == b"4", (odd[:60], answer[:200])
    assert httpx.request("TRACE", f"{served.url}/devices").status_code in {404, 405}


def test_no_token_is_told_or_logged(lab: Lab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = create_token(tmp_path / "tokens.json", "ada", "viewer")
    with Server(lab, port=0, tokens=Tokens.read(tmp_path / "tokens.json")) as server:
        said: list[tuple[Any, int]] = [
            ({"Authorization": f"Bearer {token}"}, 200), ({"Authorization": f"Bearer {token}x"}, 401),
            ({"Authorization": f"Basic {token}"}, 401), ({"Authorization": token}, 401), ({}, 401),
            ({"Authorization": "Bearer"}, 401), ({"Authorization": "Bearer \xff".encode("latin-1")}, 401),
        ]  # fmt: skip
        for headers, status in said:
            answer = httpx.get(f"{server.url}/health", params={"token": token}, headers=headers)
            assert answer.status_code == status, headers
            assert token not in answer.text + str(answer.headers)
        refused(httpx.post(f"{server.url}/rearm", headers={"Authorization": f"Bearer {token}"}), 403)
        refused(httpx.post(f"{server.url}/rearm", content=b"x" * 1000), 401)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("actorlab", "uvicorn"))]
    assert ours
    assert not [line for line in ours if token in line]


def test_a_refusal_is_logged_in_one_line(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    refused(httpx.get(f"{served.url}/tasks/x%0aINFO%20all%20is%20well"), 404)
    refused(httpx.post(f"{served.url}/runs", json={"task": "a\nb" + "c" * 190}), 404)
    refused(httpx.post(f"{served.url}/runs", json={"task": "c" * 100_000}), 422)
    lines = [record.getMessage() for record in caplog.records if record.name == "actorlab.server"]
    assert len(lines) == 3
    assert all("\n" not in line and len(line) < 2000 for line in lines)


KINDS = st.sampled_from([
    "float", "int", "dict", "tuple", "set", "complex", "bytes", "datetime", "time", "date", "timedelta", "timezone",
    "zone", "Decimal", "Fraction", "UUID", "path", "range", "slice", "class", "enum", "flag", "namedtuple", "dataclass",
    "error", "ndarray", "numpy", "quantity", "unit", "model", "frame", "series", "index", "timestamp", "span", "deque",
    "Counter", "defaultdict", "OrderedDict", "unwritten",
])  # fmt: skip
NAMES = st.sampled_from([
    "value", "items", "base64", "iso", "hex", "name", "class", "fields", "dtype", "shape", "unit", "magnitude", "kind",
    "path", "message", "args", "factory", "real", "imag", "days", "seconds", "microseconds", "offset", "zone",
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.builds(lambda kind, rest: {"$": kind, **rest}, KINDS, st.dictionaries(NAMES, inner, max_size=4))
    ),
    max_leaves=8,
)


@given(tree=TREES)
@settings(
    max_examples=300, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_whatever_is_said_to_be_encoded_is_read_or_refused_plainly(tree: Any) -> None:
    with suppress(EncodingError):
        decode(tree, resolve=only())
