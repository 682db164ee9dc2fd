"""Highlights told by the largest diffuse chromaticity, which a joint bilateral filter spreads over each paint."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from imgrestore import ops
from imgrestore.classical.specular_dichromatic import Light
from imgrestore.classical.specular_fill import Area, Image
from imgrestore.classical.specular_input import Transfer, take
from imgrestore.classical.specular_judge import ramp
from imgrestore.classical.specular_parts import mean

__all__ = ["beside", "separate_by_bilateral"]

# Chromaticities spread in a copy whose longer side is about this, within some pixels and among like guides.
SIDE = 256
SIGMA_SPACE = 16.0
SIGMA_GUIDE = 0.01
# At most this often, and until they rise by less than this.
ROUNDS = 10
SETTLED = 0.01
# What a pixel of the mask counts beside one outside.
SPOILT = np.float32(0.05)
# Of the white: what is added to the guide's channels, so that the dark has the guide of gray.
GRAY = 0.02
# How far beside a highlight others are looked for, as a part of the longer side.
NEAR = 0.1
# Of the white: what is a highlight, and what is not black.
SEEN, LIT = 0.5 / 255, 0.05
# What is found there is believed where it is below the first of these parts of all light, and not at all from the
# second on; and where the highlights themselves are, of the white, above the second of these on their mean.
LITTLE = (0.06, 0.09)
STRONG = (0.04, 0.07)


def separate_by_bilateral(
    image: Any, *, illuminant: Any = "auto", transfer: Transfer = "auto", mask: Any = None
) -> tuple[Any, Any]:
    """Take highlights off by spreading the largest diffuse chromaticity over each paint.

    A highlight lowers the largest chromaticity (the brightest channel as a part of the sum) and leaves that of the
    specular-free light. So the first is filtered by a joint bilateral filter with the second for its guide, the larger
    of before and after is kept, and this is done until it settles; from the result follows the mirrored light. Large
    pictures are filtered in a copy of 256 pixels, and the result is brought back by the same filter. In
    the paper the guide is the largest channel of that chromaticity; here it is all three, so that paints of other hue
    are kept apart.

    Within its reach each paint takes the purest colour that it has anywhere: so the method takes off some light of
    every coloured picture. `separate_highlights` does not.

    Neutral things would turn black, and are left as they are: in full where the channels differ by less than 15 % of
    the brightest one, or 5 % of the picture's white, and by degrees up to twice as much. So highlights stay where they
    are clipped to white, and on dark and on neutral bodies.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3) or torch.Tensor of shape (3, H, W)
        Floating point, black at 0 and white near 1; values outside are kept.
    illuminant : "auto" or (r, g, b)
        Colour of the light in linear values, of which only the ratios count. "auto" takes it for white.
    transfer : {"auto", "srgb", "linear"}
        How the values are coded. "auto" decides as `separate_highlights` does.
    mask : array of bool, shape (H, W), optional
        Where highlights may be: nothing else is changed, and paints are learnt from the rest where it shows them.

    Returns
    -------
    tuple of two arrays
        The diffuse and the specular part, of the image's type, shape and dtype; their sum is the image.

    Raises
    ------
    TypeError
        Where `image` is not floating point, or `mask` not boolean.
    ValueError
        Where an argument is not as described, or a value not finite or beyond 100 000.

    See Also
    --------
    separate_highlights : of the same use, and does less harm.

    References
    ----------
    Yang, Wang & Ahuja, "Real-time specular highlight removal using bilateral filtering" (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import separate_by_bilateral
    >>> green, shine = np.full((64, 64, 3), (0.1, 0.4, 0.2)), np.zeros((64, 64, 1))
    >>> shine[30:34, 30:34] = 0.3
    >>> diffuse, specular = separate_by_bilateral(green + shine, transfer="linear")
    >>> bool(np.abs(diffuse - green).max() < 0.01)
    True
    """
    picture = take(image, mask)
    light = Light.seen_in(picture, illuminant, transfer)
    return picture.apart(light.mirrored(picture, _amount(light, picture.area)))


def beside(light: Image, without: Image) -> Image:
    """Take off the faint mirrored light beside highlights that have been taken off before.

    Glossy bodies often mirror a little all around their highlights, too little to stand out. It is taken off as
    `separate_by_bilateral` tells, where the highlights are strong and the rest beside them is little: much of it comes
    from paints that this method takes for one.

    Parameters
    ----------
    light, without : ndarray of float32, shape (H, W, 3)
        Light of which the lamp is white, and the same without its highlights.

    Returns
    -------
    ndarray of float32, shape (H, W, 3)
        `without` itself where nothing is to be taken off.
    """
    off = mean(light - without)
    seen = Light.of(light)
    spot = off > SEEN * seen.white
    strength = float(ramp(off[spot].mean() / seen.white, *STRONG)) if spot.any() else 0.0
    if strength == 0:
        return without
    distance = cv2.distanceTransform((~spot).astype(np.uint8), cv2.DIST_L2, 5) / (NEAR * max(spot.shape))
    amount = np.clip(_amount(seen, None), 0, np.maximum(seen.least, 0))
    around = (distance > 0) & (distance < 1) & (seen.most > LIT * seen.white)
    part = amount[around].sum() / max(float(mean(light)[around].sum()), 1e-6)
    weight = strength * (1 - ramp(part, *LITTLE)) * np.maximum(1 - distance, 0)
    lower = np.minimum(without, light - amount[..., None])
    return np.asarray(without + weight[..., None] * (lower - without), np.float32)


def _amount(light: Light, area: Area | None) -> Image:
    """How much is mirrored at every pixel."""
    coloured = light.coloured
    trust = coloured if area is None else np.where(area, SPOILT * coloured, coloured)
    step = max(1, round(max(trust.shape) / SIDE))
    own, guide = _chromaticities(light.planes, light.white)
    if step == 1:
        largest = _spread(own, guide, torch.from_numpy(trust))
    else:
        largest = torch.maximum(own, _spread_in_copy(light, trust, guide, step))
    share = largest.numpy()
    excess = share * light.planes.sum(axis=0) - light.most
    return np.asarray(excess / np.maximum(3 * share - 1, 1e-3) * coloured, np.float32)


def _chromaticities(planes: Image, white: float) -> tuple[Tensor, Tensor]:
    """The largest chromaticity (H, W), and the guide (3, H, W): the chromaticity without the darkest channel."""
    largest = planes.max(axis=0) / np.maximum(planes.sum(axis=0), 1e-6 * white)
    free = planes - planes.min(axis=0) + GRAY * white
    return torch.from_numpy(np.clip(largest, 1 / 3, 1)), torch.from_numpy(free / free.sum(axis=0))


def _spread(largest: Tensor, guide: Tensor, trust: Tensor) -> Tensor:
    """The largest chromaticity of each paint, from where pixels are trusted."""
    for _ in range(ROUNDS):
        before = largest
        largest = torch.maximum(before, _filtered(torch.stack([before * trust, trust]), guide, SIGMA_SPACE))
        if float((largest - before).max()) < SETTLED:
            break
    return largest


def _spread_in_copy(light: Light, trust: Image, guide: Tensor, step: int) -> Tensor:
    """The same from a smaller copy, brought back along the guide."""
    height, width = trust.shape
    size = (max(1, width // step), max(1, height // step))
    small = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (*light.planes, trust)])
    trusted = torch.from_numpy(small[3])
    largest = _spread(*_chromaticities(small[:3], light.white), trusted)
    wide = np.stack([cv2.resize(plane.numpy(), (width, height)) for plane in (largest * trusted, trusted)])
    return _filtered(torch.from_numpy(wide), guide, float(step))


def _filtered(weighted: Tensor, guide: Tensor, sigma: float) -> Tensor:
    """The mean of values among pixels of like guides, from values times weights, and weights."""
    top, bottom = ops.bilateral(weighted, sigma, SIGMA_GUIDE, guide=guide, channels=True)
    return top / bottom.clamp(min=1e-6)
