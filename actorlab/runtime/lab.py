"""Own devices and run tasks: the lab, as its user sees it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, SupportsFloat, TypeVar, TypeVarTuple, cast, overload

from actorlab.arguments import device_name, find_devices
from actorlab.core.interlock import InterlockCore
from actorlab.errors import ConfigError, JournalError, NotLeased, WorkflowError
from actorlab.kernel import Reply
from actorlab.runtime.body import Body
from actorlab.runtime.by_name import KnownByName
from actorlab.runtime.closing import LabEnd
from actorlab.runtime.decider import Decider
from actorlab.runtime.devices import Devices
from actorlab.runtime.events import EventLog
from actorlab.runtime.interlocks import names_of
from actorlab.runtime.lab_actor import LabActor
from actorlab.runtime.later import Later, Timetable
from actorlab.runtime.lease import LeaseBlock
from actorlab.runtime.loop import LabLoop
from actorlab.runtime.making import RunMaker
from actorlab.runtime.process_pool import ProcessPool
from actorlab.runtime.questions import Question, Questions
from actorlab.runtime.run_book import RunBook
from actorlab.runtime.standings import Standing, standings
from actorlab.runtime.status import DeviceStatus, status_of
from actorlab.runtime.workers import Workers
from actorlab.scope import PLAIN, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from opentelemetry.trace import TracerProvider

    from actorlab.body_kinds import AsyncYielding, Awaiting, Runs, Yielding
    from actorlab.core.restart import RestartPolicy
    from actorlab.core.supervision import Strategy
    from actorlab.dispatch import Dispatcher
    from actorlab.journal.reader import KeptRun
    from actorlab.runtime.cell import Cell, DeviceState
    from actorlab.runtime.interlocks import Interlock, Then
    from actorlab.runtime.journalling import Journalling
    from actorlab.runtime.left_behind import LeftBehind
    from actorlab.runtime.notes import Progress
    from actorlab.runtime.rehearse import Rehearse
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.safety import EmergencyStop
    from actorlab.runtime.service import Service, ServiceGroup
    from actorlab.runtime.tracing import Tracing

__all__ = ["Lab"]

P = ParamSpec("P")
D = TypeVar("D")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

LOOKING: Final = 5.0
"""So many seconds a look at what the deciding thread knows may take: it never waits, so more would be our bug."""


class Lab(KnownByName):
    """Own devices and run tasks on them; leaving its ``with`` block ends everything in order, safely.

    Left normally, it waits for the runs, then disconnects the devices; left by an exception, it cancels the runs first.
    What didn't end, or isn't safe, is told: by a note on that exception, or else by an `ActorLabError`.
    `cancel_grace` is how many seconds a cancelled body has to end; `max_runs` bounds how many runs hold a lease at one
    time, and `limits` how many of those with a tag. Of the runs that have ended the newest `keep_finished` are kept to
    be looked at by `runs` and `get`; fewer of them, if they were workflows of many steps. Of the rows that a run
    records the newest `keep_rows` are kept in memory; ``run.data.dropped`` says how many were let go. Bodies with
    ``worker="process"`` share `processes` worker processes (as many as there are CPUs, if it isn't said), each of which
    calls `process_initializer()` first.

    With a `journal` (a path, or a ``postgresql://`` URL) everything that happens is kept, and a run that was
    interrupted can go on. If that is `durable`, a step's first command is sent when its start is on disk, and an end is
    told when it is: also a power cut loses nothing. Otherwise it may lose the last moments.

    >>> with Lab() as lab:
    ...     lab.run(sum, [1, 2, 3])
    6
    """

    def __init__(
        self,
        name: str = "lab",
        *,
        journal: str | Path | None = None,
        durable: bool = True,
        cancel_grace: float = 10.0,
        max_runs: int | None = None,
        limits: Mapping[str, int] | None = None,
        keep_finished: int = 1000,
        keep_rows: int = 100_000,
        processes: int | None = None,
        process_initializer: Callable[[], object] | None = None,
    ) -> None:
        if not cancel_grace > 0:
            text = f"Lab(cancel_grace={cancel_grace!r}): it must be more than 0 seconds"
            raise ConfigError(text)
        for option, what, keep in (("keep_finished", "runs", keep_finished), ("keep_rows", "rows", keep_rows)):
            if not isinstance(keep, int) or keep < 1:
                text = f"Lab({option}={keep!r}): it must be a whole number of {what}, at least 1"
                raise ConfigError(text)
        self.keep_rows = keep_rows
        self.tracing: Tracing | None = None
        """What tells runs as spans of OpenTelemetry, if anything does."""
        self.name = name
        self.cancel_grace = cancel_grace
        self.ending = LabEnd(self)
        self.decider = Decider(f"actorlab {name}", self.ending.fail)
        self.observers = Workers(f"actorlab {name}: observers", self.decider)
        self.events = EventLog(self.decider, self.observers, self._standings)
        self.timetable = Timetable(self.decider, self.observers)
        self.workers = Workers(f"actorlab {name}", self.decider)
        self.loop = LabLoop(f"actorlab {name}")
        self.journalling = None if journal is None else open_journal(self, journal, durable=durable)
        self.processes = ProcessPool(name, self.decider, self.workers, processes, process_initializer)
        places = {f"tag:{tag}": count for tag, count in (limits or {}).items()}
        if max_runs is not None:
            places["runs"] = max_runs
        self.places = places
        try:
            self.lab_actor = LabActor(self, self.decider, self.events, places, self.journalling)
        except ConfigError:
            if self.journalling is not None:
                self.journalling.close(LOOKING)
            raise
        self.inventory = Devices(self.lab_actor)
        self.cells = self.inventory.cells
        self.questions_ = Questions(self.events)
        self.maker = RunMaker(self)
        self.book = RunBook(keep_finished)
        self.decider.start()

    @classmethod
    def from_yaml(cls, path: str | Path) -> Lab:
        """Return the lab that a ``lab.yaml`` describes; in a ``with`` block its devices are there.

        Raises:
            ConfigError: the file is wrong; the message says where.

        """
        # What reads the file stands above this layer and brings pydantic along, so it is loaded by those who ask for
        # it.
        lab: Lab = import_module("actorlab.config").lab_from_yaml(path)
        return lab

    # -- devices

    def add(self, name: str, factory: Callable[P, D], *args: P.args, **kwargs: P.kwargs) -> D:
        """Add a device: `factory(*args, **kwargs)` makes it, in its own thread. Return its proxy, typed as the device.

        Raises:
            DeviceUnavailable: it didn't connect; the message says why. An `optional` device goes on trying instead.
            ConfigError: the name is taken, or is no name.

        """
        self.check_open()
        return cast("D", self.inventory.add(name, factory, args, kwargs))

    def device(self, name: str) -> Any:
        """Return the proxy of a device by its name.

        Raises:
            ConfigError: there is none; the message lists those there are.

        """
        return self.inventory.proxy(name)

    @property
    def devices(self) -> dict[str, Any]:
        """Return the proxies of all devices, by name."""
        return {name: self.device(name) for name in list(self.cells)}

    @overload
    def status(self) -> dict[str, DeviceStatus]: ...
    @overload
    def status(self, name: str) -> DeviceStatus: ...
    def status(self, name: str | None = None) -> dict[str, DeviceStatus] | DeviceStatus:
        """Return how the devices stand, or one of them; it never waits for a device.

        Raises:
            ConfigError: there is no device of this name.

        """
        if name is not None:
            return status_of(self.inventory.cell(name))
        return {cell.name: status_of(cell) for cell in list(self.cells.values())}

    def describe(self, name: str) -> dict[str, Any]:
        """Return what a device is and what can be asked of it: members, parameters as JSON Schema, units, limits.

        Nothing is asked of the device, and nothing is evaluated on it.

        Raises:
            ConfigError: there is no device of this name.

        """
        return self.inventory.describe(name)

    def states(self) -> dict[str, DeviceState]:
        """Return how each device stands."""
        return {name: cell.state for name, cell in list(self.cells.items())}

    def remove(self, name: str, timeout: float | None = None) -> None:
        """Disconnect a device that nobody holds, and forget it."""
        self.inventory.remove(name, timeout)

    def disconnect(self, name: str, reason: str = "") -> None:
        """Make a device that nobody holds safe, and disconnect it until `connect`; the lab knows it meanwhile.

        Runs that want it are refused. One that is disconnected already stays so.

        Raises:
            DeviceBusy: somebody holds it; the message says who.
            DeviceQuarantined: its driver doesn't return; the message says where it is.

        """
        self.inventory.disconnect(name, reason or "somebody has disconnected it")

    def connect(self, name: str) -> None:
        """Connect a device that was disconnected, make it safe, and return when it serves; one that serves stays so.

        Raises:
            DeviceUnavailable: it didn't connect; `lab.status(name)` says more.

        """
        self.inventory.connect(name)

    def reset(self, name: str, *, force: bool = False) -> None:
        """Start a quarantined device afresh, and return when it has connected; one that serves forgets its last error.

        Raises:
            DeviceQuarantined: its old thread still lives; the message says where. `force` is the operator's word that
                it does no more harm.

        """
        self.inventory.reset(name, force=force)

    def restart(self, name: str) -> None:
        """End a device's present life and begin a new one: disconnect, a new object, connect, make safe.

        Whoever holds it meets a `DeviceFault` at its next command. Return when it serves again.

        Raises:
            DeviceUnavailable: it didn't connect again; `lab.status(name)` says more.
            DeviceQuarantined: its old thread still lives; the message says where.

        """
        self.inventory.restart(name)

    # -- runs

    @overload
    def run(self, function: str, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def run(self, function: Callable[P, Awaiting[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, function: Callable[P, Yielding[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, function: Callable[P, AsyncYielding], *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def run(self, function: Callable[P, Runs[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def run(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Any:
        """Run a function, task or workflow on the devices among its arguments, and return its result.

        In a body it is a child run. Ctrl-C cancels the run, waits for its end, and goes on as KeyboardInterrupt. A task
        that the lab knows may be asked for by its name, and then devices by theirs: ``lab.run("sweep", "laser")``.

        Raises:
            ConfigError: there is no such task, or no such device, or an argument doesn't fit; it names them all.
            Exception: what the body raised, with a note that names the run.
            RunCancelled: somebody cancelled it, and its work has stopped.

        """
        if isinstance(function, str):
            function, args, kwargs = self.catalogue.call(function, args, kwargs)
        scope = current.get()
        if scope is not PLAIN:
            return self._child_of(scope, function, args, kwargs).result()
        actor = self._made(function, args, kwargs)
        run = actor.run
        try:
            actor.post()
            run.wait_saying()
        except BaseException:
            actor.cancel("Ctrl-C")
            run.reply.wait()
            raise
        return run.result()

    @overload
    def start(self, function: str, *args: Any, **kwargs: Any) -> Run[Any]: ...
    @overload
    def start(self, function: Callable[P, Awaiting[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
    @overload
    def start(self, function: Callable[P, Yielding[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
    @overload
    def start(self, function: Callable[P, AsyncYielding], *args: P.args, **kwargs: P.kwargs) -> Run[None]: ...
    @overload
    def start(self, function: Callable[P, Runs[R]], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
    @overload
    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Run[R]: ...
    def start(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Run[Any]:
        """Start a function, task or workflow on the devices among its arguments, and return its run at once.

        In a body it is a child run. As by `run`, a task and its devices may be asked for by their names.
        """
        if isinstance(function, str):
            function, args, kwargs = self.catalogue.call(function, args, kwargs)
        scope = current.get()
        if scope is not PLAIN:
            return self._child_of(scope, function, args, kwargs)
        actor = self._made(function, args, kwargs)
        run = actor.run
        actor.post()
        return run

    def lease(self, *devices: object, timeout: float | None = None, ttl: float | None = None) -> LeaseBlock:
        """Hold some devices for the length of a ``with`` block, all at once; `timeout` bounds the wait (seconds).

        With a `ttl` the lease is lost, and the devices made safe, unless ``lease.renew()`` is called within so many
        seconds, again and again.

        Raises:
            LeaseTimeout: they weren't free in time; the message says who holds them.

        """
        refs = find_devices(devices, {})
        if not refs or len(refs) != len(devices):
            text = "lab.lease(…) takes devices of this lab: lab.lease(laser, meter, timeout=5)"
            raise ConfigError(text)
        scope = current.get()
        if scope is not PLAIN:
            scope.forbid("lab.lease(…)")
            text = (
                "lab.lease inside a run or another lease: what is held is held, so pass the devices to the run itself"
            )
            raise NotLeased(text)
        self.check_open()
        cells = self.cells_of([device_name(ref) for ref in refs])
        return LeaseBlock(self, self.maker.next_id("lease"), cells, timeout, ttl)

    @property
    def rehearse(self) -> Rehearse:
        """Say what a task or workflow would do, and when; no instrument is touched: ``lab.rehearse(sweep, laser)``.

        `lab.rehearse.using(…)` says how: by whose durations, or with ``simulate=True`` by simulated devices.
        """
        from actorlab.runtime.rehearse import Rehearse  # noqa: PLC0415 - loaded by those who ask for it

        return Rehearse(self)

    @property
    def runs(self) -> tuple[Run[Any], ...]:
        """Return the runs that haven't ended, and the newest of those that have; also hidden ones (`run.hidden`)."""
        return self.ask(lambda: self.book.runs)

    @property
    def progress(self) -> Progress | None:
        """Return how far the lab is with its runs, in runs: ``progress.fraction``, ``progress.seconds_left``.

        It counts those that were under way together, up to the last one's end: one that has ended counts as 1. Child
        runs, services and runs with ``hidden=True`` are left out. None: nothing has run yet; a `total` of None: nobody
        has told a progress.
        """
        return self.ask(lambda: self.book.progress)

    def get(self, run_id: str) -> Run[Any]:
        """Return a run by its id, such as "sweep#3".

        Raises:
            ConfigError: there is none.

        """
        for run in self.runs:
            if run.id == run_id:
                return run
        text = f"there is no run {run_id!r}, or it ended long ago"
        with suppress(JournalError):
            if any(kept.id == run_id for kept in self.interrupted):
                text = f"there is no run {run_id!r} any more: it was interrupted when the lab ended; `resume` goes on"
        raise ConfigError(text)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Return what runs ask an operator and nobody has answered yet."""
        return self.questions_.open()

    def answer(self, question_id: int, text: str) -> None:
        """Answer an operator's question.

        Raises:
            ConfigError: there is no such question, or the answer isn't among its choices.

        """
        self.questions_.answer(question_id, text)

    def revoke(self, run_id: str, reason: str) -> None:
        """Take a run's lease away: it is fenced, its devices are made safe, and only then somebody else gets them."""
        self.get(run_id).supervisor.revoke(reason)

    # -- after an interruption

    @property
    def interrupted(self) -> tuple[KeptRun, ...]:
        """Return the runs which the journal has as interrupted, the latest first: `resume` goes on with one."""
        return () if self.journalling is None else self.journalling.interrupted()

    def resume(
        self,
        run_id: str,
        *,
        answers: Mapping[str, str] | None = None,
        again_from: str | int | None = None,
        changed: bool = False,
    ) -> Run[Any]:
        """Go on with a run that was interrupted, failed or was cancelled, and return it at once; it keeps its id.

        The values of the steps that had finished come from the journal. Nothing is known of the devices: they have
        begun new lives and were made safe. Where only a person can decide (a step was under way; another may rely on
        what was set up before), an operator is asked, unless `answers` has it: "redo", "skip" or "abort" by the name or
        number of a step, and "go on", "again", "all again" or "abort" for "devices". With `again_from` this step and
        all that are written after it are done again. If the workflow isn't drawn as it was, the values of the steps
        that are as they were are kept with `changed`.

        Raises:
            ConfigError: the run has succeeded, is under way, or can't be asked for again; the message says why.
            WorkflowError: it isn't drawn as it was; the message says in what.
            JournalError: there is no such run.

        """
        self.check_open()
        current.get().forbid("lab.resume(…)")
        resuming = import_module("actorlab.runtime.resuming")  # with the journal's reader
        run: Run[Any] = resuming.resume(self, run_id, answers or {}, again_from, changed=changed)
        return run

    def retry(self, run_id: str, *, again_from: str | int | None = None, changed: bool = False) -> Run[Any]:
        """Do again what failed in a run, or was under way when it was cancelled or interrupted; it keeps its id.

        As by `resume` the steps that had finished are kept, but nobody is asked: who calls this has decided.

        Raises:
            ConfigError: the run has succeeded, is under way, or can't be asked for again; the message says why.
            WorkflowError: it isn't drawn as it was; the message says in what.
            JournalError: there is no such run.

        """
        self.check_open()
        current.get().forbid("lab.retry(…)")
        resuming = import_module("actorlab.runtime.resuming")
        run: Run[Any] = resuming.resume(self, run_id, {}, again_from, changed=changed, insists=True)
        return run

    def requeue(self) -> tuple[Run[Any], ...]:
        """Ask again for the runs that only waited when the lab ended, in their order; they keep their ids.

        Raises:
            ConfigError: some of them can't be asked for again, which it names with the reasons; the others have been.

        """
        again: list[Run[Any]] = []
        failed: list[str] = []
        for kept in () if self.journalling is None else self.journalling.waiting():
            try:
                again.append(self.resume(kept.id))
            except (ConfigError, WorkflowError) as error:
                failed.append(str(error))
        if failed:
            text = f"{len(failed)} of the runs that waited can't be asked for again: {'; '.join(failed)}"
            raise ConfigError(text)
        return tuple(again)

    # -- services

    @overload
    def serve(self, task: str, *args: Any, **kwargs: Any) -> Service[Any]: ...
    @overload
    def serve(self, task: Callable[P, Awaiting[R]], *args: P.args, **kwargs: P.kwargs) -> Service[R]: ...
    @overload
    def serve(self, task: Callable[P, Yielding[R]], *args: P.args, **kwargs: P.kwargs) -> Service[R]: ...
    @overload
    def serve(self, task: Callable[P, AsyncYielding], *args: P.args, **kwargs: P.kwargs) -> Service[None]: ...
    @overload
    def serve(self, task: Callable[P, Runs[R]], *args: P.args, **kwargs: P.kwargs) -> Service[R]: ...
    @overload
    def serve(self, task: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Service[R]: ...
    def serve(self, task: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Service[Any]:
        """Serve a task that never ends, and return its service at once: it is started again as its policy says.

        `task.options(restart=RestartPolicy(…))` says when, how often and how fast; it is told from others by its name.
        Each of its lives is a run. It uses devices shared, or with ``lease="step"`` each for one call at a time, so it
        is in nobody's way; a request that conflicts with what it holds is refused at once. It takes none of the places
        of `max_runs`. One whose run somebody cancels is stopped, like one that was stopped by hand.

        Raises:
            ConfigError: it can't be a service, or there is one of its name; the message says the ways out.

        """
        self.check_open()
        if isinstance(task, str):
            task, args, kwargs = self.catalogue.call(task, args, kwargs)
        return self.lab_actor.services.serve(None, task, args, kwargs)

    def group(
        self, name: str, *, strategy: Strategy = "one_for_one", intensity: RestartPolicy | None = None
    ) -> ServiceGroup:
        """Make a group of services that are supervised together, as by OTP; `group.serve(…)` adds them in order.

        When one fails and starts again: "one_for_one" leaves the others alone; "one_for_all" stops all of them first,
        and "rest_for_one" those that were added after it; then they start again in order, each when those before it
        run. With `intensity` the restarts of all are counted together, against that policy. If one fails more often
        than it may, the group gives up: all its services are stopped, and with ``then="stop_lab"`` the lab is.

        Raises:
            ConfigError: there is a group of this name, or the settings contradict each other.

        """
        self.check_open()
        return self.lab_actor.services.group(name, strategy, intensity)

    @property
    def services(self) -> dict[str, Service[Any]]:
        """Return the services, by name."""
        return {name: served.handle for name, served in self.lab_actor.services.named.items()}

    @property
    def groups(self) -> dict[str, ServiceGroup]:
        """Return the groups of services, by name."""
        return self.lab_actor.services.groups

    def emergency_stop(self, reason: str) -> Reply[dict[str, BaseException | None]]:
        """Stop everything and make all devices safe, all at once; return a reply at once.

        It tells for each device None, or why it isn't known to be safe. Until `rearm` no device accepts a command. It
        may be called from a signal handler. Software is no safety interlock.
        """
        reply: Reply[dict[str, BaseException | None]] = Reply()
        self.decider.post(self._stop_everything, (reason, reply))
        return reply

    @property
    def stopped(self) -> EmergencyStop | None:
        """Return the emergency stop that is in force, or None: its `reason`, and since when (`time`)."""
        return self.lab_actor.safety.stopped

    def rearm(self) -> None:
        """Let devices accept commands again after an emergency stop.

        Raises:
            ActorLabError: an interlock that stops everything is still tripped.

        """
        self.ask(self._rearm)

    def _rearm(self) -> None:
        self.lab_actor.interlocks.check_rearm()
        self.lab_actor.safety.rearm()

    def interlock(
        self,
        condition: Callable[[], SupportsFloat],
        then: Then,
        *,
        devices: object = None,
        period: float = 1.0,
        grace: float | None = None,
        hysteresis: float = 0.0,
        message: str = "",
    ) -> Interlock:
        """Watch a condition, and act while it isn't well: `lambda: chiller.flow() > 1.0`.

        It reads devices by the lab's own proxies, queries only, every `period` seconds, and gives true or false, or a
        margin: a number that is well above 0, and clears the interlock once it is more than `hysteresis`. What can't be
        read for `period` + `grace` seconds (`grace` is one more `period`, unless it is given) has tripped. Then

        - "veto": commands to `devices` (all of the lab, unless some are given) are refused to everybody,
        - "pause": the runs that hold one of them are paused, and resumed when it clears,
        - "cancel": these are cancelled, and commands are refused until it clears,
        - "emergency_stop": everything is stopped, and can't be rearmed before it clears.

        It returns when it has been sampled once, and has tripped already if that wasn't well. Software is no safety
        interlock: what may hurt somebody needs one made of hardware.

        Raises:
            ConfigError: the numbers, the devices or what the condition gives make no sense.

        """
        self.check_open()
        current.get().forbid("lab.interlock(…)")
        core = InterlockCore(period, period if grace is None else grace, hysteresis)
        names = None if devices is None else tuple([self.inventory.cell(name).name for name in names_of(devices)])
        return self.lab_actor.interlocks.add(condition, then, names, core, message)

    @property
    def interlocks(self) -> tuple[Interlock, ...]:
        """Return the interlocks, the first that was made first."""
        return self.lab_actor.interlocks.all

    def _stop_everything(self, argument: tuple[str, Reply[dict[str, BaseException | None]]]) -> None:
        reason, reply = argument
        self.lab_actor.safety.emergency(reason, reply)
        self.lab_actor.services.stop_all(f"emergency stop: {reason}")
        for actor in self.book.under_way:
            actor.stop_at_once(reason)

    def later(
        self, seconds: float, function: Callable[[*Ts], R], *args: *Ts, dispatcher: Dispatcher | None = None
    ) -> Later[R]:
        """Call `function(*args)` after some seconds: in a thread for that, or where a dispatcher runs it.

        Return the call that is to come: `cancel` it, or wait for it by `result` or ``await``. It outlives no lab.

        Raises:
            ConfigError: the seconds are negative, or no number of seconds one can wait for.

        """
        self.check_open()
        return self.timetable.later(seconds, function, *args, dispatcher=dispatcher)

    def _standings(self) -> Iterator[Standing]:
        """Say how everything stands; for the deciding thread."""
        yield from standings(self.cells.values(), self.book.runs)
        yield from self.lab_actor.services.standings()

    def trace(self, provider: TracerProvider | None = None) -> None:
        """Tell each run, each attempt of its steps and each call of a device in it as spans of OpenTelemetry.

        They go to a provider of the SDK's, or to the one that is set for the whole program; whoever made it shuts it
        down when the lab has closed. Runs that have begun before aren't told. It needs the extra `otel`.

        Raises:
            ConfigError: OpenTelemetry isn't installed, there is no provider, or the lab is traced already.

        """
        self.check_open()
        if self.tracing is not None:
            text = f"lab {self.name!r} is traced already: lab.trace() is called once"
            raise ConfigError(text)
        tracing: Tracing = tracing_module().Tracing(self, provider)
        tracing.begin()
        self.tracing = tracing

    @cached_property
    def logger(self) -> Any:
        """Return the structured logger of the lab's runs, made when the first of them logs."""
        import structlog  # noqa: PLC0415 - it imports rich, and takes a fifth of the time of `import actorlab`

        processors = [structlog.stdlib.render_to_log_kwargs]
        return structlog.wrap_logger(logging.getLogger("actorlab"), processors=processors)

    # -- making runs

    def _child_of(self, scope: Any, function: Any, args: Any, kwargs: Any) -> Run[Any]:
        child: Run[Any] | None = scope.spawn(function, args, dict(kwargs)) if hasattr(scope, "children") else None
        if child is not None:
            return child
        scope.forbid(f"lab.run({getattr(function, '__name__', function)}, …)")
        raise AssertionError(scope)

    def _made(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunActor:
        self.check_open()
        return self.maker.make(function, args, kwargs)

    def start_child(self, body: Body, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[Any]:
        """Start a child run of a body."""
        actor = self.maker.child(body, function, args, kwargs)
        run = actor.run
        actor.post()
        return run

    def cells_of(self, names: list[str]) -> list[Cell]:
        """Return the devices in the order in which they were added."""
        if len(names) == 1:
            return [self.inventory.cell(names[0])]
        return self.inventory.in_order(names) if names else []

    # -- what the actors use

    def ask(self, function: Callable[[], R]) -> R:
        """Have something looked up by the deciding thread, and wait for it."""
        if self.decider.here or self.ending.over:
            return function()
        reply: Reply[R] = Reply()
        self.decider.post(lambda _: answer(reply, function))
        return reply.result(LOOKING)

    def check_open(self) -> None:
        """Raise `ConfigError` if nothing may begin any more; from any thread."""
        self.lab_actor.refuse_in_fork()
        self.ending.check_open()

    # -- the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(None if error is None else f"the lab's block was left by {type(error).__name__}")
        self.ending.tell_block(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = asyncio.get_running_loop().run_in_executor(None, self.__exit__, kind, error, trace)
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():  # who cancels this gets his way when everything has ended
            try:
                await asyncio.wait([closing])
            except asyncio.CancelledError as asked:
                cancelled = asked
        if cancelled is not None:
            raise cancelled from closing.exception()
        closing.result()

    def close(self, timeout: float | None = None) -> LeftBehind:
        """Cancel what runs and disconnect everything, within `timeout` seconds or the sum of the bounds.

        Return what had to be left behind: bodies, devices and threads that didn't end in time, with their stacks, and
        devices that aren't known to be safe. Closing a lab again returns the same.

        Raises:
            AskDeadlock: a body or a driver of the lab closes it, and would wait for itself.

        """
        return self._end("the lab was closed", timeout)

    @property
    def exit_code(self) -> int:
        """Return with what a program should exit: 1 if the lab has stopped itself, or left something behind."""
        return self.ending.exit_code

    def _end(self, reason: str | None, timeout: float | None = None) -> LeftBehind:
        """Wait for the runs, or cancel them for a reason; then end everything else, and say what wouldn't end."""
        return self.ending.end(reason, timeout)

    def __repr__(self) -> str:
        return f"<Lab {self.name!r}: {', '.join(self.cells) or 'no devices'}>"


def open_journal(lab: Lab, where: str | Path, *, durable: bool) -> Journalling:
    """Open the journal of a lab: its modules come with a database, which others don't need."""
    journalling: Journalling = import_module("actorlab.runtime.journalling").Journalling(lab, where, durable=durable)
    return journalling


def tracing_module() -> Any:
    """Import what needs OpenTelemetry. Raise `ConfigError` if that isn't installed."""
    try:
        return import_module("actorlab.runtime.tracing")
    except ImportError as error:
        text = f'lab.trace() needs OpenTelemetry: pip install "actorlab[otel]" ({error})'
        raise ConfigError(text) from error


def answer(reply: Reply[R], function: Callable[[], R]) -> None:
    """Finish a reply with what a function gives."""
    try:
        value = function()
    except Exception as error:  # noqa: BLE001 - a boundary between threads: it goes to whoever asked
        reply.finish(None, error)
    else:
        reply.finish(value, None)
