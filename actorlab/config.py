"""Read a lab from a YAML file: its devices, the bench that simulates them, and the lab's own options.

Whatever is wrong with the file is said with the file's name and the line. A file looks like this::

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

from __future__ import annotations

import builtins
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pyvisa.rname import InvalidResourceName, ResourceName
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.core.restart import RestartPolicy
from actorlab.device import DeviceConfig
from actorlab.discovery import Found
from actorlab.discovery.search import IGNORED, NAMES
from actorlab.drivers.visa import VisaDevice
from actorlab.errors import ActorLabError, ConfigError, DeviceUnavailable
from actorlab.quantities import ReadBack
from actorlab.runtime.devices import Adding
from actorlab.runtime.lab import Lab
from actorlab.runtime.left_behind import LeftBehind
from actorlab.simulation.bench import Bench
from actorlab.simulation.instruments import INSTRUMENTS

__all__ = [
    "BenchConfig",
    "ConfiguredLab",
    "DeviceEntry",
    "DiscoverConfig",
    "LabConfig",
    "RestartConfig",
    "lab_from_yaml",
    "read_lab_file",
]

BENCH: Final = "bench:"
"""So begins the address of an instrument on the simulated bench."""

Location: TypeAlias = tuple[int | str, ...]
"""Where something stands in the file: the keys and positions that lead to it."""


def lab_from_yaml(path: str | Path) -> ConfiguredLab:
    """Open the lab that a file describes, with all its devices, and the simulated bench if an address names it.

    Raises:
        ConfigError: the file is wrong; the message names it and the line.
        DeviceUnavailable: a device didn't connect; all others are disconnected again.

    """
    lab = ConfiguredLab(read_lab_file(path))
    try:
        lab.look_for_tasks()
        lab.connect(lab.config.devices)
    except BaseException:
        lab.close()
        raise
    return lab


def read_lab_file(path: str | Path) -> LabConfig:
    """Read and check a lab's file, and touch no device.

    Raises:
        ConfigError: the file is wrong; the message names it and the line.

    """
    source = Source.read(Path(path))
    with importable(source.path.parent):
        try:
            config = LabConfig.model_validate(source.content)
        except ValidationError as error:
            raise source.refusal([mistake_of(cast("Mapping[str, Any]", item)) for item in error.errors()]) from None
    mistakes = [*mistaken_calls(config), *mistaken_addresses(config), *missing_folders(config, source.path.parent)]
    if mistakes:
        raise source.refusal(mistakes)
    if config.discover is None:
        return config
    place: Location = ("discover", "required") if config.discover.required else ("discover",)
    return config.model_copy(update={"discover": config.discover.beside(source.path, source.line(place))})


class ConfiguredLab(Lab):
    """A lab that was described by a file; the bench that simulates its devices, if any, lives as long as it does."""

    def __init__(self, config: LabConfig) -> None:
        self.config = config
        self.bench = Bench(config.bench.time_scale, seed=config.bench.seed) if config.simulated else None
        if self.bench is not None:
            self.bench.start()
        super().__init__(
            config.name, cancel_grace=config.cancel_grace, max_runs=config.max_runs, limits=config.limits,
            keep_finished=config.keep_finished, processes=config.processes,
            keep_rows=config.keep_rows,
        )  # fmt: skip

    def look_for_tasks(self) -> None:
        """Look for tasks and device classes as the file says. Raise `ConfigError` if a required one is missing."""
        if self.config.discover is not None:
            self.config.discover.look(self.discover)

    def add_configured(self, name: str) -> Any:
        """Add one of the devices in the file, and return its proxy. Raises what `Lab.add` raises."""
        return self.inventory.connected(self._begin(name))

    def connect(self, names: Iterable[str]) -> None:
        """Add some of the devices in the file, all at the same time.

        Raises:
            DeviceUnavailable: some didn't connect; the message is the tree of what failed, and why.

        """
        absent = {name: error for name, error in self.tried(names).items() if error is not None}
        if absent:
            text = tree_of_absent(self.config, absent)
            raise DeviceUnavailable(text) from ExceptionGroup("devices that didn't connect", list(absent.values()))

    def tried(self, names: Iterable[str]) -> dict[str, ActorLabError | None]:
        """Add some of the devices in the file, all at the same time, and return why those that failed did."""
        begun = {name: self._begin(name) for name in names}
        return {name: self._outcome(adding) for name, adding in begun.items()}

    def _outcome(self, adding: Adding) -> ActorLabError | None:
        try:
            self.inventory.connected(adding)
        except ActorLabError as error:
            return error
        return None

    def _begin(self, name: str) -> Adding:
        entry = self.config.devices[name]
        factory = DeviceConfig(**entry.options())(entry.factory)
        return self.inventory.begin(name, factory, tuple(self._arguments(entry)), entry.kwargs)

    def _arguments(self, entry: DeviceEntry) -> list[Any]:
        if self.bench is None or entry.instrument is None:
            return entry.arguments
        return [self.bench.resources[entry.instrument], *entry.args]

    def _end(self, reason: str | None, timeout: float | None = None) -> LeftBehind:
        try:
            return super()._end(reason, timeout)
        finally:
            if self.bench is not None:
                self.bench.close()


def tree_of_absent(config: LabConfig, absent: Mapping[str, BaseException]) -> str:
    """Write which devices didn't connect, and why."""
    heads = [f"{name} ({config.devices[name].address or 'no address'}): " for name in absent]
    whys = [error.__cause__ or error for error in absent.values()]
    stems = ["├── "] * (len(absent) - 1) + ["└── "]
    lines = [f"{stem}{head}{type(why).__name__}: {why}" for stem, head, why in zip(stems, heads, whys, strict=True)]
    hint = "check addresses, cables and power; a device with `optional: true` may be absent at the start"
    return "\n".join([f"{len(absent)} of the {len(config.devices)} devices didn't connect; {hint}", *lines])


# -- what the file may say


def imported(text: object) -> Any:
    """Import "module:Class", or take a built-in by its name. Raise `ValueError` saying what isn't there."""
    if not isinstance(text, str):
        message = f"{text!r} is no class: write module:Class, such as actorlab.simulation:Laser"
        raise ValueError(message)  # noqa: TRY004 - pydantic reports a ValueError, and lets a TypeError through
    module, colon, name = text.partition(":")
    if not colon:
        if hasattr(builtins, module):
            return getattr(builtins, module)
        message = f"{text!r} names no class: write module:Class, such as actorlab.simulation:Laser"
        raise ValueError(message)
    return attribute_of(import_of(module, text), name, text)


def import_of(module: str, text: str) -> Any:
    """Import a module; whatever it raises meanwhile is the file's mistake, or the module's, and not ours."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        message = f"{text!r} can't be imported: {type(error).__name__}: {error}"
        raise ValueError(message) from error


def attribute_of(found: Any, name: str, text: str) -> Any:
    """Return what a dotted name means in a module."""
    for part in name.split("."):
        if not hasattr(found, part):
            have = [item for item in dir(found) if not item.startswith("_")]
            message = f"{text!r} can't be imported: {found.__name__} has no {part!r}{did_you_mean(part, have)}"
            raise ValueError(message)
        found = getattr(found, part)
    return found


def imported_factory(text: object) -> Any:
    """Import what makes a device."""
    found = imported(text)
    if not callable(found):
        message = f"{text!r} is a {type(found).__name__}, which makes no device: name a class, or a function"
        raise ValueError(message)  # noqa: TRY004 - see `imported`
    return found


def imported_error(text: object) -> Any:
    """Import an exception class."""
    found = imported(text)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        message = f"{text!r} is no exception class"
        raise ValueError(message)  # noqa: TRY004 - see `imported`
    return found


def regular_expression(text: str) -> str:
    """Refuse what is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        message = f"{text!r} is no regular expression: {error}"
        raise ValueError(message) from error
    return text


Imported: TypeAlias = Annotated[Any, BeforeValidator(imported_factory)]
ImportedError: TypeAlias = Annotated[Any, BeforeValidator(imported_error)]
Seconds: TypeAlias = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the file, with these keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BenchConfig(Section):
    """How the simulated instruments behave: `time_scale` seconds of physics in one real second; the noise's `seed`."""

    time_scale: Annotated[float, Field(gt=0)] = 1.0
    seed: int = 1


class RestartConfig(Section):
    """A `RestartPolicy`, with the same keys."""

    restart: Literal["never", "on_failure", "always"] | None = None
    limit: int | None = None
    period: float | None = None
    delay: float | None = None
    factor: float | None = None
    max_delay: float | None = None
    jitter: float | None = None
    on: tuple[ImportedError, ...] = ()
    then: Literal["fail", "stop_lab"] | None = None

    def policy(self) -> RestartPolicy:
        """Return the policy. Raise `ConfigError` if its numbers contradict one another."""
        return RestartPolicy(**{name: getattr(self, name) for name in self.model_fields_set})


class MailboxConfig(Section):
    """A `MailboxPolicy`, with the same keys."""

    bound: Annotated[int, Field(gt=0)] = 1024
    overflow: Overflow = "block"

    def policy(self) -> MailboxPolicy:
        """Return the policy."""
        return MailboxPolicy(bound=self.bound, overflow=self.overflow)


class DeviceEntry(Section):
    """One device: the class that drives it, its address and other arguments, and options of `DeviceConfig`.

    `address` is what the class takes first; ``bench:laser`` is the laser of the simulated bench.
    """

    factory: Imported = Field(alias="class")
    address: str | None = None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    restart: RestartConfig = RestartConfig()
    timeout: Seconds = 60.0
    safe_timeout: Seconds = 10.0
    faults: tuple[ImportedError, ...] = ()
    queries: tuple[str, ...] = ()
    idempotent: tuple[str, ...] = ()
    connect: str | None = None
    disconnect: str | None = None
    make_safe: str | None = None
    interrupt: str | None = None
    resync: str | None = None
    identify: str | None = None
    optional: bool = False
    isolation: Literal["thread", "process"] = "thread"
    direct: bool = False
    read_back: dict[str, ReadBack] = {}
    mailbox: Annotated[int, Field(gt=0)] | MailboxConfig = 1024

    @property
    def instrument(self) -> str | None:
        """Return the instrument of the bench that the address names, or None."""
        simulated = self.address is not None and self.address.startswith(BENCH)
        return self.address.removeprefix(BENCH) if simulated and self.address is not None else None

    @property
    def arguments(self) -> list[Any]:
        """Return what the class takes by position, as it stands in the file."""
        return [self.address, *self.args] if self.address is not None else self.args

    def options(self) -> dict[str, Any]:
        """Return the options of `DeviceConfig` that the file sets."""
        known = [item.name for item in fields(DeviceConfig) if item.name in self.model_fields_set]
        return {name: plain_option(getattr(self, name)) for name in known}


def plain_option(value: Any) -> Any:
    """Return what `DeviceConfig` takes for what stands in the file."""
    return value.policy() if isinstance(value, RestartConfig | MailboxConfig) else value


class DiscoverConfig(Section):
    """Where tasks, workflows and device classes are looked for; folders are relative to the lab's file."""

    folders: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    entry_points: bool = True
    environment: str | None = "ACTORLAB_PATH"
    ignore: tuple[str, ...] = IGNORED
    names: Annotated[str, AfterValidator(regular_expression)] = NAMES
    required: tuple[str, ...] = ()
    override: tuple[str, ...] = ()
    _place: str = PrivateAttr("")
    """The file and the line of this section, to be said with what is wrong."""

    def sources(self) -> dict[str, Any]:
        """Return what `actorlab.discovery.discover` takes."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def beside(self, file: Path, line: int) -> DiscoverConfig:
        """Return this section with the folders seen from its file."""
        made = self.model_copy(update={"folders": tuple([str(file.parent / folder) for folder in self.folders])})
        made._place = f"{file}:{line}"  # noqa: SLF001 - it is of this class
        return made

    def look(self, discover: Callable[..., Found]) -> Found:
        """Look for them. Raise `ConfigError` with the file's line if something required is missing."""
        try:
            return discover(**self.sources())
        except ConfigError as error:
            message = f"{self._place}: discover: {error}" if self._place else str(error)
            raise ConfigError(message) from error


class LabConfig(Section):
    """A lab: its devices by name, in the order in which they are added, and the options of `Lab`."""

    name: str = "lab"
    cancel_grace: Seconds = 10.0
    max_runs: Annotated[int, Field(gt=0)] | None = None
    limits: dict[str, Annotated[int, Field(gt=0)]] = {}
    keep_finished: Annotated[int, Field(gt=0)] = 1000
    processes: Annotated[int, Field(gt=0)] | None = None
    keep_rows: Annotated[int, Field(gt=0)] = 100_000
    bench: BenchConfig = BenchConfig()
    discover: DiscoverConfig | None = None
    devices: dict[Annotated[str, Field(min_length=1)], DeviceEntry] = {}

    @property
    def simulated(self) -> bool:
        """Tell whether an address names the simulated bench."""
        return any(entry.instrument is not None for entry in self.devices.values())


# -- what can be wrong with it


@dataclass(frozen=True)
class Mistake:
    """Something wrong at a place in the file."""

    place: Location
    message: str


def mistake_of(error: Mapping[str, Any]) -> Mistake:
    """Say one of pydantic's errors in the words of the file."""
    place: Location = error["loc"]
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
        case _:
            model = DeviceEntry
    return [field.alias or name for name, field in model.model_fields.items()]


def mistaken_calls(config: LabConfig) -> Iterator[Mistake]:
    """Yield the devices whose class doesn't take these arguments, or whose options contradict one another."""
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
        try:
            entry.options()
        except (ConfigError, ValueError) as error:
            yield Mistake(("devices", name, "restart"), f"devices.{name}.restart: {error}")


def missing_folders(config: LabConfig, beside: Path) -> Iterator[Mistake]:
    """Yield the folders of tasks that aren't there."""
    folders = () if config.discover is None else config.discover.folders
    for at, folder in enumerate(folders):
        if not (beside / folder).is_dir():
            yield Mistake(("discover", "folders", at), f"discover.folders.{at}: there is no folder {beside / folder}")


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


def did_you_mean(wrong: str, known: list[str]) -> str:
    """Return a hint, if one of the known names is close."""
    close = difflib.get_close_matches(wrong, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def titled(place: Location | list[int | str]) -> str:
    """Write a place as people do: devices.laser.class."""
    return ".".join(map(str, place)) or "the file"


# -- the file itself


@dataclass(frozen=True)
class Source:
    """A file as it was read: its values, and the line on which each of them begins."""

    path: Path
    content: dict[str, Any]
    lines: dict[Location, int]

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file. Raise `ConfigError` with its line if it is no YAML, or names something twice."""
        reader: Any = YAML(typ="rt")
        try:
            root = reader.load(path.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{path} can't be read: {error.strerror}"
            raise ConfigError(message) from error
        except (YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(unreadable(path, error)) from error
        if not issubclass(type(root), CommentedMap):
            message = f"{path}:1: a lab's file begins with a key, such as devices:"
            raise ConfigError(message)
        lines: dict[Location, int] = {}
        return cls(path, plain(root, (), lines), lines)

    def refusal(self, found: list[Mistake]) -> ConfigError:
        """Return the error that tells everything that was found, each with its line."""
        told = sorted((self.line(item.place), item.message) for item in found)
        return ConfigError("\n".join(f"{self.path}:{line}: {message}" for line, message in told))

    def line(self, place: Location) -> int:
        """Return the line of a place, or of the innermost part around it that is in the file."""
        return next((self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines), 1)


def unreadable(path: Path, error: Exception) -> str:
    """Say why a file is no YAML, in one line."""
    known: Any = error
    if not isinstance(error, MarkedYAMLError) or known.problem_mark is None:
        return f"{path}: this is no YAML: {error}"
    where = f"{path}:{known.problem_mark.line + 1}"
    if isinstance(error, DuplicateKeyError):
        name = str(known.problem).partition('"')[2].partition('"')[0]
        return f"{where}: the name {name!r} is there already; each can stand only once"
    return f"{where}: this is no YAML: {known.problem}"


def plain(node: Any, place: Location, lines: dict[Location, int]) -> Any:
    """Return what was read as plain values, and note their lines."""
    if issubclass(type(node), CommentedMap):
        for key in node:
            own = key in node.lc.data  # what comes from an anchor (<<) stands elsewhere
            lines[*place, key] = node.lc.key(key)[0] + 1 if own else lines.get(place, 1)
        return {key: plain(value, (*place, key), lines) for key, value in node.items()}
    if issubclass(type(node), CommentedSeq):
        for index in range(len(node)):
            lines[*place, index] = node.lc.item(index)[0] + 1
        return [plain(value, (*place, index), lines) for index, value in enumerate(node)]
    for scalar in (bool, int, float, str):
        if issubclass(type(node), scalar):
            return scalar(node)
    return node


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Let classes be imported from files beside the lab's file, for the length of a block."""
    place = str(folder.resolve())
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.remove(place)
