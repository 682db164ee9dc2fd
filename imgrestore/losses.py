"""Losses of training: each maps (result, target, weight) to a scalar."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

Loss = Callable[[torch.Tensor, torch.Tensor, "torch.Tensor | None"], torch.Tensor]


def mse(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean squared error.

    Parameters
    ----------
    result, target : Tensor, shape (N, C, H, W)
        Range about [0, 1].
    weight : Tensor, broadcastable to (N, C, H, W), optional
        Non-negative weights of the pixels.

    Returns
    -------
    Tensor
        A scalar.
    """
    return _mean((result - target).square(), weight).mean()


def mae(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute error; parameters as in `mse`."""
    return _mean((result - target).abs(), weight).mean()


def charbonnier(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """``sqrt(error² + 0.001²)``, a smooth absolute error; parameters as in `mse`."""
    return _mean(((result - target).square() + 1e-6).sqrt(), weight).mean()


def psnr(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over the batch of the logarithm of each picture's mean squared error; parameters as in `mse`.

    Its decrease by 0.23 is a gain of 1 dB in mean PSNR, so that easy and hard pictures count alike. It flattens at
    40 dB: else the gradients of pictures that are nearly perfect already would drown all others.
    """
    return (_mean((result - target).square(), weight) + 1e-4).log().mean()


def psnr30(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """`psnr`, but it flattens at 30 dB: for damage that hurts a small part of a picture."""
    return (_mean((result - target).square(), weight) + 1e-3).log().mean()


def ssim(result: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """1 - SSIM over Gaussian windows of 11 pixels (Wang et al. 2004); parameters as in `mse`."""
    x = torch.arange(11, dtype=result.dtype, device=result.device) - 5
    line = torch.exp(-(x**2) / (2 * 1.5**2))
    line = line / line.sum()
    channels = result.shape[1]

    def blur(planes: torch.Tensor) -> torch.Tensor:
        planes = F.conv2d(planes, line.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return F.conv2d(planes, line.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    a, b = blur(result), blur(target)
    aa, bb, ab = blur(result * result) - a * a, blur(target * target) - b * b, blur(result * target) - a * b
    index = (2 * a * b + 1e-4) * (2 * ab + 9e-4) / ((a * a + b * b + 1e-4) * (aa + bb + 9e-4))
    if weight is not None:
        weight = weight.expand(result.shape[0], -1, *result.shape[-2:])[..., 5:-5, 5:-5]
    return _mean(1 - index, weight).mean()


LOSSES: dict[str, Loss] = {
    "mse": mse,
    "mae": mae,
    "charbonnier": charbonnier,
    "psnr": psnr,
    "psnr30": psnr30,
    "ssim": ssim,
}


def _mean(values: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """Weighted mean of each picture (N, C, H, W) -> (N,)."""
    if weight is None:
        return values.mean(dim=(1, 2, 3))
    weight = weight.to(values).expand_as(values)
    return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp(min=1e-12)
