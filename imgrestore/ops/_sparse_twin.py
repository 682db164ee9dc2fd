"""The formulas of `sparse_steps_reference`."""

from __future__ import annotations

import torch
from torch import Tensor

EXPONENT = {"tv": 1.0, "hyper_laplacian": 2 / 3}

# Rows: luma, and two differences, orthonormal; so the noise stays white and the data term the same.
OPPONENT = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))


class Colour:
    """RGB as luma and chroma; any other number of channels as it is."""

    def __init__(self, like: Tensor, chroma_weight: float) -> None:
        self.matrix = like.new_tensor(OPPONENT) if like.shape[1] == 3 else None
        weight = like.new_ones(like.shape[1])
        if self.matrix is not None:
            weight[1:] = chroma_weight
        self.weight = weight.reshape(1, -1, *(1,) * (like.ndim - 2))

    def split(self, planes: Tensor) -> Tensor:
        return planes if self.matrix is None else torch.einsum("ij,nj...->ni...", self.matrix, planes)

    def join(self, planes: Tensor) -> Tensor:
        return planes if self.matrix is None else torch.einsum("ji,nj...->ni...", self.matrix, planes)


def forward(domain: Tensor, space: int) -> Tensor:
    return torch.fft.rfftn(domain, dim=tuple(range(-space, 0)))


def inverse(spectrum: Tensor, domain: tuple[int, ...]) -> Tensor:
    return torch.fft.irfftn(spectrum, s=domain, dim=tuple(range(-len(domain), 0)))


def gradient_power(like: Tensor, space: int) -> Tensor:
    """Squared response of the gradient on the half spectrum."""
    total = like.new_zeros(())
    for axis in range(-space, 0):
        size = like.shape[axis]
        count = size // 2 + 1 if axis == -1 else size
        angle = torch.arange(count, dtype=like.dtype, device=like.device) * (torch.pi / size)
        shape = [1] * space
        shape[axis] = count
        total = total + (2 * torch.sin(angle)).square().reshape(shape)
    return total


def pad_to(frame: Tensor, before: tuple[int, ...], domain: tuple[int, ...]) -> Tensor:
    """A frame inside a dark domain."""
    sides: list[int] = []
    for b, n, d in zip(before[::-1], frame.shape[::-1], domain[::-1], strict=False):
        sides += [b, d - b - n]
    return torch.nn.functional.pad(frame, sides)


def gradient(scene: Tensor, space: int) -> Tensor:
    """Periodic forward differences, (N, C, axis, *domain)."""
    return torch.stack([torch.roll(scene, -1, axis) - scene for axis in range(-space, 0)], dim=2)


def divergence(parts: Tensor) -> Tensor:
    """Adjoint of `gradient`."""
    space = parts.shape[2]
    total = torch.zeros_like(parts[:, :, 0])
    for axis in range(space):
        part = parts[:, :, axis]
        total = total + torch.roll(part, 1, axis - space) - part
    return total


def shrinkage(steep: Tensor, threshold: float, exponent: float) -> Tensor:
    """The factor by which the prior shortens gradients: argmin_k threshold * (k s)^p + (k s - s)^2 / 2."""
    length = steep.square().sum(dim=(1, 2), keepdim=True).clamp_min(1e-20).sqrt()
    if exponent == 1.0:
        return (1 - threshold / length).clamp_min(0)
    # Generalised soft thresholding: a few fixed-point steps from above the point where zero wins (Zuo et al. 2013).
    power = 1 / (2 - exponent)
    dead = (2 * threshold * (1 - exponent)) ** power
    dead += threshold * exponent * (2 * threshold * (1 - exponent)) ** (power * (exponent - 1))
    safe = length.clamp_min(dead)
    kept = safe
    for _ in range(3):
        kept = safe - threshold * exponent * kept ** (exponent - 1)
    return torch.where(length > dead, kept / safe, torch.zeros_like(kept))


def trusted(residual: Tensor, level: Tensor, known: Tensor | None) -> Tensor:
    """Cauchy's weights where pixels count: near 1 within the level, falling off with the square beyond it."""
    trust = 1 / (1 + (residual.detach() / level).square())
    return trust if known is None else torch.where(known > 0, trust, known)


def nearest_to_data(wanted: Tensor, observed: Tensor, known: Tensor | None, penalty: float) -> Tensor:
    """The values nearest to what is wanted and to what was observed."""
    if known is None:
        return (observed + penalty * wanted) / (1 + penalty)
    weight = known.clamp_min(0)
    values = (weight * observed + penalty * wanted) / (weight + penalty)
    return torch.where(known < 0, torch.maximum(values, observed), values)
