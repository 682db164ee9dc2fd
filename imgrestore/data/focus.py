"""Photographs with a shallow depth of field: lights and shapes out of focus, which look like reflections in glass."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from imgrestore.degrade.blur import disk_psf
from imgrestore.degrade.rust_shapes import octaves
from imgrestore.light import decode, encode

__all__ = ["shallow"]

# Radius of the disk that a far point becomes, as a part of the picture's shorter side.
RADIUS = (0.012, 0.08)
# Light from which on it counts as that of a lamp, and how many times as bright as the picture shows lamps may be.
LAMP, BRIGHTER = 0.6, 6.0
# How bright the rest of the background is beside what it was.
EXPOSED = (0.4, 1.0)
# Part of the picture that is in focus, and the softness of its outline, pixels.
IN_FOCUS, OUTLINE = (0.1, 0.6), (0.4, 2.0)
# Waves of that outline across the picture.
WAVES = (1.5, 4.0)


def shallow(near: Tensor, far: Tensor, rng: np.random.Generator) -> Tensor:
    """Show one picture in focus before another that is out of focus.

    Nothing is added to anything: a point of the result shows the one or the other, but for the outline of the first.

    Parameters
    ----------
    near, far : Tensor of float32, shape (3, H, W)
        Display-coded, range [0, 1]. The same picture may be given for both.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor of float32, shape (3, H, W)
        Range [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from imgrestore.data.focus import shallow
    >>> bright, black = torch.full((3, 32, 32), 0.8), torch.zeros(3, 32, 32)
    >>> found = shallow(bright, black, np.random.default_rng(0))
    >>> bool((found > 0.79).any()), bool((found < 0.01).any())
    (True, True)
    """
    height, width = near.shape[1:]
    light = decode(far.clamp(0, 1))
    lamps = ((light.amax(0, keepdim=True) - LAMP) / (1 - LAMP)).clamp(0, 1)
    light = rng.uniform(*EXPOSED) * light * (1 + rng.uniform(0, BRIGHTER) * lamps**2)
    psf = disk_psf(rng.uniform(*RADIUS) * min(height, width)).astype(np.float32)
    blurred = cv2.filter2D(light.permute(1, 2, 0).numpy(), -1, psf, borderType=cv2.BORDER_REFLECT)
    behind = encode(torch.from_numpy(blurred).permute(2, 0, 1)).clamp(0, 1)
    spread_evenly = octaves((height, width), rng, rng.uniform(*WAVES), count=2)
    inside = (spread_evenly < rng.uniform(*IN_FOCUS)).astype(np.float32)
    matte = torch.from_numpy(cv2.GaussianBlur(inside, (0, 0), rng.uniform(*OUTLINE)))
    return matte * near.clamp(0, 1) + (1 - matte) * behind
