"""Refuse pictures that nobody could read."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorlab import ConfigError
from actorlab.cli.picturing import picture

PROGRAM = """
from actorlab import task, workflow

@task
def heat(value: int) -> int: ...

@task
def read(value: int) -> int: ...

@workflow
def many(count: int = 2000) -> list[int]:
    return [read(heat(number)) for number in range(count)]
"""


def test_a_picture_of_very_many_steps_is_refused_and_says_what_is_in_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with pytest.raises(ConfigError, match=r"many has 4,000 steps \(2,000 heat, 2,000 read\) in 2 layers: a picture of"):
        picture(str(program), None, [], tmp_path / "graph.svg")
    said = picture(str(program), None, ["count=400"], tmp_path / "graph.svg")
    assert "800 steps of many in 2 layers" in said
