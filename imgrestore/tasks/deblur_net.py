"""The learned half of deblurring: refine the classical estimate, then check the result against the blur."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from imgrestore.classical.admm import Solution, span_of, sparse_planes
from imgrestore.nets.pieces import NO_CUTS, Cuts
from imgrestore.nets.weights import WeightsError, load
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.tasks.check import HOPELESS, REACH, WORSE, share_explained, tolerance
from imgrestore.tasks.device import net_on

__all__ = ["Refined", "known_of", "net_scene", "refine", "seen_by_net", "share_of"]

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
REFINED = "refined by the net"
HELD_BACK = "the net's picture did not explain parts of the blurred one, and was not taken there"


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
    known = known_of(data, valid, saturated)
    span, offset = span_of(data, valid)
    if float((sigma.mean(dim=1, keepdim=True) / span).max()) > MOST_NOISE:
        return _none("noisier than anything the net has seen")
    first = sparse_planes(
        data, blur, sigma, num_iter=FIRST_STEPS, valid=valid, saturated=saturated, lower=lower, robust=robust
    )
    scene = net_scene(net, first, data, blur, sigma, known, (span, offset), caution)
    refined, classical = (
        data - blur.crop(blurred) for blurred in (blur.spread(scene.detach()), first.blurred.detach())
    )
    share, explained = share_of(refined, classical, blur, sigma, span, known, guessed)
    if not explained:
        return _none("the net's picture did not explain the blurred one")
    notes = [REFINED]
    least = float(share.min())
    if least < 1:
        # Beyond the frame as at its rim, since that is where what lies there was seen.
        share = blur.extend(share)
        scene = first.scene + share * (scene - first.scene)
    if least < NOTED:
        notes.append(HELD_BACK)
    return Refined(scene, blur.crop(scene - first.scene), tuple(notes))


def known_of(data: torch.Tensor, valid: torch.Tensor | None, saturated: torch.Tensor | None) -> torch.Tensor:
    """1 where planes were observed, 0 where pixels are bad or saturated."""
    known = torch.ones_like(data) if valid is None else valid.to(data.dtype)
    return known if saturated is None else known * ~saturated


def seen_by_net(
    first: Solution, data: torch.Tensor, blur: BlurOperator, known: torch.Tensor, span: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the net sees of a picture: the observation (1, 3, *domain) for a range of 1, and its mask.

    All channels of a pixel count as unobserved where one does, as the net has one mask.
    """
    mask = blur.pad(known.amin(dim=1, keepdim=True))
    observed = mask * blur.pad(data) + (1 - mask) * first.blurred
    return _rgb((observed - span[1]) / span[0]), mask


def net_scene(
    net: nn.Module,
    first: Solution,
    data: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    known: torch.Tensor,
    span: tuple[torch.Tensor, torch.Tensor],
    caution: float,
    variance: torch.Tensor | None = None,
    cuts: Cuts = NO_CUTS,
) -> torch.Tensor:
    """The net's scene, in the units of the picture.

    Parameters
    ----------
    net : Module
        A `DeepWiener`.
    first : Solution
        The classical estimate.
    data, blur, sigma, caution
        As in `refine`.
    known : torch.Tensor
        `known_of` the picture.
    span : tuple of two torch.Tensor
        As `span_of` gives it.
    variance, cuts
        As `DeepWiener` takes them.

    Returns
    -------
    torch.Tensor, shape (1, C, *domain)
    """
    seen, mask = seen_by_net(first, data, blur, known, span)
    otf = blur.otf if blur.otf.ndim == 4 else blur.otf[None, None]
    level = sigma.mean(dim=1, keepdim=True) / span[0]
    with torch.set_grad_enabled(torch.is_grad_enabled() and (data.requires_grad or otf.requires_grad)):
        unit = net(
            seen,
            _rgb((first.scene - span[1]) / span[0]),
            otf.expand(data.shape[0], -1, -1, -1),
            (caution * level).flatten(),
            mask.expand(data.shape[0], -1, -1, -1),
            variance,
            cuts,
        )
    return (unit if data.shape[1] == 3 else unit.mean(dim=1, keepdim=True)) * span[0] + span[1]


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
def share_of(
    refined: torch.Tensor,
    classical: torch.Tensor,
    blur: BlurOperator,
    sigma: torch.Tensor,
    span: torch.Tensor,
    known: torch.Tensor,
    guessed: bool,
) -> tuple[torch.Tensor, bool]:
    """How far a refined scene is to be believed at each pixel of the frame, and whether it is at all.

    Parameters
    ----------
    refined, classical : torch.Tensor, shape (1, C, H, W)
        What the net's scene and the classical one, blurred again, leave over of the picture.
    blur, sigma, known, guessed
        As in `refine` and `net_scene`.
    span : torch.Tensor
        The range of the picture.

    Returns
    -------
    share : torch.Tensor, shape (1, 1, H, W)
    explained : bool
        Of all that is given.
    """
    noise = tolerance(sigma.square().mean(dim=1, keepdim=True).sqrt(), span)
    reach = max(REACH, *blur.kernel.shape[-2:])
    worse, hopeless = GUESSED if guessed else (WORSE, HOPELESS)
    share = share_explained(refined, classical, noise, known=known, reach=reach, worse=worse, hopeless=hopeless)
    # Mixed residuals are those of the mixed scene, as long as the share changes little over the size of a PSF.
    mixed, alone = (float((r * known).square().mean().sqrt()) for r in (classical.lerp(refined, share), classical))
    explained = mixed <= WORSE * max(alone, float(noise.max()))
    return share, explained and float(share.mean()) >= LEAST_BELIEVED
