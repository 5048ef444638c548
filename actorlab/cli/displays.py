"""Show a run in one of four ways: a live tree, plain lines, JSON lines, or its result only."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from pydantic_core import to_json
from rich.console import Console
from rich.live import Live
from rich.text import Text

from actorlab.cli.live import live_tree, values
from actorlab.cli.telling import in_words, paragraphs, result_text, tell_error
from actorlab.runtime.events import Event
from actorlab.runtime.run import Run

__all__ = ["Display", "JsonLines", "LiveTree", "PlainLines", "ResultOnly", "display_for"]


class Display(Protocol):
    """Shows a run to somebody; all of it is called by the main thread."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def event(self, event: Event) -> None:
        """Hear of something that happened."""

    def look(self, run: Run[Any] | None) -> None:
        """Look at the run, if there is one by now."""

    def stand_aside(self, *, aside: bool) -> None:
        """Leave the terminal to somebody who types an answer, or take it again."""

    def say(self, text: str) -> None:
        """Say something that isn't the run's."""

    def result(self, run: Run[Any] | None, value: Any, error: BaseException | None) -> None:
        """Tell what came out, after the end."""

    def leave(self, safe: Sequence[str], unsafe: Mapping[str, str]) -> None:
        """Tell how an emergency stop went, before the process ends."""


def display_for(*, json: bool, quiet: bool, debug: bool) -> Display:
    """Choose how a run is shown."""
    if json:
        return JsonLines()
    if quiet:
        return ResultOnly(debug=debug)
    return LiveTree(Console(), debug=debug) if sys.stdout.isatty() else PlainLines(debug=debug)


class ResultOnly:
    """Print the result, and nothing else but errors."""

    def __init__(self, *, debug: bool = False) -> None:
        self._debug = debug
        self._console = Console(soft_wrap=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def event(self, event: Event) -> None:
        """Keep quiet."""

    def look(self, run: Run[Any] | None) -> None:
        """Keep quiet."""

    def stand_aside(self, *, aside: bool) -> None:
        """Do nothing: what is printed line by line is in nobody's way."""

    def say(self, text: str) -> None:
        """Say it on stderr, where it isn't taken for the result."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command line prints

    def result(self, run: Run[Any] | None, value: Any, error: BaseException | None) -> None:
        """Print what came out, or tell the error."""
        del run
        if error is not None:
            tell_error(error, debug=self._debug)
        elif value is not None:
            self._console.print(result_text(value))

    def leave(self, safe: Sequence[str], unsafe: Mapping[str, str]) -> None:
        """Name the devices that aren't known to be safe."""
        for name, why in unsafe.items():
            self.say(f"{name} is not known to be safe: {why}")
        self.say(
            "left without being sure that all devices are safe"
            if unsafe
            else f"all devices are safe: {', '.join(safe)}"
        )


class PlainLines(ResultOnly):
    """Print a line for each thing that happens: for logs, and for terminals that can't do more."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self._run: Run[Any] | None = None

    def look(self, run: Run[Any] | None) -> None:
        """Remember the run, whose steps tell themselves apart by their values."""
        self._run = run

    def event(self, event: Event) -> None:
        """Print it."""
        if event.kind == "closed" and not event.data["left"]:  # all is well
            return
        said = plain_line(event)
        if event.kind == "step" and self._run is not None and event.subject.startswith(f"{self._run.id}/"):
            step = self._run.steps[int(event.data["index"])]
            said = f"{event.subject}{values(step)} {event.data['state']}"
        if said:
            print(f"{time.strftime('%H:%M:%S', time.localtime(event.time))}  {said}", flush=True)  # noqa: T201 - as above


class LiveTree(ResultOnly):
    """Draw the tree of steps again and again; what is said and printed meanwhile stands above it."""

    def __init__(self, console: Console, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._aside = False
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        self._live.update(Text("connecting the devices …", "dim"), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, event: Event) -> None:
        """Print what a body logs, and what is wrong with a device; the tree shows the rest."""
        if event.kind == "log" or (event.kind == "device" and event.data.get("why")):
            self._console.print(Text(plain_line(event), "dim"))

    def look(self, run: Run[Any] | None) -> None:
        """Draw the tree."""
        if run is not None and not self._aside:
            self._live.update(live_tree(run, self._began, time.monotonic()), refresh=True)

    def stand_aside(self, *, aside: bool) -> None:
        """Stop drawing, or begin again."""
        if aside is not self._aside:
            self._aside = aside
            (self._live.stop if aside else self._live.start)()

    def say(self, text: str) -> None:
        """Say it above the tree."""
        self._console.print(Text(text, "yellow"))

    def result(self, run: Run[Any] | None, value: Any, error: BaseException | None) -> None:
        """Print what came out below the tree."""
        if error is None and run is not None:
            self._console.print()
        super().result(run, value, error)

    def leave(self, safe: Sequence[str], unsafe: Mapping[str, str]) -> None:
        """Give the terminal back first."""
        self._live.stop()
        super().leave(safe, unsafe)


class JsonLines(ResultOnly):
    """Print one event a line as JSON; the result is the last line."""

    def event(self, event: Event) -> None:
        """Print it."""
        self._line(event._asdict())

    def say(self, text: str) -> None:
        """Print it as an event of the command's own."""
        self._line({"time": time.time(), "subject": "actorlab", "kind": "said", "data": {"message": text}})

    def result(self, run: Run[Any] | None, value: Any, error: BaseException | None) -> None:
        """Print the result, or what went wrong, as the last line."""
        failed = error is not None
        state = "failed" if run is None and failed else "" if run is None else str(run.state)
        told = (
            {"type": type(error).__name__, "message": in_words(error), "notes": paragraphs(error)[1:]}
            if error
            else None
        )
        self._line({
            "time": time.time(), "subject": "" if run is None else run.id, "kind": "result", "state": state,
            "result": value, "error": told,
        })  # fmt: skip

    def _line(self, content: Mapping[str, Any]) -> None:
        sys.stdout.write(to_json(content, fallback=as_data, inf_nan_mode="null").decode() + "\n")
        sys.stdout.flush()


def as_data(value: Any) -> Any:
    """Return an array as lists, and anything else that JSON doesn't know as its text."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def plain_line(event: Event) -> str:
    """Write an event as a line, or as nothing if it says no more than others do."""
    data = event.data
    match event.kind:
        case "run" | "step":
            return f"{event.subject} {data.get('state')}"
        case "device":
            why = data.get("why")
            return f"{event.subject} {data.get('state')}: {why}" if why else ""
        case "log":
            fields = " ".join(f"{name}={value!r}" for name, value in data.items() if name != "message")
            return f"{event.subject}: {data.get('message')} {fields}".rstrip()
        case "ended" | "progress" | "question":
            return ""
        case _:
            said = " ".join(f"{name}={value!r}" for name, value in data.items())
            return f"{event.subject} {event.kind} {said}".rstrip()
