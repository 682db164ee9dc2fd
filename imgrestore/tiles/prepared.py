"""A task with all that is decided once for a picture, ready to restore any part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imgrestore.tiles.window import Window

__all__ = ["STEP_BYTES", "Prepared", "Unchanged", "Work"]

# What a step of `restore` may take while a picture is gone over through it, to be looked at again.
STEP_BYTES = 800_000_000


class Work(Protocol):
    """What a task does to a tile."""

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """The restored pixels of `core`, from those of `seen`, which lies around it."""
        ...


@dataclass(frozen=True)
class Unchanged:
    """Leaves a picture as it is."""

    def __call__(self, pixels: NDArray[Any], seen: Window, core: Window) -> NDArray[Any]:
        """The pixels of `core` as they are."""
        return np.array(pixels[core.inside(seen)])


@dataclass(frozen=True)
class Prepared:
    """A task with everything that concerns the whole of a picture decided, for one tile after the other.

    It can be pickled, and no tile changes it: tiles may come in any order, in parallel, and in other processes.

    Attributes
    ----------
    task : str
    shape : tuple of int
        Of the picture: (H, W) or (H, W, C).
    dtype : numpy.dtype
        Of its pixels, and of what comes back.
    halo : int
        How many pixels beyond a tile its result depends on.
    notes : tuple of str
        What a user should know: what was decided, and on what it was decided.
    bytes_per_pixel : float
        Working memory for one pixel of a tile with its halo, at its peak.
    fixed_bytes : int
        Memory that does not depend on the tile: what is kept of the whole picture, and a net's weights.
    work : callable
    """

    task: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    halo: int
    notes: tuple[str, ...]
    bytes_per_pixel: float
    fixed_bytes: int
    work: Work

    def seen(self, window: Window) -> Window:
        """What has to be read for a tile: ``window.grown(prepared.halo, prepared.shape)``."""
        return window.grown(self.halo, self.shape)

    def __call__(self, pixels: NDArray[Any], window: Window) -> NDArray[Any]:
        """Restore one tile.

        Parameters
        ----------
        pixels : ndarray
            Of ``window.grown(prepared.halo, prepared.shape)``: shape (h, w) or (h, w, C), the picture's dtype.
        window : Window
            The tile.

        Returns
        -------
        ndarray
            The restored pixels of `window`, of the picture's dtype.

        Raises
        ------
        ValueError
            Where `window` is not inside of the picture, or `pixels` has another shape than it should have.
        TypeError
            Where `pixels` has another dtype than the picture.
        """
        if not window.lies_in(self.shape):
            raise ValueError(f"window is {window}; expected one inside of a picture of shape {self.shape}")
        seen = self.seen(window)
        _check(pixels, (*seen.shape, *self.shape[2:]), self.dtype)
        return np.ascontiguousarray(self.work(pixels, seen, window))


def _check(pixels: NDArray[Any], shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    if tuple(pixels.shape) != tuple(shape):
        raise ValueError(f"pixels has shape {tuple(pixels.shape)}; expected {tuple(shape)}, the tile with its halo")
    if pixels.dtype != dtype:
        raise TypeError(f"pixels has dtype {pixels.dtype}; expected {dtype}, that of the picture")
