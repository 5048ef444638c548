"""Say which keys a lab's file may have, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema

from actorlab.config.journal_place import JOURNAL, none_for_false
from actorlab.config.naming import imported_error, imported_factory, imported_function, regular_expression
from actorlab.config.secret_texts import FOLDER
from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.core.restart import RestartPolicy, Then, When
from actorlab.device import DeviceConfig
from actorlab.discovery import Found
from actorlab.discovery.search import IGNORED, NAMES
from actorlab.errors import ConfigError
from actorlab.quantities import ReadBack

__all__ = [
    "BENCH",
    "PORT",
    "TOKENS",
    "BenchConfig",
    "DeviceEntry",
    "DiscoverConfig",
    "LabConfig",
    "MailboxConfig",
    "ReadBackConfig",
    "RestartConfig",
    "Section",
    "ServerConfig",
    "TlsConfig",
]

BENCH: Final = "bench:"
"""So begins the address of an instrument on the simulated bench."""
PORT: Final = 8600
"""The server's port, if nothing else is said."""
TOKENS: Final = "tokens.json"
"""The file in which tokens are kept, beside the lab's, if nothing else is said."""
ORIGIN: Final = r"^https?://[^/\s*?#@]+$"
"""A site, without a path."""

NAMED: Final = {"type": "string", "pattern": r"^[\w.]+(:[\w.]+)?$"}
CLASS: Final = WithJsonSchema(NAMED)
"""What an editor may know of what is imported by its name."""
Imported: TypeAlias = Annotated[Any, BeforeValidator(imported_factory), CLASS]
ImportedError: TypeAlias = Annotated[Any, BeforeValidator(imported_error), CLASS]
JournalPlace: TypeAlias = Annotated[Annotated[str, Field(min_length=1)] | None, BeforeValidator(none_for_false)]
ImportedFunction: TypeAlias = Annotated[
    Any, BeforeValidator(imported_function), WithJsonSchema({"anyOf": [NAMED, {"type": "null"}]})
]
Seconds: TypeAlias = Annotated[float, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of the file, with these keys and no others; the text below each says what it means, also to editors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BenchConfig(Section):
    """How the simulated instruments of the bench behave."""

    time_scale: Annotated[float, Field(gt=0)] = 1.0
    """So many seconds of physics pass in one real second."""
    seed: int = 1
    """The seed of its noise."""


class RestartConfig(Section):
    """A `RestartPolicy`, with the same keys: when, how often and how fast a device that broke starts again."""

    restart: When = "on_failure"
    """When it is started again."""
    limit: int | None = 3
    """At most so many restarts fall into any window of `period` seconds; null: any number."""
    period: float = 60.0
    """The window, in seconds."""
    delay: float = 0.5
    """So many seconds pass before the first restart."""
    factor: float = 2.0
    """By this the delay grows from one restart to the next."""
    max_delay: float = 10.0
    """The longest delay, in seconds."""
    jitter: float = 0.0
    """Up to this part of a delay (0 to 1) is left out, by chance."""
    on: tuple[ImportedError, ...] = ()
    """The errors that are worth a restart, as module:Class; without it, any error."""
    then: Then = "fail"
    """What happens when it isn't started again: it has failed, or the lab stops as well."""

    def policy(self) -> RestartPolicy:
        """Return the policy. Raise `ConfigError` if its numbers contradict one another."""
        return RestartPolicy(**{name: getattr(self, name) for name in self.model_fields_set})


class MailboxConfig(Section):
    """A `MailboxPolicy`, with the same keys: how many asked calls wait, and what happens to more of them."""

    bound: Count = 1024
    """So many calls may wait."""
    overflow: Overflow = "block"
    """What happens to more of them: the caller waits, is refused, the oldest is dropped, or the newest of each member
    is kept.
    """

    def policy(self) -> MailboxPolicy:
        """Return the policy."""
        return MailboxPolicy(bound=self.bound, overflow=self.overflow)


class ReadBackConfig(Section):
    """A `ReadBack`, with the same keys: how a value that was set is read back."""

    member: str
    """The attribute, property or method that tells the value."""
    tolerance: float = 0.0
    """So far it may be off, in the unit of the value."""
    within: float = 0.0
    """So many seconds it may take until it agrees."""

    def policy(self) -> ReadBack:
        """Return it. Raise `ConfigError` if the member is no name, or a number is negative."""
        return ReadBack(self.member, self.tolerance, self.within)


class DeviceEntry(Section):
    """One device: the class that drives it, its address and other arguments, and options of `DeviceConfig`."""

    factory: Imported = Field(alias="class")
    """The class that drives it, or a function that makes it, as module:Class; modules beside the lab's file are found.

    """
    address: str | None = None
    """What the class takes first: a VISA resource, or what it calls so; bench:laser is the laser of the simulated
    bench.
    """
    args: list[Any] = []
    """What the class takes next. A text may be a secret: !secret NAME, !env NAME or !file PATH."""
    kwargs: dict[str, Any] = {}
    """What the class takes by name. A text may be a secret, as in args."""
    restart: RestartConfig = RestartConfig()
    """When, how often and how fast it starts again after a fault."""
    timeout: Seconds = 60.0
    """A call that takes more seconds is cut short."""
    safe_timeout: Seconds = 10.0
    """To connect, to disconnect and to be made safe it has so many seconds."""
    faults: tuple[ImportedError, ...] = ()
    """Further errors that mean that the connection broke, as module:Class."""
    queries: tuple[str, ...] = ()
    """Members that only read, so that they are answered also while somebody else holds the device: volt,
    sense.*.range.
    """
    idempotent: tuple[str, ...] = ()
    """Members that may be called twice without harm."""
    connect: str | None = "auto"
    """The method that connects it; auto: found by its name; null: there is none."""
    disconnect: str | None = "auto"
    """The method that disconnects it, likewise."""
    make_safe: str | None = "auto"
    """The method that brings it into a state in which it may be left alone, likewise."""
    interrupt: str | None = "auto"
    """The method that ends a call in progress, likewise."""
    resync: str | None = "auto"
    """The method that makes the connection usable after a call was cut short, likewise."""
    identify: str | None = "auto"
    """The method that says who it is, likewise."""
    optional: bool = False
    """It may be absent when the lab opens; the lab goes on trying."""
    isolation: Literal["thread", "process"] = "thread"
    """Where the driver lives: a process is killed if it hangs."""
    direct: bool = False
    """Calls of its holder run in the caller's own thread: faster, but without a limit of their time."""
    read_back: dict[str, ReadBackConfig] = {}
    """Setters whose value is read back: the member that tells it, within which tolerance and which time."""
    mailbox: Count | MailboxConfig = 1024
    """How many asked calls may wait, and what happens to more of them."""

    twin: ImportedFunction = None
    """What makes an object that behaves like the device and needs no instrument, as module:function, for rehearsals."""

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
        """Return the options of `DeviceConfig` that the file sets. Raise `ConfigError` if one contradicts itself."""
        return {name: self.option(name) for name in self.given}

    @property
    def given(self) -> list[str]:
        """Return the names of the options that the file sets."""
        return [item.name for item in fields(DeviceConfig) if item.name in self.model_fields_set]

    def option(self, name: str) -> Any:
        """Return one option as `DeviceConfig` takes it. Raise `ConfigError` if it contradicts itself."""
        value = getattr(self, name)
        return {key: item.policy() for key, item in value.items()} if name == "read_back" else plain_option(value)


def plain_option(value: Any) -> Any:
    """Return what `DeviceConfig` takes for what stands in the file."""
    return value.policy() if isinstance(value, RestartConfig | MailboxConfig) else value


class DiscoverConfig(Section):
    """Where tasks, workflows and device classes are looked for; folders are relative to the lab's file."""

    folders: tuple[str, ...] = ()
    """Folders of plain Python files, as seen from the file in which this stands."""
    packages: tuple[str, ...] = ()
    """Packages that can be imported."""
    entry_points: bool = True
    """Look at what installed packages announce."""
    environment: str | None = "ACTORLAB_PATH"
    """The environment variable that names further folders; null: none."""
    ignore: tuple[str, ...] = IGNORED
    """Files and folders that aren't looked at."""
    names: Annotated[str, AfterValidator(regular_expression)] = NAMES
    """A regular expression: only what is named so is taken."""
    required: tuple[str, ...] = ()
    """Names without which the lab doesn't open."""
    override: tuple[str, ...] = ()
    """Names that may take the place of one found before."""
    _place: str = PrivateAttr("")
    """The file and the line of this section, to be said with what is wrong."""

    def sources(self) -> dict[str, Any]:
        """Return what `actorlab.discovery.discover` takes."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def looking_in(self, folders: list[str], place: str) -> DiscoverConfig:
        """Return this section with the folders where they are, and where it stands."""
        made = self.model_copy(update={"folders": tuple(folders)})
        made._place = place  # noqa: SLF001 - it is of this class
        return made

    def look(self, discover: Callable[..., Found]) -> Found:
        """Look for them. Raise `ConfigError` with the file's line if something required is missing."""
        try:
            return discover(**self.sources())
        except ConfigError as error:
            message = f"{self._place}: discover: {error}" if self._place else str(error)
            raise ConfigError(message) from error


class TlsConfig(Section):
    """The files by which the server shows who it is, as seen from the file in which this stands."""

    certificate: str
    """The server's certificate, and those of its authorities after it, as a PEM file."""
    key: str | None = None
    """The certificate's key, without a password; null: it is in the same file."""


class ServerConfig(Section):
    """How `actorlab serve` offers the lab to other programs."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on; others can reach all but this one."""
    port: Annotated[int, Field(ge=0, le=65535)] = PORT
    """The port; 0 takes a free one."""
    origins: tuple[Annotated[str, Field(pattern=ORIGIN)], ...] = ()
    """Pages of these sites may ask, such as https://plots.example; without it, only the server's own."""
    tls: TlsConfig | None = None
    """The files for https; null: plain http, which everybody on the way can read."""
    tokens: Annotated[str, Field(min_length=1)] = TOKENS
    """Who may ask: the file that `actorlab token create` writes, as seen from the file in which this stands."""

    def beside(self, files: Callable[[tuple[str, ...], str], Path]) -> ServerConfig:
        """Return this with its files where they are."""
        tls = self.tls
        if tls is not None:
            found = {"certificate": str(files(("server", "tls", "certificate"), tls.certificate))}
            found |= {} if tls.key is None else {"key": str(files(("server", "tls", "key"), tls.key))}
            tls = tls.model_copy(update=found)
        return self.model_copy(update={"tokens": str(files(("server", "tokens"), self.tokens)), "tls": tls})


class LabConfig(Section):
    """A lab: its devices by name, in the order in which they are added, and the options of `Lab`."""

    include: str | tuple[str, ...] = ()
    """Files that are read before this one, as seen from it; the later one wins, and this one over all of them."""
    secrets: str = FOLDER
    """The folder with a file for each secret, as seen from the file in which this stands."""
    name: str = "lab"
    """The lab's name."""
    journal: JournalPlace = JOURNAL
    """Where what happens is kept: a path, as seen from the file in which this stands, or a URL; null: nowhere."""
    durable: bool = True
    """Also a power cut may lose nothing of it; false: the last moments, which makes many short steps faster."""
    cancel_grace: Seconds = 10.0
    """So many seconds a cancelled body has to end."""
    max_runs: Count | None = None
    """So many runs may hold devices at one time; null: any number."""
    limits: dict[str, Count] = {}
    """So many runs with a tag may hold devices at one time."""
    keep_finished: Count = 1000
    """So many runs that have ended are kept to be looked at."""
    keep_rows: Count = 100_000
    """So many of the newest rows of a run are kept in memory."""
    processes: Count | None = None
    """So many worker processes run bodies that ask for one; null: as many as there are CPUs."""
    process_initializer: ImportedFunction = None
    """What each worker process calls first, as module:function; null: nothing."""
    telemetry: bool = False
    """Tell runs, steps and calls of devices as spans of OpenTelemetry; its own environment variables say to whom."""
    bench: BenchConfig = BenchConfig()
    """How the simulated instruments behave."""
    discover: DiscoverConfig | None = None
    """Where tasks, workflows and classes of devices are looked for."""
    server: ServerConfig = ServerConfig()
    """How the lab is offered to other programs."""
    devices: dict[Annotated[str, Field(min_length=1)], DeviceEntry] = {}
    """The devices, by their names."""

    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Return the folder of the file, if there is one."""
        return self._folder

    def beside(self, file: Path, journal: str | None) -> LabConfig:
        """Return this as it was read from a file, with its journal where that is."""
        made = self.model_copy(update={"journal": journal})
        made._folder = file.parent  # noqa: SLF001 - it is of this class
        return made

    @property
    def simulated(self) -> bool:
        """Tell whether an address names the simulated bench."""
        return any(entry.instrument is not None for entry in self.devices.values())
