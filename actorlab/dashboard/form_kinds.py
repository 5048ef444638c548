"""Read what somebody has written into a field: a number, a text, a list, JSON; or say what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never

__all__ = [
    "Anything",
    "Choice",
    "DeviceChoice",
    "Either",
    "Flag",
    "Kind",
    "Listed",
    "Number",
    "Raw",
    "Words",
    "choice_text",
    "flat",
    "limits_text",
    "parsed",
    "shown",
]

Raw: TypeAlias = str | bool | list[str] | None
"""What a field on a page holds: a text, a switch, what is chosen from a list, or nothing."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number within limits, which may themselves be left out by `above` and `below`."""

    whole: bool = False
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A text; `format` is the name that JSON Schema has for texts of its kind, such as "date-time"."""

    format: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values of JSON."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """One or several of the devices that fit; `wanted` is the name of their class."""

    names: tuple[str, ...]
    wanted: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """Values one after another: all of one kind, or as many `places` as there are kinds."""

    item: Kind
    least: int = 0
    most: int | None = None
    places: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """What one of several kinds takes, the first first."""

    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Anything:
    """JSON: an object or a list if only that is wanted (`only`), else a text may stand without quotes."""

    only: type | None = None
    example: str = ""


Kind: TypeAlias = Flag | Number | Words | Choice | DeviceChoice | Listed | Either | Anything

BETWEEN: Final = re.compile(r"[,;\s]+")
SPLITS: Final = re.compile(r"^\s|\s$|^\[|[,\n\r]")
"""Finds texts that can't stand between commas."""
NAMED: Final[dict[Any, str]] = {dict: 'an object such as {"name": 1}', list: "a list such as [1, 2]"}
LONGEST: Final = 60
"""So much of a wrong text is repeated."""


def parsed(kind: Kind, raw: Raw) -> Any:  # noqa: PLR0911 - one for each kind
    """Return the value that somebody means.

    Raises:
        ValueError: it can't be one; the message says what is wanted.

    """
    match kind:
        case Flag():
            return bool(raw) if isinstance(raw, bool) else flag(text_of(raw))
        case Number():
            return number(kind, text_of(raw))
        case Words():
            return raw if isinstance(raw, str) else text_of(raw)
        case Choice():
            return chosen(kind, raw)
        case DeviceChoice():
            return device(kind, raw)
        case Listed():
            return listed(kind, text_of(raw))
        case Either():
            return either(kind, raw)
        case Anything():
            return anything(kind, text_of(raw))
        case _:
            assert_never(kind)


def shown(kind: Kind, value: Any) -> Raw:  # noqa: PLR0911 - one for each kind
    """Return what a field holds for a value of JSON, such as a default."""
    match kind:
        case Flag():
            return bool(value)
        case Choice():
            return choice_text(value)
        case DeviceChoice(several=True):
            return [str(name) for name in as_list(value)]
        case Listed() if isinstance(value, list):
            return in_a_row(kind, as_list(value))
        case Words() | DeviceChoice():
            return "" if value is None else str(value)
        case Anything() if isinstance(value, str):
            return json.dumps(value) if is_json(value) or value != value.strip() else value
        case Number() | Listed() | Either() | Anything():
            return "" if value is None else item_text(value)
        case _:
            assert_never(kind)


def choice_text(value: Any) -> str:
    """Return how a value to choose is shown; texts stand as they are."""
    return value if isinstance(value, str) else json.dumps(value)


def item_text(value: Any) -> str:
    """Return a value as one writes it into a field: 300 rather than 300.0, a text without quotes."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - floats are exact there
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def in_a_row(kind: Listed, items: list[Any]) -> str:
    """Return a list as one writes it: between commas, or as JSON where that would mean something else."""
    texts = [item_text(item) for item in items]
    plain = flat(kind) and not any(SPLITS.search(text) or not text for text in texts)
    return ", ".join(texts) if plain else json.dumps(items)


def text_of(raw: Raw) -> str:
    """Return what a field holds as text, without blanks around it."""
    match raw:
        case None:
            return ""
        case bool():
            return str(raw).lower()
        case str():
            return raw.strip()
        case _:
            return ", ".join(raw)


def quoted(text: str) -> str:
    """Repeat a wrong text, not too much of it."""
    return repr(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def as_list(value: Any) -> list[Any]:
    """Return what is a list, or the one item."""
    several: list[Any] = [value]
    if isinstance(value, list):
        several[:] = value
    return several


# -- one value


def flag(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in ("true", "false"):
        message = f"true or false is wanted, not {quoted(text)}"
        raise ValueError(message)
    return text.lower() == "true"


def number(kind: Number, text: str) -> float:
    """Read a number."""
    wanted = "a whole number" if kind.whole else "a number"
    try:
        value = int(text) if kind.whole else as_float(text)
    except ValueError as error:
        hint = "; write a point for decimals" if re.fullmatch(r"[-+]?\d+,\d+", text) else ""
        message = f"{wanted} is wanted, not {quoted(text)}{hint}"
        raise ValueError(message) from error
    if (limit := outside(kind, value)) is not None:
        message = f"{text} is out of range: {wanted} {limit} is wanted"
        raise ValueError(message)
    return value


def as_float(text: str) -> float:
    """Read a number; a whole one stays one."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def outside(kind: Number, value: float) -> str | None:
    """Say the limits if a number isn't within them."""
    within = (
        (kind.low is None or value >= kind.low)
        and (kind.high is None or value <= kind.high)
        and (kind.above is None or value > kind.above)
        and (kind.below is None or value < kind.below)
    )
    return None if within else limits_text(kind)


def limits_text(kind: Number) -> str:
    """Say in which limits a number has to be, or nothing."""
    words = (("from", kind.low), ("above", kind.above), ("to", kind.high), ("below", kind.below))
    return " ".join(f"{word} {item_text(limit)}" for word, limit in words if limit is not None)


def chosen(kind: Choice, raw: Raw) -> Any:
    """Return the value whose text was chosen."""
    for value in kind.values:
        if choice_text(value) == raw:
            return value
    message = f"one of {', '.join(map(choice_text, kind.values))} is wanted, not {quoted(text_of(raw))}"
    raise ValueError(message)


def device(kind: DeviceChoice, raw: Raw) -> Any:
    """Return the name, or the names, of devices that fit."""
    names = raw if isinstance(raw, list) else [text_of(raw)]
    for name in names:
        if name not in kind.names:
            there = f"choose from {', '.join(kind.names)}" if kind.names else "the lab has none"
            message = f"{quoted(name)} is no {kind.wanted or 'device'} of this lab: {there}"
            raise ValueError(message)
    return list(names) if kind.several else names[0]


# -- several


def flat(kind: Listed) -> bool:
    """Tell whether its items can stand one after another, between commas."""
    return all(
        isinstance(each, Number | Words | Choice | Flag | DeviceChoice) for each in (kind.places or (kind.item,))
    )


def listed(kind: Listed, text: str) -> list[Any]:
    """Read a list: its items between commas, or JSON."""
    items = from_json(text, list) if text.startswith("[") or not flat(kind) else apart(kind, text)
    if kind.places and len(items) != len(kind.places):
        message = f"{len(kind.places)} values are wanted, not {len(items)}"
        raise ValueError(message)
    if len(items) < kind.least or (kind.most is not None and len(items) > kind.most):
        most = "" if kind.most is None else f", at most {kind.most}"
        message = f"at least {kind.least}{most} values are wanted, not {len(items)}"
        raise ValueError(message)
    kinds = kind.places or (kind.item,) * len(items)
    return [item_of(each, item, place) for place, (each, item) in enumerate(zip(kinds, items, strict=True), 1)]


def apart(kind: Listed, text: str) -> list[str]:
    """Return the items between commas; between numbers blanks will do."""
    numbers = all(isinstance(each, Number) for each in (kind.places or (kind.item,)))
    items = BETWEEN.split(text) if numbers else re.split(r"[,\n]", text)
    found = [item.strip() for item in items]
    return found[:-1] if found[-1] == "" else found  # nothing at all, or a comma at the end


def item_of(kind: Kind, item: Any, place: int) -> Any:
    """Read one item, a text or a value of JSON, or say which one is wrong."""
    if isinstance(kind, Anything) and kind.only is None:
        return item
    try:
        if isinstance(item, str):
            return parsed(kind, item)
        return parsed(kind, as_raw(kind, item))
    except ValueError as error:
        message = f"value {place}: {error}"
        raise ValueError(message) from error


def as_raw(kind: Kind, item: Any) -> Raw:
    """Return a value of JSON as a field would hold it."""
    if isinstance(kind, Words | DeviceChoice):
        message = f"a text is wanted, not {quoted(json.dumps(item))}"
        raise ValueError(message)  # noqa: TRY004 - it is what somebody has written, as in all of these
    return json.dumps(item)


def either(kind: Either, raw: Raw) -> Any:
    """Return what the first kind makes of it that can."""
    wrong: list[str] = []
    for each in kind.kinds:
        try:
            return parsed(each, raw)
        except ValueError as error:
            wrong.append(str(error))
    raise ValueError("; or ".join(dict.fromkeys(wrong)))


# -- JSON


def anything(kind: Anything, text: str) -> Any:
    """Read JSON; where anything may stand, what is no JSON is a text."""
    if kind.only is None and not is_json(text):
        return text
    return from_json(text, kind.only or object)


def is_json(text: str) -> bool:
    """Tell whether a text would be read as JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def from_json(text: str, only: type) -> Any:
    """Read JSON of one type."""
    wanted = f"{NAMED.get(only, 'JSON')} is wanted"
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{wanted} (line {error.lineno}, column {error.colno}: {error.msg})"
        raise ValueError(message) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(wanted) from error
    if not isinstance(value, only):
        message = f"{wanted}, not {quoted(text)}"
        raise ValueError(message)  # noqa: TRY004 - it is what somebody has written, as in all of these
    return value
