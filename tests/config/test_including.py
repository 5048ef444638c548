"""Hold that lab files include others, the later over the earlier, and that each mistake is said with its own file."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab import ConfigError
from actorlab.config import read_lab_file
from actorlab.config.source import Source, merged


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return folder / "lab.yaml"


def refusal(folder: Path, **files: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_lab_file(write(folder, **files))
    return str(caught.value).replace(f"{folder}/", "")


DEVICES = """
    name: shared
    max_runs: 2
    devices:
      laser: {class: "actorlab.simulation:Laser", address: "bench:laser", timeout: 7}
      oven: {class: "actorlab.simulation:Oven", address: "bench:oven", queries: [a, b]}
"""


def test_the_file_goes_over_what_it_includes_key_by_key(tmp_path: Path) -> None:
    lab = """
        include: shared/devices.yaml
        name: mine
        devices:
          laser: {timeout: 9}
          oven: {queries: [c]}
          lamp: {class: "actorlab.simulation:Lamp", address: "bench:lamp"}
    """
    config = read_lab_file(write(tmp_path, shared__devices=DEVICES, lab=lab))
    laser, oven = config.devices["laser"], config.devices["oven"]
    assert (config.name, config.max_runs, list(config.devices)) == ("mine", 2, ["laser", "oven", "lamp"])
    assert (laser.address, laser.timeout, oven.queries) == ("bench:laser", 9, ("c",))


def test_the_later_of_two_included_files_wins_and_paths_are_seen_from_each_file(tmp_path: Path) -> None:
    (tmp_path / "shared" / "tasks").mkdir(parents=True)
    config = read_lab_file(
        write(
            tmp_path,
            lab="include: [shared/one.yaml, shared/two.yaml]",
            shared__one="include: base.yaml\nname: one\nmax_runs: 1",
            shared__two="include: [base.yaml]\nname: two",
            shared__base="name: base\nmax_runs: 5\nkeep_rows: 6\ndiscover: {folders: [tasks], entry_points: false}",
        )
    )
    assert (config.name, config.max_runs, config.keep_rows) == ("two", 5, 6)
    assert config.discover is not None
    assert config.discover.folders == (str(tmp_path / "shared" / "tasks"),)


def test_a_mistake_is_said_with_the_file_in_which_it_stands(tmp_path: Path) -> None:
    lab = "include: [devices.yaml]\nnme: x\ndevices:\n  laser: {timeout: -1}\n"
    message = refusal(tmp_path, devices=DEVICES.replace("max_runs: 2", "max_runs: none"), lab=lab)
    assert [line.split(": ")[0] for line in message.splitlines()] == ["lab.yaml:2", "lab.yaml:4", "devices.yaml:2"]


def test_files_that_include_one_another_are_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, lab="include: a.yaml", a="name: a\ninclude:\n- b.yaml", b="include: [./a.yaml]")
    assert message == "b.yaml:1: include: a.yaml includes b.yaml includes a.yaml: leave one of them out"
    assert "lab.yaml includes lab.yaml" in refusal(tmp_path, lab="include: lab.yaml")


@pytest.mark.parametrize(
    ("lab", "said"),
    [
        ("name: x\ninclude: [there.yaml,\n  gone.yaml]", "lab.yaml:3: include: there is no file gone.yaml"),
        ("include: 3", "lab.yaml:1: include: write a file's path, or a list of them, not 3"),
        ("include: [{a: 1}]", "lab.yaml:1: include: write a file's path, or a list of them, not {'a': 1}"),
        ("include: bad.yaml", "bad.yaml:2: this is no YAML"),
        ("name: x\nmax_runs: !!int x", "lab.yaml: this is no YAML: invalid literal for int()"),
        ("limits: !!set {? [a, {b: c}]}", "lab.yaml: this is no YAML: "),
        ("limits: " + 2000 * "[", "lab.yaml: this is no YAML: maximum recursion depth exceeded"),
        ("include: list.yaml", "list.yaml:1: a lab's file begins with a key"),
        ("name: x\nlimits: !secret {a: 1}", "lab.yaml:2: the tag !secret means nothing here"),
        ("name: x\nlimits: !!map {a: 1}\ndevices: !x [a]", "lab.yaml:3: the tag !x means nothing here"),
        ("name: !secret x", "lab.yaml:1: name: a secret may stand under a device's args and kwargs"),
        ("devices: {a: 1}\nname: !foo x", "lab.yaml:2: the tag !foo means nothing here; texts may have !secret"),
    ],
)
def test_what_cannot_be_included_is_said_with_its_line(tmp_path: Path, lab: str, said: str) -> None:
    assert refusal(tmp_path, lab=lab, there="name: x", bad="name: x\n\t- y", list="- x").startswith(said)


TREES: Any = st.dictionaries(
    st.sampled_from("ab"),
    st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("ab"), inner), max_leaves=6),
)


@given(TREES, TREES)
def test_merging_the_same_again_changes_nothing(low: Any, high: Any) -> None:
    assert merged(merged(low, high), high) == merged(low, high)
    assert merged(low, low) == low == merged(low, {}) == merged({}, low)


@given(TREES, TREES)
def test_what_is_hidden_has_no_place_any_more(low: Any, high: Any) -> None:
    def places(tree: Any, place: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        inner = [((*place, key), item) for key, item in tree.items()] if isinstance(tree, dict) else []
        return {where for where, _ in inner} | {deep for where, item in inner for deep in places(item, where)}

    def source(name: str, tree: Any) -> Source:
        read: Any = Source(Path(name), tree)
        return Source(Path(name), tree, {place: read.spot(place) for place in places(tree)})

    found = source("low", low).under(source("high", high))
    assert set(found.spots) == places(found.content)
    assert all(re.match("high" if place in places(high) else "low", str(found.spots[place])) for place in found.spots)
