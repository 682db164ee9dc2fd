"""The check after a net: does its picture explain what was observed, part by part, as well as it can be explained?

A net's picture goes through the forward model of its task once more. What then differs from the observation is the
*residual*; noise is part of it, and what the classical estimate leaves over shows what else has to be expected.
"""

from __future__ import annotations

import torch

from imgrestore import ops

__all__ = ["HOPELESS", "REACH", "WORSE", "believed", "local_rms", "share_explained", "tolerance", "trust"]

# Residuals are looked at in windows so many pixels across: large enough to tell noise from more to some per cent.
REACH = 31
# A net is believed where its residual is at most so many times what is to be expected, and no more where it is
# `HOPELESS` times that.
WORSE, HOPELESS = 1.25, 1.75
# An error that nobody sees is none, in a picture of whatever type: one gray level of 8 bits.
GRAY_LEVEL = 1 / 255
TINY = 1e-12


def tolerance(noise: torch.Tensor, span: torch.Tensor | float = 1.0) -> torch.Tensor:
    """What a sound picture may leave over of the observation: the noise, and one gray level of 8 bits beside it.

    Parameters
    ----------
    noise : Tensor
        Standard deviation of the noise.
    span : Tensor that broadcasts, or float
        Range of the picture.

    Returns
    -------
    Tensor
        Their root of squares, without a gradient.
    """
    return (noise.detach().square() + (GRAY_LEVEL * span) ** 2).sqrt()


def local_rms(residual: torch.Tensor, known: torch.Tensor | None = None, reach: int = REACH) -> torch.Tensor:
    """The root of the mean square in the window around each pixel, over all channels.

    Parameters
    ----------
    residual : Tensor of float32 or float64, shape (N, C, H, W)
    known : Tensor of that shape, optional
        1 where a pixel counts, 0 where it does not; all count by default.
    reach : int
        Pixels across the window, which ends at the border of the picture.

    Returns
    -------
    Tensor, shape (N, 1, H, W)
        0 where no pixel of the window counts.
    """
    power = residual.detach().square()
    if known is None:
        return _mean(power.mean(dim=1, keepdim=True), reach).clamp_min(0).sqrt()
    # A pixel that does not count may be anything.
    power = torch.where(known > 0, power * known, 0.0)
    total, count = (_mean(each.mean(dim=1, keepdim=True), reach) for each in (power, known.to(power)))
    return torch.where(count > TINY, total / count.clamp_min(TINY), 0.0).clamp_min(0).sqrt()


def share_explained(
    residual: torch.Tensor,
    reference: torch.Tensor,
    noise: torch.Tensor,
    *,
    known: torch.Tensor | None = None,
    reach: int = REACH,
    worse: float = WORSE,
    hopeless: float = HOPELESS,
) -> torch.Tensor:
    """How far a net's picture is to be believed at each pixel, against a classical estimate's.

    Where its residual is more than `worse` times that of the classical estimate, and of the noise, it is believed the
    less, down to 0 at `hopeless` times. Mix the two by it: ``classical + share * (refined - classical)``.

    Parameters
    ----------
    residual, reference : Tensor, shape (N, C, H, W)
        What the net's and the classical estimate's picture leave over of the observation.
    noise : Tensor that broadcasts over (N, 1, H, W)
        Standard deviation of the noise; see `tolerance`.
    known : Tensor, shape (N, C, H, W), optional
        1 where a pixel was observed, 0 where not; all by default. Where a whole window was not, nobody can tell, and
        the net is not believed.
    reach : int
        Pixels across the windows in which residuals are compared; no smaller than what one pixel of the scene reaches.
    worse, hopeless : float

    Returns
    -------
    Tensor, shape (N, 1, H, W)
        From 0 to 1, smooth, without a gradient; 0 where the net's residual is NaN.
    """
    own, first = (local_rms(r, known, reach) for r in (residual, reference))
    excess = own / torch.maximum(first, noise.detach()).clamp_min(TINY)
    if known is not None:
        excess = torch.where(_observed(known, reach), excess, torch.inf)
    return believed(excess, reach=reach, worse=worse, hopeless=hopeless)


def believed(
    excess: torch.Tensor, *, reach: int = REACH, worse: float = WORSE, hopeless: float = HOPELESS
) -> torch.Tensor:
    """How far to believe what is so many times as large as expected.

    Parameters
    ----------
    excess : Tensor, shape (N, 1, H, W)
    reach : int
        Pixels across the windows that it was found in.
    worse, hopeless : float
        Up to where it is believed, and from where on not at all.

    Returns
    -------
    Tensor, shape (N, 1, H, W)
        From 0 to 1, smooth; 0 where `excess` is NaN.
    """
    part = ((hopeless - excess) / (hopeless - worse)).clamp(0, 1).nan_to_num(0.0)
    return _mean(part * part * (3 - 2 * part), reach // 2).clamp(0, 1)


def trust(
    residual: torch.Tensor, noise: torch.Tensor, *, known: torch.Tensor | None = None, reach: int = REACH
) -> torch.Tensor:
    """How well a picture is explained around each pixel: the noise over the residual.

    Parameters
    ----------
    residual : Tensor, shape (N, C, H, W)
    noise : Tensor that broadcasts over (N, 1, H, W)
        As in `share_explained`.
    known, reach
        As in `local_rms`.

    Returns
    -------
    Tensor, shape (N, 1, H, W)
        1 where the residual is no larger than the noise, towards 0 where much is left over, and 0 where nothing was
        observed.
    """
    explained = (noise.detach() / local_rms(residual, known, reach).clamp_min(TINY)).clamp(0, 1).nan_to_num(0.0)
    if known is None:
        return explained
    return torch.where(_observed(known, reach), explained, 0.0)


def _observed(known: torch.Tensor, reach: int) -> torch.Tensor:
    """Where any pixel of the window counts."""
    return _mean(known.to(torch.float32).mean(dim=1, keepdim=True), reach) > TINY


def _mean(planes: torch.Tensor, reach: int) -> torch.Tensor:
    return ops.box(planes.contiguous(), reach // 2, boundary="shrink")
