"""The learned half of deblurring: refine the classical estimate, then check the result against the blur."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from imgrestore.classical.admm import Solution, span_of, sparse_planes
from imgrestore.nets.weights import WeightsError, load
from imgrestore.ops.blur_operator import BlurOperator

__all__ = ["Refined", "refine"]

# As in training.
FIRST_STEPS = 15
MOST_NOISE = 0.1
# A million pixels take about 1.1 GB.
MOST_PIXELS = 6_000_000
LEAST_SIZE = 16
# How much worse than the classical estimate's the refined picture's residual may be.
WORSE = 1.25


@dataclass(frozen=True)
class Refined:
    """A refined scene and what the net did to it, or why there is none.

    Attributes
    ----------
    scene : torch.Tensor or None
        Planes (1, C, *domain), in the units of the picture.
    change : torch.Tensor or None
        The frame's part of what the net changed: planes (1, C, *frame).
    note : str
        What was done, or why nothing was.
    """

    scene: torch.Tensor | None
    change: torch.Tensor | None
    note: str


def refine(
    data: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    *,
    valid: torch.Tensor | None,
    saturated: torch.Tensor | None,
    lower: torch.Tensor | None,
    robust: bool,
    caution: float = 1.0,
) -> Refined:
    """Deblur photographs by total variation and the feature-space Wiener net.

    The pixels that were not observed, beyond the frame or left out of the fit, hold the blurred classical estimate, so
    that the net's periodic transforms meet no edge there.

    Parameters
    ----------
    data : torch.Tensor, shape (1, C, H, W)
        Gray or RGB planes.
    blur : BlurOperator
        With the unknown boundary.
    sigma : torch.Tensor, shape (1, C, 1, 1)
    valid, saturated, lower, robust
        As in `sparse_planes`.
    caution : float
        The net is told this many times the noise: the more, the less it makes of what the PSF might have got wrong.

    Returns
    -------
    Refined
        Without a scene where the net does not apply, or its result does not explain the picture.
    """
    reason = _unfit(data, blur)
    if reason:
        return Refined(None, None, reason)
    try:
        net = load("deblur")
    except WeightsError as error:
        return Refined(None, None, f"classical only: {error}")
    if data.device.type != "cpu":
        net = copy.deepcopy(net).to(data.device)  # the one that is kept stays where it is
    known = torch.ones_like(data) if valid is None else valid.to(data.dtype)
    if saturated is not None:
        known = known * ~saturated
    span, offset = span_of(data, valid)
    level = sigma.mean(dim=1, keepdim=True) / span
    if float(level.max()) > MOST_NOISE:
        return Refined(None, None, "classical only: noisier than anything the net has seen")
    first = sparse_planes(
        data, blur, sigma, num_iter=FIRST_STEPS, valid=valid, saturated=saturated, lower=lower, robust=robust
    )
    # All channels of a pixel count as unobserved where one does, as the net has one mask.
    mask = blur.pad(known.amin(dim=1, keepdim=True))
    observed = mask * blur.pad(data) + (1 - mask) * first.blurred
    otf = blur.otf if blur.otf.ndim == 4 else blur.otf[None, None]
    channels = data.shape[1]
    with torch.set_grad_enabled(torch.is_grad_enabled() and (data.requires_grad or otf.requires_grad)):
        unit = net(
            _rgb((observed - offset) / span),
            _rgb((first.scene - offset) / span),
            otf.expand(data.shape[0], -1, -1, -1),
            (caution * level).flatten(),
            mask.expand(data.shape[0], -1, -1, -1),
        )
    scene = (unit if channels == 3 else unit.mean(dim=1, keepdim=True)) * span + offset
    if not _explains(scene, first, data, blur, sigma, known):
        return Refined(None, None, "classical only: the net's picture did not explain the blurred one")
    return Refined(scene, blur.crop(scene - first.scene), "refined by the net")


def _unfit(data: torch.Tensor, blur: BlurOperator) -> str | None:
    """Why the net cannot take this picture, if it cannot."""
    if blur.space != 2 or data.shape[1] not in (1, 3):
        return "classical only: the net knows gray and RGB pictures"
    if data.dtype != torch.float32:
        return "classical only: the net works in float32"
    if blur.boundary != "unknown":
        return "classical only: the net takes the boundary for unknown"
    if min(blur.domain) < LEAST_SIZE:
        return f"classical only: less than {LEAST_SIZE} pixels across"
    if data[:, 0].numel() > MOST_PIXELS:
        return f"classical only: larger than {MOST_PIXELS / 1e6:.0f} million pixels"
    return None


def _rgb(planes: torch.Tensor) -> torch.Tensor:
    return planes.expand(-1, 3, -1, -1)


def _explains(
    scene: torch.Tensor,
    first: Solution,
    data: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    known: torch.Tensor,
) -> bool:
    """Whether the refined scene, blurred, is as near to the picture as the classical one, or as near as the noise."""
    with torch.no_grad():
        refined, classical = (
            ((data - blur.crop(blurred)) * known).square().mean().sqrt()
            for blurred in (blur.spread(scene.detach()), first.blurred.detach())
        )
        return bool(refined <= WORSE * torch.maximum(classical, sigma.square().mean().sqrt()))
