"""Say which keys a lab's file may have, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from actorlab.config.naming import imported_error, imported_factory, regular_expression
from actorlab.core.overflow import MailboxPolicy, Overflow
from actorlab.core.restart import RestartPolicy
from actorlab.device import DeviceConfig
from actorlab.discovery import Found
from actorlab.discovery.search import IGNORED, NAMES
from actorlab.errors import ConfigError
from actorlab.quantities import ReadBack

__all__ = ["BENCH", "BenchConfig", "DeviceEntry", "DiscoverConfig", "LabConfig", "RestartConfig", "Section"]

BENCH: Final = "bench:"
"""So begins the address of an instrument on the simulated bench."""

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
