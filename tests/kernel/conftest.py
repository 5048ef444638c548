"""Give kernel tests an actor that does what it is told, and end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actorlab.kernel import ThreadActor


class Doer(ThreadActor):
    """Call what it is sent; return anything else as it is."""

    def __init__(self, name: str = "actorlab-doer") -> None:
        super().__init__(name)
        self.errors: list[BaseException] = []

    def on_receive(self, message: Any) -> Any:
        return message() if callable(message) else message

    def on_error(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.fixture
def launch() -> Iterator[Callable[..., Doer]]:
    """Launch a `Doer`, and stop it when the test ends."""
    launched: list[Doer] = []

    def launch_one(name: str = "actorlab-doer") -> Doer:
        launched.append(Doer.launch(name))
        return launched[-1]

    yield launch_one
    for actor in launched:
        actor.stop_soon().result(5)
