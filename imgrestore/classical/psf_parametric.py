"""Blurs that a few numbers describe, fitted to a picture's spectrum: Gaussians, disks, straight motions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.psf_polyblur import edge_gaussian
from imgrestore.classical.psf_spectrum import Spectrum, disk_power, gaussian_power, motion_power
from imgrestore.psf import Psf

__all__ = ["Candidate", "narrower", "parametric", "within"]

# Sharp photographs look blurred by a Gaussian of this variance (lens, pixel, demosaicing), which is not to be undone.
OWN_VARIANCE = 0.3
LEAST_SIGMA = 0.3
# What is searched, in pixels: first and last value, and how many between, evenly in their logarithm.
SIGMAS, RADII, LENGTHS = (0.5, 5.0, 14), (1.0, 9.0, 40), (3.0, 48.0, 18)
# Angles for each pixel of a length, of which there are at least and at most so many.
TURNS, ANGLES = 1.2, (8, 30)
# In the best few of these directions all lengths are tried, and in those so many degrees beside the best.
DIRECTIONS, BESIDE = 3, (-4.0, -2.0, 2.0, 4.0)
# The search looks at one frequency in so many, with fewer steps, and then at its best few again, at more.
COARSE, COARSE_STEPS, COARSE_CLOSE, PROMISING, FINER = 9, 5, 1e-2, 6, 2
# So many are fitted side by side.
TOGETHER = 16
Kind = Literal["gaussian", "disk", "motion", "shake"]
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Candidate:
    """A blur that may explain a picture.

    Attributes
    ----------
    kind : {"gaussian", "disk", "motion", "shake"}
    psf : Psf
    gain : float
        By how much the picture's spectrum is better explained than without blur.
    parameters : mapping of str to float
        Pixels and degrees.
    """

    kind: Kind
    psf: Psf
    gain: float
    parameters: Mapping[str, float]


def parametric(
    spectrum: Spectrum,
    kind: str,
    gray: NDArray[Any],
    noise: float,
    most: float,
    progress: Callable[[str, float], None] | None = None,
) -> list[Candidate]:
    """The best blur of each kind.

    Parameters
    ----------
    spectrum : Spectrum
    kind : {"auto", "gaussian", "disk", "motion"}
        "auto" for all of them.
    gray : ndarray of float32, shape (H, W)
        The picture.
    noise : float
        Standard deviation.
    most : float
        The PSFs are at most so many pixels across.
    progress : callable, optional
        Called with what is being done and the part that is done.

    Returns
    -------
    list of Candidate
    """
    found: list[Candidate] = []
    for number, name in enumerate(("gaussian", "disk", "motion")):
        if kind not in ("auto", name):
            continue
        if progress is not None:
            progress(f"fitting a {name}", number / 3)
        if name == "gaussian":
            round_one = fit_gaussian(spectrum, most)
            found += [round_one, fit_turned_gaussian(spectrum, round_one.parameters["sigma"], gray, noise)]
        else:
            found.append((fit_disk if name == "disk" else fit_motion)(spectrum, most))
    return [replace(candidate, psf=within(candidate.psf, most)) for candidate in found]


def within(psf: Psf, most: float) -> Psf:
    """A PSF cut to so many pixels on each side of its centre that it is no wider than `most`."""
    reach = max(1, math.ceil(most) // 2)
    if max(psf.shape) <= 2 * reach + 1:
        return psf
    rows, columns = (slice(max(0, c - reach), c + reach + 1) for c in psf.centre)
    return Psf(psf.array[rows, columns], [min(c, reach) for c in psf.centre])


def fit_gaussian(spectrum: Spectrum, most: float = math.inf) -> Candidate:
    """The Gaussian that explains a picture best.

    Parameters
    ----------
    spectrum : Spectrum
    most : float
        No wider than so many pixels from end to end.

    Returns
    -------
    Candidate
    """
    size = spectrum.size
    (log_sigma,), gain = _best(
        spectrum, lambda p: gaussian_power(size, math.exp(p[0])), [(s,) for s in _range(SIGMAS, most / 6)], (0.08,)
    )
    sigma = _own_taken_off(math.exp(log_sigma))
    return Candidate("gaussian", Psf.gaussian(sigma), gain, {"sigma": sigma})


def fit_turned_gaussian(spectrum: Spectrum, sigma: float, gray: NDArray[Any], noise: float) -> Candidate:
    """The Gaussian of two widths that explains a picture best.

    Parameters
    ----------
    spectrum : Spectrum
    sigma : float
        Of the best round one.
    gray : ndarray of float32, shape (H, W)
        The picture, whose sharpest edges make a first guess.
    noise : float

    Returns
    -------
    Candidate
        Its angle (degrees counter-clockwise) is that of the wider direction.
    """
    size = spectrum.size
    start = [
        (math.log(sigma) + stretch, math.log(sigma) - stretch, angle)
        for stretch in (0.25, 0.6)
        for angle in np.arange(0, 180, 22.5)
    ]
    wide, narrow, direction = edge_gaussian(gray, noise)
    start.append((0.5 * math.log(wide**2 + OWN_VARIANCE), 0.5 * math.log(narrow**2 + OWN_VARIANCE), direction))
    (first, second, angle), gain = _best(
        spectrum, lambda p: gaussian_power(size, math.exp(p[0]), math.exp(p[1]), p[2]), start, (0.15, 0.15, 15.0)
    )
    if second > first:
        first, second, angle = second, first, angle + 90
    wide, narrow, angle = _own_taken_off(math.exp(first)), _own_taken_off(math.exp(second)), angle % 180
    psf = Psf.gaussian((narrow, wide), angle=angle)
    return Candidate("gaussian", psf, gain, {"sigma": wide, "sigma_across": narrow, "angle": angle})


def narrower(candidate: Candidate, spectrum: Spectrum, factor: float) -> Candidate:
    """A Gaussian whose widths are smaller by a factor.

    Parameters
    ----------
    candidate : Candidate
        A Gaussian.
    spectrum : Spectrum
    factor : float

    Returns
    -------
    Candidate
    """
    numbers = dict(candidate.parameters)
    wide = numbers["sigma"] = factor * numbers["sigma"]
    narrow, angle = wide, numbers.get("angle", 0.0)
    if "sigma_across" in numbers:
        narrow = numbers["sigma_across"] = factor * numbers["sigma_across"]
    seen_wide, seen_narrow = (math.sqrt(sigma**2 + OWN_VARIANCE) for sigma in (wide, narrow))
    power = gaussian_power(spectrum.size, seen_wide, seen_narrow, angle)
    psf = within(Psf.gaussian((narrow, wide), angle=angle), max(candidate.psf.shape))
    return Candidate("gaussian", psf, spectrum.without_blur - spectrum.misfit(power), numbers)


def fit_disk(spectrum: Spectrum, most: float = math.inf) -> Candidate:
    """The disk that explains a picture best; as `fit_gaussian`."""
    (log_radius,), gain = _best(
        spectrum,
        lambda p: disk_power(spectrum.size, math.exp(p[0])),
        [(r,) for r in _range(RADII, most / 2)],
        (0.03,),
    )
    radius = math.exp(log_radius)
    return Candidate("disk", Psf.disk(radius), gain, {"radius": radius})


def fit_motion(spectrum: Spectrum, most: float = math.inf) -> Candidate:
    """The straight motion that explains a picture best; as `fit_gaussian`."""
    start = [
        (length, angle)
        for length in _range(LENGTHS, most)
        for angle in np.linspace(0, 180, int(np.clip(TURNS * math.exp(length), *ANGLES)), endpoint=False)
    ]

    def more(best: Sequence[Numbers]) -> list[Numbers]:
        # The longer a motion, the nearer to each other are the lines of its spectrum: by pixels, not by a factor.
        # And the more exactly its direction has to be met.
        angles = list(dict.fromkeys(angle for _, angle in best))[:DIRECTIONS]
        angles += [angles[0] + turn for turn in BESIDE]
        longest = math.exp(max(length for length, _ in start))
        return [(math.log(length), angle) for angle in angles for length in np.arange(LENGTHS[0], longest + 1)]

    (log_length, angle), gain = _best(
        spectrum, lambda p: motion_power(spectrum.size, math.exp(p[0]), p[1]), start, (0.04, 4.0), more
    )
    length, angle = math.exp(log_length), angle % 180
    return Candidate("motion", Psf.motion(length, angle), gain, {"length": length, "angle": angle})


def _range(ends: tuple[float, float, int], most: float) -> NDArray[Any]:
    """Logarithms of what is searched."""
    first, last, count = ends
    return np.linspace(math.log(first), math.log(max(first, min(last, most))), count)


def _best(
    spectrum: Spectrum,
    power: Callable[[Numbers], NDArray[Any]],
    start: Sequence[Numbers],
    step: Numbers,
    more: Callable[[Sequence[Numbers]], list[Numbers]] = list,
) -> tuple[Numbers, float]:
    """The best of a grid, and of more that its best suggest, refined; and how much better it is than no blur."""
    rough, finer = spectrum.thinned(COARSE), spectrum.thinned(FINER)

    scene: NDArray[Any] | None = None

    def misfit(numbers: Any) -> float:
        nonlocal scene
        # From one try to the next the scene hardly changes.
        value, scene = finer.fit(power(tuple(numbers)), start=scene)
        return value

    def promising(tried: Sequence[Numbers]) -> list[Numbers]:
        costs: list[float] = []
        for first in range(0, len(tried), TOGETHER):
            powers = np.stack([power(numbers) for numbers in tried[first : first + TOGETHER]])
            costs += rough.fits(powers, steps=COARSE_STEPS, close=COARSE_CLOSE)[0].tolist()
        return [tried[i] for i in np.argsort(costs, kind="stable")[:PROMISING]]

    best = promising(more(promising(start)))
    first = np.array(min(best, key=misfit))
    simplex = np.vstack([first - np.array(step) / 2, *(first + np.diag(step) / 2)])
    # Not far beyond what was searched: where there is nothing to see, the search would go on for ever.
    low, high = np.min(start, axis=0), np.max(start, axis=0)
    room = np.maximum(0.5 * (high - low), 2 * np.array(step))
    from scipy.optimize import minimize  # takes long to import, and blurs that are known do without

    found = minimize(
        misfit,
        first,
        method="Nelder-Mead",
        bounds=list(zip(low - room, high + room, strict=True)),
        options={"xatol": 0.01, "fatol": 0.2, "initial_simplex": simplex},
    )
    numbers = tuple(map(float, found.x))
    return numbers, spectrum.without_blur - spectrum.misfit(power(numbers))


def _own_taken_off(sigma: float) -> float:
    return max(math.sqrt(max(sigma**2 - OWN_VARIANCE, 0)), LEAST_SIGMA)
