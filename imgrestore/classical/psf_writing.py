"""The PSF of blurred writing, searched beside a scene that is bare paper (or black board) nearly everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.psf_judge import ramp
from imgrestore.classical.psf_parametric import Candidate
from imgrestore.classical.psf_pyramid import Search, coarse_to_fine, threads_for
from imgrestore.classical.psf_shake import telling
from imgrestore.classical.psf_spectrum import Spectrum, kernel_power
from imgrestore.classical.psf_steps import AWAY, gradients, otf, periodic, slope_power, towards_edges
from imgrestore.ops import fft_filter
from imgrestore.psf import Psf

__all__ = ["Writing", "Written", "glimpsed", "promises", "strokes", "within_most", "written"]

Progress = Callable[[str, float], None]

# Prices of an edge and of a pixel that is not bare paper, where ink is 1; in the search they fall to this part, which
# pictures are then judged by.
EDGE, INK, LEAST = 8e-3, 3e-2, 0.25
# How firmly edges and ink are held to the scene: twice their price, and on by factors while it is below this.
MOST, EDGE_GROWS, INK_GROWS, BOTH_GROW = 2.0, 4.0, 2.0, 3.0
# Rounds on each level and pixels that are looked at, for a swift search and a careful one.
SWIFT, CAREFUL = (4, 150_000), (8, 300_000)
# Paper is what is brightest within so many widths of a frame; it is looked for in a picture made so small, or a little
# larger: pixels of its shorter side.
AROUND, SMALL = 1.5, 256
# This quantile of the ink is 1; of fewer strokes nothing is found.
DARKEST = 0.995
LEAST_CONTRAST = 0.04
# Frames that are searched swiftly; the larger ones only where one of the first makes the picture so cheap by strokes
# that are so even.
FIRST, LARGER, HOPEFUL, HARDLY_EVEN = (21, 35), (27, 51, 75), 0.93, 0.17
# What is so cheap and so even after a swift search is searched carefully.
PROMISING, NEARLY_EVEN = 0.85, 0.5
# Prices, as parts of that without blur, from full confidence to nothing; a blur of few numbers is taken instead of what
# was found, if that costs no less than this part of it.
PRICES, SIMPLER = (0.25, 0.92), 0.87
# Ink is as dark as this on average, its deviation as a part of that taken off, and the picture gets so cheap, or it is
# no writing that was blurred.
EVEN, CHEAP = 0.75, 0.75
# What bare paper and ink leave over of a picture that is no writing, as a part of its variance.
OTHER = 0.05


class Explained(NamedTuple):
    """How strokes explain a picture.

    The mean square that is left over, the parts of the picture that are edges and ink, the ink's mean and deviation.
    """

    left: float
    edges: float
    inked: float
    mean: float
    deviation: float

    @property
    def price(self) -> float:
        """What it costs."""
        return self.left + LEAST * (EDGE * self.edges + INK * self.inked)

    @property
    def even(self) -> float:
        """How far all strokes are as dark as any, as written ones are and shades are not."""
        return self.mean - self.deviation / max(self.mean, 1e-9)


@dataclass(frozen=True)
class Writing:
    """A picture as ink on paper.

    Attributes
    ----------
    ink : Tensor of float32, shape (H, W)
        0 where there is none, about 1 where a stroke is darkest.
    good : Tensor of bool, shape (H, W)
        Pixels that count.
    size : int
        Of the PSFs that are looked for, in pixels.
    """

    ink: Tensor
    good: Tensor
    size: int

    @classmethod
    def of(cls, gray: Tensor, good: Tensor, size: int) -> Writing | None:
        """See a picture (H, W) so, black on white or white on black; None where it has no strokes on a ground."""
        if not bool(good.any()):
            return None
        seen = [writing for writing in (cls._dark(gray, good, size), cls._dark(-gray, good, size)) if writing]
        writing = min(seen, key=lambda one: float(one.ink[good].median()), default=None)
        if writing is None or writing.unblurred.inked == 0:
            return None
        return writing if writing.unblurred.left < OTHER * float(writing.ink[good].var()) else None

    @classmethod
    def _dark(cls, gray: Tensor, good: Tensor, size: int) -> Writing | None:
        """Dark strokes on a bright ground, if they stand out."""
        ink = _paper(gray, size) - gray
        contrast = float(np.quantile(ink[good].numpy(), DARKEST))
        return cls(ink / contrast, good, size) if contrast >= LEAST_CONTRAST else None

    @cached_property
    def unblurred(self) -> Explained:
        """The strokes that explain the picture without blur."""
        return self.explained(None)

    def search(self, swift: bool, progress: Progress | None = None) -> Written:
        """Search the PSF.

        References
        ----------
        Pan, Hu, Su & Yang, "Deblurring text images via L0-regularized intensity and gradient prior" (2014).
        """

        def scene(ink: Tensor, response: Tensor, price: float) -> Tensor:
            return strokes(ink, response, price * EDGE, price * INK, swift)

        rounds = (SWIFT if swift else CAREFUL)[0]
        what = f"blurred writing within {self.size} pixels"
        how = Search(scene, rounds=rounds, least=LEAST, away=AWAY, what=what)
        psf = Psf(coarse_to_fine(self.ink, self.good, self.size, how, progress).numpy())
        explained = self.explained(psf)
        return Written(psf, self, explained.price / self.unblurred.price, explained.even)

    def explained(self, psf: Psf | None) -> Explained:
        """The strokes that a PSF blurs to this picture; None for no blur."""
        kernel = torch.ones(1, 1) if psf is None else torch.tensor(psf.array, dtype=torch.float32)
        drawn_out = periodic(self.ink, max(self.size, *kernel.shape))
        response = otf(kernel, (drawn_out.shape[0], drawn_out.shape[1]))
        with threads_for(drawn_out.numel()):
            scene = strokes(drawn_out, response, LEAST * EDGE, LEAST * INK)
        scene = torch.where(scene.square() < LEAST * INK, 0, scene.clamp_min(0))
        across, along = gradients(scene)
        left = (fft_filter(scene, response) - drawn_out).square()
        edges = across.square() + along.square() > LEAST * EDGE
        seen = self._within()
        left, edges, scene = (plane[: len(seen), : seen.shape[1]][seen] for plane in (left, edges, scene))
        inked = scene[scene > 0]
        tones = (float(inked.mean()), float(inked.std(correction=0))) if len(inked) else (0.0, 0.0)
        return Explained(float(left.mean()), float(edges.float().mean()), len(inked) / len(scene), *tones)

    def _within(self) -> Tensor:
        """The good pixels that the scene beyond the picture does not reach; all good ones in a small picture."""
        rim = self.size // 2
        inside = torch.zeros_like(self.good)
        inside[rim : len(inside) - rim, rim : inside.shape[1] - rim] = True
        inside &= self.good
        return inside if bool(inside.any()) else self.good


@dataclass(frozen=True)
class Written:
    """The PSF that was found in a picture of writing.

    Attributes
    ----------
    psf : Psf
    writing : Writing
        The picture, as it was seen when the PSF was found.
    price : float
        Of the picture with this PSF, as a part of that without blur.
    even : float
        As in `Explained`.
    """

    psf: Psf
    writing: Writing
    price: float
    even: float

    def judged(self, few: Sequence[Candidate], spectrum: Spectrum) -> tuple[Candidate, float]:
        """The PSF, or that of a blur of few numbers that makes the picture about as cheap, and the confidence in it."""
        gain = spectrum.without_blur - spectrum.misfit(kernel_power(spectrum.size, self.psf.array))
        best, price, least = Candidate("shake", self.psf, gain, {}), self.price, self.price / SIMPLER
        unblurred = self.writing.unblurred.price
        for candidate in few:
            its = self.writing.explained(candidate.psf).price / unblurred
            if its < min(least, CHEAP):
                best, price, least = candidate, its, its
        return best, 1 - ramp(price, *PRICES)


def glimpsed(picture: Tensor, good: Tensor, most: int, progress: Progress | None = None) -> list[Written]:
    """Search swiftly in small frames whether this may be blurred writing.

    Parameters
    ----------
    picture, good : Tensor, shape (H, W)
        Values from 0 to about 1, and the pixels that count.
    most : int
        Odd; the PSF is at most so many pixels across.
    progress : callable, optional
        Called with what is being done and the part that is done.

    Returns
    -------
    list of Written
        Empty where it is none.
    """
    found = _searched(picture, good, _frames(FIRST, most), True, progress)
    return found if any(one.price < HOPEFUL and one.even > HARDLY_EVEN for one in found) else []


def promises(found: list[Written]) -> bool:
    """Whether any of what was glimpsed is so cheap and even that it is writing, to all appearance."""
    return any(map(_promising, found))


def written(
    picture: Tensor, good: Tensor, most: int, first: list[Written], progress: Progress | None = None
) -> Written | None:
    """Search the PSF of a picture of writing.

    Parameters
    ----------
    picture, good, most, progress
        As in `glimpsed`.
    first : list of Written
        What was glimpsed.

    Returns
    -------
    Written or None
        None where nothing can be believed.
    """
    larger = [size for size in _frames((*LARGER, most), most) if size not in _frames(FIRST, most)]
    found = first + _searched(picture, good, larger, True, progress)
    best = min(filter(_promising, found), key=_price, default=None)
    if best is None:
        return None
    again = _searched(picture, good, [best.writing.size], False, progress)
    return min(filter(_believed, (*found, *again)), key=_price, default=None)


def within_most(picture: Tensor, good: Tensor, most: int, progress: Progress | None = None) -> Written | None:
    """Search carefully in the largest frame, where swift searches have found nothing; parameters as in `glimpsed`."""
    return next(filter(_believed, _searched(picture, good, [most], False, progress)), None)


def _frames(sizes: Iterable[int], most: int) -> list[int]:
    return sorted({min(size, most) for size in sizes})


def _searched(
    picture: Tensor, good: Tensor, sizes: Iterable[int], swift: bool, progress: Progress | None
) -> list[Written]:
    """What is found in each frame; in a part of the picture that is as broad as it is high, if the picture allows."""
    pixels = (SWIFT if swift else CAREFUL)[1]
    part = telling(picture, good, pixels, math.isqrt(pixels))
    seen = (Writing.of(*part, size) for size in sizes)
    return [writing.search(swift, progress) for writing in seen if writing is not None]


def _promising(one: Written) -> bool:
    return one.price < PROMISING and one.even > NEARLY_EVEN


def _believed(one: Written) -> bool:
    return one.even > EVEN and one.price < CHEAP


def _price(one: Written) -> float:
    return one.price


def strokes(ink: Tensor, response: Tensor, edge: float, inked: float, swift: bool = False) -> Tensor:
    """Strokes of few edges on bare paper that a PSF blurs to a picture's ink.

    Parameters
    ----------
    ink : Tensor, shape (H, W)
        Opposite edges fit.
    response : complex Tensor, shape (H, W // 2 + 1)
        The PSF's half spectrum.
    edge, inked : float
        The price of a pixel that is not as its neighbours, and of one that is not bare.
    swift : bool
        Hold edges and ink firmer at once, instead of the edges for each firmness of the ink.

    Returns
    -------
    Tensor, shape (H, W)
    """
    slopes, power = slope_power(ink.shape), response.abs().square()
    towards_data = fft_filter(ink, response.conj().resolve_conj())
    scene = ink
    for firm, splits in _swiftly(edge, inked) if swift else _carefully(edge, inked):
        bare = torch.where(scene.square() < inked / firm, 0, scene.clamp_min(0))
        held = torch.add(towards_data, bare, alpha=firm)
        for split in splits:
            wanted = torch.add(held, towards_edges(scene, edge / split), alpha=split)
            scene = fft_filter(wanted, (power + firm + split * slopes).reciprocal_().to(response.dtype))
    return scene


def _carefully(edge: float, inked: float) -> list[tuple[float, list[float]]]:
    return [(firm, _growing(edge, EDGE_GROWS)) for firm in _growing(inked, INK_GROWS)]


def _swiftly(edge: float, inked: float) -> list[tuple[float, list[float]]]:
    # The shorter list ends both: from there on edges are as firm as they have to be.
    both = zip(_growing(inked, BOTH_GROW), _growing(edge, BOTH_GROW), strict=False)
    return [(firm, [split]) for firm, split in both]


def _growing(price: float, factor: float) -> list[float]:
    """Twice the price, and on by factors while it is below the most."""
    return [2 * price * factor**i for i in range(math.ceil(math.log(MOST / (2 * price), factor)))]


def _paper(gray: Tensor, size: int) -> Tensor:
    """The paper under the strokes: the brightest nearby, smooth."""
    shrink = max(1, min(gray.shape) // SMALL)
    small = cv2.resize(gray.numpy(), None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    width = 2 * int(min(AROUND * size / shrink, min(small.shape) / 3)) + 1
    bright = cv2.morphologyEx(cv2.medianBlur(small, 5), cv2.MORPH_CLOSE, np.ones((width, width)))
    smooth = cv2.GaussianBlur(bright, (0, 0), width / 3)
    return torch.from_numpy(cv2.resize(smooth, gray.shape[::-1], interpolation=cv2.INTER_LINEAR))
