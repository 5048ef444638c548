"""Find the arrays of rows that were moved to another folder together with their journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actorlab.data.references import ArrayRef
from actorlab.data.rows import Row, RowSource

__all__ = ["MovedRows"]


class MovedRows:
    """Rows whose stores of arrays, where they aren't at their place any more, are looked for in `folder`."""

    def __init__(self, source: RowSource, folder: str | Path) -> None:
        self._source = source
        self._folder = folder

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Row]:
        gone: dict[str, bool] = {}
        for row in self._source:
            references = {name: value for name, value in row.values.items() if isinstance(value, ArrayRef)}
            yield row if not references else row._replace(values=row.values | self._found(references, gone))

    def _found(self, references: dict[str, ArrayRef], gone: dict[str, bool]) -> dict[str, Any]:
        """Return references to where the stores are now; `gone` remembers which aren't where they were."""
        for it in references.values():
            if it.store not in gone:
                gone[it.store] = not Path(it.store).exists()
        return {name: it.beside(self._folder) if gone[it.store] else it for name, it in references.items()}
