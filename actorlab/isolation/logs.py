"""Let what a driver logs in its own process arrive in the lab's logging, under the same name."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

from actorlab.isolation.side import LOGGED

if TYPE_CHECKING:
    from actorlab.isolation.outbox import Outbox

__all__ = ["LogSender", "levels", "relay", "set_levels"]


def levels() -> dict[str, int]:
    """Return the levels of all loggers that have one of their own, the root logger's under an empty name."""
    loggers = [
        logger for logger in list(logging.root.manager.loggerDict.values()) if isinstance(logger, logging.Logger)
    ]
    return {"": logging.root.level, **{logger.name: logger.level for logger in loggers if logger.level}}


def set_levels(wanted: dict[str, int], disabled: int) -> None:
    """Set the levels of loggers as they are in the lab, so that what nobody wants isn't even made."""
    logging.disable(disabled)
    for name, level in wanted.items():
        logging.getLogger(name or None).setLevel(level)


class LogSender(logging.Handler):
    """Send each record to the lab, its text made here."""

    def __init__(self, outbox: Outbox, process: str) -> None:
        super().__init__()
        self._outbox = outbox
        self._process = process

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            self._outbox.send(LOGGED, packed(record, self._process))
        except Exception:  # noqa: BLE001 - the boundary: making the text runs the driver's code
            self.handleError(record)


FORMATTER = logging.Formatter()


def packed(record: logging.LogRecord, process: str) -> bytes:
    """Pickle a record; of its extra fields, what can't be pickled becomes text."""
    fields = dict(record.__dict__, msg=record.getMessage(), args=None, exc_info=None, processName=process)
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = FORMATTER.formatException(record.exc_info)
    try:
        return pickle.dumps(fields, 5)
    except Exception:  # noqa: BLE001 - the boundary: it is the code of what was logged
        return pickle.dumps({name: simple(value) for name, value in fields.items()}, 5)


def simple(value: Any) -> Any:
    """Return a value that can be pickled."""
    return value if isinstance(value, int | float | str | None) else repr(value)


def relay(body: bytes) -> None:
    """Give a driver's record to the logger of its name, if that wants its level."""
    record = logging.makeLogRecord(pickle.loads(body))  # noqa: S301 - from our own child
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
