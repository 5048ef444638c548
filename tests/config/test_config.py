"""Hold what a lab's file may say, and that whatever is wrong with it is said with its line."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import quote

import pytest

from actorlab import ConfigError, DeviceConfig, DeviceUnavailable, Lab
from actorlab.config import DeviceEntry, LabConfig, lab_from_yaml, read_lab_file
from actorlab.simulation import Bench, Laser, Oven


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "lab.yaml"
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_lab_file(written(tmp_path, text))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_lab_opens_with_its_simulated_devices_and_closes_with_them(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        name: bench 1
        bench: {time_scale: 50}
        cancel_grace: 3
        devices:
          laser: {class: "actorlab.simulation:Laser", address: "bench:laser"}
          oven:
            class: actorlab.simulation:Oven
            address: bench:oven
            timeout: 600
        """,
    )
    with lab_from_yaml(file) as lab:
        assert (lab.name, lab.cancel_grace, list(lab.devices)) == ("bench 1", 3.0, ["laser", "oven"])
        laser: Laser = lab.device("laser")
        laser.set_current(20)
        assert laser.current() == 20
        assert isinstance(lab.device("oven"), Oven)
        assert lab.cells["oven"].config.timeout == 600
        bench = lab.bench
        assert bench is not None
        assert bench.executed("laser")[0] == "*IDN?"
    with pytest.raises(RuntimeError, match="isn't running"):
        _ = bench.resources


def test_real_hardware_needs_other_addresses_and_nothing_else(tmp_path: Path) -> None:
    with Bench() as real:
        file = written(
            tmp_path,
            f"""
            bench: {{time_scale: 50}}
            devices:
              laser: {{class: "actorlab.simulation:Laser", address: "{real.resources["laser"]}"}}
            """,
        )
        with lab_from_yaml(file) as lab:
            assert lab.bench is None
            laser = lab.device("laser")
            laser.set_current(20)
            assert laser.current() == 20  # it answers when it has executed what came before
        assert "SOUR:CURR 20.0" in real.executed("laser")


def test_a_device_gets_its_arguments_and_its_options(tmp_path: Path) -> None:
    (tmp_path / "my_drivers_of_this_test.py").write_text(
        dedent("""
        class Shutter:
            def __init__(self, port, *others, speed=1):
                self.made_with = (port, *others, speed)
            def park(self): ...
        """)
    )
    file = written(
        tmp_path,
        """
        devices:
          shutter:
            class: my_drivers_of_this_test:Shutter
            address: COM3
            args: [2, [a, 1.5]]
            kwargs: {speed: 3}
            make_safe: park
            connect: null
            faults: [ValueError, "json:JSONDecodeError"]
            queries: [made_with]
            restart: {limit: 5, delay: 0.1}
            optional: true
        """,
    )
    with lab_from_yaml(file) as lab:
        assert lab.device("shutter").made_with == ("COM3", 2, ["a", 1.5], 3)
        config = lab.cells["shutter"].config
        assert (config.make_safe, config.connect, config.disconnect, config.optional) == ("park", None, "auto", True)
        assert [kind.__name__ for kind in config.faults] == ["ValueError", "JSONDecodeError"]
        assert (config.restart.limit, config.restart.delay, config.restart.period) == (5, 0.1, 60.0)


def test_each_option_of_a_lab_and_of_a_device_has_its_key() -> None:
    assert set(inspect.signature(Lab).parameters) <= set(LabConfig.model_fields)
    assert {field.name for field in fields(DeviceConfig)} <= set(DeviceEntry.model_fields)


def test_functions_are_named_as_classes_are(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        process_initializer: "json:dumps"
        devices:
          oven: {class: "actorlab.simulation:Oven", address: "bench:oven", twin: "actorlab.simulation:Bench"}
          lamp: {class: "actorlab.simulation:Lamp", address: "bench:lamp", twin: null}
        """,
    )
    config = read_lab_file(file)
    assert config.process_initializer is json.dumps
    assert [entry.options()["twin"] for entry in config.devices.values()] == [Bench, None]


def test_what_the_file_says_goes_over_the_class(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        devices:
          laser: {class: "actorlab.simulation:Laser", address: "bench:laser", safe_timeout: 4}
        """,
    )
    with lab_from_yaml(file) as lab:
        config = lab.cells["laser"].config
        assert config.safe_timeout == 4
        assert [kind.__name__ for kind in config.faults] == ["VisaIOError"], "the class's own options stay"


def test_the_devices_that_do_not_answer_are_said_as_a_tree_and_nothing_stays_open(tmp_path: Path) -> None:
    with Bench() as gone:
        resource, other = gone.resources["oven"], gone.resources["lamp"]
    file = written(
        tmp_path,
        f"""
        devices:
          laser: {{class: "actorlab.simulation:Laser", address: "bench:laser"}}
          oven: {{class: "actorlab.simulation:Oven", address: "{resource}", restart: {{restart: never}}}}
          lamp: {{class: "actorlab.simulation:Lamp", address: "{other}"}}
        """,
    )
    with pytest.raises(DeviceUnavailable) as caught:
        lab_from_yaml(file)  # that no thread stays behind is seen by conftest
    first, second, third = str(caught.value).splitlines()
    assert first.startswith("2 of the 3 devices didn't connect")
    assert second.startswith(f"├── oven ({resource}): ")
    assert third.startswith(f"└── lamp ({other}): ")


LASER = 'laser: {class: "actorlab.simulation:Laser", address: "bench:laser"}'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param("cancel_gracee: 3", 1, "has no key 'cancel_gracee'; did you mean 'cancel_grace'?", id="key"),
        pytest.param(
            f"# a comment\ndevices:\n  {LASER}\n  oven:\n    class: actorlab.simulation:Oven\n    adress: bench:oven",
            6,
            "devices.oven has no key 'adress'; did you mean 'address'?",
            id="key of a device",
        ),
        pytest.param("bench:\n  speed: 3", 2, "bench has no key 'speed'", id="key of the bench"),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   restart: {{limt: 3}}}}",
            3,
            "devices.laser.restart has no key 'limt'; did you mean 'limit'?",
            id="key of a policy",
        ),
        pytest.param(
            "devices:\n  oven:\n    address: bench:oven", 2, "devices.oven needs the key 'class'", id="no class"
        ),
        pytest.param(
            "devices:\n  oven:\n    class: actorlab.simulation:Ovenn",
            3,
            "actorlab.simulation has no 'Ovenn'; did you mean 'Oven'?",
            id="unknown class",
        ),
        pytest.param(
            "devices:\n  oven:\n    class: actorlap.simulation:Oven",
            3,
            "'actorlap.simulation:Oven' can't be imported: ModuleNotFoundError: No module named 'actorlap'",
            id="unknown module",
        ),
        pytest.param("devices:\n  oven:\n    class: Oven", 3, "names no class: write module:Class", id="no module"),
        pytest.param("devices:\n  oven:\n    class: 3", 3, "3 is no class: write module:Class", id="number as class"),
        pytest.param(
            "devices:\n  pi:\n    class: math:pi", 3, "'math:pi' is a float, which makes no device", id="no class"
        ),
        pytest.param(
            "devices:\n  oven:\n    class: actorlab.simulation:Oven",
            3,
            "devices.oven: Oven can't be made with these arguments: missing a required argument: 'resource'",
            id="missing argument",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]}, timeout: soon}}",
            2,
            "devices.laser.timeout: input should be a valid number, unable to parse string as a number, not 'soon'",
            id="wrong type",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n    timeout: -1}}",
            3,
            "devices.laser.timeout: input should be greater than 0, not -1",
            id="wrong number",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   mailbox: {{bond: 3}}}}",
            3,
            "devices.laser.mailbox has no key 'bond'; did you mean 'bound'?",
            id="key of a mailbox",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   read_back: {{set_current: {{member: no name}}}}}}",
            3,
            "devices.laser.read_back: ReadBack(member='no name'",
            id="member that is no name",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   direct: true, isolation: process}}",
            2,
            "devices.laser: DeviceConfig(direct=True, isolation='process'): no caller's thread can run in another",
            id="options that contradict one another",
        ),
        pytest.param("process_initializer: math:pi", 1, "'math:pi' is a float, which can't be called", id="function"),
        pytest.param("max_runs: 0", 1, "max_runs: input should be greater than 0, not 0", id="number of the lab"),
        pytest.param("processes: 0", 1, "processes: input should be greater than 0, not 0", id="number of processes"),
        pytest.param("devices: [laser]", 1, "devices: input should be a valid dictionary, not ['laser']", id="a list"),
        pytest.param(
            f"devices:\n  {LASER}\n  laser: {{}}",
            3,
            "the name 'laser' is there already; each can stand only once",
            id="twice",
        ),
        pytest.param(
            f"devices:\n  {LASER}\n  pump:\n    class: actorlab.simulation:Laser\n    address: bench:laser",
            5,
            "'laser' and 'pump' are one instrument, bench:laser: give it one name, and use that for both",
            id="two names for one instrument",
        ),
        pytest.param(
            "devices:\n  a: {class: 'actorlab.simulation:Oven', address: 'TCPIP::127.0.0.1::5025::SOCKET'}\n"
            "  b: {class: 'actorlab.simulation:Oven', address: 'TCPIP0::127.0.0.1::5025::SOCKET'}",
            3,
            "'a' and 'b' are one instrument",
            id="two spellings of one address",
        ),
        pytest.param(
            "devices:\n  oven:\n    class: actorlab.simulation:Oven\n    address: bench:ovn",
            4,
            "the bench has no 'ovn'; did you mean 'oven'?",
            id="unknown instrument",
        ),
        pytest.param(
            "devices:\n  oven:\n    class: actorlab.simulation:Oven\n    address: 192.168.1.20",
            4,
            "'192.168.1.20' is no VISA resource; write one such as TCPIP::192.168.1.20::5025::SOCKET",
            id="no VISA resource",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   restart: {{restart: never, limit: 4}}}}",
            3,
            "devices.laser.restart: RestartPolicy: restart='never' leaves no meaning to limit=4",
            id="contradiction",
        ),
        pytest.param(
            f"devices:\n  {LASER[:-1]},\n   faults: [ValueErr]}}",
            3,
            "devices.laser.faults.0: 'ValueErr' names no class",
            id="fault",
        ),
        pytest.param(
            "devices:\n\t- x", 2, "this is no YAML: found character '\\t' that cannot start any token", id="tab"
        ),
        pytest.param("- laser", 1, "a lab's file begins with a key, such as devices:", id="no mapping"),
        pytest.param("", 1, "a lab's file begins with a key, such as devices:", id="nothing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"lab.yaml:{line}: ")
    assert said in message
    assert "\n" not in message


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "devices:\n  laser:\n    clas: x\n  oven:\n    class: nowhere:Oven\nmax_runs: many\n")
    lines = [text.split(": ")[0] for text in message.splitlines()]
    assert lines == ["lab.yaml:2", "lab.yaml:3", "lab.yaml:5", "lab.yaml:6"]


def test_a_class_whose_module_fails_is_the_files_mistake(tmp_path: Path) -> None:
    (tmp_path / "broken_drivers_of_this_test.py").write_text("1 / 0\n")
    message = refusal(tmp_path, "devices:\n  x:\n    class: broken_drivers_of_this_test:X\n")
    assert "lab.yaml:3: devices.x.class" in message
    assert "can't be imported: ZeroDivisionError: division by zero" in message


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nolab\.yaml can't be read: No such file"):
        read_lab_file(tmp_path / "nolab.yaml")


def test_anchors_save_writing_things_twice(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        devices:
          laser: &common {class: "actorlab.simulation:Laser", address: "bench:laser", timeout: 7}
          pump: {<<: *common, address: "TCPIP::127.0.0.1::5026::SOCKET"}
        """,
    )
    config: LabConfig = read_lab_file(file)
    found: list[Any] = [(entry.timeout, entry.address) for entry in config.devices.values()]
    assert found == [(7.0, "bench:laser"), (7.0, "TCPIP::127.0.0.1::5026::SOCKET")]


# -- tasks that are looked for


TASKS = """
    from actorlab import task
    @task
    def double(number: int) -> int:
        return 2 * number
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a folder of tasks beside the lab's file."""
    monkeypatch.delenv("ACTORLAB_PATH", raising=False)
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "doubling.py").write_text(dedent(TASKS))
    yield folder
    for name in [name for name in sys.modules if quote(str(tmp_path), safe="") in name]:
        del sys.modules[name]


def test_a_lab_knows_the_tasks_that_its_file_says(tmp_path: Path, tasks: Path) -> None:
    with Lab.from_yaml(written(tmp_path, "discover: {folders: [tasks], required: [double]}\n")) as lab:
        assert lab.run("double", "21") == 42
        assert lab.describe_task("double")["place"] == f"{tasks / 'doubling.py'}:3"


def test_a_lab_without_what_it_requires_does_not_start(tmp_path: Path, tasks: Path) -> None:
    (tasks / "broken.py").write_text("def triple(:\n")
    file = written(tmp_path, "name: lab\ndiscover:\n  folders: [tasks]\n  required: [double, triple]\n")
    with pytest.raises(ConfigError) as caught:
        Lab.from_yaml(file)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'lab.yaml'}:4: discover: required, but not found: triple")
    assert "broken.py:1: it can't be imported" in text


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("folders:\n    - tasks\n    - tsks", 4, "discover.folders.1: there is no folder"),
        ("folder: [tasks]", 2, "discover has no key 'folder'; did you mean 'folders'?"),
        ("entry_points: 3", 2, "discover.entry_points: input should be a valid boolean"),
        ('names: "("', 2, "discover.names: '(' is no regular expression"),
    ],
)
def test_what_is_wrong_about_discovery_is_said_with_its_line(
    tmp_path: Path, tasks: Path, text: str, line: int, said: str
) -> None:
    assert tasks.is_dir()
    assert f"lab.yaml:{line}: {said}" in refusal(tmp_path, f"discover:\n  {text}\n")
