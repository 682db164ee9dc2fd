"""Nets on pictures larger than their memory: tile by tile, each with the surroundings that its pixels depend on."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["in_tiles"]


def in_tiles(
    run: Callable[[torch.Tensor], torch.Tensor], planes: torch.Tensor, *, tile: int, halo: int, stride: int
) -> torch.Tensor:
    """Run a net over a picture in tiles.

    Parameters
    ----------
    run : callable
        Maps planes (N, C, h, w) to planes (N, outputs, h, w). A pixel of its result depends on nothing farther away
        than `halo`.
    planes : Tensor, shape (N, C, H, W)
        A picture up to twice the tile's area is given to it whole.
    tile : int
        Side of a tile, a multiple of `stride`.
    halo : int
        Pixels around each tile, rounded up to a multiple of `stride`.
    stride : int
        The net sees a picture in a grid of cells of this size, which has to fall on the same pixels in every tile.

    Returns
    -------
    Tensor, shape (N, outputs, H, W)
        What `run` would have given for the whole.
    """
    height, width = planes.shape[-2:]
    if height * width <= 2 * tile * tile:
        return run(planes)
    halo = -(-halo // stride) * stride
    out: torch.Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            above, before = max(top - halo, 0), max(left - halo, 0)
            found = run(planes[..., above : min(bottom + halo, height), before : min(right + halo, width)])
            if out is None:
                out = found.new_empty(*found.shape[:-2], height, width)
            out[..., top:bottom, left:right] = found[..., top - above : bottom - above, left - before : right - before]
    assert out is not None
    return out
