"""Write seconds as people say them."""

from __future__ import annotations

__all__ = ["in_words"]

FEW, MINUTE, HOUR, DAY = 10.0, 60.0, 3600.0, 86_400.0


def in_words(seconds: float) -> str:
    """Write a duration: 0.25 s, 12.3 s, 3 min 05 s, 2 h 10 min, 3 d 4 h.

    >>> in_words(185)
    '3 min 05 s'
    """
    if seconds < MINUTE:
        digits = 2 if seconds < FEW else 1
        return f"{seconds:.{digits}f}".rstrip("0").rstrip(".") + " s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < DAY:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
