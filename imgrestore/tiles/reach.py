"""How far a method's result depends on its surroundings: found by cutting a part out and comparing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Reach", "find_reach"]

# Halos are whole multiples of this, and the tolerance is met so much earlier.
STEP = 8
# The largest part that is cut out has sides of so many pixels beyond twice the reach that is tried.
CORE = 64
LARGEST = 256


@dataclass(frozen=True)
class Reach:
    """How many pixels beyond itself a pixel's result depends on, and what farther ones still change of it at most."""

    pixels: int
    rest: float


def find_reach(
    restore: Callable[[Tensor], Tensor],
    picture: Tensor,
    span: Tensor,
    tolerance: float,
    *,
    start: int = 64,
    stride: int = 1,
) -> Reach:
    """Restore a picture whole and a part of it alone, and see how deep into the part they differ.

    Parameters
    ----------
    restore : callable
        Planes (1, C, h, w) to planes of that shape.
    picture : Tensor, shape (1, C, H, W)
        Mirrored where it is smaller than what is needed.
    span : Tensor that broadcasts over `picture`
        Range of its values, which the tolerance is a part of.
    tolerance : float
    start : int
        The reach that is tried first; it is doubled up to 256 where it is not enough.
    stride : int
        Of the method's grid, on which the part has to begin.

    Returns
    -------
    Reach
        Where none is enough, that from which on the difference does not fall any more.
    """
    most = start
    while True:
        margin = -(-most // (2 * stride)) * stride
        side = 2 * most + CORE
        whole = _folded(picture, side + 2 * margin)
        inside = (..., slice(margin, margin + side), slice(margin, margin + side))
        apart = ((restore(whole)[inside] - restore(whole[inside].contiguous())) / span).abs().amax((0, 1))
        depth = torch.arange(side)
        depth = torch.minimum(depth, side - 1 - depth).to(apart.device)
        depth = torch.minimum(depth[:, None], depth)
        worst = [float(apart[depth >= at].amax()) for at in range(0, most + 1, STEP)]
        enough = [i for i, one in enumerate(worst) if one <= tolerance]
        if enough:
            return Reach(enough[0] * STEP, worst[enough[0]])
        if most >= LARGEST:
            # What is left is rounding that the iteration makes larger, not what lies farther away.
            settled = next(i for i, one in enumerate(worst) if one <= 2 * worst[-1])
            return Reach(settled * STEP, worst[settled])
        most *= 2


def _folded(picture: Tensor, side: int) -> Tensor:
    """The middle of a picture, mirrored at its edges as often as it takes."""
    for axis in (-2, -1):
        length = picture.shape[axis]
        place = torch.arange(side, device=picture.device) + max(0, (length - side) // 2)
        place = place % (2 * length)
        picture = picture.index_select(axis, torch.where(place < length, place, 2 * length - 1 - place))
    return picture.contiguous()
