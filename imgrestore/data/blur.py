"""Blurred frames to train on, drawn from clean pictures on their device."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.data.pictures import Pictures
from imgrestore.degrade import blur, jpeg

__all__ = ["PSF_SIZE", "BlurBatch", "blur_batch", "psf_pool", "stored_as_jpeg", "where_known"]

PSF_SIZE = 41
# Shares of a batch: scenes with lights above white, files of 8 bits, and those of them that are JPEG.
LIT, STORED, JPEG = 0.1, 0.25, 0.125
# How much of a scene shines, how many times as bright as white, and over which range of values that begins.
SHINING, BRIGHTNESS, SOFT = (5e-4, 0.03), (1.0, 5.0), 0.05


def _psf_chunk(job: tuple[int, int, float]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    seed, count, wrong = job
    rng = np.random.default_rng(seed)
    true, told = np.zeros((2, count, PSF_SIZE, PSF_SIZE), np.float16)
    for i in range(count):
        psf = blur.centred(blur.sample_psf(rng), PSF_SIZE)
        true[i] = psf
        told[i] = blur.perturb_psf(psf, rng) if rng.random() < wrong else psf
    return true, told


def psf_pool(count: int, seed: int, wrong: float = 0.2, workers: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw many PSFs, and what the net is told they are.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        The same seed gives the same PSFs for any number of workers.
    wrong : float
        Share of PSFs told slightly wrong, as a blind estimate would be.
    workers : int
        Processes; 0 draws them here.

    Returns
    -------
    true, told : Tensor of float32, shape (count, 41, 41)
        Each sums to 1, centre at (20, 20).
    """
    sizes = [min(500, count - i) for i in range(0, count, 500)]
    jobs = [(seed * 100_003 + i, size, wrong) for i, size in enumerate(sizes)]
    if workers:
        # Forked children of a process that holds a GPU or running threads can hang; spawned ones cannot.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = list(pool.map(_psf_chunk, jobs))
    else:
        chunks = [_psf_chunk(job) for job in jobs]
    true = torch.from_numpy(np.concatenate([c[0] for c in chunks])).float()
    told = torch.from_numpy(np.concatenate([c[1] for c in chunks])).float()
    return true / true.sum((1, 2), keepdim=True), told / told.sum((1, 2), keepdim=True)


@dataclass
class BlurBatch:
    """Blurred frames and what is known of them.

    Attributes
    ----------
    observed : Tensor of float32, shape (N, 3, S - 40, S - 40)
        The frames.
    clean : Tensor of float32, shape (N, 3, S, S)
        The scenes, which go on past the frames by 20 pixels on every side; lights that are brighter are told as white.
    psf : Tensor of float32, shape (N, 41, 41)
        The PSFs as they are told, some slightly wrong.
    sigma : Tensor of float32, shape (N,)
        The noise levels as they are told, within 20 %: all that tells the frame from the blurred scene, that is
        noise, rounding, and what a JPEG file lost.
    known : Tensor of float32, shape (N, 1, S - 40, S - 40)
        1 where a pixel was observed, 0 where a channel is saturated, so that its value is only a lower bound.
    """

    observed: torch.Tensor
    clean: torch.Tensor
    psf: torch.Tensor
    sigma: torch.Tensor
    known: torch.Tensor


def blur_batch(
    pictures: Pictures,
    psfs: tuple[torch.Tensor, torch.Tensor],
    count: int,
    size: int,
    generator: torch.Generator,
) -> BlurBatch:
    """Draw blurred frames, wholly on the pictures' device.

    Parameters
    ----------
    pictures : Pictures
        Clean pictures.
    psfs : pair of Tensor, shape (P, 41, 41)
        As from `psf_pool`.
    count, size : int
        Number of frames and side of the scenes.
    generator : torch.Generator
        On the pictures' device; the batch depends on its state alone.

    Returns
    -------
    BlurBatch
        A new batch.
    """
    device = pictures.flat.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape or (count,), device=device, generator=generator) * (high - low) + low

    clean = pictures.crops(count, size, generator)
    # A picture at half its size is sharper and cleaner; each batch has some, where pictures are large enough.
    halves = count // 8
    if halves and pictures.largest >= 2 * size:
        clean[:halves] = torch.nn.functional.avg_pool2d(pictures.crops(halves, 2 * size, generator), 2)
    changed = (uniform(0, 1) < 0.4)[:, None, None, None]
    gains = uniform(0.5, 1.05)[:, None, None, None] * uniform(0.85, 1.15, count, 3)[..., None, None]
    clean = torch.where(changed, (clean * gains).clamp(max=1), clean)
    gray = (uniform(0, 1) < 0.08)[:, None, None, None]
    clean = torch.where(gray, clean.mean(1, keepdim=True), clean)
    lit = _light(clean, generator)

    which = torch.randint(psfs[0].shape[0], (count,), device=device, generator=generator)
    blurred = blur.convolve_valid(clean, psfs[0][which])
    sigma = torch.exp(uniform(float(np.log(1e-3)), float(np.log(0.06)))) * (uniform(0, 1) >= 0.06)
    photon = sigma**2 * uniform(0.2, 2.0) * (uniform(0, 1) < 0.2)
    white = torch.randn(blurred.shape, device=device, generator=generator)
    # A gray picture is given to the net as three equal planes: its noise is equal too.
    white = torch.where(gray, white[:, :1], white)
    column = (slice(None), None, None, None)
    observed = blur.expose(blurred, white, sigma[column], photon[column])
    variance = sigma**2 + photon * blurred.mean((1, 2, 3)).clamp(max=1)

    files, are_files = _some(count, JPEG, generator)
    stored = uniform(0, 1) < (STORED - JPEG) / (1 - JPEG)
    stored[files] &= ~are_files
    observed = torch.where(stored[column], observed.clamp(0, 1).mul_(255).round_().div_(255), observed)
    observed = torch.where(lit[column], observed.clamp(max=1), observed)
    variance = variance + stored * (1 / (12 * 255**2))
    read = stored_as_jpeg(observed[files], generator)
    observed[files] = torch.where(are_files[column], read, observed[files])
    clipped = lit | stored
    clipped[files] |= are_files
    known = torch.where(clipped[column], where_known(observed), 1.0)
    # Compression takes noise away where it adds its own: what is left of both is seen by comparing.
    left = ((read - blurred[files]).square() * known[files]).mean((1, 2, 3)) / known[files].mean((1, 2, 3)).clamp(1e-3)
    variance[files] = torch.where(are_files, left, variance[files])
    told = variance.sqrt() * uniform(0.8, 1.2)
    return BlurBatch(observed, clean.clamp(max=1), psfs[1][which], told, known)


def where_known(observed: torch.Tensor) -> torch.Tensor:
    """Where no channel of frames (N, C, h, w) is as bright as a file can tell: 1, else 0, shape (N, 1, h, w)."""
    return (observed.amax(1, keepdim=True) < 1).float()


def stored_as_jpeg(frames: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Frames cut out of JPEG files: of quality 70 to 98, half of them with chroma at half the size.

    Parameters
    ----------
    frames : Tensor of float32, shape (N, 3, h, w)
        Clipped to [0, 1].
    generator : torch.Generator
        On their device.

    Returns
    -------
    Tensor of float32, shape (N, 3, h, w)
        The blocks of 8 × 8 pixels begin anywhere.
    """
    count, channels, height, width = frames.shape
    device = frames.device
    low, high = jpeg.QUALITY
    quality = low + (high - low) * torch.rand(count, device=device, generator=generator)
    halved = torch.rand(count, device=device, generator=generator) < jpeg.HALVED
    shift = torch.randint(jpeg.BLOCK, (count, 2, 1), device=device, generator=generator)

    def part(planes: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return planes.gather(2, rows[:, None, :, None].expand(-1, channels, -1, planes.shape[3])).gather(
            3, columns[:, None, None, :].expand(-1, channels, rows.shape[1], -1)
        )

    down, across = (torch.arange(n + jpeg.BLOCK, device=device) for n in (height, width))
    moved = part(frames, (down - shift[:, 0]).clamp(0, height - 1), (across - shift[:, 1]).clamp(0, width - 1))
    read = jpeg.store(moved, quality, halved)
    return part(read, down[:height] + shift[:, 0], across[:width] + shift[:, 1])


def _light(clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Let the brightest places of some scenes shine, in place; which scenes, (N,)."""
    count, size = clean.shape[0], clean.shape[-1]
    index, shines = _some(count, LIT, generator)
    draws = torch.rand(2, len(index), 1, device=clean.device, generator=generator)
    low, high = (math.log(part * size**2) for part in SHINING)
    some = clean[index]
    brightest = some.amax(1, keepdim=True)
    ranked = brightest.flatten(1).topk(int(SHINING[1] * size**2), dim=1).values
    rank = (torch.exp(low + (high - low) * draws[0]) - 1).long().clamp(0, ranked.shape[1] - 1)
    level = ranked.gather(1, rank)[..., None, None]
    share = ((brightest - level) / SOFT + 0.5).clamp(0, 1) * shines[:, None, None, None]
    # A light keeps its colour: its strongest channel is so many times white.
    times = BRIGHTNESS[0] + (BRIGHTNESS[1] - BRIGHTNESS[0]) * draws[1]
    clean[index] = some.lerp(some / brightest.clamp_min(1e-3) * times[..., None, None], share)
    lit = torch.zeros(count, dtype=torch.bool, device=clean.device)
    lit[index] = shines
    return lit


def _some(count: int, share: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Some pictures of a batch, and which of these are meant, so that on average the share of all is.

    How many come is known beforehand, so that nobody has to wait for the device to tell.
    """
    most = math.ceil(share * count)
    index = torch.randperm(count, device=generator.device, generator=generator)[:most]
    return index, torch.rand(most, device=generator.device, generator=generator) < share * count / most
