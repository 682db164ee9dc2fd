"""Scores and sheets of held-out pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray

__all__ = ["PSNR", "SHARES", "Measure", "gain", "psnr", "sheet"]


@dataclass(frozen=True)
class Measure:
    """What the scores of a ground are.

    Attributes
    ----------
    title : str
        With the unit, as the card and the curves call it.
    unit : str
        As it is put after a number, with a blank before it; empty where there is none.
    """

    title: str
    unit: str = ""


PSNR, SHARES = Measure("PSNR in dB", " dB"), Measure("shares of 1")


def psnr(result: torch.Tensor, target: torch.Tensor) -> float:
    """Mean PSNR over a batch, the result clipped to [0, 1].

    Parameters
    ----------
    result, target : Tensor, shape (N, C, H, W)
        Range [0, 1].

    Returns
    -------
    float
        In dB, at most 120.
    """
    error = (result.clamp(0, 1) - target).square().mean((1, 2, 3)).clamp(min=1e-12)
    return float((-10 * error.log10()).mean())


def gain(scores: dict[str, float]) -> float:
    """What checkpoints are ranked by: the mean of the net's scores.

    Parameters
    ----------
    scores : dict
        As a ground's ``validate`` gives them.

    Returns
    -------
    float
        In the scores' unit; NaN where one of them is.
    """
    found = [value for name, value in scores.items() if name.startswith("net ")]
    return sum(found) / len(found)


def sheet(rows: Sequence[Sequence[torch.Tensor]], gap: int = 4) -> NDArray:
    """Lay pictures out in rows on white.

    Parameters
    ----------
    rows : sequence of sequences of Tensor, shape (3, H, W)
        Range [0, 1], clipped; all of one size.
    gap : int
        Pixels between them.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    height, width = rows[0][0].shape[-2:]
    across, down = max(map(len, rows)), len(rows)
    page = torch.ones(3, down * (height + gap) + gap, across * (width + gap) + gap)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = gap + i * (height + gap), gap + j * (width + gap)
            page[:, top : top + height, left : left + width] = picture.detach().float().cpu().clamp(0, 1)
    return (page * 255).round().byte().permute(1, 2, 0).numpy()
