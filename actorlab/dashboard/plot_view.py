"""Show curves, pictures and the ways to choose them, of one run or of several side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nicegui import ui

from actorlab.dashboard.picture import Picture, is_picture, picture_of
from actorlab.dashboard.plot_feed import Feed, Fresh
from actorlab.dashboard.recorded import NUMBER, TIME, ColumnKind, bare, curve_of
from actorlab.dashboard.thinning import Thinned

if TYPE_CHECKING:
    from actorlab.dashboard.page import PageContext

__all__ = ["TURN", "Chart", "PlotView", "ShapeBox", "shape_of"]

TURN: Final = 0.5
"""Curves grow every so many seconds."""
MOST_CURVES: Final = 8


class Chart:
    """A chart of curves that grow."""

    def __init__(self) -> None:
        self._chart = ui.echart({"series": []}).classes("plot").mark("plot")

    def begin(self, x: str, y: str) -> None:
        """Begin anew, with these titles of the axes."""
        self._tell({"clear": True, "x": x, "y": y, "curves": []})

    def grow(self, curves: Sequence[dict[str, Any]]) -> None:
        """Tell what has changed of some curves: `id`, `name`, from which point on (`begin`), `points`."""
        if curves:
            self._tell({"curves": list(curves)})

    def _tell(self, told: Mapping[str, Any]) -> None:
        ui.run_javascript(f"actorlabPlots.tell({self._chart.id}, {json.dumps(told, allow_nan=False)})")

    def set_visibility(self, visible: bool) -> None:  # noqa: FBT001 - as NiceGUI has it
        """Show it, or not."""
        self._chart.set_visibility(visible)


class ShapeBox:
    """A picture or a curve with its title, whichever comes."""

    def __init__(self, title: str) -> None:
        self._title = title
        with ui.element("figure").classes("shot-box") as self._box:
            self._words = ui.label(title).classes("small muted")
            self._image = ui.element("img").classes("shot").props(f'alt="{escaped(title)}"').mark("picture")
            self._chart = Chart()
        self._begun = False

    def set_visibility(self, visible: bool) -> None:  # noqa: FBT001 - as NiceGUI has it
        """Show it, or not."""
        self._box.set_visibility(visible)

    def show(self, shape: Picture | Curve) -> None:
        """Show another one."""
        self._image.set_visibility(isinstance(shape, Picture))
        self._chart.set_visibility(isinstance(shape, Curve))
        if isinstance(shape, Picture):
            self._image.props["src"] = shape.url
            size = " x ".join(map(str, shape.shape))
            table = len(shape.shape) == 2  # noqa: PLR2004 - rows and columns of numbers; an image has colours besides
            colours = f", {shape.low:.6g} (dark) to {shape.high:.6g} (bright)" if table else ""
            self._words.text = f"{self._title}: {size}{colours}"
            return
        if not self._begun:
            self._begun = True
            self._chart.begin("point", self._title)
        self._chart.grow([{"id": self._title, "name": self._title, "begin": 0, "points": shape.points}])
        self._words.text = f"{self._title}: {shape.total:,} points"


class Curve(NamedTuple):
    """The points of a curve, thinned, and how many it has."""

    points: list[tuple[float, float | None]]
    total: int


def escaped(text: str) -> str:
    """Return a text that may stand between quotation marks in an element's properties."""
    return text.replace('"', "'").replace("\\", "/").replace("\n", " ")


class PlotView:
    """The curves of some runs, in the element in which it is made; `feeds` are their feeds by their names.

    Whoever makes it calls `refresh` every `TURN` seconds.
    """

    def __init__(self, page: PageContext, feeds: Mapping[str, Feed]) -> None:
        self._page = page
        self._feeds = dict(feeds)
        self._columns: dict[str, ColumnKind] = {}
        self._shapes: dict[str, ShapeBox] = {}
        self._looking = asyncio.Lock()
        self._rows: dict[str, tuple[int, int]] = {}
        with ui.element("div").classes("row"):
            self._x = (
                ui.select([TIME, NUMBER], value=TIME, label="x")
                .props("dense outlined options-dense")
                .classes("w-select")
            )
            self._y = ui.select([], label="y", multiple=True, value=[]).props("dense outlined options-dense use-chips")
            self._y.classes("w-select grow").mark("y-column")
            self._x.mark("x-column")
            self._count = ui.label().classes("small muted").mark("row-count")
        self._chart = Chart()
        self._box = ui.element("div").classes("two")
        self._empty = ui.label("No numbers have been recorded yet: a task records them by record(name=value).").classes(
            "muted"
        )
        self._x.on_value_change(self._chosen)
        self._y.on_value_change(self._chosen)

    async def refresh(self) -> None:
        """Let the curves grow."""
        async with self._looking:
            for name, feed in self._feeds.items():
                fresh = await self._page.look(feed.read)
                self._know(name, fresh)
                self._chart.grow([
                    {"id": f"{name} {y}", "name": self._curve_name(name, y), **patch._asdict()}
                    for y, patch in fresh.curves.items()
                ])  # fmt: skip
                await self._show_shapes(name, fresh)

    def _curve_name(self, name: str, y: str) -> str:
        return y if len(self._feeds) == 1 else f"{name}: {y}"

    def _know(self, name: str, fresh: Fresh) -> None:
        """Take note of new columns; of the first ones some are chosen, which begins the curves."""
        self._rows[name] = (fresh.rows, fresh.missing)
        total, missing = (sum(counts) for counts in zip(*self._rows.values(), strict=True))
        left = f", the oldest {missing:,} of them no longer in memory" if missing else ""
        self._count.text = f"{total:,} rows{left}"
        new: dict[str, ColumnKind] = {
            column: kind for column, kind in fresh.columns.items() if column not in self._columns
        }
        if new:
            self._columns.update(new)
            numbers = [column for column, kind in self._columns.items() if kind == "number"]
            self._x.set_options([TIME, NUMBER, *numbers])
            self._y.set_options(numbers)
            if not self._y.value and numbers:
                first = numbers[1] if len(numbers) > 1 else numbers[0]
                self._x.value = numbers[0] if len(numbers) > 1 else TIME
                self._y.value = [first]
        has_numbers = "number" in self._columns.values()
        self._chart.set_visibility(has_numbers)
        self._empty.set_visibility(not self._columns)

    async def _chosen(self) -> None:
        ys = list(self._y.value or [])[:MOST_CURVES]
        async with self._looking:
            self._chart.begin(str(self._x.value), ", ".join(ys))
            for feed in self._feeds.values():
                feed.choose(str(self._x.value), ys)
        await self.refresh()

    async def _show_shapes(self, name: str, fresh: Fresh) -> None:
        """Show the last picture, or the last curve, of each column that has some."""
        for column, value in fresh.shapes.items():
            told = await self._page.look(shape_of, value)
            if told is None:
                continue
            title = self._curve_name(name, column)
            if title not in self._shapes:
                with self._box:
                    self._shapes[title] = ShapeBox(title)
            self._shapes[title].show(told)


def shape_of(value: Any) -> Picture | Curve | None:
    """Return the picture or the curve that an array is; for a thread."""
    plain = bare(value)
    if is_picture(plain):
        return picture_of(plain)
    numbers = curve_of(plain)
    if numbers is None:
        return None
    curve = Thinned()
    for place, number in enumerate(numbers):
        curve.add(place, number)
    return Curve([(point.x, point.y) for point in curve.points()], len(numbers))
