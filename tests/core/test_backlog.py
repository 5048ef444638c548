"""A backlog keeps the newest events in order, says where others are missing, and never grows beyond its bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.backlog import GAP, SNAPSHOT, Backlog, Event

PUTS = st.tuples(st.sampled_from(["state", "progress", "log"]), st.sampled_from(["a", "b", "c"]))
DEEDS = st.lists(st.one_of(PUTS, PUTS, PUTS, st.none()), max_size=120)
BOUNDS = st.integers(1, 8)


def told(sequence: int, kind: str = "state", subject: str = "a") -> Event:
    return Event(sequence, float(sequence), subject, kind, {})


@dataclass
class Reader:
    """Puts events into a backlog and takes them out again, and remembers everything."""

    backlog: Backlog
    put: list[Event] = field(default_factory=list[Event])
    taken: list[Event] = field(default_factory=list[Event])

    def tell(self, kind: str, subject: str) -> None:
        self.put.append(told(len(self.put) + 1, kind, subject))
        if self.backlog.put(self.put[-1]):
            self.backlog.shrink()

    def take(self) -> Event | None:
        event = self.backlog.take()
        if event is not None:
            self.taken.append(event)
        return event

    def drain(self) -> None:
        while self.take() is not None:
            pass

    @property
    def delivered(self) -> list[Event]:
        return [event for event in self.taken if event.kind != GAP]

    @property
    def gaps(self) -> list[Event]:
        return [event for event in self.taken if event.kind == GAP]


def story(bound: int, deeds: list[tuple[str, str] | None]) -> Reader:
    reader = Reader(Backlog(bound))
    for deed in deeds:
        if deed is None:
            reader.take()
        else:
            reader.tell(*deed)
    return reader


def in_gap(event: Event, gaps: list[Event]) -> bool:
    return any(gap.data["first"] <= event.sequence <= gap.data["last"] for gap in gaps)


def without_stale(events: list[Event]) -> list[Event]:
    """Return the events without each progress after which there is another of its subject."""
    return [
        event
        for event in events
        if event.kind != "progress"
        or not any(later.kind == "progress" and later.subject == event.subject for later in events[event.sequence :])
    ]


@given(BOUNDS, DEEDS)
def test_events_come_in_the_order_of_their_numbers_each_once_and_unchanged(
    bound: int, deeds: list[tuple[str, str] | None]
) -> None:
    reader = story(bound, deeds)
    reader.drain()
    numbers = [event.sequence for event in reader.taken]
    assert numbers == sorted(set(numbers))
    assert all(reader.put[event.sequence - 1] is event for event in reader.delivered)


@given(BOUNDS, DEEDS)
def test_what_is_not_delivered_is_in_a_gap_or_made_stale_by_a_newer_progress_of_its_subject(
    bound: int, deeds: list[tuple[str, str] | None]
) -> None:
    reader = story(bound, deeds)
    reader.drain()
    fresh = without_stale(reader.put)
    for event in reader.put:
        outcomes = [event in reader.delivered, in_gap(event, reader.gaps)]
        assert sum(outcomes) == 1 or (sum(outcomes) == 0 and event not in fresh)


@given(BOUNDS, DEEDS)
def test_a_gap_counts_what_is_missing_and_names_the_first_and_the_last_of_it(
    bound: int, deeds: list[tuple[str, str] | None]
) -> None:
    reader = story(bound, deeds)
    reader.drain()
    assert reader.backlog.missed == sum(gap.data["missed"] for gap in reader.gaps)
    for gap in reader.gaps:
        first, last = gap.data["first"], gap.data["last"]
        missing = reader.put[first - 1 : last]
        assert gap.sequence == last
        assert 1 <= gap.data["missed"] <= len(missing)
        assert gap.data["missed"] >= sum(event.kind != "progress" for event in missing)
        if all(event.kind != "progress" for event in missing):
            assert gap.data["missed"] == len(missing)


@given(BOUNDS, DEEDS)
def test_the_newest_always_survive_as_many_as_the_bound(bound: int, deeds: list[tuple[str, str] | None]) -> None:
    reader = story(bound, deeds)
    before = reader.taken[-1].sequence if reader.taken else 0
    reader.drain()
    unread = [event for event in without_stale(reader.put) if event.sequence > before]
    assert {event.sequence for event in unread[-bound:]} <= {event.sequence for event in reader.delivered}


@given(BOUNDS, DEEDS)
def test_nothing_is_missing_as_long_as_all_but_stale_progress_fits(
    bound: int, deeds: list[tuple[str, str] | None]
) -> None:
    reader = Reader(Backlog(bound))
    states = 0
    for deed in deeds:
        if deed is not None and (deed[0] == "progress" or states < bound - 3):  # progress has three subjects
            states += deed[0] != "progress"
            reader.tell(*deed)
    reader.drain()
    if bound >= 3:
        assert not reader.gaps
        assert [event for event in reader.delivered if event.kind != "progress"] == [
            event for event in reader.put if event.kind != "progress"
        ]


@given(BOUNDS, DEEDS)
def test_it_never_holds_more_than_twice_its_bound_and_a_gap(bound: int, deeds: list[tuple[str, str] | None]) -> None:
    reader = Reader(Backlog(bound))
    for deed in deeds:
        if deed is not None:
            reader.tell(*deed)
            assert len(reader.backlog) <= 2 * bound + 1


def test_unread_gaps_that_follow_one_another_are_one() -> None:
    reader = Reader(Backlog(2))
    for _ in range(20):
        reader.tell("state", "a")
    reader.drain()
    (gap,) = reader.gaps
    assert gap == Event(gap.sequence, float(gap.sequence), "lab", GAP, gap.data)
    assert gap.data == {"missed": gap.sequence, "first": 1, "last": gap.sequence}
    assert [event.sequence for event in reader.delivered] == list(range(gap.sequence + 1, 21))


def test_a_snapshot_comes_first_and_is_not_counted() -> None:
    backlog = Backlog(1)
    snapshot = [Event(7, 0.0, name, SNAPSHOT, {}) for name in ("laser", "meter", "sweep#1")]
    backlog.begin(snapshot)
    assert not backlog.put(told(8))
    assert not backlog.put(told(9))
    assert backlog.put(told(10))
    backlog.shrink()
    taken = [backlog.take() for _ in range(6)]
    assert taken[:3] == snapshot
    assert [event and (event.kind, event.sequence) for event in taken[3:]] == [(GAP, 9), ("state", 10), None]


def test_the_progress_of_one_subject_makes_no_other_stale() -> None:
    reader = Reader(Backlog(2))
    for subject in ("a", "b", "a", "b", "a"):
        reader.tell("progress", subject)
    reader.drain()
    assert [(event.sequence, event.subject) for event in reader.taken] == [(4, "b"), (5, "a")]
