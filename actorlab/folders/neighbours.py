"""Compile a file so that the names of its neighbours, in its `import` statements, mean those of its own folder."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

__all__ = ["compiled", "source_of"]


def source_of(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the file of a module in a folder; a package's is its ``__init__.py``."""
    *outer, last = names
    place = folder.joinpath(*outer)
    return next((file for file in (place / last / "__init__.py", place / f"{last}.py") if file.is_file()), None)


def compiled(source: bytes, path: str, folder: Path, level: int) -> CodeType:
    """Compile a source; `level` is the number of dots that lead from its module to the folder."""
    tree = Relative(folder, level).visit(ast.parse(source, path))
    # Without `dont_inherit` it would be compiled with the future statements of this file here.
    return compile(tree, path, "exec", dont_inherit=True)


class Relative(ast.NodeTransformer):
    """Write the imports of neighbours as relative ones: ``import helpers`` becomes ``from . import helpers``.

    So each folder has its own `helpers`, also for an import inside a function that runs much later; no `sys.path`,
    which is the same for all, could do that.
    """

    def __init__(self, folder: Path, level: int) -> None:
        self._folder = folder
        self._level = level

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """Take ``import a, b`` apart."""
        made = [part for alias in node.names for part in self._parts(alias)]
        return [ast.fix_missing_locations(ast.copy_location(part, node)) for part in made]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """Change ``from a import b``."""
        if node.level == 0 and self._is_neighbour(node.module):
            node.level = self._level
        return node

    def _is_neighbour(self, name: str | None) -> bool:
        return name is not None and source_of(self._folder, [name.partition(".")[0]]) is not None

    def _parts(self, alias: ast.alias) -> list[ast.stmt]:
        if not self._is_neighbour(alias.name):
            return [ast.Import([alias])]
        outer, _, last = alias.name.rpartition(".")
        if not outer or alias.asname:
            return [self._from(outer, last, alias.asname)]
        # ``import a.b`` imports a.b and binds a.
        top = alias.name.partition(".")[0]
        return [self._from(outer, last, top), self._from("", top, None)]

    def _from(self, module: str, name: str, asname: str | None) -> ast.stmt:
        return ast.ImportFrom(module or None, [ast.alias(name, asname)], self._level)
