"""Values that people look at: never in anybody's way, whatever they take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.core.live_values import LOOKED_AT, PERIOD, SHARE, LiveValues

DEVICES: tuple[str, ...] = ("laser", "oven")
KEYS: tuple[str, ...] = ("power", "temperature", "state")
turns = st.lists(
    st.tuples(
        st.floats(0.01, 3.0),  # how long until the next turn
        st.sets(st.sampled_from(DEVICES)),  # which devices are free
        st.sets(st.tuples(st.sampled_from(DEVICES), st.sampled_from(KEYS))),  # what is looked at
        st.dictionaries(st.sampled_from(DEVICES), st.booleans()),  # whose reading ends, and how
    ),
    max_size=60,
)


@given(turns)
def test_only_free_devices_are_asked_one_value_at_a_time_and_only_while_somebody_looks(
    turns: list[tuple[float, set[str], set[tuple[str, str]], dict[str, bool]]],
) -> None:
    values, now = LiveValues(), 100.0
    looked: dict[tuple[str, str], float] = {}
    under_way: dict[str, float] = {}
    asked = dict.fromkeys(DEVICES, 0.0)
    for seconds, free, looks, ends in turns:
        now += seconds
        for device, key in looks:
            values.look(device, key, now)
            looked[device, key] = now
        for device, well in ends.items():
            if device in under_way:
                took = now - under_way.pop(device)
                asked[device] += took
                values.ended(device, now, took=took, well=well)
        for device, key in values.begin(free, now):
            assert device in free
            assert device not in under_way
            assert now - looked[device, key] <= LOOKED_AT
            # what was asked before is paid for, by the rest after it
            assert asked[device] <= SHARE * (now - 100.0) + 1e-6
            under_way[device] = now


@given(st.integers(1, 3), st.floats(0.001, 0.02))
def test_each_value_has_its_turn(count: int, took: float) -> None:
    values, now = LiveValues(), 0.0
    read: dict[str, int] = {}
    while now < 10:
        for key in KEYS[:count]:
            values.look("laser", key, now)
        for device, key in values.begin({"laser"}, now):
            values.ended(device, now + took, took=took, well=True)
            read[key] = read.get(key, 0) + 1
        now += 0.1
    assert set(read) == set(KEYS[:count])
    assert max(read.values()) <= 10 / PERIOD + 1
    assert max(read.values()) - min(read.values()) <= 1


def test_what_cannot_be_read_is_tried_ever_less_often() -> None:
    values, now, tried = LiveValues(), 0.0, 0
    while now < 120:
        values.look("laser", "power", now)
        for device, _ in values.begin({"laser"}, now):
            values.ended(device, now, took=0.0, well=False)
            tried += 1
        now += 0.5
    assert 5 <= tried <= 9
