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

from actorlab.config.journal_place import JOURNAL
from actorlab.config.lab import ConfiguredLab, lab_from_yaml
from actorlab.config.model import BenchConfig, DeviceEntry, DiscoverConfig, LabConfig, RestartConfig
from actorlab.config.reading import read_journal_place, read_lab_file

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
