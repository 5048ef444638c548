"""Find what is wrong with a lab's file, and say it in the words of the file."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pyvisa.rname import InvalidResourceName, ResourceName

from actorlab.config.model import (
    BENCH,
    BenchConfig,
    DeviceEntry,
    DiscoverConfig,
    LabConfig,
    MailboxConfig,
    ReadBackConfig,
    RestartConfig,
    Section,
)
from actorlab.config.naming import did_you_mean
from actorlab.config.source import Location, Mistake, Source, is_map
from actorlab.device import DeviceConfig
from actorlab.drivers.visa import VisaDevice
from actorlab.errors import ConfigError
from actorlab.simulation.instruments import INSTRUMENTS

__all__ = ["missing_folders", "mistaken_addresses", "mistaken_calls", "mistaken_options", "mistakes_of"]

ALTERNATIVES: Final = ("constrained-int", "MailboxConfig")
"""So pydantic calls the alternatives of a union, which are no part of a place in the file."""


def mistakes_of(errors: Iterable[Any]) -> list[Mistake]:
    """Say pydantic's errors in the words of the file; of alternatives only the one that was meant is told."""
    return [mistake_of(error) for error in errors if not of_other_alternative(error)]


def of_other_alternative(error: Mapping[str, Any]) -> bool:
    """Tell whether an error is about the number that a map isn't, or the map that something else isn't."""
    last = error["loc"][-1]
    return (last == "constrained-int" and is_map(error["input"])) or (
        last == "MailboxConfig" and error["type"] == "model_type"
    )


def mistake_of(error: Mapping[str, Any]) -> Mistake:
    """Say one of pydantic's errors in the words of the file."""
    place: Location = (*error["loc"][:3], *(part for part in error["loc"][3:] if part not in ALTERNATIVES))
    *outer, last = place
    match error["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(last), keys_at(tuple(outer)))
            return Mistake(place, f"{titled(outer)} has no key {str(last)!r}{hint}")
        case "missing":
            return Mistake(tuple(outer), f"{titled(outer)} needs the key {str(last)!r}")
        case "value_error":
            return Mistake(place, f"{titled(place)}: {error['ctx']['error']}")
        case _:
            said = str(error["msg"])
            return Mistake(place, f"{titled(place)}: {said[:1].lower()}{said[1:]}, not {error['input']!r}")


def keys_at(place: Location) -> list[str]:
    """Return the keys that are known at a place."""
    match place:
        case ():
            model: type[Section] = LabConfig
        case ("bench",):
            model = BenchConfig
        case ("discover",):
            model = DiscoverConfig
        case ("devices", _, "restart"):
            model = RestartConfig
        case ("devices", _, "mailbox"):
            model = MailboxConfig
        case ("devices", _, "read_back", _):
            model = ReadBackConfig
        case _:
            model = DeviceEntry
    return [field.alias or name for name, field in model.model_fields.items()]


def mistaken_calls(config: LabConfig) -> Iterator[Mistake]:
    """Yield the devices whose class doesn't take these arguments."""
    for name, entry in config.devices.items():
        try:
            inspect.signature(entry.factory).bind(*entry.arguments, **entry.kwargs)
        except TypeError as error:
            title = getattr(entry.factory, "__name__", repr(entry.factory))
            yield Mistake(
                ("devices", name, "class"), f"devices.{name}: {title} can't be made with these arguments: {error}"
            )
        except ValueError:  # a class written in C doesn't say what it takes
            pass


def mistaken_options(config: LabConfig) -> Iterator[Mistake]:
    """Yield the options of devices that contradict themselves, or one another."""
    for name, entry in config.devices.items():
        single = list(mistaken_single(name, entry))
        yield from single
        try:
            if not single:
                DeviceConfig(**entry.options())
        except ConfigError as error:
            yield Mistake(("devices", name), f"devices.{name}: {error}")


def mistaken_single(name: str, entry: DeviceEntry) -> Iterator[Mistake]:
    """Yield the options of a device that contradict themselves."""
    for option in entry.given:
        try:
            entry.option(option)
        except ConfigError as error:
            yield Mistake(("devices", name, option), f"devices.{name}.{option}: {error}")


def missing_folders(config: LabConfig, source: Source) -> Iterator[Mistake]:
    """Yield the folders of tasks that aren't there."""
    folders = () if config.discover is None else config.discover.folders
    for at, folder in enumerate(folders):
        place: Location = ("discover", "folders", at)
        path = source.beside(place, folder)
        if not path.is_dir():
            yield Mistake(place, f"discover.folders.{at}: there is no folder {path}")


def mistaken_addresses(config: LabConfig) -> Iterator[Mistake]:
    """Yield the addresses that can't be right, and those that two devices have in common."""
    taken: dict[str, str] = {}
    for name, entry in config.devices.items():
        if entry.address is None:
            continue
        place = ("devices", name, "address")
        resource = visa_resource(entry.address)
        if entry.instrument is not None and entry.instrument not in INSTRUMENTS:
            hint = did_you_mean(entry.instrument, list(INSTRUMENTS)) or f"; it has {', '.join(INSTRUMENTS)}"
            yield Mistake(place, f"devices.{name}.address: the bench has no {entry.instrument!r}{hint}")
        elif resource is None and needs_resource(entry):
            yield Mistake(place, f"devices.{name}.address: {entry.address!r} is no VISA resource; {EXAMPLES}")
        elif resource is not None and resource in taken:
            both = f"{taken[resource]!r} and {name!r} are one instrument, {entry.address}"
            yield Mistake(place, f"devices.{name}.address: {both}: give it one name, and use that for both")
        elif resource is not None:
            taken[resource] = name


EXAMPLES: Final = "write one such as TCPIP::192.168.1.20::5025::SOCKET, GPIB0::24::INSTR, or bench:laser"


def visa_resource(address: str) -> str | None:
    """Return the one way to write an address, if it is an instrument of the bench or a VISA resource."""
    if address.startswith(BENCH):
        return address
    try:
        return str(ResourceName.from_string(address)).upper()
    except InvalidResourceName:
        return None


def needs_resource(entry: DeviceEntry) -> bool:
    """Tell whether an address must be a VISA resource; a vendor's VISA library knows names of its own as well."""
    is_visa = isinstance(entry.factory, type) and issubclass(entry.factory, VisaDevice)
    return is_visa and entry.kwargs.get("backend", "@py") == "@py"


def titled(place: Location | list[int | str]) -> str:
    """Write a place as people do: devices.laser.class."""
    return ".".join(map(str, place)) or "the file"
