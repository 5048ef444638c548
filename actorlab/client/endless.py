"""Ask for answers of a server that never end: tell its refusal of one, read it, cut it off from another thread."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

from actorlab.client.connection import error_in
from actorlab.errors import ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from actorlab.client.connection import Connection

__all__ = ["Endless", "check", "cut", "endless"]


@contextmanager
def endless(
    connection: Connection, path: str, query: dict[str, Any], last_id: str, silent: float
) -> Generator[Endless]:
    """Ask for server-sent events, perhaps those after an id, to be read as bytes.

    Raises:
        ServerUnavailable: there is no server, it said nothing for so many seconds, or the connection was lost.
        Exception: the server's refusal, as what it is there.

    """
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    timeout = httpx.Timeout(connection.timeout, read=silent)
    try:
        with (
            connection.stream() as http,
            http.stream("GET", path, params=query, headers=headers, timeout=timeout) as answer,
        ):
            check(answer, httpx.codes.OK)
            yield Endless(answer)
    except httpx.TransportError as error:
        message = f"{connection.url} can't be reached for {path}: {error}"
        raise ServerUnavailable(message) from error


class Endless:
    """An answer that goes on."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def pieces(self) -> Iterator[bytes]:
        """Yield it in pieces, as they come."""
        return self._answer.iter_raw()

    def cut(self) -> None:
        """Cut it off, from any thread."""
        cut(self._answer)


def check(answer: httpx.Response, status: int) -> None:
    """See that an answer is what was asked for.

    Raises:
        Exception: the server's error, as what it is there.
        ServerUnavailable: this is no lab's server.

    """
    if answer.status_code == status:
        return
    answer.read()
    try:
        told: Any = answer.json()
    except ValueError:
        told = None
    if isinstance(told, dict) and "error" in told:
        raise error_in(told, f"answered by {answer.url.netloc.decode()} ({answer.status_code})")
    message = f"{answer.url.copy_with(query=None)} has answered {answer.status_code}: is it a lab's server?"
    raise ServerUnavailable(message)


def cut(answer: httpx.Response) -> None:
    """Cut a connection, from any thread: who reads from it finds its end."""
    stream = answer.extensions.get("network_stream")
    found = None if stream is None else stream.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            socket.socket.shutdown(found, socket.SHUT_RDWR)  # of a TLS socket too: its own would end what is read
