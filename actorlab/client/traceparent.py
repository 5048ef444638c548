"""Name the span which is under way here to the server that is asked, so that its trace goes on there."""

from __future__ import annotations

import sys

__all__ = ["with_trace"]


def with_trace(headers: dict[str, str] | None) -> dict[str, str] | None:
    """Return headers that also name the present span, if this program uses OpenTelemetry and one is under way."""
    if "opentelemetry.trace" not in sys.modules:
        return headers
    from opentelemetry import propagate  # noqa: PLC0415 - who doesn't use it needn't have it

    told = dict(headers or {})
    propagate.inject(told)
    return told
