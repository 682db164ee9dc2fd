"""Real pairs of blurred and sharp pictures to train on, each with the PSF that takes one to the other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.classical.noise import noise_of_planes
from imgrestore.data.blur import PSF_SIZE, BlurBatch, where_known
from imgrestore.data.pairs import Pair
from imgrestore.data.pictures import Pictures
from imgrestore.degrade.blur import convolve_valid

__all__ = ["BlurPairs", "PsfFit", "fit_psf", "reason_against"]

MARGIN = PSF_SIZE // 2
# Pixels across the middle of a picture that a PSF is fitted to.
FITTED = 448
# Rounds of conjugate gradients, each without the values that came out negative, and the steps of each.
ROUNDS, STEPS = 4, 20
# What values of a PSF are expected to be like: against this, noise is held out of it.
EXPECTED = 0.01
# One gray level of 8 bits is left over of most files.
GRAY_LEVEL = 1 / 255
# The residual may be so many times what is to be expected, over the whole frame and in the worst of 3 × 3 parts of it.
# Of photographs blurred by one PSF the worst parts came to 1.1 at most, and to 2.7 to 4.4 where JPEG hid the noise;
# where one PSF faded into another across the frame, or took over in its middle, to 1.5 to 9.4.
WORSE, WORSE_PART, PARTS = 3.0, 2.5, 3
# Of the PSF's light, so much at most may lie on its outermost pixels, `RIM` wide.
RIM, CUT_OFF = 2, 0.05


@dataclass(frozen=True)
class PsfFit:
    """The PSF between two pictures, and how well it explains the blurred one.

    Attributes
    ----------
    psf : ndarray of float32, shape (41, 41)
        Non-negative, sums to 1, centre at (20, 20).
    noise : float
        Standard deviation of the blurred picture's noise, estimated from it alone, for a range of 1.
    residual : float
        Root mean square of what the blurred truth leaves over of the blurred picture. NaN where there is nothing to see
        in the truth wherever the blurred picture is not saturated, so that any PSF would explain it.
    worst : float
        The same in the worst of 3 × 3 parts of the frame.
    """

    psf: NDArray[np.float32]
    noise: float
    residual: float
    worst: float


def fit_psf(observed: NDArray[np.uint8], truth: NDArray[np.uint8]) -> PsfFit:
    """Find the PSF that takes a sharp picture to a blurred one.

    Least squares on the gradients of the gray pictures, whose spectrum is nearly flat, with a small weight on the PSF's
    energy; only the part of the frame counts whose blur is seen whole, and no saturated pixels.

    Parameters
    ----------
    observed, truth : ndarray of uint8, shape (H, W, 3)
        More than 82 pixels on each side.

    Returns
    -------
    PsfFit

    Raises
    ------
    ValueError
        Where the pictures differ in size or are too small.
    """
    if observed.shape != truth.shape or min(observed.shape[:2]) <= 2 * PSF_SIZE:
        raise ValueError(
            f"observed and truth have shapes {observed.shape} and {truth.shape}; expected the same, and more than "
            f"{2 * PSF_SIZE} pixels on each side"
        )
    seen, sharp = (torch.from_numpy(np.array(p)).permute(2, 0, 1)[None].float() / 255 for p in (observed, truth))
    known = where_known(seen)
    noise = float(noise_of_planes(seen).mean())
    psf = _fitted(_middle(seen), _middle(sharp), _middle(known), noise)
    left = (seen[..., MARGIN:-MARGIN, MARGIN:-MARGIN] - convolve_valid(sharp, psf)).square()
    known = known[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    power = (left * known).mean(1, keepdim=True)
    parts = F.adaptive_avg_pool2d(power, PARTS) / F.adaptive_avg_pool2d(known, PARTS).clamp_min(0.05)
    residual = (power.sum() / known.sum().clamp_min(1)).sqrt()
    if _contrast(sharp[..., MARGIN:-MARGIN, MARGIN:-MARGIN], known) < GRAY_LEVEL:
        residual = torch.tensor(math.nan)
    return PsfFit(psf.numpy(), noise, float(residual), float(parts.max().sqrt()))


def reason_against(fit: PsfFit) -> str | None:
    """Why a pair cannot be learned from, if it cannot: one PSF has to explain the blurred picture.

    Parameters
    ----------
    fit : PsfFit

    Returns
    -------
    str or None
    """
    if math.isnan(fit.residual):
        return "it shows nothing that a PSF could be told from: it is of one tone, or saturated"
    expected = (fit.noise**2 + GRAY_LEVEL**2) ** 0.5
    if not fit.residual <= WORSE * expected:
        return (
            f"no PSF of {PSF_SIZE} pixels makes one picture of the other: {fit.residual / expected:.1f} times the "
            "noise is left over"
        )
    rim = 1 - float(fit.psf[RIM:-RIM, RIM:-RIM].sum())
    if rim > CUT_OFF:
        return f"its PSF is wider than {PSF_SIZE} pixels, or the pictures are shifted: {rim:.0%} of it lies on the rim"
    if fit.worst > WORSE_PART * expected:
        return (
            f"its blur changes over the frame, or the pictures are not aligned: in a part of it "
            f"{fit.worst / expected:.1f} times the noise is left over"
        )
    return None


class BlurPairs:
    """Pairs with their PSFs, from which crops are drawn on their device.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray)
        Blurred and sharp, as from `imgrestore.data.pairs.read_pairs`.
    fits : iterable of PsfFit
        Of each.
    device : torch.device or str
        Where they live.
    """

    def __init__(self, pairs: Iterable[Pair], fits: Iterable[PsfFit], device: torch.device | str = "cpu") -> None:
        pairs, fits = list(pairs), list(fits)
        self.blurred = Pictures([observed for observed, _ in pairs], device)
        self.sharp = Pictures([truth for _, truth in pairs], device)
        self.psf = torch.from_numpy(np.stack([fit.psf for fit in fits])).to(device)
        self.sigma = torch.tensor([max(fit.noise, fit.residual) for fit in fits], device=device)

    def __len__(self) -> int:
        return len(self.sharp)

    def crops(self, count: int, size: int, generator: torch.Generator) -> BlurBatch:
        """Random crops of random pairs, flipped and turned with their PSFs.

        Parameters
        ----------
        count, size : int
            Number of frames, and side of the scenes, which every picture has to have room for.
        generator : torch.Generator
            On the pairs' device.

        Returns
        -------
        BlurBatch
            The noise levels are what the PSFs leave over, within 20 %.
        """
        device = self.psf.device
        which = torch.randint(len(self), (count,), device=device, generator=generator)
        place = torch.rand(count, 2, device=device, generator=generator)
        corner = (place * (self.sharp.sizes[which] - size + 1)).long()
        turn = torch.rand(count, 3, device=device, generator=generator) < 0.5
        told = self.sigma[which] * (0.8 + 0.4 * torch.rand(count, device=device, generator=generator))
        return self._gather(which, corner, size, turn, told)

    def centres(self, size: int) -> BlurBatch:
        """The middle crop of every pair, its noise level what the PSF leaves over."""
        which = torch.arange(len(self), device=self.psf.device)
        turn = torch.zeros(len(self), 3, dtype=torch.bool, device=self.psf.device)
        return self._gather(which, (self.sharp.sizes - size) // 2, size, turn, self.sigma)

    def _gather(self, which: Tensor, corner: Tensor, size: int, turn: Tensor, sigma: Tensor) -> BlurBatch:
        observed = self.blurred.gather(which, corner + MARGIN, size - 2 * MARGIN, turn)
        clean = self.sharp.gather(which, corner, size, turn)
        psf = self.psf[which]
        for asked, turned in zip(turn.T, (lambda k: k.flip(1), lambda k: k.flip(2), lambda k: k.mT), strict=True):
            psf = torch.where(asked[:, None, None], turned(psf), psf)
        return BlurBatch(observed, clean, psf, sigma, where_known(observed))


def _contrast(planes: Tensor, known: Tensor) -> float:
    """Root mean square of planes (1, C, H, W) less their means where `known`, unknown pixels counting as 0."""
    means = (planes * known).sum((2, 3), keepdim=True) / known.sum().clamp_min(1)
    return float(((planes - means) * known).square().mean().sqrt())


def _middle(planes: Tensor) -> Tensor:
    """The gray middle of planes (1, C, H, W)."""
    height, width = (min(n, FITTED) for n in planes.shape[-2:])
    top, left = (planes.shape[-2] - height) // 2, (planes.shape[-1] - width) // 2
    return planes[0, :, top : top + height, left : left + width].mean(0)


def _fitted(observed: Tensor, truth: Tensor, known: Tensor, noise: float) -> Tensor:
    """The PSF (41, 41) between gray pictures (H, W): non-negative least squares by conjugate gradients."""
    shape = truth.shape
    inside = torch.zeros_like(truth)
    inside[2 * MARGIN :, 2 * MARGIN :] = known[MARGIN:-MARGIN, MARGIN:-MARGIN]
    # A difference counts where both its pixels do.
    counts = torch.stack([inside * inside.roll(1, axis) for axis in (0, 1)])
    slopes = torch.fft.rfft2(torch.stack([truth - truth.roll(1, axis) for axis in (0, 1)]))
    shifted = observed.roll((MARGIN, MARGIN), (0, 1))
    wanted = torch.stack([shifted - shifted.roll(1, axis) for axis in (0, 1)])

    def towards(residual: Tensor) -> Tensor:
        spectrum = (torch.fft.rfft2(counts * residual) * slopes.conj()).sum(0)
        return torch.fft.irfft2(spectrum, s=shape)[:PSF_SIZE, :PSF_SIZE]

    def blurred(psf: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(psf, s=shape) * slopes, s=shape)

    hold = 2 * (noise**2 + GRAY_LEVEL**2 / 12) / EXPECTED**2
    # Gradients say little of the sum, which is 1: without this much would lie faintly all over the PSF.
    one = float(torch.fft.irfft2(slopes.abs().square(), s=shape)[:, 0, 0].sum())

    def normal(psf: Tensor) -> Tensor:
        return towards(blurred(psf)) + hold * psf + one * psf.sum()

    goal, support = towards(wanted) + one, torch.ones(PSF_SIZE, PSF_SIZE)
    psf = torch.zeros(PSF_SIZE, PSF_SIZE)
    for _ in range(ROUNDS):
        rest = support * (goal - normal(psf))
        step, power = rest.clone(), rest.square().sum()
        for _ in range(STEPS):
            image = support * normal(step)
            length = power / (step * image).sum().clamp_min(1e-20)
            psf, rest = psf + length * step, rest - length * image
            before, power = power.clamp_min(1e-20), rest.square().sum()
            step = rest + power / before * step
        support = (psf > 0).float()
        psf = psf.clamp_min(0)
    if not float(psf.sum()) > 0:
        psf[MARGIN, MARGIN] = 1  # nothing in common: the residual will tell
    return psf / psf.sum()
