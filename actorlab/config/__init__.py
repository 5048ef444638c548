"""Read a lab from a YAML file: its devices, the bench that simulates them, and the lab's own options.

Whatever is wrong with the file is said with the file's name and the line. A file looks like this::

    journal: runs/journal.db          # beside this file, or a postgresql:// URL; null: none is kept
    bench: {time_scale: 2}            # how fast the simulated instruments are; only if an address names them
    devices:
      laser:
        class: actorlab.simulation:Laser
        address: bench:laser          # or a real one: TCPIP::192.168.1.20::5025::SOCKET
        timeout: 30                   # any option of DeviceConfig
    discover:                         # tasks that can be started by name; see `actorlab.discovery.discover`
      folders: [tasks]
      required: [sweep]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from actorlab.config.journal_place import JOURNAL, read_journal_place

if TYPE_CHECKING:
    from actorlab.config.lab import ConfiguredLab, lab_from_yaml
    from actorlab.config.model import BenchConfig, DeviceEntry, DiscoverConfig, LabConfig, RestartConfig
    from actorlab.config.reading import read_lab_file

__all__ = [
    "JOURNAL",
    "BenchConfig",
    "ConfiguredLab",
    "DeviceEntry",
    "DiscoverConfig",
    "LabConfig",
    "RestartConfig",
    "lab_from_yaml",
    "read_journal_place",
    "read_lab_file",
]

PLACES: Final = {"ConfiguredLab": "lab", "lab_from_yaml": "lab", "read_lab_file": "reading"}
"""Where things are that aren't in `model`."""


def __getattr__(name: str) -> Any:
    """Import what needs drivers and pydantic only when it is asked for: a journal's place is told without them."""
    if name in __all__:
        return getattr(import_module(f"actorlab.config.{PLACES.get(name, 'model')}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
