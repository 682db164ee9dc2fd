"""The learned half of deblurring: refine the classical estimate, then check the result against the blur."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from imgrestore.classical.admm import Solution, span_of, sparse_planes
from imgrestore.nets.weights import WeightsError, load
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.tasks.check import HOPELESS, REACH, WORSE, share_explained, tolerance
from imgrestore.tasks.device import net_on

__all__ = ["Refined", "refine"]

# As in training.
FIRST_STEPS = 15
MOST_NOISE = 0.1
# A million pixels take about 0.45 GB.
MOST_PIXELS = 6_000_000
LEAST_SIZE = 16
# `WORSE` and `HOPELESS` for single places beside an estimated PSF. The net has seen PSFs that were a little wrong: its
# picture may be the better one though it explains less there. With the stricter limits blind results lost 0.1 dB.
GUESSED = (2.0, 4.0)
# Where the net is believed in less than this part of the picture, it is not believed at all.
LEAST_BELIEVED = 0.5
# A share of less than this somewhere is worth a note: 1 is what it is all over most pictures.
NOTED = 0.5


@dataclass(frozen=True)
class Refined:
    """A refined scene and what the net did to it, or why there is none.

    Attributes
    ----------
    scene : torch.Tensor or None
        Planes (1, C, *domain), in the units of the picture.
    change : torch.Tensor or None
        The frame's part of what the net changed: planes (1, C, *frame).
    notes : tuple of str
        What was done, or why nothing was.
    """

    scene: torch.Tensor | None
    change: torch.Tensor | None
    notes: tuple[str, ...]


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
    net: nn.Module | None = None,
    guessed: bool = False,
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
    net : Module, optional
        On the CPU; by default the one that ships.
    guessed : bool
        Whether the PSF is an estimate: then a good picture need not explain the blurred one as well.

    Returns
    -------
    Refined
        Without a scene where the net does not apply, or its result does not explain the picture. Where it explains
        only parts, the scene is the classical one in the others.
    """
    reason = _unfit(data, blur)
    if reason:
        return _none(reason)
    try:
        net = load("deblur") if net is None else net
    except WeightsError as error:
        return _none(str(error))
    net = net_on(net, data.device)
    known = torch.ones_like(data) if valid is None else valid.to(data.dtype)
    if saturated is not None:
        known = known * ~saturated
    span, offset = span_of(data, valid)
    level = sigma.mean(dim=1, keepdim=True) / span
    if float(level.max()) > MOST_NOISE:
        return _none("noisier than anything the net has seen")
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
    share = _share(scene, first, data, blur, sigma, span, known, guessed)
    if share is None:
        return _none("the net's picture did not explain the blurred one")
    notes = ["refined by the net"]
    least = float(share.min())
    if least < 1:
        # Beyond the frame as at its rim, since that is where what lies there was seen.
        share = blur.extend(share)
        scene = first.scene + share * (scene - first.scene)
    if least < NOTED:
        notes.append("the net's picture did not explain parts of the blurred one, and was not taken there")
    return Refined(scene, blur.crop(scene - first.scene), tuple(notes))


def _none(reason: str) -> Refined:
    return Refined(None, None, (f"classical only: {reason}",))


def _unfit(data: torch.Tensor, blur: BlurOperator) -> str | None:
    """Why the net cannot take this picture, if it cannot."""
    if blur.space != 2 or data.shape[1] not in (1, 3):
        return "the net knows gray and RGB pictures"
    if data.dtype != torch.float32:
        return "the net works in float32"
    if blur.boundary != "unknown":
        return "the net takes the boundary for unknown"
    if min(blur.domain) < LEAST_SIZE:
        return f"less than {LEAST_SIZE} pixels across"
    if data[:, 0].numel() > MOST_PIXELS:
        return f"larger than {MOST_PIXELS / 1e6:.0f} million pixels"
    return None


def _rgb(planes: torch.Tensor) -> torch.Tensor:
    return planes.expand(-1, 3, -1, -1)


@torch.no_grad()
def _share(
    scene: torch.Tensor,
    first: Solution,
    data: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    span: torch.Tensor,
    known: torch.Tensor,
    guessed: bool,
) -> torch.Tensor | None:
    """How far the refined scene, blurred again, is to be believed at each pixel of the frame; None for not at all."""
    refined, classical = (
        data - blur.crop(blurred) for blurred in (blur.spread(scene.detach()), first.blurred.detach())
    )
    noise = tolerance(sigma.square().mean(dim=1, keepdim=True).sqrt(), span)
    reach = max(REACH, *blur.kernel.shape[-2:])
    worse, hopeless = GUESSED if guessed else (WORSE, HOPELESS)
    share = share_explained(refined, classical, noise, known=known, reach=reach, worse=worse, hopeless=hopeless)
    # Mixed residuals are those of the mixed scene, as long as the share changes little over the size of a PSF.
    mixed, alone = (float((r * known).square().mean().sqrt()) for r in (classical.lerp(refined, share), classical))
    explained = mixed <= WORSE * max(alone, float(noise.max()))
    return share if explained and float(share.mean()) >= LEAST_BELIEVED else None
