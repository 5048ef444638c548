"""Import a package that only an extra brings, or say which."""

from __future__ import annotations

import importlib
from typing import Any

from actorlab.errors import ConfigError

__all__ = ["needs"]


def needs(package: str, who: str, extra: str = "data") -> Any:
    """Return a package that `who` needs.

    Raises:
        ConfigError: it can't be imported; the message names the extra that brings it.

    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        text = f'{who} needs {package}, which can\'t be imported ({error}): pip install "actorlab[{extra}]"'
        raise ConfigError(text) from error
