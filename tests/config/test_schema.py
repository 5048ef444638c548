"""Hold that editors and readers are told of the same keys as the program knows."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from actorlab import ConfigError
from actorlab.cli.main import app
from actorlab.config import read_lab_file
from actorlab.config.schema import lab_schema, table_of_keys
from actorlab.config.yaml_file import read_yaml

jsonschema: Any = importlib.import_module("jsonschema")  # it has no types

ROOT = Path(__file__).parents[2]
LASER = 'class: "actorlab.simulation:Laser", address: "bench:laser"'
FULL = f"""\
name: x
include: [part.yaml]
max_runs: null
limits: {{hot: 1}}
discover: {{folders: [.], environment: null}}
devices:
  laser:
    {{{LASER}, timeout: 3, connect: null, faults: [OSError], args: [], kwargs: {{}}, mailbox: {{bound: 3}},
     restart: {{limit: null, on: [OSError], then: stop_lab}}, read_back: {{set_current: {{member: current}}}}}}
  oven: {{class: "actorlab.simulation:Oven", address: "bench:oven", mailbox: 4}}
"""


def mistakes(file: Path) -> list[str]:
    """Return what an editor marks."""
    schema = lab_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    return sorted(".".join(map(str, error.absolute_path)) for error in checker.iter_errors(read_yaml(file).content))


@pytest.mark.parametrize("file", [*ROOT.glob("workflows/**/lab.yaml"), "full"], ids=str)
def test_a_good_file_is_good_to_editors(file: Path | str, tmp_path: Path) -> None:
    if file == "full":
        file = tmp_path / "lab.yaml"
        file.write_text(FULL, encoding="utf-8")
        (tmp_path / "part.yaml").write_text("keep_rows: 3\n", encoding="utf-8")
    read_lab_file(file)
    assert mistakes(Path(file)) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nme: x", ""),
        ("max_runs: 0", "max_runs"),
        ("bench: {time_scale: fast}", "bench.time_scale"),
        ("devices: {laser: {address: x}}", "devices.laser"),
        (f"devices: {{laser: {{{LASER}, timeout: -1}}}}", "devices.laser.timeout"),
        (f"devices: {{laser: {{{LASER}, isolation: procces}}}}", "devices.laser.isolation"),
        (f"devices: {{laser: {{{LASER}, restart: {{then: stop}}}}}}", "devices.laser.restart.then"),
        (f"devices: {{laser: {{{LASER}, restart: {{limt: 1}}}}}}", "devices.laser.restart"),
        (f"devices: {{laser: {{{LASER}, mailbox: {{bond: 1}}}}}}", "devices.laser.mailbox"),
        (
            f"devices: {{laser: {{{LASER}, read_back: {{set_current: {{within: 1}}}}}}}}",
            "devices.laser.read_back.set_current",
        ),
        ("devices: {laser: {class: my lasers}}", "devices.laser.class"),
        ("discover: {folders: tasks}", "discover"),
        ("include: 3", "include"),
    ],
)
def test_what_an_editor_marks_is_refused_as_well(text: str, where: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(text, encoding="utf-8")
    assert mistakes(file) == [where]
    with pytest.raises(ConfigError, match=r"lab\.yaml:1: "):
        read_lab_file(file)


def test_each_key_says_what_it_means() -> None:
    schema = lab_schema()
    for part in [schema, *schema["$defs"].values()]:
        assert part["additionalProperties"] is False
        assert [key for key, said in part["properties"].items() if not said.get("description")] == []


def test_the_documentation_has_the_table_of_all_keys() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert page.endswith(table_of_keys()), "python docs/tables.py writes it again"


def test_the_schema_is_printed_or_written(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert json.loads(printed.output) == lab_schema()
    file = tmp_path / "lab.schema.json"
    written = CliRunner().invoke(app, ["schema", "-o", str(file)])
    assert json.loads(file.read_text("utf-8")) == lab_schema()
    assert "# yaml-language-server: $schema=lab.schema.json" in written.output
    refused = CliRunner().invoke(app, ["schema", "-o", str(tmp_path / "nowhere" / "x.json")])
    assert (refused.exit_code, "can't be written: No such file" in " ".join(refused.output.split())) == (2, True)
