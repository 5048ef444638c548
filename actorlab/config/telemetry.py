"""Find out where spans go: as OpenTelemetry's own environment variables say."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from actorlab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import TracerProvider

__all__ = ["provider_for"]

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
NAME: Final = "OTEL_SERVICE_NAME"


def provider_for(name: str) -> tuple[TracerProvider, Callable[[], None]]:
    """Return what takes the spans of a lab of this name, and what is to be called when the lab has closed.

    That is the program's own, if it has one; else one that exports as OTEL_TRACES_EXPORTER says, by default by OTLP.

    Raises:
        ConfigError: OpenTelemetry isn't installed, or the exporter isn't.

    """
    try:
        from opentelemetry import trace  # noqa: PLC0415 - only who wants it has to have it
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        message = f'`telemetry: true` needs OpenTelemetry: pip install "actorlab[otel]" ({error})'
        raise ConfigError(message) from error
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return known, lambda: None
    exporters = [exporter(said.strip()) for said in os.environ.get(EXPORTER, "otlp").split(",")]
    made = TracerProvider(resource=Resource.create({} if NAME in os.environ else {"service.name": name}))
    for export in exporters:
        if export is not None:
            made.add_span_processor(BatchSpanProcessor(export()))
    return made, made.shutdown


def exporter(name: str) -> Any:
    """Return the class of an exporter by the name that OpenTelemetry gives it. Raise `ConfigError` if there is none."""
    if name == "none":
        return None
    there = entry_points(group="opentelemetry_traces_exporter")
    if name not in there.names:
        known = ", ".join(sorted({*there.names, "none"}))
        message = (
            f"spans are to go to {name!r} (as {EXPORTER} says, or if it says nothing), which isn't installed; there is "
            f"{known}: for OTLP, pip install opentelemetry-exporter-otlp"
        )
        raise ConfigError(message)
    return there[name].load()
