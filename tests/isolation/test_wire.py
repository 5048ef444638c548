"""See that values of all sizes cross the wire and the shared memory unchanged."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.isolation import memory
from actorlab.isolation.memory import Slots, chunks_of
from actorlab.isolation.packing import as_class, travelling_class
from actorlab.isolation.wire import IN_MEMORY, MESSAGE, PLAIN, Wire
from tests.isolation.lab_side import PATIENCE

AROUND = st.integers(65_536 - 200, 65_536 + 200)
VALUES = st.recursive(
    st.none()
    | st.integers()
    | st.binary(max_size=20)
    | AROUND.map(bytes)
    | AROUND.map(bytearray)
    | AROUND.map(lambda size: np.arange(size, dtype=np.uint8))
    | st.integers(1, 2**20).map(lambda size: np.arange(size, dtype=np.uint8)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def wires() -> Iterator[tuple[Wire, Wire]]:
    """Make both ends of a wire, in one process; its slots are small, so that they are used in turns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "SLOT", 20_000)
        one, other = socket.socketpair()
        there, back = Slots.make("there"), Slots.make("back")
        ends = Wire(one, there, back), Wire(other, Slots(os.dup(back.fd)), Slots(os.dup(there.fd)))
        yield ends
        for end in ends:
            end.close()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other) and other.flags.writeable
    return bool(type(one) is type(other) and one == other)


def cross(wires: tuple[Wire, Wire], value: Any, kind: int = PLAIN) -> tuple[int, Any]:
    frame = wires[0].frame(kind, value)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(wires[0].send, frame)
        received = wires[1].receive()
        sent.result(PATIENCE)
    assert received is not None
    return received[0], wires[1].load(*received)


@given(value=VALUES, kind=st.sampled_from([PLAIN, MESSAGE]))
def test_any_value_crosses_unchanged(wires: tuple[Wire, Wire], value: Any, kind: int) -> None:
    got_kind, got = cross(wires, value, kind)
    assert got_kind & ~IN_MEMORY == kind
    assert same(value, got)


def test_what_has_crossed_is_not_changed_by_what_follows(wires: tuple[Wire, Wire]) -> None:
    first = np.zeros(2**20, np.uint8)
    _, got = cross(wires, first)
    cross(wires, first + 1)
    assert not got.any()


def test_what_is_received_without_numpy_is_our_own_as_well(
    wires: tuple[Wire, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [bytearray(b"x" * 2**17), bytes(2**18), bytearray(b"y" * 2**17)]
    monkeypatch.delitem(sys.modules, "numpy")
    _, got = cross(wires, sent)
    assert got == sent
    got[0][0] = 0


def test_memory_that_the_system_does_not_have_is_an_error_and_no_bus_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    one, other = socket.socketpair()
    wire = Wire(one, Slots.make("there"), Slots.make("back"))
    with other, monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(MemoryError, match=r"no room for \d+ bytes of shared memory"):
            wire.frame(PLAIN, bytes(2**20))
    wire.close()


def test_what_there_is_no_memory_for_is_an_error_of_that_message_alone(
    wires: tuple[Wire, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("actorlab.isolation.wire.new_bytes", none)
        with pytest.raises(MemoryError, match="no memory for it"):
            cross(wires, np.zeros(2**20, np.uint8))
    assert cross(wires, 3)[1] == 3


@given(sizes=st.lists(st.integers(0, 4_000_000), max_size=4))
def test_chunks_cover_each_piece_once_and_use_the_slots_in_turns(sizes: list[int]) -> None:
    chunks = chunks_of(sizes)
    assert [chunk.slot for chunk in chunks] == [number % memory.SLOTS for number in range(len(chunks))]
    for piece, size in enumerate(sizes):
        mine = [chunk for chunk in chunks if chunk.piece == piece]
        assert [chunk.begin for chunk in mine] == [0, *(chunk.end for chunk in mine[:-1])][: len(mine)]
        assert sum(chunk.end - chunk.begin for chunk in mine) == size
        assert all(chunk.end - chunk.begin <= memory.SLOT for chunk in mine)


def test_a_wire_whose_other_end_is_gone_says_so() -> None:
    one, other = socket.socketpair()
    wire = Wire(one, Slots(-1), Slots(-1))
    other.sendall(b"\x09\x00")  # a part of a header
    other.close()
    assert wire.receive() is None
    with pytest.raises(OSError, match="Broken pipe"):
        wire.send(wire.frame(PLAIN, 1))
    wire.close()


def test_a_class_that_cannot_travel_is_told_by_its_nearest_base() -> None:
    class Strange(ValueError):
        def __reduce__(self) -> Any:
            raise TypeError

    assert as_class(travelling_class(int)) is int
    assert as_class(travelling_class(Strange)) is not object
    assert as_class(b"no pickle") is object
    assert as_class(travelling_class(type(lambda: 1))) is not None
