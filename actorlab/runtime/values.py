"""Keep the values of the steps of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorlab.runtime.run_actor import RunActor

__all__ = ["Values"]


class Values(dict[int, Any]):
    """The values of the steps that have ended; a nested workflow's is put together when it is first looked at."""

    __slots__ = ("later",)

    def __init__(self) -> None:
        super().__init__()
        self.later: dict[int, RunActor] = {}
        """The runs of the steps that are runs of their own."""

    def __missing__(self, step: int) -> Any:
        value = self[step] = self.later[step].value()
        return value
