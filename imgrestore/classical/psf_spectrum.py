"""What a picture's spectrum tells of its blur.

Averaged over windows, the spectrum of a photograph falls smoothly, as a power of the frequency; a blur multiplies it by
its own, which has a shape of its kind: a bell, rings of a disk, parallel lines of a motion. Noise is a floor below.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

__all__ = ["Spectrum", "disk_power", "gaussian_power", "kernel_power", "motion_power"]

Array = NDArray[Any]

WINDOWS = (128, 64, 32)
# The part of a window that may be bad pixels, filled from around them: the first of these that any window keeps.
MOST_BAD = (0.0, 0.01, 0.05, 0.2)
# Scenes fall with the frequency to this power of it, as surely as this; curvature and direction are less by nature.
FALL, FALL_SURE = -2.4, 4.0
CURVED, DIRECTED, DIRECTED_FALL = 30.0, 4.0, 8.0
# The noise is known to this many (inverse square) units of its logarithm.
NOISE_SURE = 4.0
TILT_SURE = 4.0
# Misfits larger than this, in logarithms, count as their size and not as its square.
OUTLIER = 1.5
# The lowest frequencies hold the picture's layout, and what the window leaks.
LOWEST = 2.5
SURE = np.array([1e-6, FALL_SURE, CURVED, *[DIRECTED] * 4, *[DIRECTED_FALL] * 2, NOISE_SURE, TILT_SURE])
STEPS, CLOSE = 15, 1e-4
# Of Levenberg-Marquardt's damping, where steps go well, and where they are given up.
LEAST_CAUTION, MOST_CAUTION = 1e-6, 1e6
LEAST_POWER = 1e-10
# Standard deviations of the softness that pixels give a disk, and the path of a motion that is drawn between them.
DISK_EDGE, MOTION_EDGE = 0.3, 0.41


@dataclass(frozen=True)
class Spectrum:
    """The mean spectrum of a picture's windows, and the model of a scene that blurs are tried on.

    Attributes
    ----------
    size : int
        Of the windows.
    log_power : ndarray, shape (K,)
        At the frequencies that count.
    used : ndarray of bool, shape (size, size // 2 + 1)
        Which these are.
    basis : ndarray, shape (K, 9)
        What the logarithm of a scene's spectrum is a sum of.
    weight : ndarray, shape (K,)
    noise : float
        Standard deviation of white noise.
    """

    size: int
    log_power: Array
    used: NDArray[np.bool_]
    basis: Array
    weight: Array
    noise: float

    @classmethod
    def of(cls, plane: Array, good: NDArray[np.bool_], noise: float) -> Spectrum | None:
        """Measure a gray picture (H, W); None where bad pixels are everywhere."""
        most = min(plane.shape) // 2 * 2
        sizes = [min(WINDOWS[0], most), *(size for size in WINDOWS[1:] if size < most)]
        # Rather small windows that are clean than large ones with holes.
        tried = ((size, _mean_power(plane, good, size, bad)) for bad in MOST_BAD for size in sizes)
        size, power = next((one for one in tried if one[1] is not None), (0, None))
        if power is None:
            return None
        rows, columns = _frequencies(size)
        radius = np.hypot(rows, columns)
        used = (radius >= LOWEST / size) & (radius < 0.5)
        radius, angle = radius[used], (np.arctan2(rows, columns) + 0 * radius)[used]
        fall = np.log(radius / 0.1)
        turns = [turn(k * angle) for k in (2, 4) for turn in (np.cos, np.sin)]
        basis = np.stack([np.ones_like(fall), fall, fall**2, *turns, fall * turns[0], fall * turns[1]], 1)
        # Frequencies of the first and the last column stand there with their conjugates.
        weight = np.ones_like(power)
        weight[:, [0, -1]] = 0.5
        return cls(size, np.log(power[used] + 1e-12), used, basis, weight[used], max(noise, 1e-6))

    def thinned(self, step: int) -> Spectrum:
        """The same with one frequency in `step`, which stands for the others: for coarse searches."""
        kept = np.flatnonzero(self.used)[::step]
        used = np.zeros_like(self.used)
        used.flat[kept] = True
        return replace(
            self,
            used=used,
            log_power=self.log_power[::step],
            basis=self.basis[::step],
            weight=self.weight[::step] * step,
        )

    @cached_property
    def tilt(self) -> Array:
        """How the noise of a camera's file falls with the frequency, where it does."""
        return self.basis[:, 1] - math.log(4)

    @cached_property
    def without_blur(self) -> float:
        """The misfit of a picture that is not blurred."""
        return self.misfit(np.ones((self.size, self.size // 2 + 1)))

    @cached_property
    def pairs(self) -> tuple[Array, Array, Array]:
        """Products of the scene's columns with each other, with those of the noise, and of these with each other."""
        scene, noise = self.basis, np.stack([np.ones_like(self.tilt), self.tilt], 1)
        both = ((scene, scene), (scene, noise), (noise, noise))
        return tuple((a[:, :, None] * b[:, None]).reshape(len(a), -1) for a, b in both)  # type: ignore[return-value]

    def misfit(self, power: Array) -> float:
        """How badly the best scene explains the picture through a blur of this power spectrum: less is better."""
        return self.fit(power)[0]

    def fit(self, power: Array, start: Array | None = None) -> tuple[float, Array]:
        """The misfit through a blur, and the numbers of the scene and of the noise that give it.

        Parameters
        ----------
        power : ndarray, shape (size, size // 2 + 1)
            Of the blur.
        start : ndarray, shape (11,), optional
            The numbers to begin with: those of a similar blur.

        Returns
        -------
        tuple of float and ndarray
        """
        costs, found = self.fits(power[None], start=None if start is None else start[None])
        return float(costs[0]), found[0]

    def fits(
        self, powers: Array, *, steps: int = STEPS, close: float = CLOSE, start: Array | None = None
    ) -> tuple[Array, Array]:
        """The misfits through several blurs, fitted side by side, and the numbers that give them.

        Parameters
        ----------
        powers : ndarray, shape (B, size, size // 2 + 1)
        steps : int
            At most so many (Levenberg-Marquardt).
        close : float
            Steps end where one gains less than this part of the misfit.
        start : ndarray, shape (B, 11), optional
            The numbers to begin with.

        Returns
        -------
        tuple of ndarray, shapes (B,) and (B, 11)
        """
        log_blur = np.log(np.maximum(_leaked(powers, self.size)[:, self.used], LEAST_POWER))
        expected = self._expected(log_blur)
        found = (expected if start is None else start).copy()
        part, rest, costs = self._tried(log_blur, found, expected)
        caution, taken, active = np.full(len(found), 1e-2), np.zeros(len(found), int), np.arange(len(found))
        while len(active):
            normal, pull = self._slopes(part[active], rest[active], found[active] - expected[active])
            damping = caution[active, None, None] * normal * np.eye(len(SURE))
            step = np.linalg.solve(normal + damping, pull[..., None])[..., 0]
            its_part, its_rest, its_cost = self._tried(log_blur[active], found[active] + step, expected[active])
            better = its_cost < costs[active]
            moved = active[better]
            gained = costs[moved] - its_cost[better]
            found[moved] += step[better]
            part[moved], rest[moved], costs[moved] = its_part[better], its_rest[better], its_cost[better]
            taken[moved] += 1
            caution[active] = np.where(better, np.maximum(caution[active] / 4, LEAST_CAUTION), 4 * caution[active])
            going = caution[active] < MOST_CAUTION
            going[better] = (gained >= close * costs[moved]) & (taken[moved] < steps)
            active = active[going]
        return costs, found

    def _expected(self, log_blur: Array) -> Array:
        """What the numbers are before anything is seen but the level, shape (B, 11)."""
        floor = 2 * math.log(self.noise)
        usual = np.array([0, FALL, 0, 0, 0, 0, 0, 0, 0, floor, 0])
        seen = self.log_power > floor + math.log(4)
        level = self.log_power - log_blur - self.basis @ usual[:9]
        expected = np.tile(usual, (len(log_blur), 1))
        expected[:, 0] = np.median(level[:, seen] if seen.sum() > 50 else level, axis=1)
        return expected

    def _tried(self, log_blur: Array, found: Array, expected: Array) -> tuple[Array, Array, Array]:
        """The scene's part of the power, what the numbers leave over of its logarithm, and what that costs."""
        # Steps that are much too long lead out of floating point; they cost infinity or NaN, and are not taken.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            scene = np.exp(log_blur + found[:, :9] @ self.basis.T)
            power = scene + np.exp(found[:, 9:10] + found[:, 10:] * self.tilt)
            rest, part = self.log_power - np.log(power), scene / power
            size = np.abs(rest)
            loss = np.where(size < OUTLIER, size**2, OUTLIER * (2 * size - OUTLIER))
            return part, rest, loss @ self.weight + (found - expected) ** 2 @ SURE

    def _slopes(self, part: Array, rest: Array, off: Array) -> tuple[Array, Array]:
        """The normal equations of a step: matrices (B, 11, 11) and right sides (B, 11)."""
        weight = self.weight * np.minimum(1, OUTLIER / np.maximum(np.abs(rest), 1e-9))
        scene, noise, pulled = weight * part, weight * (1 - part), weight * rest
        of_scene, of_both, of_noise = self.pairs
        normal = np.empty((len(part), 11, 11))
        normal[:, :9, :9] = ((scene * part) @ of_scene).reshape(-1, 9, 9)
        normal[:, :9, 9:] = ((scene - scene * part) @ of_both).reshape(-1, 9, 2)
        normal[:, 9:, :9] = normal[:, :9, 9:].transpose(0, 2, 1)
        normal[:, 9:, 9:] = ((noise - noise * part) @ of_noise).reshape(-1, 2, 2)
        normal += np.diag(SURE)
        noise_pull = pulled - pulled * part
        pull = np.column_stack([(pulled * part) @ self.basis, noise_pull.sum(1), noise_pull @ self.tilt])
        return normal, pull - SURE * off


def gaussian_power(size: int, first: float, second: float | None = None, angle: float = 0.0) -> Array:
    """Power spectrum of a Gaussian of two widths, the first along the angle (degrees, counter-clockwise)."""
    along, across = _turned(size, angle)
    second = first if second is None else second
    return np.exp(-((2 * np.pi) ** 2) * ((first * along) ** 2 + (second * across) ** 2))


def disk_power(size: int, radius: float) -> Array:
    """Power spectrum of an even disk."""
    rows, columns = _frequencies(size)
    phase = np.maximum(2 * np.pi * radius * np.hypot(rows, columns), 1e-6)
    return (2 * j1(phase) / phase) ** 2 * _softness(size, DISK_EDGE)


def motion_power(size: int, length: float, angle: float) -> Array:
    """Power spectrum of a straight, even motion along an angle (degrees, counterclockwise)."""
    along, _ = _turned(size, angle)
    return np.sinc(length * along) ** 2 * _softness(size, MOTION_EDGE)


def kernel_power(size: int, kernel: Array) -> Array:
    """Power spectrum of any kernel; a larger one wraps round."""
    rows, columns = (math.ceil(length / size) * size for length in kernel.shape)
    wide = np.pad(kernel, ((0, rows - kernel.shape[0]), (0, columns - kernel.shape[1])))
    folded = wide.reshape(rows // size, size, columns // size, size).sum((0, 2))
    return np.abs(np.fft.rfft2(folded)) ** 2


@cache
def _softness(size: int, sigma: float) -> Array:
    return gaussian_power(size, sigma)


@cache
def _frequencies(size: int) -> tuple[Array, Array]:
    return np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]


def _turned(size: int, angle: float) -> tuple[Array, Array]:
    rows, columns = _frequencies(size)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return columns * cos - rows * sin, columns * sin + rows * cos


def _mean_power(plane: Array, good: NDArray[np.bool_], size: int, most_bad: float) -> Array | None:
    """Over windows that overlap by half; None where all have a larger part of bad pixels."""
    sine = np.hanning(size + 2)[1:-1]
    taper = sine[:, None] * sine
    taper /= np.sqrt((taper**2).sum())
    corners = list(itertools.product(*(_starts(length, size) for length in plane.shape)))
    few = [1 - good[top : top + size, left : left + size].mean() <= most_bad for top, left in corners]
    if not any(few):
        return None
    total = np.zeros((size, size // 2 + 1))
    for top, left in itertools.compress(corners, few):
        piece = plane[top : top + size, left : left + size]
        total += np.abs(np.fft.rfft2((piece - piece.mean()) * taper)) ** 2
    return total / sum(few)


def _starts(length: int, size: int) -> Array:
    return np.unique(np.linspace(0, length - size, math.ceil(2 * (length - size) / size) + 1).round().astype(int))


def _leaked(powers: Array, size: int) -> Array:
    """As the window shows them, (B, size, size // 2 + 1): each frequency leaks to its neighbours."""
    rows = (np.roll(powers, 1, 1) + 4 * powers + np.roll(powers, -1, 1)) / 6
    # Beyond the first and the last column lie the conjugates of their neighbours; the other way up.
    before, after = (np.roll(rows[:, ::-1, column : column + 1], 1, 1) for column in (1, size // 2 - 1))
    wide = np.concatenate([before, rows, after], 2)
    return (wide[:, :, :-2] + 4 * rows + wide[:, :, 2:]) / 6
