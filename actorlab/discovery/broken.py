"""Tell of a module that can't be imported: what it raised, in which of its lines, and what can be done."""

from __future__ import annotations

import importlib
import os
import traceback
from types import TracebackType

from actorlab import folders
from actorlab.discovery.found import Problem
from actorlab.discovery.opt_out import OPT_OUT

__all__ = ["problem_of", "unclear"]

OURS = (os.path.dirname(__file__), os.path.dirname(folders.__file__), str(importlib.__file__), "<frozen importlib")  # noqa: PTH120


def problem_of(error: BaseException, file: str) -> Problem:
    """Describe what a module raised while it was imported; `file` is its file, or else its name."""
    own = own_part(error.__traceback__)
    return Problem(
        level="error",
        message="it can't be imported, and is skipped",
        advice=advice_on(error),
        file=file,
        line=line_of(error, own, file),
        error=in_words(error),
        traceback="".join(traceback.format_exception(type(error), error, own)),
    )


def in_words(error: BaseException) -> str:
    """Write an error in a line or a few; its own way to do so may be broken."""
    said = traceback.format_exception_only(error)
    return said[-1 if isinstance(error, SyntaxError) else 0].strip()


def own_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the part of a traceback which only tells that something was imported."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return trace


def line_of(error: BaseException, trace: TracebackType | None, file: str) -> int | None:
    """Return the line of a file in which an error occurred."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    return next((frame.lineno for frame in reversed(traceback.extract_tb(trace)) if frame.filename == file), None)


def advice_on(error: BaseException) -> str:
    """Say what can be done about an error."""
    otherwise = f"or set {OPT_OUT} = False in it, or have it ignored"
    match error:
        case SyntaxError():
            return f"mend that line, {otherwise}"
        case ModuleNotFoundError(name=str(name)):
            return f"install what provides {name!r}, or mend the import, {otherwise}"
        case SystemExit():
            return f'put what it does as a program under `if __name__ == "__main__":`, {otherwise}'
        case _:
            return f"mend it, {otherwise}"


def unclear(file: str, line: int) -> Problem:
    """Say that only running a module would tell whether it opts out."""
    advice = f"write {OPT_OUT} = False on a line of its own, so that it is known before the module is imported"
    return Problem("error", f"{OPT_OUT} isn't plainly True or False, so the module is skipped", advice, file, line)
