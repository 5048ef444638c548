"""A lease with a term is lost unless it is renewed, and its devices are made safe before anybody else has them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorlab import ConfigError, Device, Lab, LeaseLost, query, sleep, task
from actorlab.journal import JournalReader
from actorlab.runtime import timed_lease
from actorlab.runtime.timed_lease import TermActor, TimedLease

PATIENCE = 5.0


class Lamp(Device):
    """A lamp that writes down what is done to it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def set(self, value: float) -> None:
        self.log.append(f"set {value:g}")

    @query
    def done(self) -> list[str]:
        return list(self.log)

    def make_safe(self) -> None:
        self.log.append("safe")


@task
def wait_long(lamp: Lamp) -> None:
    lamp.set(0)
    sleep(60)


def leased(lab: Lab, ttl: float, ear: Callable[[Callable[[], object]], object] | None = None) -> TimedLease:
    """Lease the lamp to somebody elsewhere."""
    actor = TermActor(lab, lab.maker.next_id("lease"), [lab.cells["lamp"]], PATIENCE, ttl=ttl, ear=ear, asked_by="ada")
    lease = TimedLease(actor)
    lease.begin()
    assert lease.granted.wait(PATIENCE)
    lease.granted.result()
    return lease


def test_a_block_that_renews_its_lease_keeps_it(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    with lab.lease(lamp, ttl=0.8) as lease:
        for _ in range(4):
            sleep(0.25)
            assert lease.renew() == 0.8
        lamp.set(1)
    assert lamp.done() == ["set 1"]


def silent(lab: Lab, lamp: Lamp, log: list[str]) -> None:
    """Stay in a block without renewing its lease."""
    with lab.lease(lamp, ttl=0.1) as lease:
        lab.get(lease.id).reply.wait(PATIENCE)
        for use in (lambda: lamp.set(1), lease.renew):
            try:
                use()
            except LeaseLost as lost:
                log.append(str(lost))


def test_a_block_that_does_not_loses_it_and_every_use_and_its_end_say_when_and_why(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    log: list[str] = []
    with pytest.raises(LeaseLost, match=r"lost its lease at ..:..:..: it wasn't renewed within its 0.1 s") as caught:
        silent(lab, lamp, log)
    assert log == [str(caught.value)] * 2
    assert lamp.done() == ["safe"]


def test_a_lease_without_a_term_is_not_renewed_and_a_term_is_a_number_of_seconds(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    with lab.lease(lamp) as lease, pytest.raises(ConfigError, match="needn't be renewed"):
        lease.renew()
    for nonsense in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="more than 0"):
            lab.lease(lamp, ttl=nonsense)


def test_renewals_that_wait_are_heard_before_a_lease_expires(lab: Lab) -> None:
    """The deciding thread stands still for longer than the term: who has renewed meanwhile keeps the lease."""
    lab.add("lamp", Lamp)
    lease = leased(lab, ttl=0.2)
    still, go_on = threading.Event(), threading.Event()

    def stand_still(_: Any) -> None:
        still.set()
        go_on.wait(PATIENCE)

    lab.decider.post(stand_still)
    assert still.wait(PATIENCE)
    renewed = lease.renew()
    assert not threading.Event().wait(0.5)  # longer than its term
    go_on.set()
    assert renewed.wait(PATIENCE)
    assert renewed.result() == 0.2
    lease.release()
    assert lease.run.result(PATIENCE) is None


def test_a_lease_expires_only_after_whoever_hears_renewals_has_come_by(lab: Lab) -> None:
    lab.add("lamp", Lamp)
    heard: list[Callable[[], object]] = []
    came = threading.Event()

    def ear(look: Callable[[], object]) -> None:
        heard.append(look)
        came.set()

    lease = leased(lab, ttl=0.1, ear=ear)
    assert came.wait(PATIENCE)
    assert not lease.run.reply.wait(0.4), "nobody could have renewed it"
    end = time.monotonic() + PATIENCE
    while not lease.run.reply.wait(0.01):
        assert time.monotonic() < end
        while heard:
            heard.pop()()
    assert isinstance(lease.run.exception(), LeaseLost)


@pytest.mark.parametrize("why", ["closed", "silent"])
def test_one_who_never_comes_by_again_hears_no_renewals(lab: Lab, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_lease, "DEAF", 0.01)
    lab.add("lamp", Lamp)

    def ear(look: Callable[[], object]) -> None:
        del look
        if why == "closed":
            message = "Event loop is closed"
            raise RuntimeError(message)

    lease = leased(lab, ttl=0.1, ear=ear)
    assert lease.run.reply.wait(PATIENCE)
    assert isinstance(lease.run.exception(), LeaseLost)


def test_the_runs_inside_end_with_a_lease_that_is_lost_and_only_then_others_have_the_device(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    lease = leased(lab, ttl=60)
    with lease.entered():
        inside = lab.start(wait_long, lamp)
    order: list[Any] = []
    inside.reply.when_done(lambda _: order.append("inside"))
    lab.revoke(lease.id, "it is needed")
    with lab.lease(lamp, timeout=PATIENCE):
        lamp.set(2)
    assert order == ["inside"]
    assert lamp.done()[-2:] == ["safe", "set 2"]
    with pytest.raises(LeaseLost, match="it is needed"):
        lease.check()
    assert "LeaseLost" not in str(inside.exception())


def test_a_request_that_waits_is_taken_back(lab: Lab) -> None:
    lamp = lab.add("lamp", Lamp)
    with lab.lease(lamp):
        actor = TermActor(lab, lab.maker.next_id("lease"), [lab.cells["lamp"]], None, ttl=1.0)
        lease = TimedLease(actor)
        lease.begin()
        lab.ask(lambda: None)
        assert lab.status("lamp").queue == (lease.id,)
        lease.release()
        assert lease.granted.wait(PATIENCE)
        assert lab.status("lamp").queue == ()
    lamp.set(1)


def test_a_journal_tells_whose_a_lease_was_and_how_it_ended(tmp_path: Path) -> None:
    with Lab(journal=tmp_path / "journal.db") as lab:
        lab.add("lamp", Lamp)
        leased(lab, ttl=60).release()
        lease = leased(lab, ttl=0.05)
        assert lease.run.reply.wait(PATIENCE)
    with JournalReader.open(tmp_path / "journal.db") as reader:
        kept = [(run.kind, run.asker, run.state) for run in reader.runs()]
    assert sorted(kept) == [("lease", "ada", "cancelled"), ("lease", "ada", "succeeded")]


CRASH = """
import os, sys
from actorlab import Lab
from actorlab.runtime.timed_lease import TermActor, TimedLease

class Lamp:
    pass

lab = Lab(journal=sys.argv[1])
lab.add("lamp", Lamp)
for who in ("ada", "bob"):
    lease = TimedLease(TermActor(lab, lab.maker.next_id("lease"), [lab.cells["lamp"]], None, ttl=10.0, asked_by=who))
    lease.begin()
    lab.ask(lambda: None)
lease.run.supervisor.journal.journal.flush()
os._exit(9)
"""


def test_after_a_crash_leases_are_told_as_interrupted_also_those_that_were_only_asked_for(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    crashed = subprocess.run([sys.executable, "-c", CRASH, journal], timeout=30, check=False)
    assert crashed.returncode == 9
    with Lab(journal=journal) as lab:
        assert lab.requeue() == ()
        assert lab.interrupted == ()
    with JournalReader.open(journal) as reader:
        kept = [(run.asker, run.state, run.started is not None) for run in reader.runs()]
    assert sorted(kept) == [("ada", "interrupted", True), ("bob", "interrupted", False)]
