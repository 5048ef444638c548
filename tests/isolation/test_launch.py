"""See how a driver gets into its process, what that process is like, and how its factory travels there."""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from actorlab.core.restart import RestartPolicy
from actorlab.device import DeviceConfig
from actorlab.errors import ConfigError
from actorlab.isolation.dying import ProcessDied
from actorlab.isolation.launcher import check_system
from tests.isolation.isolated_drivers import (
    Lamp,
    Meter,
    broken,
    dies_at_once,
    local_class,
    meter_of,
    meter_with,
)
from tests.isolation.lab_side import Ears, Made, Meantime, Tried

Launch = Callable[..., Made]
ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
{before}
from actorlab.device import DeviceConfig
from actorlab.driving.member import Member, invoke
from actorlab.isolation.child import Child
from tests.isolation.lab_side import Ears, Meantime

print("ran", flush=True)

class Reading:
    def __init__(self, value): self.value = value

class Meter:
    def power(self): return 2.5
    def kind(self): return Reading
    def value_of(self, reading): return reading.value

child = Child.launch("meter", Meter, (), {{}}, DeviceConfig(), 1, Meantime(), Ears())

def call(name, *args): return child.act(Member(name, False, invoke), args, {{}})

print(child.kind is Meter, call("power"), call("kind") is Reading, call("value_of", Reading(3)))
child.close(5)
"""


def run(program: str, *options: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "program.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *options, str(script)]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=30)


# -- what travels


def test_an_unguarded_program_runs_once_and_its_own_classes_travel_by_cloudpickle(tmp_path: Path) -> None:
    done = run(PROGRAM.format(before=""), "-W", "error", tmp_path=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["ran", "True 2.5 True 3"]


def test_without_cloudpickle_a_class_of_the_program_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    done = run(PROGRAM.format(before="sys.modules['cloudpickle'] = None"), tmp_path=tmp_path)
    assert done.stdout == "ran\n"
    last = done.stderr.splitlines()[-1]
    assert last.endswith(
        "meter: its factory, or an argument of it, can't travel to its process: Meter is defined in the program itself "
        "(__main__), where no other process can import it: put it into a module of its own, or "
        "`pip install cloudpickle`"
    )


def test_a_lambda_is_a_factory_where_cloudpickle_is_installed(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch(lambda: Meter(1.0)).child.call("power") == 2.0
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ConfigError, match=r"<lambda> is defined inside a function or expression.*pip install"):
        launch(lambda: Meter(1.0))


def test_a_function_or_a_partial_is_a_factory(launch: Launch) -> None:
    assert launch(meter_with, 1.0, more=2.0).child.call("power") == 4.0
    made = launch(functools.partial(meter_with, 1.0), more=3.0)
    assert made.child.call("power") == 5.0
    assert made.child.kind is Meter


def test_an_argument_of_the_factory_may_be_large(launch: Launch) -> None:
    assert launch(meter_of, bytes(9_000_000)).child.call("power") == 9_000_001.0


def test_a_class_in_a_module_that_cannot_be_imported_there_is_refused(launch: Launch) -> None:
    module = types.ModuleType("only_here")
    exec("class Meter: pass", module.__dict__)  # noqa: S102 - a module without a file
    sys.modules["only_here"] = module
    try:
        with pytest.raises(ConfigError, match=r"No module named 'only_here'.*put it where a new Python can import it"):
            launch(module.Meter)
    finally:
        del sys.modules["only_here"]


def test_an_object_of_a_hidden_class_travels_as_its_class_does(launch: Launch) -> None:
    made = launch(local_class)
    assert made.child.kind.__name__ == "Hidden"
    assert made.child.call("power") == 2.0


def test_what_the_factory_raises_is_raised_here_and_nothing_is_left(launch: Launch) -> None:
    before = open_descriptors()
    with pytest.raises(ValueError, match="no instrument there") as caught:
        launch(broken, "no instrument there")
    assert "in broken" in caught.value.__notes__[0]
    assert open_descriptors() == before


def test_a_process_that_dies_as_the_object_is_made_says_so(launch: Launch) -> None:
    with pytest.raises(ProcessDied, match=r"the process of meter \(pid \d+\) was killed by SIGKILL"):
        launch(dies_at_once)


def test_it_is_refused_where_no_such_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigError, match="needs a Python interpreter"):
        check_system("meter")
    with monkeypatch.context() as windows:
        said = ""
        windows.setattr(os, "name", "nt")
        try:
            check_system("meter")
        except ConfigError as error:  # while the system has another name, pytest can't help
            said = str(error)
    assert "needs Linux or macOS" in said


# -- hooks


def test_hooks_are_called_by_their_meaning(launch: Launch) -> None:
    child = launch(Lamp, config=DeviceConfig(connect="open_it")).child
    assert child.hook("connect") is None
    assert child.hook("make_safe") is None
    assert child.hook("resync") is None
    assert child.hook("identify") == "Lamp 3"
    assert child.call("history") == ["open_it", "shutdown"]
    assert child.hooks.has("make_safe")
    assert not child.hooks.has("disconnect")


def test_a_hook_that_the_driver_lacks_is_refused(launch: Launch) -> None:
    with pytest.raises(ConfigError, match=r"DeviceConfig\(connect='start'\): Lamp has no such method"):
        launch(Lamp, config=DeviceConfig(connect="start"))


def test_a_function_may_be_a_hook(launch: Launch) -> None:
    child = launch(Lamp, config=DeviceConfig(make_safe=Lamp.open_it)).child
    child.hook("make_safe")
    assert child.call("history") == ["open_it"]


def test_what_only_the_lab_needs_of_a_configuration_need_not_travel(launch: Launch) -> None:
    class Local(Exception):
        pass

    config = DeviceConfig(faults=(Local,), restart=RestartPolicy(on=(Local,)))
    assert launch(Meter, config=config).child.call("power") == 1.0


# -- its surroundings


def test_the_process_has_our_path_and_directory_but_not_our_terminal(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    child = launch(Meter).child
    there = child.call("surroundings")
    assert there["cwd"] == str(tmp_path)
    assert there["path"] == sys.path
    assert there["stdin"] == ""
    assert there["session"] == child.pid
    assert there["main"] is None
    assert len(there["fds"]) < 12


def test_the_warnings_options_are_ours(tmp_path: Path) -> None:
    before = "import warnings"
    program = PROGRAM.format(before=before).replace('call("power")', 'call("options")')
    program = program.replace("def power(self): return 2.5", "def options(self): return sys.warnoptions")
    done = run(program, "-W", "error", "-W", "ignore::ImportWarning", tmp_path=tmp_path)
    assert "True ['error', 'ignore::ImportWarning'] True 3" in done.stdout


def test_what_the_driver_starts_inherits_nothing_of_ours(launch: Launch) -> None:
    assert launch(Meter).child.call("inherited") == "[]"


def test_ctrl_c_does_not_reach_the_driver(launch: Launch) -> None:
    child = launch(Meter).child
    os.kill(child.pid, signal.SIGINT)
    assert child.call("power") == 1.0


def test_loggers_have_our_levels_there(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "meters.mine")
    child = launch(Meter).child
    level = functools.partial(logging.getLogger("meters.mine").getEffectiveLevel)
    assert level() == logging.DEBUG
    assert child.perform(_level_there) == logging.DEBUG


def _level_there(_: Meter) -> int:
    return logging.getLogger("meters.mine").getEffectiveLevel()


# -- many


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
def test_thirty_launches_leave_no_descriptor_no_thread_and_no_process() -> None:
    Made(Meter).child.close(5)
    before = open_descriptors(), threading.active_count()
    for number in range(30):
        made = Made(Meter)
        assert made.child.call("frame", 0.5).size == 2**18
        assert made.child.call("zero", made.child.call("frame", 0.5)) > 0
        if number % 3 == 0:
            made.child.kill()
        made.child.close(5)
        assert made.child.exit_code == (-9 if number % 3 == 0 else 0)
    assert (open_descriptors(), threading.active_count()) == before


def test_a_process_can_be_ended_before_its_object_is_made() -> None:
    child = Tried("meter", DeviceConfig(), 1, Meantime(), Ears())
    threading.Timer(0.1, child.kill).start()
    with pytest.raises(ProcessDied, match="was killed by SIGKILL"):
        child.make(_waits_for_ever, (), {})
    child.close(1)
    assert child.exit_code == -9


def _waits_for_ever() -> Meter:
    threading.Event().wait()
    return Meter()
