"""From the values of an sRGB file to light and back, also below 0 and beyond 1."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["decode", "encode"]

KNEE, SLOPE, OFFSET, POWER = 0.04045, 12.92, 0.055, 2.4


def decode(values: Tensor) -> Tensor:
    """Light from sRGB values (IEC 61966-2-1), odd about 0 and continued above 1.

    Parameters
    ----------
    values : Tensor
        Floating point, any shape.

    Returns
    -------
    Tensor
        Of the same shape and dtype; gradients run through.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.light import decode
    >>> [round(float(v), 3) for v in decode(torch.tensor([-0.5, 0.0, 0.5, 1.0]))]
    [-0.214, 0.0, 0.214, 1.0]
    """
    size = values.abs()
    bent = ((size.clamp(min=KNEE) + OFFSET) / (1 + OFFSET)) ** POWER
    return torch.where(size > KNEE, values.sign() * bent, values / SLOPE)


def encode(light: Tensor) -> Tensor:
    """Code light as sRGB values: the inverse of `decode`.

    Parameters
    ----------
    light : Tensor
        Floating point, any shape.

    Returns
    -------
    Tensor
        Of the same shape and dtype; gradients run through.
    """
    size = light.abs()
    # At 0 the power's slope is infinite, which a gradient would see though the value is not taken.
    bent = (1 + OFFSET) * size.clamp(min=KNEE / SLOPE) ** (1 / POWER) - OFFSET
    return torch.where(size > KNEE / SLOPE, light.sign() * bent, light * SLOPE)
