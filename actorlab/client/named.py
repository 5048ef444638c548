"""Offer what a lab elsewhere has by its names, as a mapping; a name is asked for when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from actorlab.errors import ConfigError

__all__ = ["Named"]

T = TypeVar("T")


class Named(Mapping[str, T], Generic[T]):
    """Things of a lab elsewhere, by their names, as they are whenever one looks."""

    def __init__(self, names: Callable[[], Iterable[str]], get: Callable[[str], T]) -> None:
        self._names = names
        self._get = get

    def __getitem__(self, name: str) -> T:
        try:
            return self._get(name)
        except ConfigError as error:
            raise KeyError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._names()))

    def __len__(self) -> int:
        return len(list(self._names()))

    def __contains__(self, name: object) -> bool:
        return name in list(self._names())

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._names())

    def __repr__(self) -> str:
        return f"<{', '.join(self._names()) or 'nothing'}>"
