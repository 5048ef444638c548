"""Hold what signals do: the first stops safely, the second is an emergency stop, the third leaves at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from actorlab.cli.signals import Signalled, listening
from actorlab.simulation import Bench

Write = Callable[[str], Path]
Start = Callable[..., AbstractContextManager[Any]]

GLOW = """
    from actorlab import Cancelled, sleep, task
    from actorlab.simulation import Laser, Oven

    @task
    def glow(laser: Laser, oven: Oven) -> None:
        laser.on()
        oven.set_target(400)
        oven.on()
        print("it glows", flush=True)
        sleep(60)

    @task
    def stubborn(laser: Laser, oven: Oven) -> None:
        laser.on()
        oven.on()
        while True:
            try:
                print("it glows", flush=True)
                sleep(60)
            except Cancelled:
                pass
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Run a bench in this process, so that the instruments outlive the command."""
    with Bench(time_scale=50) as running:
        yield running


@pytest.fixture
def lab_file(tmp_path: Path, bench: Bench) -> Path:
    """Name its laser and oven; the oven's driver is patient, so that a hanging oven hangs long."""
    file = tmp_path / "lab.yaml"
    file.write_text(
        f"""
cancel_grace: 20
devices:
  laser: {{class: "actorlab.simulation:Laser", address: "{bench.resources["laser"]}"}}
  oven: {{class: "actorlab.simulation:Oven", address: "{bench.resources["oven"]}", kwargs: {{timeout: 30}}}}
"""
    )
    return file


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_cancels_and_makes_safe(started: Start, experiment: Write, bench: Bench, name: str) -> None:
    with started("run", f"{experiment(GLOW)}:glow") as run:
        run.await_out("it glows")
        run.process.send_signal(getattr(signal, name))
        assert run.end() == 130
    assert f"{name}: stopping, and making the devices safe; once more is an emergency stop" in run.err
    assert run.err[-1] == f"error: glow#1 was cancelled: {name} came"
    assert any("glow#1 cancelled" in line for line in run.out)
    assert bench.executed("laser")[-2:] == ["OUTP 0", "OUTP?"]
    assert bench.executed("oven")[-3:] == ["SOUR:TEMP 295.0", "OUTP 0", "OUTP?"]


def test_the_second_signal_is_an_emergency_stop(started: Start, experiment: Write, bench: Bench) -> None:
    with started("run", f"{experiment(GLOW)}:stubborn") as run:
        run.await_out("it glows")
        run.process.send_signal(signal.SIGINT)
        run.await_err("once more is an emergency stop")
        assert "OUTP 0" not in bench.executed("laser"), "the body has its grace"
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 130
    assert run.err[-2:] == ["SIGTERM: emergency stop", "all devices are safe: laser, oven"]
    assert bench.executed("laser")[-2:] == ["OUTP 0", "OUTP?"]
    assert "OUTP 0" in bench.executed("oven")


def test_an_emergency_stop_names_what_may_be_unsafe_and_leaves(started: Start, experiment: Write, bench: Bench) -> None:
    with started("run", f"{experiment(GLOW)}:stubborn") as run:
        run.await_out("it glows")
        bench.inject("oven", "hang")
        run.process.send_signal(signal.SIGINT)
        run.await_err("once more is an emergency stop")
        began = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
        assert time.monotonic() - began < 10, "it doesn't wait for the oven, whose driver waits 30 s"
    said = [line for line in run.err if "not known to be safe" in line]
    assert [line.split()[0] for line in said] == ["oven"]
    assert "OUTP 0" in bench.executed("laser")


def test_a_signal_while_the_devices_connect_leaves_without_a_run(
    started: Start, experiment: Write, bench: Bench
) -> None:
    bench.inject("laser", "slow", seconds=1)
    with started("run", f"{experiment(GLOW)}:glow") as run:
        bench.wait_executed("laser", 1, timeout=30)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
    assert run.err[-1] == "error: nothing was run: SIGINT came first"
    assert bench.executed("oven") in ([], ["*IDN?"]), "all devices connect at the same time, and nothing more"


def test_the_third_signal_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    heard: list[Signalled] = []
    monkeypatch.setattr(os, "_exit", left.append)
    with listening(heard.append):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert left == []
        signal.raise_signal(signal.SIGINT)
    assert left == [130]
    assert heard[:2] == [Signalled("SIGINT", 1), Signalled("SIGTERM", 2)]


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with listening(print):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening(print):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
