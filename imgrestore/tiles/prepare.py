"""Settle once what concerns the whole of a picture."""

from __future__ import annotations

from typing import Any

from imgrestore.tiles.look import LOOK_PIXELS, look_at
from imgrestore.tiles.prepared import Prepared
from imgrestore.tiles.source import as_source

__all__ = ["TASKS", "prepare"]

TASKS = ("deblur", "demoire", "deshadow", "dereflect", "despecular", "derust", "restore")


def prepare(task: str, source: Any, *, look_pixels: int = LOOK_PIXELS, **options: Any) -> Prepared:
    """Look at a picture once, reduced, and settle everything about it that a tile cannot know.

    The picture is gone over once in bands and never held whole. One of up to `look_pixels` pixels is looked at as it
    is; of a larger one means over squares are, and what shows at full size only (blur, noise, screens) in five parts of
    it. Noise, white, range, PSF, method, layers and tones are settled on that, and are the same for all tiles.

    Parameters
    ----------
    task : str
        "deblur", "demoire", "deshadow", "dereflect", "despecular", "derust" or "restore".
    source : Source or array_like
        The picture: (H, W) or (H, W, C), uint8, uint16 or floating point; an array of NumPy, Zarr or Dask, an object
        with a shape, a dtype and ``read(window)``.
    look_pixels : int
        How many pixels are looked at.
    **options
        Of the task's public function, but for `details`.

    Returns
    -------
    Prepared

    Raises
    ------
    TypeError, ValueError
        Where the task is none of these, the source is no picture, or an option is not as the task takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.tiles import Window, prepare
    >>> picture = np.zeros((96, 200), np.uint16)
    >>> picture[40:50, 90:120] = 1000
    >>> prepared = prepare("deblur", picture, psf="disk:2", method="wiener")
    >>> window = Window(0, 64, 96, 64)
    >>> prepared(picture[window.grown(prepared.halo, picture.shape).slices], window).shape
    (96, 64)
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}")
    if isinstance(look_pixels, bool) or not isinstance(look_pixels, int) or look_pixels < 1:
        raise ValueError(f"look_pixels is {look_pixels!r}; expected a whole number above 0")
    picture = as_source(source)
    look = look_at(picture, look_pixels)
    if task == "deblur":
        from imgrestore.tiles.deblur import prepare_deblur

        return prepare_deblur(picture, look, **options)
    if task == "demoire":
        from imgrestore.tiles.demoire import prepare_demoire

        return prepare_demoire(picture, look, **options)
    if task == "restore":
        from imgrestore.tiles.restore import prepare_restore

        return prepare_restore(picture, look, **options)
    from imgrestore.tiles.layers import prepare_layers

    return prepare_layers(task, picture, look, **options)
