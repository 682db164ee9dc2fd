"""Highlights told by the intensity ratio: of one paint, the brightest channel over its distance to the darkest."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.specular_dichromatic import BLACK, Light
from imgrestore.classical.specular_fill import Area, Image
from imgrestore.classical.specular_input import Transfer, take

__all__ = ["separate_by_ratio"]

Cells = NDArray[np.int64]

# Chromaticities are counted in this many cells a side. A cluster reaches as far as this from its fullest cell, and the
# ratios of neighbours blend over this part of it, so that no outline shows where one ends.
CELLS = 96
REACH = 0.05
BLEND = 0.5
# A cluster is judged by its pixels outside of the mask where they are more than this part of it.
ENOUGH = 0.05


def separate_by_ratio(
    image: Any, *, illuminant: Any = "auto", transfer: Transfer = "auto", mask: Any = None
) -> tuple[Any, Any]:
    """Take highlights off by the intensity ratio of each paint, found by clustering.

    A highlight raises all channels alike, so it keeps the brightest less the darkest one and raises the ratio of the
    brightest to that. Pixels are gathered by the least and the largest chromaticity of their specular-free light, to
    which the mean of the darkest channel is added; the median ratio of a cluster is taken for that of its body, and
    what is above it for mirrored light.

    Every pixel is judged by itself, without its neighbours, and a good half of a body without any highlight lies above
    the median: so the method takes off some light of every coloured picture. `separate_highlights` does not.

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
    Shen & Zheng, "Real-time highlight removal using intensity ratio" (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import separate_by_ratio
    >>> green, shine = np.full((64, 64, 3), (0.1, 0.4, 0.2)), np.zeros((64, 64, 1))
    >>> shine[30:34, 30:34] = 0.3
    >>> diffuse, specular = separate_by_ratio(green + shine, transfer="linear")
    >>> bool(np.abs(diffuse - green).max() < 0.01)
    True
    """
    picture = take(image, mask)
    light = Light.seen_in(picture, illuminant, transfer)
    return picture.apart(light.mirrored(picture, _amount(light, picture.area)))


def _amount(light: Light, area: Area | None) -> Image:
    """How much is mirrored at every pixel."""
    coloured = light.coloured
    known = coloured > 0
    if not known.any():
        return np.zeros_like(light.least)
    down, right = _places(light)
    cell = _nearest(down[known]) * CELLS + _nearest(right[known])
    spoilt = np.zeros(cell.shape, bool) if area is None else area[known]
    ratio = cv2.remap(
        _ratios(cell, light.most[known] / light.spread[known], spoilt),
        right - 0.5,
        down - 0.5,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray((light.most - ratio * light.spread) * coloured, np.float32)


def _places(light: Light) -> tuple[Image, Image]:
    """The largest and the least chromaticity of the light without its darkest channel, in units of the cells."""
    offset = max(float(np.maximum(light.least, 0).mean()), BLACK * light.white)
    total = light.planes.sum(axis=0) - 3 * light.least + 3 * offset
    return (light.spread + offset) * (CELLS / total), offset * CELLS / total


def _nearest(place: Image) -> Cells:
    return np.minimum(place.astype(np.int64), CELLS - 1)


def _ratios(cell: Cells, ratio: Image, spoilt: Area) -> Image:
    """For each cell the ratio of its cluster, blended with those around it; shape (CELLS, CELLS)."""
    count = np.bincount(cell, minlength=CELLS**2)
    cluster = _clusters(count)
    order = np.argsort(cluster[cell], kind="stable")
    ends = np.cumsum(np.bincount(cluster[cell]))[:-1]
    parts = zip(np.split(ratio[order], ends), np.split(spoilt[order], ends), strict=True)
    middles = np.array([_middle(*part) for part in parts])
    weight = np.sqrt(count)
    table = np.stack([weight * np.where(count > 0, middles[cluster], 0), weight], axis=-1)
    top, bottom = cv2.split(cv2.GaussianBlur(table.reshape(CELLS, CELLS, 2), (0, 0), BLEND * REACH * CELLS))
    # Further from all clusters than the blur reaches, the mean of all.
    mean = float(top.sum() / bottom.sum())
    return np.asarray((top + 1e-6 * mean) / (bottom + 1e-6), np.float32)


def _middle(ratio: Image, spoilt: Area) -> float:
    """The median over what is not spoilt, or over all where that is next to nothing."""
    good = ratio[~spoilt]
    return float(np.median(good if good.size > ENOUGH * ratio.size else ratio))


def _clusters(count: Cells) -> Cells:
    """The cluster of each cell: around the fullest one that is in none as yet, until all that count are in one."""
    cluster = np.full(count.size, -1)
    down, right = np.divmod(np.arange(count.size), CELLS)
    filled = np.flatnonzero(count)
    number = 0
    for cell in filled[np.argsort(-count[filled], kind="stable")]:
        if cluster[cell] < 0:
            distance = np.abs(down - down[cell]) + np.abs(right - right[cell])
            cluster[(distance < REACH * CELLS) & (cluster < 0)] = number
            number += 1
    return cluster
