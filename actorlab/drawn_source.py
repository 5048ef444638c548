"""Refuse in a workflow's source what can't be drawn: `try`, `with`, `await`, `yield`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Final

from actorlab.errors import WorkflowError

__all__ = ["check_body"]

REFUSED: Final[dict[type[ast.AST], str]] = {
    ast.Try: "try",
    ast.TryStar: "try",
    ast.With: "with",
    ast.AsyncWith: "async with",
    ast.AsyncFor: "async for",
    ast.AsyncFunctionDef: "async def",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield from",
}


def check_body(function: Callable[..., Any]) -> None:
    """Raise `WorkflowError` if a workflow's source has what can't be drawn; where it can't be read, nothing is checked.

    A function defined inside is drawn as well where it is called, so it is checked too, unless it is decorated as task.
    """
    function = inspect.unwrap(function)
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        message = f"workflow {name} is an `async def`: a workflow only calls tasks, so make it a plain function"
        raise WorkflowError(message)
    for what, line in _refused(_tree(function)):
        message = (
            f"workflow {name} has a `{what}` in line {line} of {inspect.getsourcefile(function)}: a workflow is drawn "
            f"before any step runs, so this would end too early. "
            f"Put it in a task, or use cleanup(…), retries= or timeout=."
        )
        raise WorkflowError(message)


def _tree(function: Callable[..., Any]) -> ast.AST | None:
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None  # typed at a prompt, compiled elsewhere, or a lambda in the middle of something
    return ast.increment_lineno(tree, max(first, 1) - 1).body[0]


def _refused(tree: ast.AST | None) -> Iterator[tuple[str, int]]:
    """Yield what can't be drawn, with its line; bodies of tasks defined inside are left out."""
    for node in ast.iter_child_nodes(tree) if tree is not None else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(map(_is_task, node.decorator_list)):
            continue
        if type(node) in REFUSED:
            yield REFUSED[type(node)], getattr(node, "lineno", 0)
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield "async for", node.target.lineno
        yield from _refused(node)


def _is_task(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == "task"
