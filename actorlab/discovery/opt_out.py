"""Read in a module's source whether it opts out of discovery, so that it need not be imported to find out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["OPT_OUT", "Unclear", "opts_out"]

OPT_OUT: Final = "__actorlab_discover__"
"""A module in which this is set to False, at its top level, is never imported by discovery, nor are those inside it."""


class Unclear(NamedTuple):
    """The setting is there, but only running the module would tell its value."""

    line: int


def opts_out(source: bytes | str) -> bool | Unclear:
    """Tell whether a module opts out."""
    if not (OPT_OUT in source if isinstance(source, str) else OPT_OUT.encode() in source):
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # null bytes, or a text encoding that isn't known
        return False  # then it can't be imported either, and whoever tries is told why
    plain = dict(plain_settings(tree))
    for node in ast.walk(tree):
        if is_setting(node) and node not in plain:
            return Unclear(getattr(node, "lineno", 1))
    return bool(plain) and not list(plain.values())[-1]


def plain_settings(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the places at the top level where it is set to True or False, in their order."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[target], value=ast.Constant(value=bool(value))):
                yield target, value
            case ast.AnnAssign(target=target, value=ast.Constant(value=bool(value))):
                yield target, value
            case _:
                pass


def is_setting(node: ast.AST) -> bool:
    """Tell whether something is set here under this name."""
    return isinstance(node, ast.Name) and node.id == OPT_OUT and not isinstance(node.ctx, ast.Load)
