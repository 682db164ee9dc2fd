"""The steps by which a PSF of any shape is found: a sketch of the scene in few edges, and what blurs it to that."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from imgrestore.ops import fft_filter

__all__ = [
    "AWAY",
    "Level",
    "gradients",
    "kernel_step",
    "otf",
    "periodic",
    "pruned",
    "recentred",
    "sketch",
    "slope_power",
    "towards_edges",
    "usefulness",
]

# The sketch's edges are freed from the picture step by step, until they weigh this much.
SPLIT_MOST, SPLIT_GROWS = 2.0, 2.0
# Against the energy of the sketch's edges: how much a PSF is held to be small everywhere.
RIDGE = 0.25
STEPS = 15
# Where wide blurs are to be expected, at least this part of a picture has to be out of reach of its bad pixels.
AWAY = 0.6
# What is fainter than this part of the brightest place of a PSF is noise, and so are pieces with less of the light.
FAINT, LOOSE = 0.05, 0.1
# Gradients of this many pixels around that cancel out say nothing of the blur: of this share of them that does not, and
# below, none of their weight is left; of this one and above, all.
USEFUL_WINDOW, USEFUL_LEAST = 5, 0.02
USELESS, USEFUL = -0.5, 0.5


@dataclass(frozen=True)
class Level:
    """One level of the pyramid, drawn out to a frame whose opposite edges fit."""

    picture: Tensor
    weight: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, picture: Tensor, good: Tensor, width: int, away: float = 0.0) -> Level:
        """Prepare a picture (H, W) with its good pixels for a PSF of this width.

        Where no more than the part `away` is out of reach of bad pixels, what they reach is used as well.
        """
        drawn_out = periodic(picture, width)
        shape = drawn_out.shape[0], drawn_out.shape[1]
        weight = torch.zeros(shape)
        weight[: picture.shape[0], : picture.shape[1]] = _inside(picture.shape, width) * _telling(good, width, away)
        weight[: picture.shape[0], : picture.shape[1]] *= usefulness(picture)
        return cls(drawn_out, weight, shape)


def sketch(picture: Tensor, otf: Tensor, weight: float) -> Tensor:
    """A scene of few edges that the PSF blurs to the picture: least squares and a price for each edge.

    Parameters
    ----------
    picture : Tensor, shape (H, W)
        Opposite edges fit.
    otf : complex Tensor, shape (H, W // 2 + 1)
        Of the PSF.
    weight : float
        The price of a pixel that is not as its neighbours.

    Returns
    -------
    Tensor, shape (H, W)
    """
    slopes = slope_power(picture.shape)
    power, towards_data = otf.abs().square(), fft_filter(picture, otf.conj().resolve_conj())
    scene, split = picture, 2 * weight
    while split < SPLIT_MOST:
        wanted = torch.add(towards_data, towards_edges(scene, weight / split), alpha=split)
        scene = fft_filter(wanted, (power + split * slopes).reciprocal_().to(otf.dtype))
        split *= SPLIT_GROWS
    return scene


def towards_edges(scene: Tensor, least: float) -> Tensor:
    """The divergence that leaves of a scene those gradients only whose square is so large."""
    # NumPy calls are much quicker than torch's on planes that stay in the cache.
    across, along = (gradient.numpy() for gradient in gradients(scene))
    edge = across**2 + along**2 >= least
    across *= edge
    along *= edge
    back = -across
    back[:, 1:] += across[:, :-1]
    back[:, 0] += across[:, -1]
    back[1:] += along[:-1]
    back[0] += along[-1]
    return torch.from_numpy(np.subtract(back, along, out=back))


def usefulness(picture: Tensor) -> Tensor:
    """How far gradients help to find a PSF: 1 beside long edges, 0 in what is narrower than the blur, and in noise.

    Parameters
    ----------
    picture : Tensor, shape (H, W)

    Returns
    -------
    Tensor, shape (H, W)

    References
    ----------
    Xu & Jia, "Two-phase kernel estimation for robust motion deblurring" (2010).
    """
    across, along = (gradient.numpy() for gradient in gradients(picture))
    near = (USEFUL_WINDOW, USEFUL_WINDOW)
    kept = np.hypot(cv2.blur(across, near), cv2.blur(along, near))
    whole = cv2.blur(np.hypot(across, along), near) + USEFUL_LEAST
    share = torch.from_numpy(kept / whole)
    return ((share - USELESS) / (USEFUL - USELESS)).clamp(0, 1)


def kernel_step(
    scene: Tensor, picture: Tensor, width: int, weight: Tensor, ridge: float = RIDGE, steps: int = STEPS
) -> Tensor:
    """The PSF that best takes the gradients of a scene to those of a picture, by conjugate gradients.

    Parameters
    ----------
    scene, picture, weight : Tensor, shape (H, W)
        Opposite edges fit; the weight says where gradients count.
    width : int
        Odd; of the PSF.
    ridge : float
        Against the energy of the edges: how much the PSF is held to be small.
    steps : int

    Returns
    -------
    Tensor, shape (width, width)
        Also negative.
    """
    shape = scene.shape
    of_scene, of_picture = ([torch.fft.rfft2(g * weight) for g in gradients(plane)] for plane in (scene, picture))
    alike = torch.fft.irfft2(sum(s.abs().square() for s in of_scene), s=shape)
    both = torch.fft.irfft2(sum(s.conj() * p for s, p in zip(of_scene, of_picture, strict=True)), s=shape)
    wanted = both.roll((width // 2, width // 2), (0, 1))[:width, :width]
    # Products of shifts within the PSF reach twice as far.
    near = alike.roll((width, width), (0, 1))[: 2 * width, : 2 * width].roll((-width, -width), (0, 1))
    filter_ = torch.fft.rfft2(near).real
    hold = ridge * float(near[0, 0])

    def normal(psf: Tensor) -> Tensor:
        wide = F.pad(psf, (0, width, 0, width))
        return torch.fft.irfft2(torch.fft.rfft2(wide) * filter_, s=wide.shape)[:width, :width] + hold * psf

    psf, rest = torch.zeros_like(wanted), wanted.clone()
    step, size = rest.clone(), float(rest.square().sum())
    for _ in range(steps):
        if size <= 1e-12 * float(wanted.square().sum()):
            break
        image = normal(step)
        length = size / float((step * image).sum())
        psf, rest = psf + length * step, rest - length * image
        before, size = size, float(rest.square().sum())
        step = rest + size / before * step
    return psf


def pruned(psf: Tensor) -> Tensor:
    """A PSF without negative, faint and loose parts, its sum 1; one point where nothing is left."""
    psf = psf.clamp_min(0)
    psf = torch.where(psf < FAINT * psf.max(), 0, psf)
    if float(psf.sum()) <= 0:
        psf = torch.zeros_like(psf)
        psf[psf.shape[0] // 2, psf.shape[1] // 2] = 1
        return psf
    count, labels = cv2.connectedComponents((psf > 0).numpy().astype(np.uint8), connectivity=8)
    light = np.bincount(labels.ravel(), psf.numpy().ravel(), minlength=count)
    loose = light < LOOSE * light[1:].max()
    psf = torch.where(torch.from_numpy(loose[labels]), 0, psf)
    return psf / psf.sum()


def recentred(psf: Tensor) -> Tensor:
    """A PSF moved by whole pixels, so that its centroid is in the middle; what leaves the frame is lost."""
    middle = torch.arange(len(psf)) - len(psf) // 2
    down, right = round(float((psf.sum(1) * middle).sum())), round(float((psf.sum(0) * middle).sum()))
    reach = max(abs(down), abs(right))
    moved = F.pad(psf, (reach,) * 4).roll((-down, -right), (0, 1))[reach : reach + len(psf), reach : reach + len(psf)]
    return moved / moved.sum()


def periodic(picture: Tensor, margin: int) -> Tensor:
    """A picture drawn out by at least `margin`, below and to the right, so that it goes on into its other side."""
    return _drawn_out(_drawn_out(picture, margin).T, margin).T.contiguous()


def _drawn_out(picture: Tensor, margin: int) -> Tensor:
    length = len(picture)
    extra = next_fast_len(length + margin, real=True) - length
    index = torch.arange(extra)
    last, first = (length - 1 - index).clamp_min(0), (extra - 1 - index).clamp_max(length - 1)
    fade = 0.5 - 0.5 * torch.cos(math.pi * (index + 1) / (extra + 1))[:, None]
    return torch.cat([picture, (1 - fade) * picture[last] + fade * picture[first]])


def gradients(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the next pixels, across and down; the last one's next is the first."""
    values = plane.numpy()
    across, along = np.empty_like(values), np.empty_like(values)
    np.subtract(values[:, 1:], values[:, :-1], out=across[:, :-1])
    np.subtract(values[:, 0], values[:, -1], out=across[:, -1])
    np.subtract(values[1:], values[:-1], out=along[:-1])
    np.subtract(values[0], values[-1], out=along[-1])
    return torch.from_numpy(across), torch.from_numpy(along)


def slope_power(shape: torch.Size) -> Tensor:
    """The power of the differences to the next pixels, across and down, over the half spectrum of a frame."""
    down, across = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])
    return (2 * torch.sin(math.pi * down)).square() + (2 * torch.sin(math.pi * across)).square()


def _telling(good: Tensor, width: int, away: float) -> Tensor:
    """The good pixels that no bad one reaches through a PSF; all good ones where too few would be left."""
    far_from_bad = torch.from_numpy(cv2.erode(good.numpy().astype(np.uint8), np.ones((width, width))))
    return far_from_bad if float(far_from_bad.float().mean()) > away else good


def _inside(shape: torch.Size, width: int) -> Tensor:
    """1 inside, falling to 0 towards the frame, where the scene beyond it takes part."""
    rows, columns = (
        (((torch.arange(n) + 0.5 - n / 2).abs().neg() + n / 2 - width / 2) / width).clamp(0, 1) for n in shape
    )
    return rows[:, None] * columns


def otf(psf: Tensor, shape: tuple[int, int]) -> Tensor:
    """The half spectrum of a PSF on a frame, its middle at the origin."""
    frame = torch.zeros(shape)
    tall, wide = psf.shape
    frame[:tall, :wide] = psf
    return torch.fft.rfft2(frame.roll((-(tall // 2), -(wide // 2)), (0, 1)))
