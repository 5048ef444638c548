"""Keep what was measured with what it is about, and hand it to the tools that scientists use."""

from actorlab.data.arrays import ArrayStore
from actorlab.data.dataset import Dataset
from actorlab.data.keeping_arrays import ArrayKeeper
from actorlab.data.references import ArrayRef
from actorlab.data.rows import Row, RowSource
from actorlab.data.saving import Saved, load, save

__all__ = ["ArrayKeeper", "ArrayRef", "ArrayStore", "Dataset", "Row", "RowSource", "Saved", "load", "save"]
