"""How noisy a picture is, from the picture alone."""

from __future__ import annotations

from typing import Any

import torch

from imgrestore.pixels import ChannelAxis, to_planes

__all__ = ["estimate_noise", "noise_of_planes"]

# Of the product of two second differences, (1, -2, 1) along both axes: the root of its sum of squares.
NORM = 6.0
GAUSSIAN_MAD = 0.6744897501960817


def estimate_noise(image: Any, *, channel_axis: ChannelAxis = "auto") -> Any:
    """Estimate the standard deviation of additive noise, channel by channel.

    The picture is filtered with the outer product of two second differences, which sees hardly anything of a
    blurred or smooth scene; the median absolute deviation of what remains ignores the edges that it does see.

    Parameters
    ----------
    image : ndarray or torch.Tensor, shape (H, W), (H, W, C), (C, H, W) or (N, C, H, W)
        uint8, uint16 or floating point. Of a batch, one value serves all.
    channel_axis : int, None or "auto"
        As in `imgrestore.deblur`.

    Returns
    -------
    float or ndarray of shape (C,)
        In the picture's own units (0 to 255 for uint8). One number for a picture without channels.

    Raises
    ------
    TypeError, ValueError
        Where the picture is none.

    Notes
    -----
    After Immerkaer, "Fast noise variance estimation" (1996), with a median in the place of the mean (Donoho 1995).
    Rows or columns less than 3 pixels long give 0. Compression and smoothing hide noise from it.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.02, (128, 128))
    >>> bool(0.019 < estimate_noise(noisy) < 0.021)
    True
    """
    planes = to_planes(image, channel_axis=channel_axis)
    sigma = noise_of_planes(planes.data, planes.good).flatten(2).amax(dim=0).squeeze(1) * planes.peak
    return float(sigma[0]) if planes._axis is None else sigma.detach().cpu().numpy()


def noise_of_planes(data: torch.Tensor, good: torch.Tensor | None = None) -> torch.Tensor:
    """Noise of planes (N, C, *space), as a tensor (N, C, 1, ...) that broadcasts over them.

    Parameters
    ----------
    data : torch.Tensor, shape (N, C, H, W) or (N, C, D, H, W)
    good : torch.Tensor of bool, optional
        Pixels to count.

    Returns
    -------
    torch.Tensor
        Without gradient. 0 where fewer than 3 pixels stand in a row or column.
    """
    data = data.detach()
    shape = data.shape[:2] + (1,) * (data.ndim - 2)
    if min(data.shape[-2:]) < 3:
        return data.new_zeros(shape)
    # Blind to planes and ramps, this answers to noise and to fine corners only.
    across = data[..., 1:-1].mul(-2).add_(data[..., :-2]).add_(data[..., 2:])
    seen = across[..., 1:-1, :].mul(-2).add_(across[..., :-2, :]).add_(across[..., 2:, :])
    seen = seen.reshape(*data.shape[:2], -1).abs_()
    if good is not None and not bool(good.all()):
        bad = (~good).to(data.dtype).reshape(-1, 1, *data.shape[-2:])
        touched = torch.nn.functional.max_pool2d(bad, 3, stride=1).reshape(seen.shape) > 0
        seen = torch.where(touched, torch.nan, seen)
    # An even sample of a large picture gives the same median sooner.
    step = max(1, seen.shape[-1] // 1_000_000)
    sigma = seen[..., ::step].nanmedian(dim=-1).values / (GAUSSIAN_MAD * NORM)
    return torch.nan_to_num(sigma, nan=0.0).reshape(shape)
