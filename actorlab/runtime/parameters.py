"""Hold the parameters of a run, which may be set while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from actorlab.errors import ConfigError
from actorlab.quantities.checker import limits_of

if TYPE_CHECKING:
    from actorlab.quantities.limits import Limits

__all__ = ["Parameters"]


class Parameters:
    """What a run's bodies have declared, and what they are set to: entries of a dict, which any thread may read."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._declared: dict[str, tuple[type, Limits | None]] = {}
        self.values: dict[str, Any] = {}

    def declared(self, name: str, default: Any, marks: tuple[Any, ...]) -> Any:
        """Return a parameter's value; the first use declares its default, its type and its limits."""
        if name not in self._declared:
            kind: type[Any] = default.__class__
            limits = limits_of(Annotated[(kind, *marks)], name) if marks else None
            self._declared[name] = (kind, limits)
            self.values.setdefault(name, default)
        return self.values[name]

    def set(self, changes: dict[str, Any]) -> None:
        """Set some parameters: all of them, or none.

        Raises:
            ConfigError: one isn't declared, or its value doesn't fit; the message says what does.

        """
        self.values.update({name: self._checked(name, value) for name, value in changes.items()})

    def _checked(self, name: str, value: Any) -> Any:
        if name not in self._declared:
            have = ", ".join(self._declared) or "none so far"
            text = f"{self._run_id} has no parameter {name!r}; it has {have}"
            raise ConfigError(text)
        kind, limits = self._declared[name]
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - it takes longer to import than all else here

        try:
            if limits is not None:
                value = limits.checked(self._run_id, value)
            return value if kind is type(None) else TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            text = f"{self._run_id}: parameter {name} takes {kind.__name__}, not {value!r}"
            raise ConfigError(text) from error
        except ValueError as error:
            raise ConfigError(str(error)) from error
