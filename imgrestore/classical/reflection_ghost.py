"""Ghosting: a reflection that is doubled, since a pane has two faces.

The second image is the first one, shifted and weaker, ``y = T + R + c R(. - d)``. That the two are alike shows in the
autocorrelation of the picture's edges as a peak at ``d``, and tells the layers apart: an edge of the reflection comes
twice, one of the scene once (Shih et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import maximum_filter, median_filter
from torch import Tensor

__all__ = ["Ghost", "doubled", "find_ghost", "measured", "solve_ghost"]

Floats = NDArray[Any]

# Shifts in pixels that are looked for; the picture's own sharpness hides shorter ones.
SHORTEST, LONGEST = 4.5, 28
# A peak has to stand out of the noise of the autocorrelation, and above any other: a periodic texture has several.
CLEAR, CLEAR_IF_TOLD = 8.0, 5.0
SINGLE, SINGLE_IF_TOLD = 3.3, 1.6
EDGES, WINDOW = 0.6, 31
LEAST_SIDE = 96
ATTENUATIONS = (0.35, 0.95)
# Larger pictures are solved at this long side.
SOLVED_SIDE = 320
BEYOND = 32
STEPS = 24
PENALTIES = (6.0, 1000.0)
# Of the bounds, to that of the gradients.
SIGN_WEIGHT = 0.003
# The quantile of the reflection that is taken for black.
BLACK = 0.01


@dataclass(frozen=True)
class Ghost:
    """How a pane doubles what it reflects.

    Attributes
    ----------
    shift : (int, int)
        Rows and columns from the stronger image to the weaker one.
    attenuation : float
        Strength of the weaker one to the stronger.
    height : float
        Of the peak in the autocorrelation, over the noise there.
    """

    shift: tuple[int, int]
    attenuation: float
    height: float


def find_ghost(picture: Floats, told: bool = False) -> Ghost | None:
    """Look for a doubled image.

    Parameters
    ----------
    picture : ndarray of float32, shape (H, W)
    told : bool
        That there is a reflection is known: a weaker peak is believed.

    Returns
    -------
    Ghost or None
        Its attenuation is a first guess.
    """
    if min(picture.shape) < LEAST_SIDE:
        return None
    edges = _edges(picture)
    spectrum = np.abs(np.fft.rfft2(edges, s=[n + LONGEST + 4 for n in edges.shape])) ** 2
    # What a scene's edges have in common with each other is smooth in the spectrum; a doubled image makes ripples.
    spectrum /= cv2.GaussianBlur(spectrum, (0, 0), 6) + 1e-9
    whole = np.fft.fftshift(np.fft.irfft2(spectrum))
    row, column = whole.shape[0] // 2, whole.shape[1] // 2
    reach = LONGEST + 4
    near = whole[row - reach : row + reach + 1, column - reach : column + reach + 1]
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(rows, columns)
    asked = (distance >= SHORTEST) & (distance <= LONGEST) & ((rows > 0) | ((rows == 0) & (columns > 0)))
    above = near - median_filter(near, 9)
    noise = 1.4826 * float(np.median(np.abs(above[asked]))) + 1e-12
    peaks = np.where((maximum_filter(near, 5) == near) & asked, above, 0)
    first, second = np.argsort(peaks, axis=None)[[-1, -2]]
    height = float(peaks.flat[first]) / noise
    single = float(peaks.flat[first]) / max(float(peaks.flat[second]), 1e-12)
    if height < (CLEAR_IF_TOLD if told else CLEAR) or single < (SINGLE_IF_TOLD if told else SINGLE):
        return None
    return Ghost((int(rows.flat[first]), int(columns.flat[first])), 0.7, height)


def _edges(picture: Floats) -> Floats:
    """The picture's edges, made about equally strong everywhere, and faded towards the rim."""
    edges = cv2.Laplacian(cv2.GaussianBlur(picture, (0, 0), EDGES), cv2.CV_32F)
    power = np.maximum(cv2.blur(edges * edges, (WINDOW, WINDOW)), 0)
    edges = edges / (np.sqrt(power) + 0.3 * edges.std() + 1e-6)
    return edges * np.outer(np.hanning(edges.shape[0]), np.hanning(edges.shape[1])).astype(np.float32)


def measured(picture: Floats, ghost: Ghost) -> Ghost:
    """The same shift, its attenuation measured where windows of edges look like those that they are shifted to.

    Parameters
    ----------
    picture : ndarray of float32, shape (H, W)
    ghost : Ghost

    Returns
    -------
    Ghost
        Turned round where the image at the shift was the stronger one.
    """
    down, right = ghost.shift
    edges = cv2.Laplacian(cv2.GaussianBlur(picture, (0, 0), EDGES), cv2.CV_32F)
    move = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    other = cv2.warpAffine(edges, move, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    first, second, both = (cv2.GaussianBlur(a, (0, 0), 3.7) for a in (edges * edges, other * other, edges * other))
    alike = both / np.sqrt(first * second + 1e-12)
    strong = first * second
    inside = np.zeros(picture.shape, bool)
    rows, columns = abs(down) + 4, abs(right) + 4
    inside[rows:-rows, columns:-columns] = True
    inside &= strong > np.quantile(strong, 0.3)
    if not inside.any():
        return ghost
    chosen = inside & (alike >= max(float(np.quantile(alike[inside], 0.97)), 0.5))
    if not chosen.any():
        return ghost
    ratio = float(np.exp(np.median(np.log(np.sqrt(second[chosen] / first[chosen])))))
    turned = ratio > 1
    # What else is in the windows adds to both powers and takes the ratio towards 1.
    ratio = (1 / ratio if turned else ratio) * float(np.median(alike[chosen]))
    shift = (-down, -right) if turned else ghost.shift
    return Ghost(shift, float(np.clip(ratio, *ATTENUATIONS)), ghost.height)


def solve_ghost(picture: Tensor, ghost: Ghost) -> Tensor:
    """The light of a doubled reflection.

    Minimises ``sum |grad T|^p + w |grad R|^p`` with ``T = y - K R``, p = 1/2, both layers at least 0, and the darkest
    parts of the reflection black, by half-quadratic splitting: shrinkage of the gradients, and one division by the
    spectrum of ``K``, whose values are never 0.

    Parameters
    ----------
    picture : Tensor, shape (C, H, W)
        The observed sum.
    ghost : Ghost

    Returns
    -------
    Tensor, shape (C, H, W)
        Both images of the reflection together; between 0 and the picture, where that is not negative.
    """
    height, width = picture.shape[1:]
    scale = min(1.0, SOLVED_SIDE / max(height, width))
    small = picture
    if scale < 1:
        size = (round(height * scale), round(width * scale))
        small = torch.nn.functional.interpolate(picture[None], size, mode="area")[0]
    shift = (ghost.shift[0] * small.shape[1] / height, ghost.shift[1] * small.shape[2] / width)
    single = _single_image(small, shift, ghost.attenuation)
    if scale < 1:
        single = torch.nn.functional.interpolate(single[None], (height, width), mode="bilinear", align_corners=False)[0]
    light = doubled(single, ghost)
    return torch.minimum(light, picture.clamp(min=0))


def doubled(single: Tensor, ghost: Ghost) -> Tensor:
    """A reflection and its weaker copy, which beyond the frame goes on as the rim does.

    Parameters
    ----------
    single : Tensor, shape (..., H, W)
    ghost : Ghost

    Returns
    -------
    Tensor, shape of `single`
    """
    height, width = single.shape[-2:]
    rows = (torch.arange(height) - ghost.shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width) - ghost.shift[1]).clamp(0, width - 1)
    return single + ghost.attenuation * single[..., rows, :][..., columns]


def _single_image(picture: Tensor, shift: tuple[float, float], attenuation: float) -> Tensor:
    padding = min(BEYOND, min(picture.shape[1:]) - 1)
    padded = torch.nn.functional.pad(picture[None], (padding,) * 4, mode="reflect")[0]
    inner = padded.shape[1:]
    size = [next_fast_len(n, real=True) for n in inner]
    padded = torch.nn.functional.pad(padded[None], (0, size[1] - inner[1], 0, size[0] - inner[0]), mode="replicate")[0]
    rows, columns = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None]
    down, right = (torch.exp(2j * torch.pi * f) - 1 for f in (rows, columns))
    copy = 1 + attenuation * torch.exp(-2j * torch.pi * (rows * shift[0] + columns * shift[1]))
    inverse = 1 / ((down.abs() ** 2 + right.abs() ** 2 + SIGN_WEIGHT) * (copy.abs() ** 2 + 1))

    def forward(planes: Tensor) -> Tensor:
        return torch.fft.rfft2(planes)

    def back(spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=(size[0], size[1]))

    def sparse_laplacian(spectrum: Tensor, penalty: float) -> Tensor:
        along, across = back(down * spectrum), back(right * spectrum)
        length = (along.square() + across.square()).sum(dim=0, keepdim=True).sqrt_().clamp_(min=1e-8)
        kept = (1 - length**-1.5 / penalty).clamp_(min=0)
        return down.conj() * forward(kept * along) + right.conj() * forward(kept * across)

    def darkest(reflection: Tensor) -> Tensor:
        values = reflection[:, ::3, ::3].flatten(1)
        # Far quicker than a quantile, which sorts.
        return values.kthvalue(1 + int(BLACK * (values.shape[1] - 1)), dim=1).values[:, None, None]

    observed = forward(padded)
    spectrum = torch.zeros_like(observed)
    for i in range(STEPS):
        penalty = PENALTIES[0] * (PENALTIES[1] / PENALTIES[0]) ** (i / STEPS)
        scene = observed - copy * spectrum
        reflection = back(spectrum)
        black = darkest(reflection)
        above = forward((reflection - black).clamp(min=0))
        within = forward((back(scene) + (1 + attenuation) * black).clamp(0, 1))
        edges = copy.conj() * ((down.abs() ** 2 + right.abs() ** 2) * observed - sparse_laplacian(scene, penalty))
        edges += sparse_laplacian(spectrum, penalty)
        spectrum = (edges + SIGN_WEIGHT * (copy.conj() * (observed - within) + above)) * inverse
    reflection = back(spectrum)
    reflection = (reflection - darkest(reflection)).clamp(min=0)
    return reflection[:, padding : padding + picture.shape[1], padding : padding + picture.shape[2]]
