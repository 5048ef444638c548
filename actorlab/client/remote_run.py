"""Stand for a run of a lab elsewhere: look at it, wait for it, steer it."""

from __future__ import annotations

import glob
import time
from typing import TYPE_CHECKING, Any, Final

from actorlab.client.connection import error_in, path_of
from actorlab.client.remote_events import RemoteEvents
from actorlab.client.run_views import RemoteProgress, RemoteRows, RemoteStep
from actorlab.core.backlog import GAP, SNAPSHOT, Event
from actorlab.core.run_state import RunState
from actorlab.data import Dataset
from actorlab.data.rows import Row
from actorlab.encoding import decode, encode, loaded
from actorlab.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from actorlab.client.connection import Connection

__all__ = ["RemoteRun", "rows_at"]

TURN: Final = 10.0
"""One request waits at most so many seconds for the end of a run; then comes the next."""
monotonic = time.monotonic


class RemoteRun:
    """A run of a lab elsewhere; it goes on if this program ends."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        self.id = run_id
        self._connection = connection
        self._rows = RemoteRows(self._page)

    @property
    def state(self) -> RunState:
        """Return the state the run is in now."""
        return RunState(self.describe()["state"])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say in words why the run waits, retries, pauses or ended as it did; nothing if it simply runs."""
        return tuple(self.describe()["reasons"])

    def describe(self) -> dict[str, Any]:
        """Return how the run stands: state, progress, steps, reasons, devices, parameters, error."""
        told: dict[str, Any] = self._connection.get(path_of("runs", self.id))
        return told

    @property
    def name(self) -> str:
        """Return the name of its task."""
        return str(self.describe()["name"])

    @property
    def progress(self) -> RemoteProgress | None:
        """Return how far it is, if its body has told."""
        return RemoteProgress.of(self.describe()["progress"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters that its bodies have declared, with their present values."""
        return dict(self.describe()["parameters"])

    @property
    def children(self) -> tuple[RemoteRun, ...]:
        """Return the runs that it has started."""
        return tuple(RemoteRun(self._connection, child) for child in self.describe()["children"])

    @property
    def steps(self) -> tuple[RemoteStep, ...]:
        """Return a workflow's steps, in the order in which they were written, as they stand now."""
        told: list[dict[str, Any]] = []
        while len(page := self._connection.get(path_of("runs", self.id, "steps"), after=len(told))["steps"]) > 0:
            told += page
        return tuple(map(self._step, told))

    def _step(self, told: dict[str, Any]) -> RemoteStep:
        child, error = told["child"], told["error"]
        return RemoteStep(
            told["number"], told["name"], told["label"], RunState(told["state"]), told["attempts"],
            tuple(told["devices"]), tuple(told["after"]),
            None if child is None else RemoteRun(self._connection, child),
            None if error is None else error_in(error, f"the error of {told['label']} at {self._connection.url}"),
        )  # fmt: skip

    @property
    def data(self) -> Dataset:
        """Return what it has recorded so far, as a run of this program has it: to pandas, xarray, files."""
        return Dataset(self._rows, self._about)

    def _about(self) -> dict[str, Any]:
        told = self.describe()
        return {
            "run": self.id, "name": told["name"], "state": told["state"], "devices": told["devices"],
            "parameters": told["parameters"], "server": self._connection.url,
        }  # fmt: skip

    def _page(self, after: int) -> tuple[list[Row], int, int]:
        told = self._connection.get(path_of("runs", self.id, "data"), after=after, arrays=True)
        rows = [row_in(row) for row in told["rows"]]
        for row in rows:
            if row.get("error") is not None:
                raise row["error"]
        return [Row(row["time"], row["body"], row["values"]) for row in rows], told["next"], told["dropped"]

    def done(self) -> bool:
        """Tell whether the run has ended."""
        return self.state.terminal

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the run's end, at most `timeout` seconds, and return its result.

        Raises:
            Exception: what the run has failed with; `RunCancelled` if it was cancelled.
            TimeoutError: it hasn't ended yet; it goes on.

        """
        return self._came_out(self._outcome(timeout))

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the run's end without blocking the event loop, and return its result; it outlives who waits."""
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        path, turn = path_of("runs", self.id, "result"), min(TURN, self._connection.timeout / 2)
        while not RunState((told := await self._connection.get_soon(path, wait=turn))["state"]).terminal:
            pass
        return self._came_out(told)

    def _came_out(self, told: dict[str, Any]) -> Any:
        if "error" in told:
            raise error_in(told["error"], f"the error of {self.id} at {self._connection.url}")
        return decode(told["result"], resolve=loaded)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the run's end, and return its error or None."""
        told = self._outcome(timeout)
        if "error" not in told:
            return None
        return error_in(told["error"], f"the error of {self.id} at {self._connection.url}")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that the run has recorded so far: each with its time, its body and its values."""
        return rows_at(self._connection, path_of("runs", self.id, "data"))

    def events(self) -> RemoteEvents:
        """Return what happens with the run and those that it starts, to be iterated over: a snapshot first; to its end.

        Raises:
            ConfigError: there is no such run any more.

        """
        query = {"subjects": [self.id, f"{glob.escape(self.id)}/*"]}
        self.describe()
        return RemoteEvents(self._connection, "/events", query, is_last=self._is_last)

    def log(self, newest: int = 500) -> list[Event]:
        """Return the newest lines that the run, and those which it has started, have logged, as events."""
        told = self._connection.get(path_of("runs", self.id, "log"), newest=newest)
        return [Event(line["sequence"], line["time"], line["subject"], line["kind"], line["data"]) for line in told]

    def follow_log(self, newest: int = 500) -> RemoteEvents:
        """Return the newest lines of the log, and then each as it comes, to be iterated over; to the run's end."""
        return RemoteEvents(self._connection, path_of("runs", self.id, "log"), {"newest": newest})

    def _is_last(self, event: Event) -> bool:
        if event.kind == GAP:
            self.describe()  # a server that was started anew doesn't know it, and would never tell its end
        mine = event.subject == self.id and event.kind in {"run", SNAPSHOT}
        return mine and "state" in event.data and RunState(event.data["state"]).terminal

    def cancel(self, reason: str = "") -> None:
        """Ask for the end of the run; `result()` tells when the work has stopped."""
        self._connection.post(path_of("runs", self.id, "cancel"), {"reason": reason})

    def pause(self, reason: str = "") -> None:
        """Let the run stand still at its next checkpoint; it keeps its devices."""
        self._connection.post(path_of("runs", self.id, "pause"), {"reason": reason})

    def resume(self) -> None:
        """Let a paused run go on."""
        self._connection.post(path_of("runs", self.id, "resume"))

    def revoke(self, reason: str = "") -> None:
        """Take the run's lease away: its devices are made safe, and only then somebody else gets them."""
        self._connection.post(path_of("runs", self.id, "revoke"), {"reason": reason})

    def set(self, **parameters: Any) -> None:
        """Set parameters of the run while it goes on.

        Raises:
            ConfigError: there is no such parameter, or the value doesn't fit it.

        """
        body = {"parameters": encode(parameters, "parameters")}
        self._connection.ask("PUT", path_of("runs", self.id, "parameters"), body)

    def _outcome(self, timeout: float | None) -> dict[str, Any]:
        end = None if timeout is None else monotonic() + timeout
        turn = min(TURN, self._connection.timeout / 2)
        while True:
            left = turn if end is None else max(0.0, min(turn, end - monotonic()))
            told: dict[str, Any] = self._connection.get(path_of("runs", self.id, "result"), wait=left)
            if RunState(told["state"]).terminal:
                return told
            if end is not None and monotonic() >= end:
                text = f"{self.id} is {told['state']} after {timeout} s; it goes on"
                raise TimeoutError(text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteRun):
            return NotImplemented
        return (self.id, self._connection.url) == (other.id, other._connection.url)

    def __hash__(self) -> int:
        return hash((self.id, self._connection.url))

    def __repr__(self) -> str:
        return f"<{self.id} at {self._connection.url}>"


def rows_at(connection: Connection, path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows at a path, with their arrays; of one whose values can't be told, or read here, its `error`."""
    after = 0
    while True:
        told = connection.get(path, after=after, arrays=True)
        for row in told["rows"]:
            yield row_in(row)
        if not told["rows"]:
            return
        after = told["next"]


def row_in(row: dict[str, Any]) -> dict[str, Any]:
    """Read a row."""
    if row.get("error") is not None:
        return {**row, "error": error_in(row["error"], "its values can't be told")}
    try:
        return {**row, "values": decode(row["values"], resolve=loaded)}
    except EncodingError as error:
        return {**row, "values": None, "error": error}
