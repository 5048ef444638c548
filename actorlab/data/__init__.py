"""Keep what was measured with what it is about, and hand it to the tools that scientists use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from actorlab.data.dataset import Dataset
from actorlab.data.rows import Row, RowSource

if TYPE_CHECKING:
    from actorlab.data.arrays import ArrayStore
    from actorlab.data.keeping_arrays import ArrayKeeper
    from actorlab.data.moved import MovedRows
    from actorlab.data.references import ArrayRef
    from actorlab.data.saving import Saved, load, save

__all__ = [
    "ArrayKeeper",
    "ArrayRef",
    "ArrayStore",
    "Dataset",
    "MovedRows",
    "Row",
    "RowSource",
    "Saved",
    "load",
    "save",
]

LATER: Final = {
    "ArrayKeeper": "keeping_arrays", "ArrayRef": "references", "ArrayStore": "arrays", "MovedRows": "moved",
    "Saved": "saving", "load": "saving", "save": "saving",
}  # fmt: skip
"""Where names come from that a lab doesn't need: `import actorlab` doesn't wait for them."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        text = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(text)
    return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
