"""Know who may ask for what: bearer tokens, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, get_args

from actorlab.errors import ConfigError

__all__ = ["ROLES", "TOKENS", "Role", "Tokens", "Who", "create_token"]

Role: TypeAlias = Literal["viewer", "operator", "admin"]
"""A viewer looks, an operator also acts, an admin also sees tracebacks."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)
TOKENS: Final = "tokens.json"
"""The file in which tokens are kept, beside the lab's."""


class Who(NamedTuple):
    """Somebody who asks, and as what."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether this is enough for what a role is needed for."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Tokens:
    """Those who have a token, found by its SHA-256: a token is random and long, so its hash gives nothing away."""

    def __init__(self, known: Mapping[str, Who]) -> None:
        self._known = dict(known)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Read a file of tokens.

        Raises:
            ConfigError: it can't be read, or isn't one; the message says why.

        """
        return cls({entry["sha256"]: Who(entry["name"], entry["role"]) for entry in entries_in(path)})

    def who(self, token: str) -> Who | None:
        """Return whose token it is, or None."""
        return self._known.get(digest_of(token))


def create_token(path: Path, name: str, role: Role) -> str:
    """Add somebody to a file of tokens, which nobody else can read, and return the token: it is kept nowhere.

    Raises:
        ConfigError: somebody of this name has one, there is no such role, or the file is wrong.

    """
    if role not in ROLES:
        message = f"there is no role {role!r}; there are {', '.join(ROLES)}"
        raise ConfigError(message)
    entries = entries_in(path) if path.exists() else []
    if not name or any(entry["name"] == name for entry in entries):
        message = f"{path} has a token for {name!r} already: take another name, or remove its entry from the file first"
        raise ConfigError(message if name else "a token needs the name of somebody")
    token = secrets.token_urlsafe(32)
    write(path, [*entries, {"name": name, "role": role, "sha256": digest_of(token)}])
    return token


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def entries_in(path: Path) -> list[dict[str, Any]]:
    """Read the entries of a file of tokens. Raise `ConfigError` if it isn't one."""
    try:
        read: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"the tokens in {path} can't be read: {error}"
        raise ConfigError(message) from error
    if not isinstance(read, list) or not all(map(is_entry, as_list(read))):
        message = f"{path} isn't a file of tokens as `actorlab token create` writes it"
        raise ConfigError(message)
    return as_list(read)


def as_list(read: Any) -> list[Any]:
    """Return what is a list."""
    return list(read)


def is_entry(found: Any) -> bool:
    """Tell whether this is somebody's entry."""
    if not isinstance(found, dict):
        return False
    entry = cast("dict[str, Any]", found)
    return all(isinstance(entry.get(key), str) for key in ("name", "sha256")) and entry.get("role") in ROLES


def write(path: Path, entries: list[dict[str, Any]]) -> None:
    """Write the file anew: whole or not at all, and for its owner only."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=2)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        message = f"the tokens can't be written to {path}: {error}"
        raise ConfigError(message) from error
