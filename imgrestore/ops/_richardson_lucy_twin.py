"""What the twin of Richardson-Lucy is made of: extrapolation, and the curvature for total variation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

TINY = 1e-12


class Momentum:
    """Extrapolates along the last step by as much as the last two agree (Biggs & Andrews 1997)."""

    def __init__(self, given: Sequence[float] | None = None, told: list[float] | None = None) -> None:
        self.given = None if given is None else iter(given)
        self.told = told
        self.previous: Tensor | None = None
        self.change: Tensor | None = None
        self.factor: Tensor | None = None

    def ahead(self, scene: Tensor) -> Tensor:
        if self.previous is None or self.factor is None:
            return scene
        return (scene + self.factor * (scene - self.previous)).clamp_min(0)

    def learn(self, scene: Tensor, start: Tensor, new: Tensor) -> None:
        change = new - start
        if self.change is not None:
            space = tuple(range(2, new.ndim))
            last = self.change.detach()
            agree = (change.detach() * last).sum(dim=space, keepdim=True)
            size = last.square().sum(dim=space, keepdim=True)
            self.factor = (agree / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp(0, 1)
        if self.told is not None:
            self.told.append(0.0 if self.factor is None else float(self.factor))
        if self.given is not None:
            self.factor = torch.full_like(new[:, :, :1, :1], next(self.given))
        self.previous, self.change = scene, change


def curvature(scene: Tensor, weight: float, light: Tensor) -> Tensor:
    """Divergence of the unit gradient, the scene mirrored at its rim.

    Gradients that one step with this weight would turn round count less than 1: else the steps end in a checkerboard.
    """
    axes = range(2, scene.ndim)
    deep = sum(scene.shape[axis] > 1 for axis in axes if axis == scene.ndim - 3) + 2
    forward = []
    for axis in axes:
        last = scene.narrow(axis, scene.shape[axis] - 1, 1)
        forward.append(torch.cat([scene.narrow(axis, 1, scene.shape[axis] - 1), last], axis) - scene)
    floor = (1e-6 * light.detach().clamp_min(TINY)).square() + (4 * deep * weight * scene).square()
    length = (torch.stack([f.square() for f in forward]).sum(0) + floor).sqrt()
    total = torch.zeros_like(scene)
    for axis, part in zip(axes, forward, strict=True):
        unit = part / length
        first = torch.zeros_like(unit.narrow(axis, 0, 1))
        total = total + unit - torch.cat([first, unit.narrow(axis, 0, unit.shape[axis] - 1)], axis)
    return total
