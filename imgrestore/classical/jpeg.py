"""Has a picture been a JPEG file, and how coarsely were its coefficients rounded? From the pixels alone.

After Fan & de Queiroz, "Identification of bitmap compression history: JPEG detection and quantizer estimation" (2003).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imgrestore.degrade.jpeg import BLOCK, LUMA, blocks_of
from imgrestore.degrade.moire import LUMA as WEIGHTS

__all__ = ["jpeg_noise", "jpeg_scale"]

# Coefficients that are asked: the lowest, of which there are always some beside zero.
LOW = tuple((i, j) for i in range(5) for j in range(5) if 0 < i + j < 5)
# Steps are told by the mean cosine of so many coefficients at least, and are believed above this.
ENOUGH, CLEAR = 40, 0.5
LARGEST_STEP = 100
# Only so much of a large picture is looked at, its middle.
SEEN = 1024
# A pattern of the scene whose heights are few has steps on any grid of blocks; compression only on its own.
ELSEWHERE = ((4, 4), (3, 1))
# Rounding errors as a part of what they were if all coefficients were large: most are small, and rounded to zero.
PART = 1 / 3


def jpeg_scale(picture: Tensor) -> float:
    """How many times as coarse as the standard's luma table a picture's coefficients were rounded.

    Parameters
    ----------
    picture : Tensor of floating point, shape (C, H, W), C 1 or 3
        Whole multiples of 1/255. It may be a part of what was stored: the grid of blocks is looked for.

    Returns
    -------
    float
        1 for a quality of 50, 0.5 for 75; 0 where the picture shows no such rounding, as at qualities above about 92.
    """
    top, left = (max(0, (length - SEEN) // 2) for length in picture.shape[1:])
    luma = picture[:, top : top + SEEN, left : left + SEEN].detach().float() * 255
    luma = torch.einsum("c,chw->hw", luma.new_tensor(WEIGHTS), luma) if len(luma) == 3 else luma[0]
    luma = luma[_begin(luma) :, _begin(luma.T) :]
    if min(luma.shape) < 3 * BLOCK:
        return 0.0
    scale = _scale(luma)
    return 0.0 if scale and any(_scale(luma[down:, across:]) for down, across in ELSEWHERE) else scale


def jpeg_noise(picture: Tensor) -> float:
    """About by how much a JPEG file differs from what was stored: root mean square, for a range of 1.

    Parameters
    ----------
    picture : Tensor of floating point, shape (C, H, W), C 1 or 3
        As in `jpeg_scale`.

    Returns
    -------
    float
        0 where no rounding is seen.
    """
    power = sum(step * step for row in LUMA for step in row) / BLOCK**2
    return PART * jpeg_scale(picture) * math.sqrt(power / 12) / 255


def _scale(luma: Tensor) -> float:
    """The scale that the steps of blocks show which begin in the corner, or 0."""
    coefficients = blocks_of(luma).flatten(0, 1)
    steps = [_step(coefficients[:, i * BLOCK + j]) for i, j in LOW]
    if sorted(steps)[len(steps) // 2] < 2:
        return 0.0
    ratios = sorted(step / LUMA[i][j] for step, (i, j) in zip(steps, LOW, strict=True))
    return ratios[len(ratios) // 2]


def _begin(luma: Tensor) -> int:
    """The first row at which a block begins: across it neighbours differ most, against the rows around."""
    steps = luma.diff(dim=0).abs().mean(1)
    if len(steps) < 4 * BLOCK:
        return 0
    beyond = steps - torch.nn.functional.avg_pool1d(steps[None], BLOCK + 1, 1, BLOCK // 2, count_include_pad=False)[0]
    whole = beyond[: len(beyond) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return (int(whole.median(0).values.argmax()) + 1) % BLOCK


def _step(values: Tensor) -> int:
    """The largest step whose multiples the values are, but for the rounding of pixels; 1 where there is none."""
    found = 1
    size = values.abs()
    for step in range(2, LARGEST_STEP + 1):
        some = size[size > 0.6 * step]
        if len(some) < ENOUGH:
            break
        if float(torch.cos(2 * math.pi / step * some).mean()) > CLEAR:
            found = step
    return found
