"""Treat answers of a server that never end: tell its refusal of one, and cut one off from another thread."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actorlab.client.connection import error_in
from actorlab.errors import ServerUnavailable

if TYPE_CHECKING:
    import httpx

__all__ = ["check", "cut"]


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
