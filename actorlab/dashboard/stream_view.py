"""Listen to a stream of a device while somebody looks at it: numbers as a growing curve, arrays as pictures."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from nicegui import background_tasks, ui

from actorlab.dashboard.fitting import fitting_devices
from actorlab.dashboard.form_view import FormView
from actorlab.dashboard.forms import form_of
from actorlab.dashboard.plot_view import Chart, ShapeBox, shape_of
from actorlab.dashboard.recorded import number_of
from actorlab.dashboard.thinning import Thinned
from actorlab.dashboard.widgets import button, heading
from actorlab.errors import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actorlab.dashboard.page import PageContext
    from actorlab.runtime.lab import Lab
    from actorlab.streams import Item, Stream

__all__ = ["show_streams", "streams_of"]

TURN: Final = 0.2
"""What comes faster than every so many seconds isn't all drawn."""
BUFFER: Final = 16
"""So many items wait for this browser; the newest win."""


def streams_of(lab: Lab) -> dict[str, dict[str, Any]]:
    """Describe the streams of all devices by "device.stream"; no device is asked."""
    return {
        f"{device}.{name}": described
        for device in list(lab.cells)
        for name, described in lab.describe(device)["members"].items()
        if described["kind"] == "stream"
    }


async def show_streams(page: PageContext) -> None:
    """Show the streams that there are, and listen to one that is chosen; to begin one is a command."""
    described = await page.look(streams_of, page.lab)
    if not described or not page.may("operator"):
        return
    with ui.element("section").classes("panel"):
        heading("Streams")
        StreamView(page, described)


class StreamView:
    """One stream in one browser; when that is gone, nobody listens any more."""

    def __init__(self, page: PageContext, described: dict[str, dict[str, Any]]) -> None:
        self._page = page
        self._described = described
        self._listening: asyncio.Task[None] | None = None
        self._last: Item[Any] | None = None
        self._shown: Item[Any] | None = None
        self._begun = 0.0
        self._curve = Thinned()
        self._choice = ui.select(list(described), label="Stream", value=next(iter(described)))
        self._choice.props("dense outlined options-dense").classes("w-select").mark("stream")
        self._fields = ui.element("div").classes("form fields")
        with ui.element("div").classes("row"):
            self._begin = button("Listen", page.acts("operator", "listen to a stream", self._listen), "main").mark(
                "listen"
            )
            self._end = button("Stop listening", self._stop).mark("stop-listening")
            self._words = ui.label().classes("small muted").mark("stream-words")
        self._box = ui.element("div").mark("stream-picture")
        self._form()
        self._choice.on_value_change(self._form)
        self._show_buttons()
        page.every(TURN, self._show)
        ui.context.client.on_delete(self._stop)

    def _form(self) -> None:
        self._stop()
        self._fields.clear()
        with self._fields:
            schema = self._described[str(self._choice.value)]["parameters"]
            self._view = FormView(form_of(schema, partial(fitting_devices, self._page.lab)))

    def _show_buttons(self) -> None:
        listens = self._listening is not None
        self._begin.set_visibility(not listens)
        self._end.set_visibility(listens)

    async def _listen(self) -> None:
        values = self._view.read()
        if values is None:
            return
        self._stop()
        name = str(self._choice.value)
        stream = await self._page.look(stream_named, self._page.lab, name, values)
        self._last = self._shown = None
        self._curve, self._begun = Thinned(), time.time()
        self._box.clear()
        with self._box:
            self._chart = Chart()
            self._chart.begin("time (s)", name)
            self._chart.set_visibility(False)
            self._shape = ShapeBox(name)
            self._shape.set_visibility(False)
        self._words.text = "waiting for the first value"
        self._listening = background_tasks.create(self._hear(stream), name=f"listening to {name}")
        self._show_buttons()

    async def _hear(self, stream: Stream[Any]) -> None:
        """Keep the newest item, and each number."""
        items = cast("AsyncGenerator[Item[Any]]", aiter(stream))
        try:
            async with aclosing(items):
                async for item in items:
                    self._last = item
                    number = number_of(item.value)
                    if number is not None:
                        self._curve.add(item.time.timestamp() - self._begun, number)
            self._words.text = "the stream has ended"
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary to the driver: it is told to whoever listens
            self._words.text = text_of(error)
        self._listening = None
        self._show_buttons()

    async def _show(self) -> None:
        item = self._last
        if item is None or item is self._shown:
            return
        self._shown = item
        lost = f", {item.dropped:,} lost" if item.dropped else ""
        self._words.text = f"value {item.sequence:,}{lost}"
        if number_of(item.value) is not None:
            self._chart.set_visibility(True)
            patch = self._curve.changes()
            self._chart.grow([{"id": "stream", "name": "stream", "begin": patch.begin, "points": patch.points}])
            return
        shape = await self._page.look(shape_of, item.value)
        self._shape.set_visibility(shape is not None)
        if shape is None:
            self._words.text += f": {str(item.value)[:200]}"
        else:
            self._shape.show(shape)

    def _stop(self) -> None:
        """Listen no longer."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            self._show_buttons()


def stream_named(lab: Lab, name: str, values: dict[str, Any]) -> Stream[Any]:
    """Return a stream of a device; nothing begins before somebody listens."""
    device, _, member = name.rpartition(".")
    stream: Stream[Any] = getattr(lab.device(device), member)(**values)
    return stream.buffered(BUFFER)
