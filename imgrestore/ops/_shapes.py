"""How shapes broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["broadcast_shapes", "broadcasts_to"]


def broadcast_shapes(*shapes: Sequence[int]) -> torch.Size:
    """The shape that shapes broadcast to.

    Torch's function of this name imports what torch compiles with, which takes longer than most calls that ask for it;
    it is left to where shapes are symbols.

    Raises
    ------
    ValueError
        Where they do not broadcast.
    """
    if all(type(length) is int for shape in shapes for length in shape):
        return torch.Size(np.broadcast_shapes(*map(tuple, shapes)))
    try:
        return torch.Size(torch.broadcast_shapes(*map(tuple, shapes)))
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def broadcasts_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another as it is."""
    try:
        return broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False
