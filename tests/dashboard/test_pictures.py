"""Arrays become pictures, and rows columns that can be plotted, whatever they hold."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actorlab.dashboard.picture import MOST, is_picture, picture_of, png
from actorlab.dashboard.plot_feed import Batch, Feed
from actorlab.dashboard.recorded import NUMBER, TIME, column_kind, curve_of, number_of
from actorlab.data.rows import Row


def pixels(data: bytes) -> tuple[int, int, bytes]:
    """Read a PNG file: its size, and its lines with their filters."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place, size, lines = 8, (0, 0), b""
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length]) == (zlib.crc32(name + body),)
        if name == b"IHDR":
            size = struct.unpack(">II", body[:8])
        lines += zlib.decompress(body) if name == b"IDAT" else b""
        place += 12 + length
    return (*size, lines)


def test_a_table_of_bytes_is_the_picture_of_its_bytes() -> None:
    width, height, lines = pixels(png(np.array([[0, 1, 2], [3, 4, 255]], np.uint8)))
    assert (width, height, lines) == (3, 2, b"\0\0\1\2" + b"\0\3\4\xff")


def test_dark_is_the_least_and_bright_the_greatest() -> None:
    picture = picture_of(np.array([[-5.0, 0.0], [5.0, np.nan]]))
    assert (picture.low, picture.high, picture.shape) == (-5.0, 5.0, (2, 2))
    _, _, lines = pixels(base64.b64decode(picture.url.partition(",")[2]))
    assert lines == b"\0\0\x7f" + b"\0\xff\0"


def test_a_large_table_is_thinned() -> None:
    picture = picture_of(np.zeros((3000, 20)))
    width, height, _ = pixels(base64.b64decode(picture.url.partition(",")[2]))
    assert (width, picture.shape) == (20, (3000, 20))
    assert height <= MOST


def test_an_image_keeps_its_colours() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    _, _, lines = pixels(base64.b64decode(picture_of(image).url.partition(",")[2]))
    assert lines == b"\0" + image[0, :, :3].tobytes() + b"\0" + image[1, :, :3].tobytes()


TABLES = arrays.arrays(
    st.sampled_from([np.bool_, np.int8, np.uint64, np.float16, np.float64]), arrays.array_shapes(min_dims=2, max_dims=2)
)


@given(TABLES)
def test_every_table_has_a_picture(values: Any) -> None:
    picture = picture_of(values)
    width, height, _ = pixels(base64.b64decode(picture.url.partition(",")[2]))
    assert (height, width) == values.shape
    assert picture.low <= picture.high


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "number"), (True, "number"), (np.float32(2), "number"), (np.array(3.0), "number"), ([1, 2.5], "curve"),
        (np.arange(3), "curve"), (np.zeros((2, 3)), "picture"), (np.zeros((2, 3, 3), np.uint8), "picture"),
        ("text", None), (None, None), ([], None), ([1, "a"], None), (1j, None), (np.zeros((0, 3)), None),
        (np.array(["a"]), None), (np.zeros((2, 2, 2)), None), (10**400, None),
    ],
)  # fmt: skip
def test_what_can_be_plotted_is_found_out(value: Any, kind: str | None) -> None:
    assert column_kind(value) == kind
    assert is_picture(value) == (kind == "picture")
    assert (number_of(value) is not None) == (kind == "number")
    assert (curve_of(value) is not None) == (kind == "curve")


def rows(*values: dict[str, Any]) -> list[Row]:
    return [Row(100.0 + number, "", its) for number, its in enumerate(values)]


def test_a_feed_reads_each_row_once_and_tells_what_is_new() -> None:
    there = rows({"x": 1.0, "y": 10}, {"x": 2.0, "image": np.eye(2)})
    feed = Feed(lambda begin: Batch(begin, there[begin:]))
    feed.choose("x", ["y"])
    fresh = feed.read()
    assert fresh.curves["y"].points == [(1.0, 10.0)]
    assert fresh.columns == {"x": "number", "y": "number", "image": "picture"}
    assert list(fresh.shapes) == ["image"]
    there += rows({"x": 3.0, "y": float("nan")}, {"x": 4.0, "y": 7})
    fresh = feed.read()
    assert (fresh.curves["y"].begin, fresh.curves["y"].points) == (1, [(3.0, None), (4.0, 7.0)])
    assert (fresh.rows, fresh.shapes) == (4, {})


def test_time_and_number_of_rows_can_be_chosen_as_well() -> None:
    there = rows({"y": 1}, {"y": 2})
    feed = Feed(lambda begin: Batch(begin, there[begin:]))
    feed.choose(TIME, ["y", NUMBER])
    fresh = feed.read()
    assert fresh.curves["y"].points == [(0.0, 1.0), (1.0, 2.0)]
    assert fresh.curves[NUMBER].points == [(0.0, 0.0), (1.0, 1.0)]


def test_rows_that_were_let_go_are_skipped_and_counted() -> None:
    feed = Feed(lambda begin: Batch(max(begin, 40), rows({"y": 1}), 40))
    feed.choose(NUMBER, ["y"])
    fresh = feed.read()
    assert fresh.curves["y"].points == [(40.0, 1.0)]
    assert (fresh.rows, fresh.missing) == (41, 40)
