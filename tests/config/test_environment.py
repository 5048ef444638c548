"""Hold that environment variables go over a lab's file, and that what is wrong with one is said with its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import ConfigError
from actorlab.config import LabConfig, read_lab_file
from actorlab.config.environment import PREFIX, overridden
from actorlab.config.source import Source

FILE = """\
name: bench 1
limits: {hot: 1}
devices:
  laser: {class: "actorlab.simulation:Laser", address: "bench:laser", timeout: 7}
  Power meter:
    class: actorlab.simulation:PowerMeter
    address: bench:meter
    args: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "lab.yaml"
    found.write_text(FILE, encoding="utf-8")
    return found


@pytest.fixture
def read(file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what reads the lab with variables set."""

    def reading(**variables: str) -> LabConfig:
        for name, value in variables.items():
            monkeypatch.setenv(PREFIX + name, value)
        return read_lab_file(file)

    return reading


def test_a_variable_goes_over_the_file_and_leaves_the_rest(read: Any) -> None:
    config = read(DEVICES__LASER__ADDRESS="TCPIP::192.168.1.20::5025::SOCKET", MAX_RUNS="3", NAME="'007'")
    laser = config.devices["laser"]
    assert (laser.address, laser.timeout) == ("TCPIP::192.168.1.20::5025::SOCKET", 7)
    assert (config.name, config.max_runs, list(config.devices)) == ("007", 3, ["laser", "Power meter"])


def test_a_value_is_read_as_in_the_file(read: Any) -> None:
    config = read(
        DEVICES__LASER__KWARGS="{}", DEVICES__LASER__QUERIES="[power, current]", DEVICES__LASER__CONNECT="null",
        DEVICES__LASER__OPTIONAL="true", LIMITS="{cold: 2}", DEVICES__LASER__RESTART__LIMIT="5",
    )  # fmt: skip
    laser = config.devices["laser"]
    assert (laser.queries, laser.connect, laser.optional) == (("power", "current"), None, True)
    assert (config.limits, laser.options()["restart"].limit) == ({"hot": 1, "cold": 2}, 5)


def test_capitals_and_what_no_name_of_a_variable_can_hold_make_no_difference(read: Any) -> None:
    assert read(DEVICES__POWER_METER__TIMEOUT="4").devices["Power meter"].timeout == 4


def test_the_variable_with_the_longer_name_wins(read: Any) -> None:
    config = read(DEVICES__LASER__TIMEOUT="3", DEVICES__LASER="{timeout: 2, safe_timeout: 4}")
    assert (config.devices["laser"].timeout, config.devices["laser"].safe_timeout) == (3, 4)


def test_the_variable_with_the_longer_name_wins_whatever_its_capitals(read: Any) -> None:
    config = read(DEVICES__LASER__TIMEOUT="3", devices__laser="{timeout: 2}")
    assert config.devices["laser"].timeout == 3


def test_what_the_file_lacks_is_the_mistake_of_the_file(file: Path, read: Any) -> None:
    file.write_text("devices:\n  oven: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(DEVICES__OVEN__ADDRESS="bench:oven")
    assert str(caught.value) == f"{file}:2: devices.oven needs the key 'class'"


def test_a_variable_can_add_a_device(read: Any) -> None:
    config = read(DEVICES__OVEN__CLASS="actorlab.simulation:Oven", DEVICES__OVEN__ADDRESS="bench:oven")
    assert config.devices["oven"].instrument == "oven"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEVICES__LASER__TIMEOUT", "soon", "devices.laser.timeout: input should be a valid number"),
        ("DEVICES__LASER__ADRESS", "x", "devices.laser has no key 'adress'; did you mean 'address'?"),
        ("DEVISES__LASER__ADDRESS", "x", "the file has no key 'devises'; did you mean 'devices'?"),
        ("DEVICES__OVEN__ADDRESS", "bench:oven", "devices.oven needs the key 'class'"),
        ("DEVICES__LASER__ADDRESS", "[x", "this is no YAML: expected ',' or ']'"),
        ("DEVICES__LASER__ADDRESS", "!secrt x", "the tag !secrt means nothing here"),
        ("LIMITS", "!!int x", "this is no YAML"),
        ("LIMITS", "!!omap [a: b]", "limits.a: input should be a valid integer"),
        ("DEVICES____ADDRESS", "x", "between __ and __ there has to be a key"),
        ("DEVICES__POWER_METER__ARGS__0", "x", "devices.Power meter.args is a list: set it as a whole"),
        ("INCLUDE", "x.yaml", "files are included by files only"),
        ("DEVICES__LASER__ADDRESS", "bench:oven2", "the bench has no 'oven2'; did you mean 'oven'?"),
    ],
)
def test_what_is_wrong_with_a_variable_is_said_with_its_name(read: Any, name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read(**{name: value})
    assert str(caught.value).startswith(f"{PREFIX}{name}: ")


def test_a_name_that_could_mean_two_keys_is_refused(file: Path, read: Any) -> None:
    file.write_text(FILE.replace("  laser:", '  power-meter: {class: "actorlab.simulation:Oven"}\n  laser:'))
    with pytest.raises(ConfigError, match="POWER_METER could mean 'power-meter' or 'Power meter'"):
        read(DEVICES__POWER_METER__TIMEOUT="4")


def test_mistakes_of_the_file_and_of_variables_are_said_together(file: Path, read: Any) -> None:
    file.write_text(FILE + "    timeout: soon\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(DEVICES__LASER__TIMEOUT="-1")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{file}:9: devices.Power meter.timeout: ")
    assert second.startswith(f"{PREFIX}DEVICES__LASER__TIMEOUT: devices.laser.timeout: ")


KEYS = st.sampled_from(["a", "b", "c"])
TREES: Any = st.recursive(
    st.integers(0, 9), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=8
)


def look(content: Any, way: list[str]) -> Any:
    for key in way:
        content = content[key]
    return content


@given(st.dictionaries(KEYS, TREES, max_size=3), st.lists(KEYS, min_size=1, max_size=4), st.integers(10, 19))
def test_a_variable_changes_its_own_place_only(content: dict[str, Any], way: list[str], value: int) -> None:
    name = PREFIX + "__".join(way).upper()
    found = overridden(Source(Path("lab.yaml"), content), {name: str(value), "ACTORLAB_PATH": "x"}).content
    assert look(found, way) == value
    before, after = content, found
    for key in way:
        assert {other: item for other, item in before.items() if other != key} == {
            other: item for other, item in after.items() if other != key
        }
        inner = before.get(key)
        before, after = inner if isinstance(inner, dict) else {}, after[key]
        if not isinstance(after, dict):
            break
