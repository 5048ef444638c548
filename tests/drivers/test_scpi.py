"""Answers are read as IEEE 488.2 and SCPI-1999 write them, however they arrive in pieces."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actorlab.drivers import GarbledAnswer, InstrumentError
from actorlab.drivers.scpi import (
    ErrorEntry,
    block,
    block_frame,
    parse_array,
    parse_error,
    parse_number,
    parse_text,
    text_frame,
)

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", ">f8", "u1", "<i2", ">i2", ">u4"])


@given(array=DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, st.integers(0, 40))))
def test_an_array_sent_as_a_block_comes_back_bit_for_bit(array: np.ndarray[Any, np.dtype[Any]]) -> None:
    received = parse_array(block(array.tobytes()) + b"\n", array.dtype)

    assert received.dtype.isnative
    assert received.astype(array.dtype).tobytes() == array.tobytes()


@given(payload=st.binary(max_size=120), terminator=st.sampled_from([b"", b"\n", b"\r\n"]), data=st.data())
def test_a_block_ends_where_its_header_says_and_no_earlier(
    payload: bytes, terminator: bytes, data: st.DataObject
) -> None:
    whole = block(payload) + terminator
    cut = data.draw(st.integers(0, len(whole) - 1))

    assert block_frame(whole[:cut], terminator) is None
    assert block_frame(whole, terminator) == len(whole)
    assert block_frame(whole + b"next answer\n", terminator) == len(whole)


def test_an_array_in_the_byte_order_of_this_machine_is_not_copied() -> None:
    received = bytearray(block(np.arange(3, dtype="=f8").tobytes()))

    array = parse_array(received, "=f8")
    received[-8:] = np.float64(7).tobytes()

    assert array.tolist() == [0, 1, 7]


@pytest.mark.parametrize("answer", [b"1.5\n", b"\xff#15", b"#a5hello", b"#0hello\n", b"#2x1", b"#15helloX"])
def test_what_is_no_definite_length_block_is_garbled(answer: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        block_frame(answer, b"\n")


@pytest.mark.parametrize(("answer", "dtype"), [(b"#15hello", "<f4"), (b"#15hel", "u1"), (b"#", "u1")])
def test_a_block_that_does_not_hold_whole_elements_is_garbled(answer: bytes, dtype: str) -> None:
    with pytest.raises(GarbledAnswer, match="is no block of elements of"):
        parse_array(answer, dtype)


def test_a_text_ends_at_its_terminator_or_where_the_interface_says() -> None:
    assert text_frame(b"1.5", b"\n") is None
    assert text_frame(b"1.5\n2.5\n", b"\n") == 4
    assert text_frame(b"1.5", b"") == 3
    assert text_frame(b"", b"") is None


def test_numbers_follow_scpi() -> None:
    assert parse_number(b"+1.55000E+03\n") == 1550.0
    assert math.isnan(parse_number(b"9.91E37"))
    assert parse_number(b"-9.9E37") == -math.inf
    with pytest.raises(GarbledAnswer, match="'ready' is no number"):
        parse_number(b"ready")


def test_bytes_that_are_no_text_are_garbled_and_shown_briefly() -> None:
    with pytest.raises(GarbledAnswer, match="…") as error:
        parse_text(b"\xff" * 5000)

    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("answer", "entry"),
    [
        ('0,"No error"', (0, "No error")),
        ("+0,No error", (0, "No error")),
        ('-222,"Data out of range; SOUR:CURR, 500"', (-222, "Data out of range; SOUR:CURR, 500")),
    ],
)
def test_entries_of_the_error_queue_are_read(answer: str, entry: tuple[int, str]) -> None:
    assert parse_error(answer) == entry


def test_an_entry_without_a_code_is_garbled() -> None:
    with pytest.raises(GarbledAnswer, match="no entry of an error queue"):
        parse_error("No error")


def test_an_instrument_error_names_instrument_and_entries_and_travels_between_processes() -> None:
    error = InstrumentError("laser", [ErrorEntry(-113, "Undefined header"), ErrorEntry(-222, "Data out of range")])

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # made two words earlier

    assert str(copy) == "laser reports: -113 Undefined header; -222 Data out of range"
    assert copy.entries == error.entries
