"""A lab is reached by the doors it was given: https, pages of some sites, tokens that can be taken away."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from actorlab import Client, ConfigError, Lab, NotAllowed, ServerUnavailable
from actorlab.server import Server, Tokens, create_token, list_tokens, revoke_token

SITE = "https://plots.example"


class Lamp:
    """A lamp."""

    def switch(self, *, on: bool) -> bool:
        return on


def switched_on(lamp: Lamp) -> bool:
    """Switch a lamp on."""
    return lamp.switch(on=True)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make an authority."""
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """Write a certificate for this machine, its key, and its authority."""
    made = authority.issue_cert("127.0.0.1", "localhost")
    found = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authority", "both")}
    made.cert_chain_pems[0].write_to_path(found["certificate"])
    made.private_key_pem.write_to_path(found["key"])
    made.private_key_and_cert_chain_pem.write_to_path(found["both"])
    authority.cert_pem.write_to_path(found["authority"])
    return found


# -- https


def test_https_is_spoken_and_the_server_known_by_its_authority(lab: Lab, files: dict[str, Path]) -> None:
    lab.add("lamp", Lamp)
    with (
        Server(lab, port=0, certificate=files["certificate"], key=files["key"]) as server,
        Client(server.url, verify=files["authority"]) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        assert server.url.startswith("https://")
        assert all(threads.map(lambda _: client.device("lamp").switch(on=True), range(20)))


def test_a_server_whose_authority_is_unknown_is_told_nothing(lab: Lab, files: dict[str, Path]) -> None:
    with Server(lab, port=0, certificate=files["both"]) as server:
        with (
            Client(server.url, token="secret") as client,  # noqa: S106 - it is none
            pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            _ = client.health
        with Client(server.url, verify=False) as client:
            assert client.health["open"]
        with Client(server.url, verify=ssl.create_default_context(cafile=files["authority"])) as client:
            assert client.health["open"]


def test_plain_http_to_a_server_of_https_ends_with_an_error(lab: Lab, files: dict[str, Path]) -> None:
    with (
        Server(lab, port=0, certificate=files["both"]) as server,
        Client(server.url.replace("https", "http")) as client,
        pytest.raises(ServerUnavailable),
    ):
        _ = client.health


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # uvloop's, which hangs on an error
def test_a_server_of_https_stops_while_somebody_is_silent(lab: Lab, files: dict[str, Path]) -> None:
    with Server(lab, port=0, certificate=files["both"]) as server:
        address = httpx.URL(server.url)
        silent = socket.create_connection((address.host, address.port or 0))
        stopped = threading.Thread(target=server.stop)
        stopped.start()
        stopped.join(10)
        assert not stopped.is_alive()
        silent.close()


def test_files_that_can_not_be_used_are_said_before_anything_is_served(
    lab: Lab, files: dict[str, Path], tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for certificate, key in (
        (nonsense, None), (tmp_path / "missing.pem", None), (files["certificate"], None), (files["both"], nonsense),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="https can't be spoken"):
            Server(lab, port=0, certificate=certificate, key=key)
    with pytest.raises(ConfigError, match="needs its certificate"):
        Server(lab, port=0, key=files["key"])
    with pytest.raises(ConfigError, match="can't be read"):
        Client("https://127.0.0.1", verify=tmp_path / "missing.pem")


# -- pages of other sites


def test_pages_of_other_sites_are_refused_unless_they_are_among_those_allowed(lab: Lab) -> None:
    with Server(lab, port=0, origins=[SITE]) as server:
        allowed = httpx.get(f"{server.url}/health", headers={"Origin": SITE})
        assert allowed.headers["access-control-allow-origin"] == SITE
        asked = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization,content-type"
        assert httpx.options(f"{server.url}/runs", headers=asked).status_code == 200
        other = httpx.get(f"{server.url}/health", headers={"Origin": "https://other.example"})
        assert other.status_code == 403
        assert "access-control-allow-origin" not in other.headers
    with Server(lab, port=0) as server:
        closed = httpx.options(f"{server.url}/runs", headers=asked)
        assert closed.status_code >= 400
        assert "access-control-allow-origin" not in closed.headers


@pytest.mark.parametrize("origin", ["*", "plots.example", "https://plots.example/", "https://*.example", ""])
def test_a_site_is_written_as_browsers_write_it(lab: Lab, origin: str) -> None:
    with pytest.raises(ConfigError, match="no site"):
        Server(lab, port=0, origins=[origin])


# -- tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """Return where tokens are kept."""
    return tmp_path / "tokens.json"


@pytest.fixture
def guarded(lab: Lab, tokens: Path) -> Iterator[tuple[str, str]]:
    """Serve with tokens; yield the address and one of them."""
    token = create_token(tokens, "ada", "operator")
    with Server(lab, port=0, tokens=Tokens.read(tokens)) as server:
        yield server.url, token


def test_who_is_added_is_let_in_and_who_is_revoked_is_out_at_once(guarded: tuple[str, str], tokens: Path) -> None:
    url, adas = guarded
    bobs = create_token(tokens, "bob", "viewer")
    with Client(url, token=adas) as ada, Client(url, token=bobs) as bob:
        assert bob.health["open"]
        assert ada.health["open"]
        revoke_token(tokens, "ada")
        with pytest.raises(NotAllowed, match="isn't known"):
            _ = ada.health
        assert bob.health["open"]
    assert [(entry["name"], entry["role"]) for entry in list_tokens(tokens)] == [("bob", "viewer")]
    assert list_tokens(tokens)[0]["created"].startswith("20")
    with pytest.raises(ConfigError, match="those of bob"):
        revoke_token(tokens, "ada")


def test_who_is_revoked_hears_nothing_more_of_what_happens(lab: Lab, guarded: tuple[str, str], tokens: Path) -> None:
    url, adas = guarded
    lab.add("lamp", Lamp)
    live = url.replace("http", "ws") + "/live"
    with (
        Client(url, token=adas) as ada,
        ada.events() as events,
        connect(live, additional_headers={"Authorization": f"Bearer {adas}"}) as socket,
    ):
        assert next(events).kind == "snapshot"
        socket.send('{"id": 1, "subscribe": "events"}')
        assert "snapshot" in str(socket.recv(5))
        revoke_token(tokens, "ada")
        lab.run(switched_on, lab.device("lamp"))
        with pytest.raises(NotAllowed, match="isn't known"):
            list(events)
        with pytest.raises(ConnectionClosedError, match="not allowed any more"):
            socket.recv(5)


@pytest.mark.parametrize("spoiled", ["{", "[1]", None])
def test_while_the_file_can_not_be_read_nobody_is_let_in(
    guarded: tuple[str, str], tokens: Path, spoiled: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    url, token = guarded
    kept = tokens.read_text()
    with Client(url, token=token) as client:
        if spoiled is None:
            tokens.unlink()
        else:
            tokens.write_text(spoiled)
        with pytest.raises(NotAllowed):
            _ = client.health
        assert "nobody is let in" in caplog.text
        tokens.write_text(kept)
        assert client.health["open"]


@pytest.mark.skipif(os.name != "posix", reason="there are other rights")
def test_a_file_that_others_may_write_is_refused(tokens: Path) -> None:
    create_token(tokens, "ada", "admin")
    tokens.chmod(0o620)
    with pytest.raises(ConfigError, match="chmod 600"):
        Tokens.read(tokens)


def test_tokens_are_made_by_many_at_once_and_none_is_lost(tokens: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: create_token(tokens, f"user {number}", "viewer"), range(24)))
    known = Tokens.read(tokens)
    assert {known.who(token) for token in made} == {known.who(token) for token in set(made)}
    assert len(list_tokens(tokens)) == len(set(made)) == 24
    assert all(token not in tokens.read_text() for token in made)


def test_wrong_tokens_are_bounded_logged_without_the_token_and_lock_nobody_out(
    guarded: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    url, token = guarded
    with caplog.at_level(logging.INFO), httpx.Client() as client:
        answers = [
            client.get(f"{url}/health", headers={"Authorization": f"Bearer guess{number}"}) for number in range(30)
        ]
        assert client.get(f"{url}/health", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 10
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert json.loads(answers[-1].text)["type"] == "NotAllowed"
    assert "guess" not in caplog.text
    assert len([record for record in caplog.records if record.name == "actorlab.server"]) == 20


def test_a_server_without_its_extra_says_what_to_install() -> None:
    program = "import sys; sys.modules['fastapi'] = None; import actorlab.server"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "the server needs the package fastapi: pip install 'actorlab[server]'" in found.stderr
