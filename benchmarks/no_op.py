"""Be the body that does nothing; in a module which other processes can import."""

from __future__ import annotations


def nothing() -> None:
    """Do nothing."""
