"""Stand for a value that a step will return: it can be passed on and indexed, any other look at it is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias

from actorlab.arguments import StandIn, search
from actorlab.errors import WorkflowError

__all__ = ["Origin", "Path", "Unknown", "origin_of", "steps_among", "value_of"]

Path: TypeAlias = tuple[int, ...]


class Source(Protocol):
    """What is being drawn, and so made the unknown value."""

    path: Path

    def title(self, step: int) -> str:
        """Name one of its steps for an error."""
        ...


class Origin(NamedTuple):
    """Where an unknown value comes from: an item, by some keys one after the other, of what a step returns."""

    drawing: Source
    step: int
    keys: tuple[Any, ...] = ()


class Unknown(StandIn):
    """The value of a step that hasn't run yet. `is None` can't be caught: it is simply false."""

    __slots__ = ("_actorlab_origin",)

    _actorlab_origin: Origin

    def __init__(self, origin: Origin) -> None:
        object.__setattr__(self, "_actorlab_origin", origin)

    def __getitem__(self, key: Any) -> Unknown:
        if search((key,), {}):
            _refuse(self, "can't be indexed by a device or by something unknown")
        drawing, step, keys = self._actorlab_origin
        return Unknown(Origin(drawing, step, (*keys, key)))

    def __iter__(self) -> NoReturn:
        _refuse(
            self,
            "can't be unpacked or iterated over; index it instead (`both = step(); first, second = both[0], both[1]`), "
            "or use each(…)",
        )

    def __getattr__(self, name: str) -> NoReturn:
        _refuse(self, f"has no attributes yet ({name!r} was asked for)")

    @property  # type: ignore[misc]  # nobody sets it
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Refuse `isinstance`."""
        _refuse(self, "has no type yet")

    def __repr__(self) -> str:
        drawing, step, keys = self._actorlab_origin
        return f"<unknown: {drawing.title(step)}{''.join(f'[{key!r}]' for key in keys)}>"


def origin_of(unknown: Unknown) -> Origin:
    """Return where an unknown value comes from."""
    # An unknown value has no public names.
    return unknown._actorlab_origin  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def value_of(unknown: Unknown, results: Mapping[Path, Sequence[Any] | Mapping[int, Any]]) -> Any:
    """Return the value, now that it is known: `results` has the steps' results, by the drawing's path and the step."""
    drawing, step, keys = origin_of(unknown)
    value = results[drawing.path][step]
    for key in keys:
        value = value[key]
    return value


def steps_among(args: tuple[Any, ...], path: Path) -> tuple[int, ...] | None:
    """Return the steps of a drawing whose values the arguments are, one for one; None if any is something else."""
    steps: list[int] = []
    for value in args:
        if type(value) is not Unknown:
            return None
        drawing, step, keys = origin_of(value)
        if keys or drawing.path != path:
            return None
        steps.append(step)
    return tuple(steps)


def _refuse(unknown: Unknown, why: str) -> NoReturn:
    drawing, step, _ = origin_of(unknown)
    message = (
        f"what {drawing.title(step)} returns isn't known while the workflow is drawn: it {why}. "
        f"Pass it on to a task, and look at it there."
    )
    raise WorkflowError(message)


# What Python asks of an object, by what it is for.
LOOKS: Final = {
    "can't be compared": "eq ne lt le gt ge",
    "can't be hashed, so it is no key and no member of a set": "hash",
    "is neither true nor false; use choose(…) for what depends on it": "bool",
    "can't be formatted or printed": "str format bytes fspath",
    "has no length": "len length_hint",
    "can't be iterated over": "next reversed aiter anext",
    "can't be searched": "contains",
    "is no number": "int float complex index round trunc floor ceil",
    "can't be calculated with": (
        "neg pos abs invert add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or "
        "radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand rxor ror "
        "iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ixor ior"
    ),
    "is no array": "array array_ufunc array_function array_wrap buffer dlpack",
    "can't be changed": "setattr delattr setitem delitem set_name",
    "can't be called": "call",
    "can't be used in a `with` block": "enter exit aenter aexit",
    "can't be awaited": "await",
    "can't be copied or pickled": "reduce reduce_ex getstate copy deepcopy getnewargs getnewargs_ex",
}


def _refusal(why: str) -> Callable[..., NoReturn]:
    def refuse(self: Unknown, *_: Any, **__: Any) -> NoReturn:
        _refuse(self, why)

    return refuse


for _why, _names in LOOKS.items():
    for _name in _names.split():
        setattr(Unknown, f"__{_name}__", _refusal(_why))
