"""Follow a generator: each thing that it yields is its body's progress, and a checkpoint."""

from __future__ import annotations

from typing import Any

from actorlab.body_kinds import progress_in
from actorlab.scope import Scope

__all__ = ["ReportingScope"]


class ReportingScope(Scope):
    """The scope of a body with a name, whose progress somebody hears of."""

    __slots__ = ()

    name: str

    def follow(self, generator: Any) -> Any:
        """Run a generator to its end: each thing it yields is its progress, and a checkpoint."""
        try:
            report = next(generator)
            while True:
                try:
                    self.report(report)
                    self.checkpoint()
                except BaseException as error:  # noqa: BLE001 - the generator's to clean up after
                    report = generator.throw(error)
                else:
                    report = next(generator)
        except StopIteration as end:
            return end.value
        finally:
            generator.close()

    def report(self, report: Any) -> None:
        """Take what a generator yields as its progress.

        Raises:
            TypeError: it can't be read as one.

        """
        try:
            told = progress_in(report)
        except TypeError as error:
            text = f"{self.name}: {error}"
            raise TypeError(text) from None
        if told is not None:
            self.progress(*told)
