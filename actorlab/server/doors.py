"""Say by which doors a lab may be reached, before it is: the address, who may come in, https."""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

from actorlab.config.model import ORIGIN
from actorlab.errors import ConfigError
from actorlab.server.desk import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from actorlab.server.tokens import Tokens

__all__ = ["certified", "listening_at", "refuse_open_door", "url_of"]

BACKLOG: Final = 200


def refuse_open_door(host: str, tokens: Tokens | None, origins: Sequence[str]) -> None:
    """Raise `ConfigError` if strangers could come in, or a site isn't written as browsers write it."""
    if tokens is None and not is_loopback(host):
        message = (
            f"{host} can be reached by other machines, and nobody would have to say who they are: make tokens "
            "(actorlab token create NAME --role operator), or serve 127.0.0.1 only"
        )
        raise ConfigError(message)
    for origin in origins:
        if not re.match(ORIGIN, origin):
            message = (
                f"{origin!r} is no site whose pages may ask: write it as https://plots.example or http://host:8080"
            )
            raise ConfigError(message)


def certified(certificate: str | Path | None, key: str | Path | None) -> dict[str, Any]:
    """Return what uvicorn takes for https, if there is a certificate. Raise `ConfigError` if it can't be used."""
    if certificate is None:
        if key is None:
            return {}
        message = f"the key {key} needs its certificate: --certificate FILE"
        raise ConfigError(message)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_password)
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        files = str(certificate) if key is None else f"{certificate} with the key {key}"
        message = f"https can't be spoken by {files}: {error}"
        raise ConfigError(message) from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": None if key is None else str(key)}


def no_password() -> str:
    """Refuse a key with a password: nobody is there to type it."""
    message = "the key has a password; write one without (openssl pkey -in KEY -out NEW), readable by you only"
    raise ValueError(message)


def url_of(host: str, port: int, *, tls: bool) -> str:
    """Write where a server is."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def listening_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raise `ConfigError` if it can't."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only through sockets which say that they are TCP; else each takes 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # a port whose last connections are only just over is free; Windows means another thing
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        message = f"the server can't listen at {host}:{port}: {error}; is another one running? --port takes another"
        raise ConfigError(message) from error
    return made
