"""Say of a device that a step only relies on it: ``Shared[Stage]`` is a `Stage` which others may rely on as well."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias, TypeVar, final

__all__ = ["SHARED", "Shared"]

D = TypeVar("D")


@final
class SharedMark:
    """Stand in a type hint beside a device that is only relied on."""

    def __repr__(self) -> str:
        return "SHARED"


SHARED: Final = SharedMark()

# For a type checker this is D and nothing else; at run time the mark stays with it.
Shared: TypeAlias = Annotated[D, SHARED]
