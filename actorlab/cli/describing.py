"""Write down what a lab's file may say, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from actorlab.config.schema import lab_schema
from actorlab.errors import ConfigError

__all__ = ["write_schema"]


def write_schema(output: Path | None) -> None:
    """Print the JSON Schema of a lab's file, or write it.

    Raises:
        ConfigError: the file can't be written.

    """
    text = json.dumps(lab_schema(), indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{output} can't be written: {error.strerror}"
        raise ConfigError(message) from error
    typer.echo(f"{output}: put this first into lab.yaml:  # yaml-language-server: $schema={output.name}")
