"""From the values of an sRGB file to light and back, also below 0 and beyond 1."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["decode", "encode", "white_level"]

KNEE, SLOPE, OFFSET, POWER = 0.04045, 12.92, 0.055, 2.4
# Floating point pictures are taken for photographs from black at 0 to white near 1, unless nearly all of their values
# are far below or their brighter ones far above that.
WHITE_QUANTILE = 0.99
DARKEST_WHITE, BRIGHTEST_WHITE = 0.02, 1.25
SAMPLES = 1_000_000


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


def white_level(values: Tensor) -> float:
    """What is to be seen as 1 in a floating point picture: 1, or for counts and the like about their largest value.

    Parameters
    ----------
    values : Tensor
        Finite, any shape.

    Returns
    -------
    float
        Above 0.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.light import white_level
    >>> white_level(torch.linspace(0, 1.1, 50)), white_level(torch.full((50,), 4000.0))
    (1.0, 4000.0)
    """
    flat = values.flatten()
    flat = flat[:: max(1, flat.numel() // SAMPLES)].abs().float()
    # NumPy's selects where torch's sorts.
    white = float(np.quantile(flat.numpy(), WHITE_QUANTILE))
    if DARKEST_WHITE <= white <= BRIGHTEST_WHITE:
        return 1.0
    return white or float(values.abs().max()) or 1.0
