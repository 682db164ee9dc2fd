"""What is lost in a JPEG file: coefficients of 8 × 8 pixels, rounded to the steps of the standard's tables.

The picture becomes luma and chroma, chroma is reduced to half its size where the file says so, each block of 8 × 8 is
transformed by the discrete cosine transform (DCT), and its coefficients are rounded::

    y = idct(step * round(dct(x) / step))

Entropy coding loses nothing and is left out, so that all of it is plain torch, on any device and for a whole batch.
Tables are those of ITU-T T.81 (1992), annex K, and colours those of ITU-T T.871 (2011, JFIF). Steps are scaled by
quality, and chroma is reduced and enlarged, as in libjpeg.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["JpegParams", "apply", "blocks_of", "sample", "steps", "store"]

BLOCK = 8
# libjpeg knows coefficients to an eighth, so that many lie on the middle between two steps.
FINE = 8
# What float32 may have lost of a half.
LOST = 1e-4
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))
QUALITY = (70.0, 98.0)
HALVED = 0.5


@dataclass(frozen=True)
class JpegParams:
    """How one picture is stored.

    Attributes
    ----------
    quality : float
        From 1 to 100, as libjpeg counts it.
    halved : bool
        Chroma at half the size along both sides (4:2:0), or at full size (4:4:4).
    """

    quality: float = 90.0
    halved: bool = True


def sample(shape: tuple[int, ...], rng: np.random.Generator) -> JpegParams:
    """Draw how a picture is stored.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the picture; the parameters do not depend on it.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    JpegParams
        A quality from 70 to 98, half of the files with chroma at half the size.
    """
    return JpegParams(quality=float(rng.uniform(*QUALITY)), halved=bool(rng.random() < HALVED))


def apply(clean: Tensor, params: JpegParams) -> Tensor:
    """Store a picture as JPEG and read it again.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point
        Range [0, 1], clipped to it; C is 3 (RGB), or anything else for planes that are stored as gray pictures.
    params : JpegParams

    Returns
    -------
    Tensor, same shape
        Whole multiples of 1/255. Rounding passes gradients straight through, see `store`.
    """
    channels = clean.shape[-3] if clean.ndim > 2 and clean.shape[-3] == 3 else 1
    planes = clean.reshape(-1, channels, *clean.shape[-2:])
    quality = planes.new_full((planes.shape[0],), params.quality)
    halved = torch.full((planes.shape[0],), params.halved, device=planes.device)
    return store(planes, quality, halved).reshape(clean.shape)


def store(pictures: Tensor, quality: Tensor, halved: Tensor) -> Tensor:
    """Store a batch of pictures, each with a quality of its own, and read them again.

    Parameters
    ----------
    pictures : Tensor, shape (N, C, H, W), float32 or float64
        Range [0, 1], clipped to it; RGB, or gray (C = 1). H and W need not be multiples of 8: the last row and column
        are repeated, as encoders do.
    quality : Tensor, shape (N,)
        From 1 to 100.
    halved : Tensor of bool, shape (N,)
        Chroma at half the size (4:2:0) or at full size (4:4:4).

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Whole multiples of 1/255. All rounding passes gradients straight through: the gradient is that of colours,
        DCT and the change of chroma's size alone, and 0 where values were clipped.

    Raises
    ------
    ValueError
        Where a picture has neither 1 nor 3 channels, or the settings do not go with the pictures.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.degrade import jpeg
    >>> flat = torch.full((2, 3, 9, 13), 51 / 255)
    >>> stored = jpeg.store(flat, torch.tensor([70.0, 98.0]), torch.tensor([True, False]))
    >>> bool(torch.allclose(stored, flat))
    True
    """
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise ValueError(f"pictures have shape {tuple(pictures.shape)}; expected (N, 1, H, W) or (N, 3, H, W)")
    for name, told in (("quality", quality), ("halved", halved)):
        if tuple(told.shape) != pictures.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(told.shape)}; expected ({pictures.shape[0]},), one a picture")
    height, width = pictures.shape[-2:]
    levels = _rounded(pictures.clamp(0, 1) * 255)
    luma, chroma = steps(quality)
    if pictures.shape[1] == 1:
        return _coded(levels, luma[:, None]) / 255
    middle = levels.new_tensor((0.0, 128.0, 128.0))[:, None, None]
    planes = _rounded(torch.einsum("ij,njhw->nihw", levels.new_tensor(TO_YCC), levels) + middle)
    # Before the last blocks are filled up, the rows and columns are that halves are taken of.
    even = F.pad(planes[:, 1:], (0, width % 2, 0, height % 2), mode="replicate")
    small = _coded(_rounded(F.avg_pool2d(even, 2), (0.25, 0.5)), chroma[:, None])
    # Weights of 3/4 and 1/4, as libjpeg's "fancy upsampling".
    enlarged = F.interpolate(small, scale_factor=2, mode="bilinear")[..., :height, :width]
    enlarged = torch.cat([planes[:, :1], _rounded(enlarged, (0.5, 0.4375))], dim=1)
    planes = _coded(planes, torch.stack([luma, chroma, chroma], dim=1))
    enlarged = torch.cat([planes[:, :1], enlarged[:, 1:]], dim=1)
    planes = torch.where(halved[:, None, None, None], enlarged, planes) - middle
    rgb = torch.einsum("ij,njhw->nihw", levels.new_tensor(TO_RGB), planes)
    return _rounded(rgb.clamp(0, 255)) / 255


def steps(quality: Tensor) -> tuple[Tensor, Tensor]:
    """The steps to which coefficients are rounded, for luma and chroma.

    Parameters
    ----------
    quality : Tensor, shape (N,), floating point
        From 1 to 100: 50 stands for the standard's own tables, 100 for steps of 1.

    Returns
    -------
    luma : Tensor, shape (N, 8, 8)
        Whole numbers from 1 to 255; the first axis is that of vertical frequencies.
    chroma : Tensor, shape (N, 8, 8)
        The same for the two planes of colour.
    """
    quality = quality.clamp(1, 100)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()[:, None, None]
    luma, chroma = (((quality.new_tensor(table) * scale + 50) / 100).floor().clamp(1, 255) for table in (LUMA, CHROMA))
    return luma, chroma


def blocks_of(planes: Tensor) -> Tensor:
    """The coefficients of the blocks of planes.

    Parameters
    ----------
    planes : Tensor, shape (..., H, W), float32 or float64
        Range [0, 255]. Rows and columns that fill no block are left out.

    Returns
    -------
    Tensor, shape (..., H // 8, W // 8, 64)
        Row by row, from the mean to the highest frequency.
    """
    down, across = (n // BLOCK for n in planes.shape[-2:])
    blocks = (planes[..., : down * BLOCK, : across * BLOCK] - 128).unflatten(-2, (down, BLOCK))
    # One product with a matrix of 64 × 64 transforms a block, whose pixels are put side by side first.
    return blocks.unflatten(-1, (across, BLOCK)).transpose(-3, -2).flatten(-2) @ _cosines(planes).T


def _coded(planes: Tensor, step: Tensor) -> Tensor:
    """Planes (N, C, H, W) of 0 to 255 with coefficients rounded to steps (N, C or 1, 8, 8): whole numbers again."""
    count, channels, height, width = planes.shape
    down, across = -(-height // BLOCK), -(-width // BLOCK)
    planes = F.pad(planes, (0, across * BLOCK - width, 0, down * BLOCK - height), mode="replicate")
    step = step.flatten(-2)[:, :, None, None]
    coefficients = _rounded(blocks_of(planes) * FINE) / (FINE * step)
    coefficients = step * _straight(coefficients, (coefficients.abs() + 0.5).floor() * coefficients.sign())
    blocks = (coefficients @ _cosines(planes)).unflatten(-1, (BLOCK, BLOCK)).transpose(3, 4)
    planes = blocks.reshape(count, channels, down * BLOCK, across * BLOCK)[..., :height, :width]
    return _rounded((planes + 128).clamp(0, 255))


def _cosines(like: Tensor) -> Tensor:
    """The orthonormal DCT of a block of 8 × 8 pixels: (64, 64), from pixels to coefficients."""
    index = torch.arange(BLOCK, dtype=torch.float64)
    basis = torch.cos(math.pi / BLOCK * index[:, None] * (index + 0.5)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return torch.kron(basis, basis).to(like)


def _rounded(values: Tensor, halves: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """Whole numbers, after adding this to every even and odd column: with halves, the nearest ones."""
    added = values.new_tensor(halves).repeat(-(-values.shape[-1] // 2))[: values.shape[-1]] + LOST
    return _straight(values, (values + added).floor())


def _straight(values: Tensor, whole: Tensor) -> Tensor:
    """The whole numbers, with the gradient of the values."""
    return values + (whole - values).detach() if values.requires_grad else whole
