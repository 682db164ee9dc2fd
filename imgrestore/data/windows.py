"""Windows of damaged and of clean pictures, for a net to learn to tell one from the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.degrade import jpeg
from imgrestore.nets.judge import WINDOW

__all__ = ["drawn_windows", "random_windows"]

# What has nothing to do with damage, and must not be learned for it. Shares of the pictures that have another size,
# other tones, less sharpness, more noise, that have been stored as JPEG, and of the calls whose colours change places.
SCALED, TONED, BLURRED, NOISY, STORED, TURNED = 0.3, 0.6, 0.15, 0.2, 0.5, 0.2
SCALE, GAMMA, CONTRAST, NOISE, QUALITY = (0.7, 1.4), (0.6, 1.6), 0.6, 0.015, (60.0, 97.0)
# The blocks of a file may begin anywhere in a window.
MARGIN = jpeg.BLOCK


def drawn_windows(pictures: Sequence[NDArray], number: int, generator: torch.Generator) -> Tensor:
    """Windows of pictures, at random places; size, tones, sharpness, noise and compression of some are changed.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W, 3)
    number : int
        Windows of each.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of float32, shape (N, number, 3, 128, 128)
        Range [0, 1].
    """
    low, high = SCALE
    draws = torch.rand(len(pictures), 2, generator=generator).tolist()
    scales = [low * (high / low) ** size if chance < SCALED else 1.0 for chance, size in draws]
    cuts = [_cut(*each, number, generator) for each in zip(pictures, scales, strict=True)]
    windows = _altered(torch.stack(cuts), generator)
    top, left = torch.randint(MARGIN + 1, (2,), generator=generator).tolist()
    windows = windows[..., top : top + WINDOW, left : left + WINDOW]
    down, across, turned = (torch.rand(3, generator=generator) < 0.5).tolist()
    dims = [dim for dim, asked in ((3, down), (4, across)) if asked]
    windows = windows.flip(dims) if dims else windows
    return windows.transpose(3, 4) if turned else windows


def random_windows(picture: Tensor, number: int, rng: np.random.Generator) -> Tensor:
    """Windows of a picture at random places, as they are.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W)
        One with a side of less than 128 pixels is enlarged, as `imgrestore.nets.judge.windows_of` does.
    number : int
    rng : numpy.random.Generator

    Returns
    -------
    Tensor, shape (number, C, 128, 128)
    """
    side = min(WINDOW, *picture.shape[1:])
    windows = picture.new_empty(number, len(picture), side, side)
    for window in windows:
        top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[1:])
        window.copy_(picture[:, top : top + side, left : left + side])
    if side < WINDOW and number:
        windows = F.interpolate(windows, size=(WINDOW, WINDOW), mode="bicubic", antialias=True)
    return windows if number else picture.new_empty(0, len(picture), WINDOW, WINDOW)


def _cut(picture: NDArray, scale: float, number: int, generator: torch.Generator) -> Tensor:
    """Windows (number, 3, 136, 136) of one picture, a margin larger than they will be."""
    height, width = picture.shape[:2]
    large = WINDOW + MARGIN
    side = min(round(large / scale), height, width)
    places = torch.rand(number, 2, generator=generator) * torch.tensor([height - side + 1, width - side + 1])
    cuts = np.stack([picture[y : y + side, x : x + side] for y, x in places.long().tolist()])
    windows = torch.from_numpy(cuts).permute(0, 3, 1, 2).float() / 255
    if side == large:
        return windows
    return F.interpolate(windows, size=(large, large), mode="bicubic", antialias=True).clamp(0, 1)


def _altered(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Windows (N, K, 3, H, W) with other tones, colours, sharpness and noise, and stored as JPEG."""
    count, number = windows.shape[:2]

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, 1, generator=generator)

    def chosen(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, 1, generator=generator) < share

    contrast = drawn(CONTRAST, 1)
    toned = windows.clamp_min(1e-4) ** drawn(*GAMMA) * contrast + drawn(0, 1) * (1 - contrast)
    windows = torch.where(chosen(TONED), toned, windows)
    if float(torch.rand(1, generator=generator)) < TURNED:
        windows = windows[:, :, torch.randperm(3, generator=generator)]
    soft = F.avg_pool2d(windows.flatten(0, 1), 3, 1, 1, count_include_pad=False).unflatten(0, (count, number))
    windows = windows + drawn(0, 0.5) * chosen(BLURRED) * (soft - windows)
    noise = torch.randn(windows.shape, generator=generator)
    windows = (windows + drawn(0, NOISE) * chosen(NOISY) * noise).clamp(0, 1)
    stored = chosen(STORED).flatten().nonzero()[:, 0]
    if len(stored):
        quality = drawn(*QUALITY).flatten()[stored].repeat_interleave(number)
        halved = chosen(0.5).flatten()[stored].repeat_interleave(number)
        windows[stored] = jpeg.store(windows[stored].flatten(0, 1), quality, halved).unflatten(0, (-1, number))
    return windows
