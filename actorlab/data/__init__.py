"""Keep what was measured with what it is about, and hand it to the tools that scientists use."""

from actorlab.data.dataset import Dataset
from actorlab.data.references import ArrayRef
from actorlab.data.rows import Row, RowSource

__all__ = ["ArrayRef", "Dataset", "Row", "RowSource"]
