"""Ask a lab's server, and give back its answer or raise its error."""

from __future__ import annotations

import builtins
import inspect
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from actorlab import errors
from actorlab.client.address import address_of
from actorlab.client.traceparent import with_trace
from actorlab.client.wire import Answer, Broken, Wire, Wires
from actorlab.encoding import decode, loaded, only, text_of_tree
from actorlab.errors import CallTimeout, ConfigError, EncodingError, ServerUnavailable

if TYPE_CHECKING:
    import httpx

    from actorlab.client.address import Verify

__all__ = ["Connection", "error_in", "once", "path_of"]


def raised_here(name: str) -> Any:
    """Find an error's class in a module that is loaded already; one that would end this program is none."""
    found = loaded(name)
    if not (inspect.isclass(found) and issubclass(found, Exception)):
        message = "it is no error that is raised here"
        raise LookupError(message)
    return found


KNOWN: Final = only(
    *[item for home in (errors, builtins) for item in vars(home).values()
      if inspect.isclass(item) and issubclass(item, Exception if home is builtins else BaseException)],
    otherwise=raised_here,
)  # fmt: skip
"""What a server may name: the errors of actorlab, of Python, and of modules that are loaded here, as those of drivers;
but none that end this program, as KeyboardInterrupt. Nothing is imported because an answer names it."""
AGAIN: Final = 0.05
"""After so many seconds a server that has gone is looked for again, then after twice as many, up to …"""
AGAIN_AT_MOST: Final = 0.5
MULTIPLE_CHOICES: Final = 300
"""From here on an answer isn't what was asked for."""
monotonic = time.monotonic


ONCE: Final = "Idempotency-Key"


def once(headers: dict[str, str] | None = None) -> dict[str, str]:
    """Return headers by which a server knows a request that is sent twice, and does once what it asks for."""
    return {**(headers or {}), ONCE: uuid.uuid4().hex}


class Connection:
    """The connections to a lab's server, kept open between requests; any number of threads may use it."""

    def __init__(
        self, url: str, token: str | None, timeout: float, *, verify: Verify = True, reconnect: float = 5.0
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._reconnect = reconnect
        self._headers = headers_with(token)
        address = address_of(self.url, verify=verify)
        self._prefix = address.prefix
        self.tls = address.tls
        self._wires = Wires(address)
        self._head = lines({"Host": address.named, "Accept": "*/*", **self._headers})
        self._reached = False

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

        A server that was there before and isn't now is looked for again, for some seconds, as long as it can't have
        got the request, or the request only looks, or is known again by its key.

        Raises:
            ServerUnavailable: there is no server, or this is none of a lab.
            CallTimeout: it didn't answer in time; what was asked for may have been done.

        """
        seconds = self.timeout if timeout is None else timeout
        content = self._request(method, path, body, query, headers)
        known = headers is not None and ONCE in headers
        return self._told(path, self._answer(Asked(method, path, content, seconds, known_again=known)))

    def stream(self) -> httpx.Client:
        """Return what reads answers that never end; whoever asks for it closes it."""
        import httpx  # noqa: PLC0415 - it takes a while, and many clients hear no streams

        tls = self.tls if self.tls is not None else False  # without https there is nothing to check
        return httpx.Client(base_url=self.url, headers=self._headers, timeout=self.timeout, verify=tls)

    def _told(self, path: str, answer: Answer) -> Any:
        """Return what an answer tells, or raise the error that it tells."""
        if answer.status >= MULTIPLE_CHOICES:
            raise self._error(path, answer)
        return None if answer.status == 204 else self._read(path, answer)  # noqa: PLR2004 - it has no body

    async def get_soon(self, path: str, **query: Any) -> Any:
        """Look at something without blocking the event loop; one that is cancelled has no thread that goes on.

        Raises what `ask` raises.
        """
        import httpx  # noqa: PLC0415 - it takes a while, and most clients don't wait so

        asked = Asked("GET", path, b"", self.timeout)
        tls = self.tls if self.tls is not None else False  # without https there is nothing to check
        try:
            async with httpx.AsyncClient(headers=self._headers, timeout=self.timeout, verify=tls) as http:
                found = await http.get(f"{self.url}{path}", params=query_of(query))
        except httpx.TimeoutException as error:
            raise self._too_late(asked) from error
        except httpx.HTTPError as error:
            raise self._unreachable(asked, error) from error
        return self._told(path, Answer(found.status_code, {}, found.content))

    def _request(
        self, method: str, path: str, body: Any, query: dict[str, Any] | None, headers: dict[str, str] | None
    ) -> bytes:
        headers = with_trace(headers)
        asked = f"?{urlencode(query_of(query), doseq=True)}" if query else ""
        head = f"{method} {self._prefix}{path}{asked} HTTP/1.1\r\n{self._head}{lines(headers) if headers else ''}"
        if body is None:
            return f"{head}{'' if method == 'GET' else 'Content-Length: 0' + END}\r\n".encode("ascii")
        content = text_of_tree(body)  # in ASCII
        kind = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return f"{head}{kind}{content}".encode("ascii")

    def _answer(self, asked: Asked) -> Answer:
        """Send a request until it has an answer, or may have been carried out, or the time for that is over."""
        end = None
        pause = AGAIN
        while True:
            try:
                return self._once(asked)
            except GoneError as error:
                now = monotonic()
                end = now + min(self._reconnect, asked.seconds) if end is None else end
                if not self._reached or now + pause > end:
                    raise self._unreachable(asked, error) from error.__cause__
                time.sleep(pause)
                pause = min(2 * pause, AGAIN_AT_MOST)

    def _once(self, asked: Asked) -> Answer:
        """Send a request once. Raise `GoneError` if that may be done again."""
        wire = self._taken(asked.seconds)
        sent = False
        try:
            sent = wire.send(asked.content)
            answer, stays = wire.receive()  # also if it was refused before all of it was sent
        except TimeoutError as error:
            wire.close()
            raise self._too_late(asked) from error
        except (OSError, Broken) as error:
            wire.close()
            self._reached = self._reached or (sent and asked.known_again)
            if asked.may_be_repeated or not sent:
                raise GoneError(str(error)) from error
            raise self._broken(asked, error) from error
        except BaseException:  # Ctrl-C: the answer still comes, and is nobody's
            wire.close()
            raise
        self._reached = True
        if stays:
            self._wires.put(wire)
        else:
            wire.close()
        return answer

    def _taken(self, seconds: float) -> Wire:
        if self._wires.closed:
            message = f"this client of {self.url} is closed"
            raise ServerUnavailable(message)
        try:
            return self._wires.take(seconds)
        except OSError as error:
            raise GoneError(str(error)) from error

    def _too_late(self, asked: Asked) -> CallTimeout:
        return CallTimeout(
            f"{self.url} didn't answer {asked} within {asked.seconds:g} s; it may have been carried out, or still be: "
            "Client(…, timeout=…) waits longer"
        )

    def _broken(self, asked: Asked, error: Exception) -> ServerUnavailable:
        return ServerUnavailable(
            f"{self.url} was lost while {asked} waited for its answer: {error}; it may have been carried out"
        )

    def _unreachable(self, asked: Asked, error: Exception) -> ServerUnavailable:
        tried = f" (tried for {min(self._reconnect, asked.seconds):g} s)" if self._reached else ""
        return ServerUnavailable(f"{self.url} can't be reached for {asked}: {error}{tried}; does a server run there?")

    def _read(self, path: str, answer: Answer) -> Any:
        try:
            return json.loads(answer.content)
        except ValueError as error:
            message = f"{self.url}{path} has answered {answer.status}, and no JSON: is it a lab's server?"
            raise ServerUnavailable(message) from error

    def _error(self, path: str, answer: Answer) -> BaseException:
        told = self._read(path, answer)
        if not isinstance(told, dict) or "error" not in told:
            message = f"{self.url}{path} has answered {answer.status}: is it a lab's server?"
            return ServerUnavailable(message)
        return error_in(told, f"answered by {self.url} ({answer.status})")

    def close(self) -> None:
        """Close it."""
        self._wires.close()


class Asked(NamedTuple):
    """What is asked, and how long an answer may take."""

    method: str
    path: str
    content: bytes
    seconds: float
    known_again: bool = False
    """It carries a key, so that the server does it once however often it is sent."""

    @property
    def may_be_repeated(self) -> bool:
        """Tell whether it may be asked twice: an attribute is read by a driver, which may do anything."""
        return self.known_again or (self.method == "GET" and "/attributes/" not in self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class GoneError(Exception):
    """The server can't have got a request, or was only asked to be looked at."""


END: Final = "\r\n"


def lines(headers: dict[str, str]) -> str:
    """Write headers. Raise `ConfigError` if one would be more than one line."""
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            message = f"the header {name} can't be sent: it has to be one line of ASCII"
            raise ConfigError(message)
    return "".join([f"{name}: {value}{END}" for name, value in headers.items()])


def query_of(query: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a path that say something, as they are written there."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }


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
