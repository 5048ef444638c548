"""Make a picture of a table of numbers: small enough to be sent, dark to bright as the numbers go up."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST", "Picture", "is_picture", "picture_of", "png"]

MOST: Final = 512
"""So many points a picture has in each direction, at most."""
COLOURS: Final = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
    (110, 206, 88), (181, 222, 43), (253, 231, 37),
)  # fmt: skip
"""Viridis, which is as even to the colour-blind, and in black and white."""
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Picture(NamedTuple):
    """A picture as an address that holds all of it, and what its darkest and brightest colours mean."""

    url: str
    low: float
    high: float
    shape: tuple[int, ...]


def is_picture(value: Any) -> bool:
    """Tell whether a value is a table of real numbers, or an image: rows of points of three or four colours."""
    if not isinstance(value, np.ndarray) or not value.size or value.dtype.kind not in "biuf":
        return False
    return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (3, 4) and value.dtype == np.uint8)  # noqa: PLR2004 - rows, columns, colours


def picture_of(values: Array) -> Picture:
    """Return the picture of a table, or of an image, for which `is_picture` holds."""
    small = thinned(values)
    if small.ndim == 3:  # noqa: PLR2004 - as above
        return Picture(as_url(png(np.ascontiguousarray(small[:, :, :3]))), 0.0, 255.0, values.shape)
    numbers = small.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # of what is beyond all numbers the next line makes some
        scaled = (numbers / 2 - low / 2) / ((high / 2 - low / 2) or 1.0) * 255
    bytes_ = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8)
    return Picture(as_url(png(bytes_)), low, high, values.shape)


def thinned(values: Array) -> Array:
    """Return every so many rows and columns."""
    rows, columns = (-(-count // MOST) for count in values.shape[:2])
    return values[::rows, ::columns]


def as_url(data: bytes) -> str:
    """Return an address that holds a PNG image."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def png(values: Array) -> bytes:
    """Write rows of bytes as PNG (ISO/IEC 15948): coloured by `COLOURS`, or three bytes to a point as they are."""
    height, width = values.shape[:2]
    is_colour = values.ndim == 3  # noqa: PLR2004 - as above
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if is_colour else 3, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in values)
    palette = [] if is_colour else [(b"PLTE", bytes(value for colour in gradient() for value in colour))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), *palette, (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    )


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a part of a PNG file, with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def gradient() -> Iterable[tuple[int, ...]]:
    """Yield 256 colours, from the first of `COLOURS` to the last."""
    places = np.linspace(0, len(COLOURS) - 1, 256)
    channels = [np.interp(places, range(len(COLOURS)), channel) for channel in zip(*COLOURS, strict=True)]
    return (tuple(round(float(value)) for value in colour) for colour in zip(*channels, strict=True))
