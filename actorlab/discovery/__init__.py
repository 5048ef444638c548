"""Find tasks, workflows and device classes in packages, in folders of plain files, and among what is installed."""

from actorlab.discovery.found import Discovered, Found, LeftOut, Problem
from actorlab.discovery.schema import schema_of
from actorlab.discovery.search import discover

__all__ = ["Discovered", "Found", "LeftOut", "Problem", "discover", "schema_of"]
