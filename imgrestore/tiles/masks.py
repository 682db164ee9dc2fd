"""Masks of large pictures, which are read by windows as the pictures are."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgrestore.tiles.source import ArraySource, Source

__all__ = ["mask_source"]


def mask_source(mask: Any, shape: tuple[int, ...]) -> Source:
    """A mask that can be read window by window.

    Parameters
    ----------
    mask : Source or array_like of bool
        Shape of the picture, or its height and width.
    shape : tuple of int
        Of the picture.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        Where it is no such thing, or its dtype is not bool.
    ValueError
        Where its shape is another.
    """
    if not hasattr(mask, "shape") or not hasattr(mask, "dtype"):
        mask = np.asarray(mask)
    source: Source = mask if hasattr(mask, "read") else ArraySource(mask)
    if np.dtype(source.dtype) != np.bool_:
        raise TypeError(f"mask has dtype {source.dtype}; expected bool")
    if tuple(source.shape) not in (tuple(shape), tuple(shape[:2])):
        raise ValueError(f"mask has shape {tuple(source.shape)}; expected {tuple(shape[:2])} or {tuple(shape)}")
    return source
