"""A history is kept once for all readers: each hears all in order or how much it missed, and nothing grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.history import History

SIZES = st.integers(0, 6)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3), SIZES),
        st.tuples(st.just("read"), st.integers(0, 2), SIZES),
    ),
    max_size=80,
)


@given(most=st.integers(1, 6), room=st.integers(0, 20), deeds=DEEDS)
def test_each_reader_gets_everything_in_order_or_is_told_how_much_it_missed(
    most: int, room: int, deeds: list[tuple[str, int, int]]
) -> None:
    history: History[int] = History(most, room)
    sizes: list[int] = []
    heard: list[list[int | None]] = [[], [], []]  # None stands for what was missed
    places = [0, 0, 0]
    number = 0
    for what, which, size in deeds:
        if what == "add":
            number += which
            history.add(number, len(sizes), size)
            sizes.append(size)
            kept = len(sizes) - history.first
            assert 1 <= kept <= most
            assert history.size == sum(sizes[history.first :])
            assert history.size <= room or kept == 1
            with_the_last_one_gone = sizes[max(0, history.first - 1) :]  # nothing goes that there was room for
            assert history.first == 0 or len(with_the_last_one_gone) > most or sum(with_the_last_one_gone) > room
        else:
            read = history.read(places[which], size)
            heard[which] += [None] * read.missed + [kept.item for kept in read.items]
            assert len(read.items) <= 1 or sum(kept.size for kept in read.items) <= size
            assert bool(read.items) == (places[which] < history.end)
            places[which] = read.place
    for which, said in enumerate(heard):
        assert places[which] == len(said)
        assert all(item is None or item == at for at, item in enumerate(said))


@given(numbers=st.lists(st.integers(0, 3), max_size=40), most=st.integers(1, 8), asked=st.integers(-2, 130))
def test_one_who_was_away_hears_exactly_what_followed_or_that_it_is_not_kept(
    numbers: list[int], most: int, asked: int
) -> None:
    floor = 5
    history: History[int] = History(most, 10**9, floor)
    told = floor
    all_told: list[int] = []
    for step in numbers:
        told += step
        all_told.append(told)
        history.add(told, told, 1)
    place = history.after(asked)
    followed = [number for number in all_told if number > asked]
    kept = all_told[-most:]
    if place is None:
        assert asked < floor or asked > told or followed != [number for number in kept if number > asked]
    else:
        read = history.read(place, 10**9)
        assert [found.item for found in read.items] == followed
        assert read.missed == 0


@given(count=st.integers(0, 20), most=st.integers(1, 20), newest=st.integers(1, 20), place=st.integers(0, 20))
def test_one_who_wants_the_newest_only_misses_the_others(count: int, most: int, newest: int, place: int) -> None:
    history: History[int] = History(most, 10**9)
    for number in range(count):
        history.add(number, number, 1)
    place = min(place, count)
    read = history.read(place, 10**9, newest)
    wanted = list(range(place, count))[-min(newest, most) :]
    assert [found.item for found in read.items] == wanted
    assert read.missed == count - place - len(wanted)
    assert read.place == count


def test_an_item_larger_than_the_room_is_kept_until_the_next_one_comes() -> None:
    history: History[str] = History(10, 5)
    history.add(1, "small", 2)
    history.add(2, "large", 100)
    assert [kept.item for kept in history.read(0, 10**9).items] == ["large"]
    history.add(3, "small", 2)
    assert [kept.item for kept in history.read(0, 10**9).items] == ["small"]
    assert history.after(1) is None
    assert history.after(2) == 2


def test_what_follows_on_a_number_that_is_still_to_come_follows_on_all_that_is_there() -> None:
    history: History[str] = History(2, 100)
    for number in (1, 2, 3):
        history.add(number, str(number), 1)
    assert history.after(9) is None
    assert history.following(9) == 3
    assert history.following(2) == history.after(2) == 2
    assert history.following(0) is None
