"""Parts of a periodic domain inside of which a net stays, as it does at the ends of the whole one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

__all__ = ["NO_CUTS", "Cuts", "Piece", "in_pieces", "pieces_of"]

Cuts = tuple[Sequence[int], Sequence[int]]
Piece = tuple[tuple[int, int], tuple[int, int]]
NO_CUTS: Cuts = ((), ())


def pieces_of(size: tuple[int, int], cuts: Cuts) -> list[Piece]:
    """Where the pieces between cuts begin and end: rows, and columns."""
    rows, columns = (list(pairwise([0, *sorted(own), length])) for own, length in zip(cuts, size, strict=True))
    return [(own, others) for own in rows for others in columns]


def in_pieces(
    run: Callable[[torch.Tensor, int], torch.Tensor], x: torch.Tensor, pieces: Sequence[Piece], stride: int = 1
) -> torch.Tensor:
    """Run a net on each piece by itself.

    Parameters
    ----------
    run : callable
        Maps planes (N, C, h, w) and the number of the piece to planes (N, outputs, h, w).
    x : Tensor, shape (N, C, H, W)
    pieces : sequence
        As `pieces_of` gives them. A single one is all of `x`, and is not copied.
    stride : int
        Pieces are filled up to multiples of it, with what comes next on the domain.

    Returns
    -------
    Tensor, shape (N, outputs, H, W)
    """
    if len(pieces) == 1:
        return run(x, 0)
    out: torch.Tensor | None = None
    for number, ((top, bottom), (left, right)) in enumerate(pieces):
        rows = torch.arange(top, bottom + (top - bottom) % stride, device=x.device) % x.shape[-2]
        columns = torch.arange(left, right + (left - right) % stride, device=x.device) % x.shape[-1]
        found = run(x[..., rows[:, None], columns], number)
        if out is None:
            out = found.new_empty(*found.shape[:-2], *x.shape[-2:])
        out[..., top:bottom, left:right] = found[..., : bottom - top, : right - left]
    assert out is not None
    return out
