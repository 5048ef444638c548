"""The command exits with what tells a script how it ended."""

from __future__ import annotations

import pytest

from actorlab import ConfigError, RunCancelled
from actorlab.cli.running import Ended, exit_code
from actorlab.cli.telling import FAILED, INTERRUPTED, WRONG_USE


@pytest.mark.parametrize(
    ("error", "lab", "interrupted", "code"),
    [
        (None, 0, "", 0),
        (None, 1, "", 1),
        (ValueError(), 0, "", FAILED),
        (ConfigError(), 0, "", WRONG_USE),
        (ConfigError(), 1, "", 1),
        (RunCancelled("stopped"), 0, "SIGINT", INTERRUPTED),
        (RunCancelled("stopped"), 1, "SIGINT", INTERRUPTED),
        (RunCancelled("stopped"), 1, "", 1),
    ],
)
def test_the_exit_code_is_not_0_where_a_service_has_stopped_the_lab(
    error: BaseException | None, lab: int, interrupted: str, code: int
) -> None:
    assert exit_code(Ended(None, None, error, lab), interrupted=interrupted) == code
