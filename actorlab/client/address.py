"""Read the address of a lab's server, and say how a connection to it is made."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from actorlab.errors import ConfigError

__all__ = ["Address", "Verify", "address_of"]

Verify: TypeAlias = "bool | str | Path | ssl.SSLContext"
"""Which certificates of servers are trusted: True, those this machine trusts; a file of authorities; all (False)."""
PORTS: Final = {"http": 80, "https": 443}
CONNECTING: Final = 10.0


class Address(NamedTuple):
    """Where a server is, and how it is spoken to."""

    host: str
    port: int
    prefix: str
    """What stands before each path."""
    tls: ssl.SSLContext | None

    @property
    def named(self) -> str:
        """Return what the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def connected(self, timeout: float) -> socket.socket:
        """Return a new connection, each wait on which ends after `timeout` seconds. Raises `OSError`."""
        plain = socket.create_connection((self.host, self.port), min(timeout, CONNECTING))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made = plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.host)
            made.settimeout(timeout)
        except BaseException:
            plain.close()
            raise
        return made


def address_of(url: str, *, verify: Verify = True) -> Address:
    """Return where a URL points to.

    Raises:
        ConfigError: it is no http or https URL, or holds a password; or the file of authorities can't be read.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        message = f"{url!r} is no address of a server: {error}"
        raise ConfigError(message) from error
    if (
        parts.scheme not in PORTS
        or not parts.hostname
        or parts.query
        or parts.fragment
        or not (url.isascii() and url.isprintable())
    ):
        message = f"{url!r} is no address of a server, such as http://127.0.0.1:8600 or https://lab.example:8600"
        raise ConfigError(message)
    if parts.username is not None:
        message = f"the address of {parts.hostname} has a name or password in it: a token is given by token=…"
        raise ConfigError(message)
    prefix = parts.path.rstrip("/")
    return Address(
        parts.hostname, port or PORTS[parts.scheme], prefix, context_for(verify) if parts.scheme == "https" else None
    )


def context_for(verify: Verify) -> ssl.SSLContext:
    """Return what checks certificates."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        context = ssl.create_default_context(cafile=verify if isinstance(verify, str | Path) else None)
    except OSError as error:  # of which ssl's errors are some
        message = f"the certificates in {verify} can't be read: {error}"
        raise ConfigError(message) from error
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
