"""Damaged pictures to be diagnosed: clean ones, damaged by the forward models, with what was done and how strong it is.

All that has nothing to do with damage and must not be learned for it (size, tones, noise, storage as JPEG)
is changed in clean and in damaged pictures alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imgrestore.degrade import blur, gloss, jpeg, moire, reflection, rust, rust_varied, screen, shadow, specular
from imgrestore.nets.diagnoser import DAMAGES

__all__ = ["NONE", "DamagedPicture", "damaged", "drawn_damages", "finished", "seeded_cases", "strength_of"]

# A change of less than this in PSNR is not seen, and one to the second is as strong as any, dB.
UNSEEN, STRONG = 38.0, 14.0
# What changes a picture by less is there, but people miss it or take it for a part of the scene, dB.
CLEAR = 30.0
# Draws of a damage, and with other parameters again, until one is seen.
DRAWS = 4
# Pictures on which a damage is tried until it is seen; a black one shows none.
ATTEMPTS = 16
NONE = "none"
# Shares of pictures without damage and with two; all others have one.
SOUND, TWO = 0.2, 0.12
# Of moiré: the part that a screen and a camera make, not waves, and the side of the picture that they are computed for:
# the light of its sub-pixels takes nine times the picture's memory.
SCREENS, SCREEN_SIDE = 0.4, 192
# Of reflections: the part that shows another photograph. Of shadows, highlights and stains: the part that the richer of
# two models draws.
PHOTOGRAPHED, RICH = 0.7, 0.6
# Of the richer model's stains: soot and mould are dirt rather than what a picture is to be freed of.
BROWN: tuple[rust_varied.Theme, ...] = ("metal", "paper")
# In which they come about: on the body, on its surface, before the camera, in it.
ORDER = ("rust", "shadow", "specular", "reflection", "blur", "moire")
# Shares of the pictures that have other tones and more noise, and that were stored as JPEG.
TONED, NOISY, STORED = 0.6, 0.35, 0.5
GAMMA, CONTRAST, TINT, NOISE, QUALITY = (0.65, 1.5), 0.65, (0.92, 1.08), 0.015, (60.0, 97.0)
LEAST = (UNSEEN - CLEAR) / (UNSEEN - STRONG)
# The blocks of a file may begin anywhere in a picture, and a blurred scene goes on past it.
MARGIN, BEYOND = jpeg.BLOCK, 40


@dataclass(frozen=True)
class DamagedPicture:
    """A picture with its diagnosis.

    Attributes
    ----------
    picture : Tensor of float32, shape (3, H, W)
        Range [0, 1].
    present : Tensor of float32, shape (6,)
        1 for each of `imgrestore.nets.diagnoser.DAMAGES` that can be seen, else 0.
    strength : Tensor of float32, shape (6,)
        From 0 to 1, see `strength_of`; 0 for those that are not present.
    side : int
        The longest side, pixels, of the part that is to be shown.
    changed : Tensor of float32, shape (6, H, W)
        By how much each damage has changed each pixel: the square of it, a mean over the colours.
    twin : DamagedPicture, optional
        The same without the last of its damages, which has a twin in turn where it has any left; None for a sound
        picture. Damages after it may have cut their rims off evenly.
    """

    picture: Tensor
    present: Tensor
    strength: Tensor
    side: int
    changed: Tensor
    twin: DamagedPicture | None = None


def strength_of(before: Tensor, after: Tensor) -> float:
    """How strong a damage is: by how much it changes the picture.

    Parameters
    ----------
    before, after : Tensor, shape (C, H, W)
        Range [0, 1].

    Returns
    -------
    float
        From 0 for a PSNR between both of 38 dB or more, which nobody sees, to 1 for 14 dB or less, in proportion to the
        decibels between.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.data.damages import strength_of
    >>> gray = torch.full((3, 8, 8), 0.5)
    >>> round(strength_of(gray, gray + 0.05), 3)
    0.499
    """
    error = float((after.clamp(0, 1) - before).square().mean())
    decibels = -10 * math.log10(max(error, 1e-12))
    return min(1.0, max(0.0, (UNSEEN - decibels) / (UNSEEN - STRONG)))


def drawn_damages(rng: np.random.Generator) -> tuple[str, ...]:
    """Which damages a picture is to have: none, one or two.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    tuple of str
        Of `imgrestore.nets.diagnoser.DAMAGES`.
    """
    chance = rng.random()
    count = 0 if chance < SOUND else 2 if chance < SOUND + TWO else 1
    return tuple(str(name) for name in rng.choice(np.array(DAMAGES), count, replace=False))


def damaged(
    clean: NDArray[np.uint8], names: Sequence[str], size: int, rng: np.random.Generator, other: NDArray[np.uint8]
) -> DamagedPicture:
    """A part of a clean picture, reduced at random, and damaged; yet without other tones, noise and storage.

    Parameters
    ----------
    clean : ndarray of uint8, shape (H, W, 3)
    names : sequence of str
        Damages, of `imgrestore.nets.diagnoser.DAMAGES`; none for a sound picture. One that cannot be seen clearly,
        however often it is drawn, is left out.
    size : int
        Longest side of what `finished` makes of it at the most, pixels; the least is two thirds of it, or `clean`'s.
    rng : numpy.random.Generator
        The source of all randomness.
    other : ndarray of uint8, shape (h, w, 3)
        Another picture, which panes of glass may reflect.

    Returns
    -------
    DamagedPicture
    """
    side, patterned = int(rng.integers(2 * size // 3, size + 1)), _waved
    if "moire" in names and rng.random() < SCREENS:
        side, patterned = min(side, SCREEN_SIDE), _screened
    # A blurred scene goes on past the frame, which is to be no smaller for it.
    scene = _cut(clean, side + MARGIN + (BEYOND if "blur" in names else 0), rng)
    none = torch.zeros(len(DAMAGES))
    case = DamagedPicture(scene, none, none, side, scene.new_zeros(len(DAMAGES), *scene.shape[1:]))
    for name in (name for name in ORDER if name in names):
        case = _with(case, name, patterned if name == "moire" else CHANGES[name], rng, other)
    return case


def finished(case: DamagedPicture, rng: np.random.Generator) -> DamagedPicture:
    """What a file shows of a damaged picture: a part of it, with other tones, noise and storage.

    One picture may be finished many times, as it takes a small part of the time that its damages take.

    Parameters
    ----------
    case : DamagedPicture
    rng : numpy.random.Generator

    Returns
    -------
    DamagedPicture
        Without a twin; its picture has multiples of 1/255 and is `case.side` pixels across at the most.
    """
    planes, changed = case.picture, case.changed
    if rng.random() < 0.5:
        planes, changed = planes.flip(2), changed.flip(2)
    if rng.random() < TONED:
        contrast = rng.uniform(CONTRAST, 1)
        offset = rng.uniform() * (1 - contrast)
        tint = torch.from_numpy(rng.uniform(*TINT, (3, 1, 1)).astype(np.float32))
        planes = (planes.clamp_min(1e-4) ** rng.uniform(*GAMMA) * contrast + offset) * tint
    if rng.random() < NOISY:
        white = torch.from_numpy(rng.standard_normal(tuple(planes.shape), np.float32))
        planes = planes + rng.uniform(0, NOISE) * white
    planes = (planes.clamp(0, 1) * 255).round() / 255
    if rng.random() < STORED:
        quality, halved = torch.tensor([rng.uniform(*QUALITY)]), torch.tensor([rng.random() < jpeg.HALVED])
        planes = jpeg.store(planes[None], quality.float(), halved)[0]
    height, width = (min(case.side, length) for length in planes.shape[1:])
    top, left = (int(rng.integers(n - m + 1)) for n, m in zip(planes.shape[1:], (height, width), strict=True))
    area = (slice(None), slice(top, top + height), slice(left, left + width))
    return replace(case, picture=planes[area].contiguous(), changed=changed[area].contiguous(), twin=None)


def seeded_cases(
    pictures: Sequence[NDArray[np.uint8]], each: int, size: int, seed: int = 0
) -> Iterator[tuple[Tensor, str]]:
    """Pictures to score a diagnosis on: so many with each damage alone and without any, always the same.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W, 3)
        Clean ones; each is used many times where there are few.
    each : int
        Pictures of each kind.
    size : int
        As in `damaged`.
    seed : int

    Yields
    ------
    picture : Tensor of float32, shape (3, H, W)
        As `finished` gives it.
    truth : str
        One of `imgrestore.nets.diagnoser.DAMAGES`, or "none".
    """
    for number in range(each):
        for kind, truth in enumerate((*DAMAGES, NONE)):
            names = () if truth == NONE else (truth,)
            for attempt in range(ATTEMPTS):
                rng = np.random.default_rng((seed, kind, number, attempt))
                clean, other = (pictures[int(rng.integers(len(pictures)))] for _ in range(2))
                case = damaged(clean, names, size, rng, other)
                if int(case.present.sum()) == len(names):
                    yield finished(case, rng).picture, truth
                    break


def _cut(clean: NDArray[np.uint8], side: int, rng: np.random.Generator) -> Tensor:
    """A part of a picture, between the whole, reduced, and one at full resolution."""
    height, width = clean.shape[:2]
    least = min(1.0, side / min(height, width))
    scale = math.exp(rng.uniform(math.log(least), 0.0))
    whole = [min(length, math.ceil(side / scale)) for length in (height, width)]
    top, left = (int(rng.integers(length - part + 1)) for length, part in zip((height, width), whole, strict=True))
    part = np.array(clean[top : top + whole[0], left : left + whole[1]])
    planes = torch.from_numpy(part).permute(2, 0, 1).float() / 255
    if max(whole) > side:
        target = [max(16, round(length * scale)) for length in whole]
        planes = F.interpolate(planes[None], size=target, mode="bicubic", antialias=True)[0].clamp(0, 1)
    return planes


Change = Callable[[Tensor, np.random.Generator, NDArray[np.uint8]], tuple[Tensor, Tensor]]


def _with(
    case: DamagedPicture, name: str, change: Change, rng: np.random.Generator, other: NDArray[np.uint8]
) -> DamagedPicture:
    """The same with one damage more, or as it is where none that is drawn can be seen clearly."""
    for _ in range(DRAWS):
        before, after = change(case.picture, rng, other)
        found = strength_of(before, after)
        if found >= LEAST:
            # A blurred scene is what is left in the middle of it.
            top, left = ((n - m) // 2 for n, m in zip(case.changed.shape[1:], after.shape[1:], strict=True))
            unchanged = case.changed[:, top : top + after.shape[1], left : left + after.shape[2]]
            twin = replace(case, picture=before.clamp(0, 1), changed=unchanged)
            present, strength, changed = case.present.clone(), case.strength.clone(), unchanged.clone()
            index = DAMAGES.index(name)
            present[index], strength[index] = 1.0, found
            changed[index] = (after.clamp(0, 1) - before).square().mean(0)
            return DamagedPicture(after.clamp(0, 1), present, strength, case.side, changed, twin)
    return case


# Each gives the picture before and after, in the same frame. Noise and rounding of the models are left out: they would
# tell of the damage where it cannot be seen.


def _blurred(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    psf = blur.sample(tuple(planes.shape), rng).psf
    top, left = (k - 1 - k // 2 for k in psf.shape)
    after = blur.convolve_valid(planes, torch.from_numpy(psf))
    return planes[:, top : top + after.shape[1], left : left + after.shape[2]], after


def _waved(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    params = replace(moire.sample(tuple(planes.shape), rng), tone=moire.Tone())
    return planes, moire.apply(planes, params)


def _screened(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    params = replace(screen.sample(tuple(planes.shape), rng), tone=moire.Tone(), noise=0.0)
    # What lens and colour filters do without a grid is no moiré.
    return screen.apply(planes, replace(params, depth=0.0)), screen.apply(planes, params)


def _shaded(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    shape = tuple(planes.shape)
    drawn = shadow.sample_several(shape, rng) if rng.random() < RICH else (shadow.sample(shape, rng),)
    return planes, shadow.apply(planes, [replace(one, sigma=0.0, shot=0.0, bits=None) for one in drawn])


def _reflected(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    scene = None
    if rng.random() < PHOTOGRAPHED:
        scene = _cut(other, max(planes.shape[1:]), rng).numpy()
    params = replace(reflection.sample(tuple(planes.shape), rng, scene), noise=0.0)
    return planes, reflection.apply(planes, params)


def _glossy(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    shape = tuple(planes.shape)
    if rng.random() < RICH:
        return planes, gloss.apply(planes, replace(gloss.sample(shape, rng, planes), noise=0.0, bits=None))
    return planes, specular.apply(planes, replace(specular.sample(shape, rng, planes), bits=None))


def _stained(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    shape = tuple(planes.shape)
    rich = rng.random() < RICH
    params = rust_varied.sample(shape, rng, planes, BROWN) if rich else rust.sample(shape, rng)
    return planes, rust.apply(planes, params)


CHANGES: dict[str, Change] = {
    "blur": _blurred,
    "shadow": _shaded,
    "reflection": _reflected,
    "specular": _glossy,
    "rust": _stained,
}
