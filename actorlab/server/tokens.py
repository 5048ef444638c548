"""Know who may ask for what: bearer tokens, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, get_args

from actorlab.errors import ConfigError
from actorlab.locking import only_one

__all__ = ["ROLES", "Role", "Tokens", "Who", "create_token", "digest_of", "list_tokens", "revoke_token"]

Role: TypeAlias = Literal["viewer", "operator", "admin"]
"""A viewer looks, an operator also acts, an admin also sees tracebacks."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)
OTHERS_WRITE: Final = 0o022
PATIENCE: Final = 10.0
log = logging.getLogger("actorlab.server")


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
        """Read a file of tokens; when it is changed, it is read again.

        Raises:
            ConfigError: it can't be read, or isn't one, or others may write it; the message says why.

        """
        return TokensOfFile(path)

    def who(self, token: str) -> Who | None:
        """Return whose token it is, or None; that takes as long whoever it is."""
        return self.who_has(digest_of(token))

    def who_has(self, digest: str) -> Who | None:
        """Return whose token has this digest, or None if there is none, or none any more."""
        found = None
        for known, who in self._known.items():
            if hmac.compare_digest(known, digest):
                found = who
        return found


class TokensOfFile(Tokens):
    """Those in a file, as it is now: who is revoked is out at once. While it can't be read, nobody is let in."""

    def __init__(self, path: Path) -> None:
        super().__init__({})
        self._path = path
        self._state = state_of(path)
        self._known = known_in(path)

    def who_has(self, digest: str) -> Who | None:
        """Return whose token has this digest, or None."""
        state = state_of(self._path)
        if state != self._state:
            self._state = state
            self._read_again()
        return super().who_has(digest)

    def _read_again(self) -> None:
        try:
            self._known = known_in(self._path)
        except ConfigError as error:
            self._known = {}
            log.error("nobody is let in any more: %s", error)  # noqa: TRY400 - the message says all
        else:
            log.warning("%s has changed: %s tokens are known now", self._path, len(self._known))


def state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written again; None if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def known_in(path: Path) -> dict[str, Who]:
    """Return those in a file, by the hashes of their tokens. Raise `ConfigError` if it can't be trusted."""
    entries = entries_in(path)
    if os.name == "posix" and path.stat().st_mode & OTHERS_WRITE:
        message = f"others may write {path}, and so let themselves in: chmod 600 {path}"
        raise ConfigError(message)
    return {entry["sha256"]: Who(entry["name"], entry["role"]) for entry in entries}


def create_token(path: Path, name: str, role: Role) -> str:
    """Add somebody to a file of tokens, which nobody else can read, and return the token: it is kept nowhere.

    Raises:
        ConfigError: somebody of this name has one, there is no such role, or the file is wrong.

    """
    if role not in ROLES:
        message = f"there is no role {role!r}; there are {', '.join(ROLES)}"
        raise ConfigError(message)
    if not name or not name.isprintable():
        message = "a token needs the name of somebody"
        raise ConfigError(message)
    token = secrets.token_urlsafe(32)
    with changing(path) as entries:
        if any(entry["name"] == name for entry in entries):
            message = f"{path} has a token for {name!r} already: take another name, or revoke it first"
            raise ConfigError(message)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        entries.append({"name": name, "role": role, "created": created, "sha256": digest_of(token)})
    return token


def list_tokens(path: Path) -> list[dict[str, str]]:
    """Return who has a token: name, role, and when it was made, without the hashes. Raises `ConfigError`."""
    entries = entries_in(path) if path.exists() else []
    return [{key: str(entry.get(key, "")) for key in ("name", "role", "created")} for entry in entries]


def revoke_token(path: Path, name: str) -> None:
    """Take somebody's token away; a server that runs knows it at once.

    Raises:
        ConfigError: nobody of this name has one, or the file is wrong.

    """
    with changing(path) as entries:
        left = [entry for entry in entries if entry["name"] != name]
        if len(left) == len(entries):
            there = ", ".join(entry["name"] for entry in entries) or "nobody"
            message = f"{path} has no token for {name!r}; it has those of {there}"
            raise ConfigError(message)
        entries[:] = left


@contextmanager
def changing(path: Path) -> Generator[list[dict[str, Any]]]:
    """Yield the entries of a file, and write what was made of them; one process at a time."""
    try:
        with only_one(path.with_name(f".{path.name}.lock"), PATIENCE):
            entries = entries_in(path) if path.exists() else []
            yield entries
            write(path, entries)
    except OSError as error:  # a TimeoutError is one
        message = f"the tokens in {path} can't be changed: {error}"
        raise ConfigError(message) from error


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
