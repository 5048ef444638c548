"""Find out where a run comes from: its source, and what its devices say of themselves before it begins."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actorlab.data.surroundings import git_state
from actorlab.driving.travel import Stays
from actorlab.errors import ActorLabError, DeviceFault, text_of
from actorlab.journal import freeze
from actorlab.runtime.calls import ask_outside

if TYPE_CHECKING:
    from actorlab.driving.member import Member
    from actorlab.kernel import Reply
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Provenance"]

FRESH: Final = 30.0
"""So many seconds a source counts as known."""
PATIENCE: Final = 2.0
"""So many seconds all devices of a run have to say how they stand."""
MOST: Final = 48
"""So many questions are put to one device at a time: it answers only so many outsiders."""

monotonic = time.monotonic


class Provenance:
    """What a lab's journal has to know beside what happens: `append` tells it."""

    def __init__(self, lab: Lab, append: Callable[[str, str, Any, float], object]) -> None:
        self._lab = lab
        self._append = append
        self._sources: dict[str, float] = {}
        self._queries: dict[tuple[str, type], dict[str, Member]] = {}
        """What can be asked of each device."""
        self._refused: dict[tuple[str, type], dict[str, str]] = {}
        """Which questions a device has failed at: it isn't asked these again, as a run shall not suffer from them."""

    # -- sources

    def is_known(self, file: str) -> bool:
        """Tell whether a source was looked at a moment ago; if not, it counts as such from now on."""
        now = monotonic()
        if not file or now - self._sources.get(file, -FRESH) < FRESH:
            return True
        self._sources[file] = now
        return False

    def look_at_source(self, file: str) -> None:
        """Tell of a source: its digest, and the state of its git repository; takes time."""
        path = Path(file)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:  # what was typed into a terminal or a notebook has no file
            digest = None
        told = {"file": file, "sha256": digest, "git": git_state(path.parent) if digest else None}
        self._append("", "source", told, monotonic())

    # -- devices

    def look_at_devices(self, actor: RunActor, pause: str) -> tuple[Callable[[str], object], str]:
        """Ask a run's devices how they stand before it begins; on a worker thread. Return whom to tell."""
        told = dict(self._answers(actor.cells))
        actor.notes.devices = told
        self._append(actor.id, "devices", freeze(told, lenient=True), monotonic())
        return partial(self._begin, actor), pause

    def _begin(self, actor: RunActor, pause: str) -> None:
        """Have a run begin when what it has asked its devices has done them no harm, or they won't serve any more."""
        self._lab.lab_actor.lives.when_ready(actor.cells, lambda _: actor.looked(pause))

    def _answers(self, cells: list[Cell]) -> Iterator[tuple[str, dict[str, Any]]]:
        until = monotonic() + PATIENCE
        asked = [(cell, self._ask(cell)) for cell in cells]
        for cell, replies in asked:
            told: dict[str, Any] = {"class": f"{cell.cls.__module__}:{cell.cls.__qualname__}"}
            settings = told["settings"] = dict[str, Any]()
            refused = self._refused.setdefault((cell.name, cell.cls), {})
            on_time = True
            for name, reply in replies.items():
                try:
                    settings[name] = answer_of(reply, until)
                except NoAnswer as no:
                    settings[name] = {"error": str(no)}
                    if no.fault or on_time:  # the first that takes too long holds up the others
                        refused[name] = str(no)
                    on_time = on_time and no.fault
            yield cell.name, told

    def _ask(self, cell: Cell) -> dict[str, Reply[Any] | str]:
        """Put all questions to a device at once, but for those that it has failed at."""
        replies: dict[str, Reply[Any] | str] = {}
        refused = self._refused.get((cell.name, cell.cls), {})
        for name, member in self._queries_of(cell).items():
            if name in refused:
                replies[name] = f"not asked again: {refused[name]}"
                continue
            try:
                replies[name] = ask_outside(cell, member, (), {})
            except ActorLabError as error:
                replies[name] = text_of(error)
        return replies

    def _queries_of(self, cell: Cell) -> dict[str, Member]:
        """Return the queries that need no arguments."""
        known = self._queries.get((cell.name, cell.cls))
        if known is None:
            members: dict[str, Any] = self._lab.describe(cell.name)["members"]
            found = {name: member_of(cell, name, told) for name, told in members.items()}
            known = {name: member for name, member in found.items() if member is not None and member.query}
            known = self._queries[cell.name, cell.cls] = dict(itertools.islice(known.items(), MOST))
        return known


def member_of(cell: Cell, name: str, told: dict[str, Any]) -> Member | None:
    """Return how a member is read, if it needs no arguments."""
    if told["kind"] == "method" and not told["parameters"].get("required"):
        return cell.proxies.calling(cell.cls, name, ())[0]
    if told["kind"] == "attribute" and told.get("readable"):
        return cell.proxies.reading(cell.cls, name, (), evaluates=True)
    return None


class NoAnswer(Exception):
    """A device took too long to answer, or has failed by a question."""

    def __init__(self, text: str, *, fault: bool) -> None:
        super().__init__(text)
        self.fault = fault


def answer_of(reply: Reply[Any] | str, until: float) -> Any:
    """Return what a device has said, or why it hasn't.

    Raises:
        NoAnswer: it took too long, or has failed by this.

    """
    if isinstance(reply, str):
        return {"error": reply}
    if not reply.wait(max(0.0, until - monotonic())):
        reply.cancel()
        text = f"no answer within {PATIENCE:g} s"
        raise NoAnswer(text, fault=False)
    error = reply.exception(0)
    if isinstance(error, DeviceFault):
        raise NoAnswer(text_of(error), fault=True) from error
    if error is not None:
        return {"error": text_of(error)}
    value = reply.outcome()
    return None if isinstance(value, Stays) else value
