"""What every deconvolution begins with: checked planes, the blur, and the pixels to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from imgrestore.classical.spectrum import noise_beyond_blur
from imgrestore.ops.blur_operator import BlurOperator, Boundary, as_psf
from imgrestore.pixels import ChannelAxis, Planes, not_negative, to_mask, to_planes
from imgrestore.psf import Psf

__all__ = ["Case", "prepare", "to_fit"]


@dataclass(frozen=True)
class Case:
    """A checked call: the picture as planes, its PSF, the operator, and the pixels to fit (None for all)."""

    planes: Planes
    psf: Psf
    blur: BlurOperator
    valid: torch.Tensor | None

    def sigma(self, noise: float | None, name: str = "noise") -> torch.Tensor:
        """The noise as a tensor (N, C, 1, ...), given in the picture's units or estimated."""
        if noise is None:
            return noise_beyond_blur(self.planes.data, self.blur, self.valid)
        data, level = self.planes.data, not_negative(noise, name, note=", in the picture's units")
        return data.new_full(data.shape[:2] + (1,) * (data.ndim - 2), level / self.planes.peak)

    def back(self, scene: torch.Tensor) -> Any:
        """The frame's part of a scene in the caller's own type."""
        return self.planes.back(self.blur.framed(scene))


def prepare(
    image: Any,
    psf: Any,
    boundary: Boundary,
    mask: Any,
    channel_axis: ChannelAxis,
    *,
    dtype: Any = None,
    device: Any = None,
) -> Case:
    """Check a picture with its PSF and mask.

    Parameters
    ----------
    image, psf, boundary, mask, channel_axis
        As in `imgrestore.deblur`. A PSF that is a tensor with a gradient keeps it.
    dtype, device : optional
        As in `imgrestore.pixels.to_planes`.

    Returns
    -------
    Case

    Raises
    ------
    TypeError, ValueError
        Where an argument is not as described; the message names it.
    """
    known = as_psf(psf)
    planes, valid = to_fit(image, known.ndim, mask, channel_axis, dtype=dtype, device=device)
    kernel = psf / psf.sum() if isinstance(psf, torch.Tensor) and psf.requires_grad else known
    return Case(planes, known, BlurOperator(kernel, tuple(planes.data.shape[2:]), boundary, planes.data), valid)


def to_fit(
    image: Any, space: int, mask: Any, channel_axis: ChannelAxis, *, dtype: Any = None, device: Any = None
) -> tuple[Planes, torch.Tensor | None]:
    """Check a picture and its mask of good pixels.

    Parameters
    ----------
    image, mask, channel_axis, dtype, device
        As in `prepare`.
    space : int
        2 for pictures, 3 for stacks.

    Returns
    -------
    tuple of Planes and Tensor
        The pixels to fit are None for all.

    Raises
    ------
    TypeError, ValueError
        As `prepare`.
    """
    planes = to_planes(image, space, channel_axis, dtype=dtype, device=device)
    if mask is None:
        return planes, None if planes.finite else planes.good
    valid = planes.good & to_mask(mask, planes)
    if not bool(valid.any()):
        raise ValueError("mask leaves no pixel to fit; expected True where a pixel is good")
    return planes, None if bool(valid.all()) else valid
