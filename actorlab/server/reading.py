"""Read the body of a request strictly: plain JSON of a bounded size, depth and number of values, each key once."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn, cast

from anyio import to_thread
from fastapi import Request

from actorlab.errors import ConfigError
from actorlab.server.refused import Refused

__all__ = ["LARGEST", "ReadRequest", "refuse_large"]

LARGEST: Final = 64 * 1024 * 1024
VALUES: Final = 1_000_000
DEEP: Final = 100
DIGITS: Final = 20
"""So many of a length are read: fewer would do."""
LONG: Final = 100_000
"""Longer bodies are read in a thread."""


class ReadRequest(Request):
    """A request whose body has been read."""

    tree: Any = None

    async def json(self) -> Any:
        """Return what the body says."""
        return self.tree


async def read(request: Request) -> ReadRequest:
    """Read the body of a request. Raise `Refused` if it isn't JSON, or more than anybody needs."""
    known = ReadRequest(request.scope, request.receive)
    raw = await known.body()
    if not raw:
        return known
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"send JSON, with the header Content-Type: application/json, and not {kind or 'without it'!r}"
        raise Refused(415, ConfigError(message))
    known.tree = tree_of(raw) if len(raw) < LONG else await to_thread.run_sync(tree_of, raw)
    return known


def refuse_large(request: Request) -> None:
    """Refuse a body that is too large, or doesn't say how large it is, before any of it is read."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers:
        message = "say how long the body is, by the header Content-Length"
        raise Refused(411, ConfigError(message))
    if not (length.isascii() and length.isdecimal()) or int(length[:DIGITS]) > LARGEST:
        message = f"a body may have {LARGEST} bytes, and not {length[:40]}"
        raise Refused(413, ConfigError(message))


def tree_of(raw: bytes) -> Any:
    """Read JSON. Raise `Refused` saying what is wrong with it."""
    begins = raw.count(b"[") + raw.count(b"{")
    if begins + raw.count(b",") > VALUES:
        message = f"a body may hold {VALUES:,} values: send long lists of numbers as arrays, as actorlab.Client does"
        raise Refused(413, ConfigError(message))
    try:
        tree = json.loads(raw, object_pairs_hook=unique, parse_constant=unknown, parse_float=finite)
        if begins > DEEP:
            check_depth(tree)
    except RecursionError as error:
        why = f"more than {DEEP} lists and objects stand in one another"
        raise wrong(why) from error
    except ValueError as error:
        raise wrong(str(error)) from error
    return tree


def wrong(why: str) -> Refused:
    """Make the refusal of a body that can't be read."""
    return Refused(422, ConfigError(f"the body can't be read: {why}"), fields={"body": why})


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose keys differ. Raise `ValueError` if they don't: nobody knows which is meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        text = f"the key {next(key for key in made if keys.count(key) > 1)[:40]!r} stands there twice"
        raise ValueError(text)
    return made


def unknown(word: str) -> NoReturn:
    """Refuse what Python would read, and JSON doesn't know."""
    text = f'{word} is no JSON: write {{"$": "float", "value": "{word.lower()}"}}'
    raise ValueError(text)


def finite(text: str) -> float:
    """Read a number. Raise `ValueError` if it is beyond what a float holds."""
    if not math.isfinite(number := float(text)):
        message = f"{text[:40]} is too large a number"
        raise ValueError(message)
    return number


def check_depth(tree: Any) -> None:
    """Raise `RecursionError` if too many lists and objects stand in one another."""
    level: list[Any] = [tree]
    for _ in range(DEEP):
        level = [item for each in level for item in inside(each)]
        if not level:
            return
    raise RecursionError


def inside(each: Any) -> list[Any]:
    """Return the lists and objects that stand in one."""
    items = cast("dict[str, Any]", each).values() if isinstance(each, dict) else cast("list[Any]", each)
    return [item for item in items if isinstance(item, (dict, list))]
