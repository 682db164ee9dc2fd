"""Richardson-Lucy: the most likely scene behind a blurred picture of counts."""

from __future__ import annotations

import torch

from imgrestore.classical.operator import BlurOperator
from imgrestore.classical.spectrum import taper

__all__ = ["richardson_lucy_planes"]

TINY = 1e-12
# Where the frame sees less than this part of a scene's pixel, nothing can be said of it (Bertero & Boccacci 2005).
LEAST_SEEN = 1e-2
STEEPEST = 0.9


def richardson_lucy_planes(
    observed: torch.Tensor,
    blur: BlurOperator,
    num_iter: int,
    *,
    accelerate: bool = True,
    background: torch.Tensor | float = 0.0,
    tv_weight: float = 0.0,
    sigma: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    saturated: torch.Tensor | None = None,
) -> tuple[torch.Tensor, int]:
    """Run Richardson-Lucy on planes.

    Parameters
    ----------
    observed : torch.Tensor, shape (N, C, *frame)
    blur : BlurOperator
    num_iter : int
    accelerate : bool
        Biggs & Andrews's extrapolation of first order.
    background : float or torch.Tensor
        Light that was added after the blur; not part of the result.
    tv_weight : float
        Dey's weight of total variation; 0 for none.
    sigma : torch.Tensor, broadcasts over (N, C, 1, ...), optional
        Planes whose residual has come down to this are left as they are.
    valid, saturated : torch.Tensor of bool, optional
        Pixels to fit, and pixels whose value is only a lower bound; shape of `observed`.

    Returns
    -------
    tuple of torch.Tensor, int
        The scene (N, C, *scene_shape), and the number of iterations that were run.
    """
    observed = observed.clamp_min(0)
    known = None if valid is None else valid.to(observed.dtype)
    # A dark outside is known, not unseen, so that no light is missing there.
    seen = torch.ones_like(observed[:1, :1]) if known is None else known
    if blur.boundary == "zero" and known is None:
        share = torch.ones_like(seen)
    else:
        share = blur.adjoint(seen)
    reached = share > LEAST_SEEN * share.amax()
    share = share.clamp_min(LEAST_SEEN)
    space = tuple(range(2, observed.ndim))
    active = observed.new_ones(observed.shape[:2] + (1,) * len(space))
    count = seen.sum(dim=space, keepdim=True) if known is not None else float(observed[0, 0].numel())

    # The residual is weighed like the spectrum that the noise is read from: where counts are high, both are.
    window = taper(blur.frame, observed).square()
    weight = (window * seen).sum(dim=space, keepdim=True)
    weight = weight.clamp_min(torch.finfo(weight.dtype).tiny)

    # The mean light is where the search begins: a fixed number would be dark for counts and bright for radiances.
    light = observed if known is None else observed * known
    light = (light.sum(dim=space, keepdim=True) / count).nan_to_num(0.0)
    tiny = TINY * light.detach().clamp_min(TINY)
    light = torch.maximum(light - background, LEAST_SEEN * light)

    def ratio(scene: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        expected = blur.apply(scene) + background
        quotient = observed / (expected + tiny)
        if saturated is not None:
            quotient = torch.where(saturated, quotient.clamp_min(1), quotient)
        return (quotient if known is None else quotient * known), expected

    scene = light.expand(*observed.shape[:2], *blur.scene_shape)
    momentum = _Momentum() if accelerate else None
    done = 0
    for done in range(1, num_iter + 1):
        start = scene if momentum is None else momentum.ahead(scene)
        quotient, expected = ratio(start)
        if sigma is not None:
            residual = (observed - expected) if known is None else (observed - expected) * known
            if saturated is not None:
                residual = torch.where(saturated, residual.clamp_min(0), residual)
            level = ((residual.detach().square() * window).sum(dim=space, keepdim=True) / weight).sqrt()
            # The first estimate is flat; it has no residual to speak of on a flat picture.
            active = active * (level > sigma) if done > 1 else active
            if not bool(active.any()):
                done -= 1
                scene = start
                break
        new = start * blur.adjoint(quotient) / share
        if tv_weight:
            new = new / (1 - tv_weight * _curvature(start, tv_weight)).clamp_min(1 - STEEPEST)
        new = torch.where(reached, new.clamp_min(0), start)
        if sigma is not None:
            new = torch.where(active > 0, new, start)
        if momentum is not None:
            momentum.learn(scene, start, new)
        scene = new
    return scene, done


class _Momentum:
    """Extrapolates along the last step by as much as the last two agree (Biggs & Andrews 1997)."""

    def __init__(self) -> None:
        self.previous: torch.Tensor | None = None
        self.change: torch.Tensor | None = None
        self.factor: torch.Tensor | None = None

    def ahead(self, scene: torch.Tensor) -> torch.Tensor:
        if self.previous is None or self.factor is None:
            return scene
        return (scene + self.factor * (scene - self.previous)).clamp_min(0)

    def learn(self, scene: torch.Tensor, start: torch.Tensor, new: torch.Tensor) -> None:
        change = new - start
        if self.change is not None:
            space = tuple(range(2, new.ndim))
            last = self.change.detach()
            agree = (change.detach() * last).sum(dim=space, keepdim=True)
            size = last.square().sum(dim=space, keepdim=True)
            self.factor = (agree / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp(0, 1)
        self.previous, self.change = scene, change


def _curvature(scene: torch.Tensor, weight: float) -> torch.Tensor:
    """Divergence of the unit gradient, the scene mirrored at its rim.

    Gradients that one step with this weight would turn round count less than 1: else the steps end in a checkerboard.
    """
    axes = range(2, scene.ndim)
    forward = []
    for axis in axes:
        last = scene.narrow(axis, scene.shape[axis] - 1, 1)
        forward.append(torch.cat([scene.narrow(axis, 1, scene.shape[axis] - 1), last], axis) - scene)
    largest = scene.detach().amax(dim=tuple(range(1, scene.ndim)), keepdim=True)
    floor = (1e-6 * largest.clamp_min(torch.finfo(scene.dtype).tiny)).square()
    floor = floor + (4 * len(axes) * weight * scene).square()
    length = (torch.stack([f.square() for f in forward]).sum(0) + floor).sqrt()
    total = torch.zeros_like(scene)
    for axis, part in zip(axes, forward, strict=True):
        unit = part / length
        first = torch.zeros_like(unit.narrow(axis, 0, 1))
        total = total + unit - torch.cat([first, unit.narrow(axis, 0, unit.shape[axis] - 1)], axis)
    return total
