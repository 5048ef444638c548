"""Add the look of the run-side panels to a page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nicegui import ui

__all__ = ["add_style"]

HERE: Final = Path(__file__).parent


def add_style() -> None:
    """Add it to the page that is being made."""
    ui.add_css((HERE / "runs.css").read_text(encoding="utf-8"))
    ui.add_head_html(f"<script>{(HERE / 'plot.js').read_text(encoding='utf-8')}</script>")
