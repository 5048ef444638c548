"""Be a camera in a process of its own; its module is one that such a process can import."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Camera"]


class Camera:
    """Answer at once, with a number or a frame of 8 MiB."""

    def __init__(self) -> None:
        self._frame = np.random.default_rng(1).integers(0, 4096, (2048, 2048), np.uint16)

    def exposure(self) -> float:
        """Return a number."""
        return 0.25

    def acquire(self) -> npt.NDArray[np.uint16]:
        """Return a frame."""
        return self._frame
