"""Hold what `actorlab devices --watch` shows."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from actorlab import DeviceConfig, Lab
from actorlab.cli.watching import table_of, what_is_wrong
from actorlab.runtime.cell import DeviceState
from actorlab.runtime.status import Abandoned

Start = Callable[..., AbstractContextManager[Any]]


class Lamp:
    """A device whose connection fails as often as it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails

    def connect(self) -> None:
        if self._fails:
            text = "no lamp there"
            raise ConnectionError(text)


def shown(lab: Lab) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(table_of(lab.status()))
    return text.getvalue()


def test_a_line_for_each_change_where_nobody_looks_at_a_terminal(started: Start, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(
        'devices:\n  gone: {class: "actorlab.simulation:Laser", address: "TCPIP::127.0.0.1::1::SOCKET"}\n'
    )
    with started("devices", "--watch", "--lab", str(tmp_path / "lab.yaml")) as watch:
        watch.await_out("gone connecting")
        watch.await_out("gone restarting: ConnectionRefusedError")
        watch.process.send_signal(signal.SIGINT)
        assert watch.end() == 0


def test_the_table_says_how_each_device_stands_and_what_is_wrong() -> None:
    with Lab() as lab:
        lab.add("lamp", Lamp)
        lab.add("other", DeviceConfig(optional=True)(Lamp), fails=True)
        text = shown(lab)
    lamp, other = text.splitlines()[1:]
    assert lamp.split()[:2] == ["lamp", "idle"]
    assert other.split()[:2] == ["other", "restarting"]
    assert "ConnectionError: no lamp there; again in" in other


def test_a_thread_that_was_given_up_and_hangs_on_is_named() -> None:
    with Lab() as lab:
        lab.add("lamp", Lamp)
        status = lab.status("lamp")
    lost = replace(status, state=DeviceState.QUARANTINED, why="it hangs", abandoned=(Abandoned("lamp", ""),))
    assert what_is_wrong(lost) == "it hangs; lamp hangs on"
