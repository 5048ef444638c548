"""Ask a lab's server, and give back its answer or raise its error."""

from __future__ import annotations

import builtins
import inspect
import json
from typing import Any, Final
from urllib.parse import quote

import httpx

from actorlab import errors
from actorlab.encoding import decode, only
from actorlab.errors import CallTimeout, ConfigError, EncodingError, ServerUnavailable

__all__ = ["Connection", "error_in", "path_of"]

KNOWN: Final = only(
    *[item for home in (errors, builtins) for item in vars(home).values()
      if inspect.isclass(item) and issubclass(item, Exception if home is builtins else BaseException)]
)  # fmt: skip
"""What a server may name: the errors of actorlab and of Python, but none that end this program, as KeyboardInterrupt;
nothing is imported because an answer names it."""


class Connection:
    """A connection to a lab's server, kept open between requests; any thread may use it."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._headers = headers_with(token)
        self._http = httpx.Client(base_url=self.url, headers=self._headers, timeout=timeout)

    def get(self, path: str, **query: Any) -> Any:
        """Look at something."""
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Do something."""
        return self.ask("POST", path, body, query)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Send a request, and return the answer; an error of the server is raised here as what it was there.

        Raises:
            ServerUnavailable: there is no server, or this is none of a lab.
            CallTimeout: it didn't answer in time; what was asked for may have been done.

        """
        seconds = self.timeout if timeout is None else timeout
        try:
            answer = self._http.request(method, path, json=body, params=query or None, headers=headers, timeout=seconds)
        except httpx.TimeoutException as error:
            message = (
                f"{self.url} didn't answer {method} {path} within {seconds:g} s; it may have been carried out, "
                "or still be: Client(…, timeout=…) waits longer"
            )
            raise CallTimeout(message) from error
        except httpx.HTTPError as error:
            message = f"{self.url} can't be reached for {method} {path}: {error}; does a server run there?"
            raise ServerUnavailable(message) from error
        if answer.is_error:
            raise self._error(answer)
        return None if answer.status_code == 204 else self._read(answer)  # noqa: PLR2004 - it has no body

    def stream(self) -> httpx.Client:
        """Return what reads answers that never end; whoever asks for it closes it."""
        return httpx.Client(base_url=self.url, headers=self._headers, timeout=self.timeout)

    def _read(self, answer: httpx.Response) -> Any:
        try:
            return json.loads(answer.content)
        except ValueError as error:
            message = f"{answer.url} has answered {answer.status_code}, and no JSON: is it a lab's server?"
            raise ServerUnavailable(message) from error

    def _error(self, answer: httpx.Response) -> BaseException:
        told = self._read(answer)
        if not isinstance(told, dict) or "error" not in told:
            message = f"{answer.url} has answered {answer.status_code}: is it a lab's server?"
            return ServerUnavailable(message)
        return error_in(told, f"answered by {self.url} ({answer.status_code})")

    def close(self) -> None:
        """Close it."""
        self._http.close()


def headers_with(token: str | None) -> dict[str, str]:
    """Return the headers that say who asks. Raise `ConfigError` if they can't be sent; it doesn't show the token."""
    if token is None:
        return {}
    said = token.strip()  # the end of the line in the file it was read from
    if not said.isascii() or not said.isprintable() or " " in said or not said:
        message = "the token isn't one that `actorlab token create` prints: letters, digits, - and _, without spaces"
        raise ConfigError(message)
    return {"Authorization": f"Bearer {said}"}


def error_in(told: Any, note: str) -> BaseException:
    """Return the error that a server tells, as what it is there; a class that isn't known here has a stand-in."""
    try:
        error: Any = decode(told["error"], resolve=KNOWN, lenient=True)
    except EncodingError as unreadable:
        error = ServerUnavailable(f"the server tells an error that can't be read: {unreadable}")
    if not isinstance(error, BaseException):
        error = ServerUnavailable(f"the server tells an error that isn't one: {error!r}")
    found: BaseException = error
    found.add_note(note)
    return found


def path_of(*parts: str) -> str:
    """Return a path of these parts, whatever is in them."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
