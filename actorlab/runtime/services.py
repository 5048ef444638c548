"""Supervise the services of a lab: their groups' cores decide, this begins and ends the runs that are their lives.

Other supervisors say the same in other words:

==========================  ==================================  ============================
`RestartPolicy`             systemd                             pydase
==========================  ==================================  ============================
restart="on_failure"        Restart=on-failure                  restart_on_exception=True
restart="always"            Restart=always
restart="never"             Restart=no                          restart_on_exception=False
delay                       RestartSec=                         restart_sec
factor, max_delay           RestartSteps=, RestartMaxDelaySec=
period                      StartLimitIntervalSec=              start_limit_interval_sec
limit                       StartLimitBurst=, less one          start_limit_burst
then="stop_lab"             FailureAction=exit                  exit_on_failure=True
on                          RestartPreventExitStatus=
`task.options(timeout=)`    RuntimeMaxSec=
`Lab(cancel_grace=)`        TimeoutStopSec=
`lab.group(strategy=)`      PartOf=, BindsTo=, After=
==========================  ==================================  ============================

systemd counts starts, the first one included; `limit` counts restarts, and the window of `period` seconds slides: it is
not opened by the first failure and then over.
"""

from __future__ import annotations

import contextvars
import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, assert_never

from actorlab.core import run_events as ev
from actorlab.core.lease_span import parts
from actorlab.core.restart import RestartPolicy
from actorlab.core.run_state import RunState
from actorlab.core.service_group import (
    Abandoned,
    Began,
    Begin,
    Changed,
    Close,
    Closed,
    End,
    Ended,
    Event,
    Freed,
    Refuse,
    Remove,
    Serve,
    ServiceGroupCore,
    ServiceState,
    Standing,
    Stop,
    StopLab,
    Tick,
    WakeAt,
)
from actorlab.errors import ConfigError, NotLeased
from actorlab.kernel import Reply
from actorlab.runtime.reason import Reason
from actorlab.runtime.running import guarded
from actorlab.runtime.service import Service, ServiceGroup
from actorlab.runtime.service_run import ServiceRun
from actorlab.runtime.standings import Standing as Shown
from actorlab.runtime.standings import error_in_words
from actorlab.scope import PLAIN, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from actorlab.core.supervision import Strategy
    from actorlab.options import Options
    from actorlab.runtime.cell import Cell
    from actorlab.runtime.decider import Decider
    from actorlab.runtime.events import EventLog
    from actorlab.runtime.lab import Lab
    from actorlab.runtime.lives import Lives
    from actorlab.runtime.run import Run
    from actorlab.runtime.run_actor import RunActor
    from actorlab.runtime.work import Work

__all__ = ["Group", "Served", "Services"]

LIVES_KEPT: Final = 10
"""So many lives of each service are kept to be looked at: one that restarts every second would fill the lab's list."""
NEVER_EARLY: Final = 1e-6
"""A timer is late by so many seconds: rounding must not wake the core before the time for which it has asked."""

monotonic = time.monotonic
logger = logging.getLogger("actorlab")


class Group:
    """Services that are supervised together; without a name, one alone."""

    def __init__(self, services: Services, core: ServiceGroupCore) -> None:
        self.core = core
        self.name = core.name
        self.served: dict[str, Served] = {}
        self.handle = ServiceGroup(self, services)


class Served:
    """One service. The deciding thread writes; `standing`, `since`, `lives` and `resting` are read by all."""

    def __init__(self, services: Services, group: Group, work: Work, policy: RestartPolicy) -> None:
        self.name = work.name
        self.group = group
        self.work = work
        self.policy = policy
        self.devices = tuple(sorted((*work.exclusive, *work.shared)))
        self.context = contextvars.copy_context()
        self.standing = Standing(ServiceState.STARTING)
        self.since = time.time()
        self.lives: tuple[Run[Any], ...] = ()
        self.resting: Reply[None] = Reply()
        """Done while it rests; another one when it begins again."""
        self.awaits_devices = False
        self.number = 0
        """Of the life that begins; one that was ended while it waited for its devices has an old number."""
        self.supervisor: RunActor | None = None
        self.abandoned: RunActor | None = None
        self.replaced = False
        self.handle: Service[Any] = Service(self, services)
        self._services = services

    def life_began(self, life: RunActor) -> None:
        """Hear that a life runs."""
        self._services.life_began(self, life)

    def life_freed(self, life: RunActor) -> None:
        """Hear that an abandoned life has ended after all."""
        self._services.life_freed(self, life)


class Services:
    """The services of a lab; but for `serve`, `group`, `groups`, `request` and `reasons` for the deciding thread."""

    def __init__(
        self, lab: Lab, decider: Decider, events: EventLog, lives: Lives, make_group: Callable[..., ServiceGroupCore]
    ) -> None:
        self._lab = lab
        self._make_group = make_group
        self._decider = decider
        self._events = events
        self._lives = lives
        self._groups: tuple[Group, ...] = ()
        self._to_close: list[Group] = []
        self._closing = False
        self._failed = False
        self._lost: tuple[str, ...] = ()
        self._random = random.Random()  # noqa: S311 - the jitter of restarts is no secret
        self.named: dict[str, Served] = {}
        """All of them, by name; replaced, never changed."""
        self.stopped: Reply[tuple[str, ...]] = Reply()
        """Done when all have ended, with the names of those that were abandoned."""

    # -- from any thread

    def serve(
        self, group: Group | None, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Service[Any]:
        """Serve a task, and return its service at once.

        Raises:
            ConfigError: it can't be a service; the message says why, and the way out.
            NotLeased: this is a run or a lease block, which ends, and a service doesn't.

        """
        self._check_place("lab.serve(…)")
        work = self._lab.maker.bound(function, args, kwargs)
        options = work.task.options_
        for reason in unfit(work, options):
            text = f"lab.serve({work.name}, …): {reason}"
            raise ConfigError(text)
        work = work._replace(task=work.task.having(options.changed({"restart": None})))
        home = group or Group(self, self._make_group("", "one_for_one", None))
        served = Served(self, home, work, options.restart or RestartPolicy())
        self._lab.ask(partial(self._serve, served, named=group is not None))
        return served.handle

    def group(self, name: str, strategy: Strategy, intensity: RestartPolicy | None) -> ServiceGroup:
        """Make a group of services.

        Raises:
            ConfigError: there is one of this name which doesn't rest, or the settings contradict each other.

        """
        self._check_place("lab.group(…)")
        if not isinstance(name, str) or not name:
            text = f"lab.group({name!r}): a group needs a name, some text"
            raise ConfigError(text)
        group = Group(self, self._make_group(name, strategy, intensity))
        self._lab.ask(partial(self._add_group, group))
        return group.handle

    @property
    def groups(self) -> dict[str, ServiceGroup]:
        """Return the groups that have a name."""
        return {group.name: group.handle for group in self._groups if group.name}

    def request(self, of: Served | Group, event: Event) -> None:
        """Ask for something.

        Raises:
            ConfigError: it can't be done; the message says why.

        """
        group = of if isinstance(of, Group) else of.group
        if not isinstance(event, Stop):
            self._lab.check_open()
        elif self.stopped.done():
            return
        refused: list[str] = self._lab.ask(partial(self._requested, of, group, event))
        if refused:
            raise ConfigError(refused[0])

    def reasons(self, served: Served) -> tuple[Reason, ...]:
        """Say what a life that has begun waits for."""
        if served.lives and not served.lives[-1].done():
            return served.lives[-1].reasons
        if served.awaits_devices:
            waits = [(cell.name, cell.state) for cell in self._cells(served) if cell.state not in READY]
            return tuple(
                Reason(f"{served.name} waits for {name}, which is {state}", "unavailable", served.name, name)
                for name, state in waits
            )
        return ()

    @staticmethod
    def _check_place(what: str) -> None:
        scope = current.get()
        if scope is not PLAIN:
            scope.forbid(what)
            text = f"{what} inside a run or a lease: a service would outlive it, so serve it where the lab is made"
            raise NotLeased(text)

    # -- services come and go

    def _serve(self, served: Served, *, named: bool) -> None:
        self._refuse_if_closing()
        group = served.group
        if named and group not in self._groups:
            text = f"{served.name} can't be served: another group named {group.name} has replaced this one"
            raise ConfigError(text)
        if group.core.gave_up:
            text = f"{served.name} can't be served: {group.core.gave_up}; start the group first"
            raise ConfigError(text)
        self._make_way(served.name)
        if not named:
            self._groups += (group,)
        group.served[served.name] = served
        self.named = {**self.named, served.name: served}
        self._handle(group, Serve(served.name, served.policy))

    def _refuse_if_closing(self) -> None:
        if self._lab.ending.refusal is not None:
            raise ConfigError(str(self._lab.ending.refusal)) from self._lab.ending.refusal

    def _make_way(self, name: str) -> None:
        """Forget a service whose name is wanted for another one, if it rests.

        Raises:
            ConfigError: it doesn't.

        """
        old = self.named.get(name)
        if old is None:
            return
        state = old.standing.state
        if not state.resting or state is ServiceState.ABANDONED:
            text = (
                f"there is a service named {name!r} already, which is {state}: give this one another name by "
                f"task.options(name=…), or end that one first by lab.services[{name!r}].stop()"
            )
            raise ConfigError(text)
        self._handle(old.group, Remove(name))
        self._forget(old)
        if not old.group.name:
            self._groups = tuple(group for group in self._groups if group is not old.group)

    def _forget(self, old: Served) -> None:
        old.replaced = True
        del old.group.served[old.name]
        self.named = {name: served for name, served in self.named.items() if served is not old}

    def _add_group(self, group: Group) -> None:
        self._refuse_if_closing()
        for old in [other for other in self._groups if other.name == group.name]:
            busy = [it.name for it in old.served.values() if not it.standing.state.resting or it.abandoned is not None]
            if busy:
                text = (
                    f"there is a group named {group.name!r} already, in which {', '.join(busy)} "
                    f"{'has' if len(busy) == 1 else 'have'} not ended: choose another name, or stop that one first"
                )
                raise ConfigError(text)
            for served in list(old.served.values()):
                self._forget(served)
            self._groups = tuple(other for other in self._groups if other is not old)
        self._groups += (group,)

    def _requested(self, of: Served | Group, group: Group, event: Event) -> list[str]:
        if group not in self._groups or (isinstance(of, Served) and of.replaced):
            return [f"{of.name} was replaced by another one of this name: take that one, from lab.services"]
        return self._handle(group, event)

    # -- what happens

    def _handle(self, group: Group, event: Event) -> list[str]:
        """Let the core decide, carry it out, and return what it refused."""
        refused: list[str] = []
        for action in group.core.handle(event, monotonic(), self._random.random()):
            match action:
                case Begin(name):
                    self._begin(group.served[name])
                case End(name, why):
                    self._end(group.served[name], why)
                case WakeAt(at):
                    self._decider.after(max(0.0, at - monotonic()) + NEVER_EARLY, self._tick, group)
                case Changed(name):
                    self._changed(group.served[name], group.core.standing(name))
                case Refuse(reason):
                    refused.append(reason)
                case StopLab(name, reason):
                    self._lab.ending.stop_itself(reason, group.core.standing(name).error)
                case Closed(abandoned):
                    self._lost += abandoned
                    self._decider.then(self._close_next)
                case _:
                    assert_never(action)
        return refused

    def _tick(self, group: Group) -> None:
        self._handle(group, Tick())

    def _tell(self, argument: tuple[Served, Event]) -> None:
        """Tell a core what has become of a life, unless the service was replaced meanwhile."""
        served, event = argument
        if not served.replaced and not self._failed:
            self._handle(served.group, event)

    def _changed(self, served: Served, standing: Standing) -> None:
        before, served.standing = served.standing, standing
        served.since = time.time() if standing.state is not before.state else served.since
        state = standing.state
        if state.resting and not served.resting.done():
            served.resting.finish(None, None)
        elif not state.resting and served.resting.done():
            served.resting = Reply()
        told = told_of(served)
        self._events.tell(served.name, "service", told)
        news = standing.error is not before.error if state is ServiceState.WAITING else state is not before.state
        if state in LEVELS and news:
            text = f"the service {served.name} {SAID[state]}: {standing.why or told['error']}"
            self._lab.workers.put(partial(guarded, logger, partial(logger.log, LEVELS[state]), text))

    def standings(self) -> Iterator[Shown]:
        """Yield how the services stand, as their events tell it."""
        for served in self.named.values():
            yield Shown(served.name, "service", partial(told_of, served))

    # -- one life

    def _begin(self, served: Served) -> None:
        """Begin a life when its devices serve; where one doesn't come back the lease says so, and that is a failure."""
        served.number += 1
        served.awaits_devices = True
        self._lives.when_ready(self._cells(served), partial(self._begin_run, served, served.number))

    def _cells(self, served: Served) -> list[Cell]:
        return [cell for name in served.devices if (cell := self._lab.cells.get(name)) is not None]

    def _begin_run(self, served: Served, number: int, ready: object) -> None:
        del ready
        if number != served.number or not served.awaits_devices:
            return
        served.awaits_devices = False
        gone = [name for name in served.devices if name not in self._lab.cells]
        if self._lab.ending.refusal is not None:
            self._decider.then(self._tell, (served, Ended(served.name, cancelled=CLOSING)))
        elif gone:
            text = f"{served.name} needs {', '.join(gone)}, which this lab doesn't have any more"
            self._decider.then(self._tell, (served, Ended(served.name, ConfigError(text))))
        else:
            self._post_run(served)

    def _post_run(self, served: Served) -> None:
        life: RunActor = self._lab.maker.life(served.work, partial(ServiceRun, keeper=served))
        life.context = served.context
        life.on_end = partial(self._life_ended, served, life, life.run)
        served.supervisor = life
        served.lives += (life.run,)
        if len(served.lives) > LIVES_KEPT:
            self._lab.book.drop(served.lives[0])
            served.lives = served.lives[1:]
        life.post()

    def _end(self, served: Served, why: str) -> None:
        if served.awaits_devices:
            served.awaits_devices = False
            self._decider.then(self._tell, (served, Ended(served.name, cancelled=why)))
        elif served.supervisor is not None:
            served.supervisor.cancel(why)

    def life_began(self, served: Served, life: RunActor) -> None:
        """Hear that a life runs."""
        if served.supervisor is life:
            self._decider.then(self._tell, (served, Began(served.name)))

    def _life_ended(self, served: Served, life: RunActor, run: Run[Any]) -> None:
        served.supervisor = None
        self._decider.then(self._tell, (served, self._end_of(served, life, run)))

    def _end_of(self, served: Served, life: RunActor, run: Run[Any]) -> Event:
        """Say how a life has ended: whoever cancels it doesn't want to see it again, and a closing lab neither."""
        core = life.core
        error = run.reply.exception(0)
        failure = error if core.cause in (RunState.FAILED, RunState.TIMED_OUT) else None
        if core.state is RunState.ABANDONED and life.bodies:
            served.abandoned = life
            reason = f"{life.id} didn't end within {self._lab.cancel_grace:g} s, and is still there"
            return Abandoned(served.name, reason, failure)
        if core.cause is RunState.CANCELLED:
            return Ended(served.name, cancelled=f"{life.id} was cancelled: {core.reason}")
        if self._lab.ending.refusal is not None:
            return Ended(served.name, failure if core.begun else None, cancelled=CLOSING)
        return Ended(served.name, failure)

    def life_freed(self, served: Served, life: RunActor) -> None:
        """Hear that a life which was abandoned has ended after all."""
        if served.abandoned is life:
            served.abandoned = None
            self._decider.then(self._tell, (served, Freed(served.name)))

    # -- the end

    def fail(self, why: str) -> None:
        """Let nobody wait for a service any longer, as the deciding code itself has failed; it uses no core."""
        self._failed = True
        for served in self.named.values():
            served.standing = served.standing._replace(state=ServiceState.GAVE_UP, why=why, retry_at=None)
            served.resting.finish(None, None)

    def owns(self, actor: RunActor) -> bool:
        """Tell whether a run is a life of a service, or was started by one."""
        return bool(actor.root.service)

    def stop_all(self, why: str) -> None:
        """Stop all services; what waits for its next life mustn't begin it."""
        for group in reversed(self._groups):
            self._handle(group, Stop(why=why))

    @property
    def any(self) -> bool:
        """Tell whether there are any; from any thread."""
        return bool(self._groups)

    def close(self, seconds: float) -> None:
        """End all services within some seconds, the last one first; `stopped` tells when, and which were abandoned.

        Each is given the time that it needs, until half of it all is over; then all are ended at once. From any thread.
        """
        self._decider.post(self._close, seconds)

    def _close(self, seconds: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._to_close = list(self._groups)
        self._decider.after(seconds / 2, self._hurry)
        self._decider.after(seconds, self._force)
        self._close_next(None)

    def _close_next(self, _: Any) -> None:
        if self._to_close:
            self._handle(self._to_close.pop(), Close(CLOSING))
        elif self._closing and not self.stopped.done():
            self.stopped.finish(self._lost, None)

    def _hurry(self, _: Any) -> None:
        """Let nobody wait for the turn of those that are slow."""
        self.stop_all(CLOSING)
        for served in self.named.values():
            self._end(served, CLOSING)

    def _force(self, _: Any) -> None:
        """Let nobody wait any longer for what the services have left."""
        for actor in self._lab.book.under_way:
            if self.owns(actor):
                self._decider.then(actor.on, ev.Stopped(RunState.CANCELLED, CLOSING, hurry=True))
                self._decider.then(actor.on, ev.GraceOver())


CLOSING: Final = "the lab is closed"
READY: Final = ("idle", "busy")
LEVELS: Final = {
    ServiceState.WAITING: logging.WARNING,
    ServiceState.GAVE_UP: logging.ERROR,
    ServiceState.ABANDONED: logging.ERROR,
}
SAID: Final = {
    ServiceState.WAITING: "has failed, and will be started again",
    ServiceState.GAVE_UP: "gave up",
    ServiceState.ABANDONED: "was abandoned",
}


def told_of(served: Served) -> dict[str, Any]:
    """Say how a service stands, for its events."""
    standing = served.standing
    return {
        "state": standing.state.value,
        "why": standing.why,
        "group": served.group.name,
        "error": error_in_words(standing.error),
        "restarts": standing.restarts,
        "retry_at": standing.retry_at,
        "run": served.lives[-1].id if served.lives else "",
    }


def unfit(work: Work, options: Options) -> list[str]:
    """Say why a task can't be a service."""
    found: list[str] = []
    held = parts(work.exclusive, options.lease).leased
    if held:
        names = ", ".join(held)
        found.append(
            f"a service never ends, so it would hold {names} for ever, and nobody else could ever use that. Either it "
            f"only relies on {names}, and asks queries: hint the parameter as Shared[…]. Or it takes {names} for each "
            f"call, and for each run that it starts: {work.name}.options(lease='step')"
        )
    if options.exclusive:
        found.append("a service never ends, so exclusive=True would keep everything else from ever running: drop it")
    if options.retries:
        found.append(
            f"it is started again by restart=RestartPolicy(…), so retries={options.retries} means nothing here"
        )
    if options.within is not None or options.after:
        found.append("after and within are for the steps of a workflow: drop them")
    return found
