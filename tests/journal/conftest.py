"""Give journal tests a place for a journal, and a clock that stands where it is put."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file that doesn't exist yet."""
    return tmp_path / "journal.db"
