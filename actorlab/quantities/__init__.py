"""Give numbers units, ranges and a way to read them back, by markers in type hints; check arguments against them."""

from actorlab.quantities.checker import Checker, checker_of, checker_of_value
from actorlab.quantities.markers import Range, ReadBack, Unit
from actorlab.quantities.reading_back import SetValue, read_back_by, read_back_of, read_back_of_value

__all__ = [
    "Checker",
    "Range",
    "ReadBack",
    "SetValue",
    "Unit",
    "checker_of",
    "checker_of_value",
    "read_back_by",
    "read_back_of",
    "read_back_of_value",
]
