"""Hold the patterns that name members to what their documentation says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import ConfigError
from actorlab.driving.member import where
from actorlab.driving.patterns import Patterns

names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
steps = st.one_of(
    st.tuples(st.just("attribute"), names),
    st.tuples(st.just("item"), st.one_of(st.integers(-3, 300), names)),
)
ways = st.tuples(st.tuples(st.just("attribute"), names), st.lists(steps, max_size=4)).map(
    lambda found: (found[0], *found[1])
)


def way(text: str) -> tuple[tuple[str, Any], ...]:
    """Return a way as it is typed here: names between dots, numbers and text in brackets as items."""
    found: list[tuple[str, Any]] = []
    for word in text.replace("[", ".[").split("."):
        item = word.removeprefix("[").removesuffix("]")
        found.append(("attribute", word) if item == word else ("item", int(item) if item.isdigit() else item))
    return tuple(found)


@given(ways)
def test_a_way_as_it_is_typed_names_its_member_and_no_other(path: tuple[tuple[str, Any], ...]) -> None:
    typed = where("", path)[1:]
    patterns = Patterns([typed])
    assert patterns.name(path)
    assert not patterns.name(path[:-1])
    assert not patterns.name((*path, ("attribute", "x")))
    assert all(patterns.lead_through(path[:length]) for length in range(len(path)))
    assert not patterns.lead_through(path)


@given(ways, ways)
def test_a_pattern_of_stars_names_what_has_its_steps(
    path: tuple[tuple[str, Any], ...], other: tuple[tuple[str, Any], ...]
) -> None:
    typed = "".join(".*" if kind == "attribute" else "[*]" for kind, _ in path)[1:]
    same = [kind for kind, _ in path] == [kind for kind, _ in other]
    assert Patterns([typed]).name(other) == same


@pytest.mark.parametrize(
    ("pattern", "named", "others"),
    [
        ("volt", "volt", ["volts", "sense.volt", "volt.get"]),
        ("sense.*.range", "sense.voltage.range", ["sense.range", "sense.a.b.range", "sense[1].range"]),
        ("ch_*.voltage", "ch_12.voltage", ["ch.voltage", "ch_12.voltages", "ch_1.a.voltage"]),
        ("channels[*].voltage", "channels[A].voltage", ["channels.voltage", "channels[A].x.voltage"]),
        ("channels[1].voltage", "channels[1].voltage", ["channels[11].voltage", "channels[2].voltage"]),
        ("channels['A'].voltage", "channels[A].voltage", ["channels[B].voltage"]),
        ('channels["A"].voltage', "channels[A].voltage", ["channels[B].voltage"]),
        ("ch[1?].v", "ch[12].v", ["ch[1].v", "ch[123].v"]),
        ("**.range", "sense.a.b[1].range", ["sense.a.ranges", "sense.range.x"]),
        ("**.range", "range", ["ranges"]),
        ("sense.**", "sense.a[1].b", ["source.a"]),
        ("a.**.b.**.c", "a.b.x.b.y.c", ["a.c", "a.b", "a.b.x"]),
    ],
)
def test_patterns_are_what_one_would_type(pattern: str, named: str, others: list[str]) -> None:
    patterns = Patterns([pattern])
    assert patterns.name(way(named))
    for other in others:
        assert not patterns.name(way(other)), other


def test_they_tell_what_leads_to_something_named() -> None:
    patterns = Patterns(["sense.*.range", "channels[*].voltage", "volt"])
    assert patterns.lead_through(way("sense"))
    assert patterns.lead_through(way("sense.voltage"))
    assert patterns.lead_through(way("channels[3]"))
    assert patterns.lead_to_items(way("channels"))
    for text in ("volt", "source", "sense.voltage.range"):
        assert not patterns.lead_through(way(text))
        assert not patterns.lead_to_items(way(text))
    deep = Patterns(["**.range", "*.volt"])
    assert deep.lead_through(way("anything[1].at.all"))
    assert deep.lead_to_items(way("channels"))
    assert not deep.name(way("sense.a.volt"))
    assert Patterns(["**"]).name(way("anything[1].at.all"))
    assert not Patterns().name(())
    assert not Patterns().lead_through(())


@pytest.mark.parametrize("pattern", [".volt", "sense..range", "channels[", "channels[]", "sense.[1]]", "a[b[1]]"])
def test_a_pattern_that_names_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="names no member: write it as you would type it"):
        Patterns([pattern])
