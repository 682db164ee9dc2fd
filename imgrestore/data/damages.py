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

from imgrestore.degrade import blur, jpeg, moire, reflection, rust, screen, shadow, specular
from imgrestore.nets.diagnoser import DAMAGES

__all__ = [
    "NONE",
    "DamagedPicture",
    "Scene",
    "damaged",
    "drawn_damages",
    "finished",
    "scene_of",
    "seeded_cases",
    "strength_of",
]

# A change of less than this in PSNR is not seen, and one to the second is as strong as any, dB.
UNSEEN, STRONG = 38.0, 14.0
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
# Of reflections: the part that shows another photograph.
PHOTOGRAPHED = 0.7
# In which they come about: on the body, on its surface, before the camera, in it.
ORDER = ("rust", "shadow", "specular", "reflection", "blur", "moire")
# Shares of the pictures that have other tones and more noise, and that were stored as JPEG.
TONED, NOISY, STORED = 0.6, 0.35, 0.5
GAMMA, CONTRAST, TINT, NOISE, QUALITY = (0.65, 1.5), 0.65, (0.92, 1.08), 0.015, (60.0, 97.0)
# The blocks of a file may begin anywhere in a picture, and a blurred scene goes on past it.
MARGIN, BEYOND = jpeg.BLOCK, 40


@dataclass(frozen=True)
class Scene:
    """What is to be damaged.

    Attributes
    ----------
    planes : Tensor of float32, shape (3, H, W)
        Range [0, 1]; with room around what is to be shown, where the clean picture has it.
    side : int
        The longest side, pixels, of the part that is to be shown.
    """

    planes: Tensor
    side: int


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
    change : Tensor of float16, shape (6, H, W)
        By how much each damage has changed each pixel: root mean square over the channels.
    side : int
        The longest side, pixels, of the part that is to be shown.
    """

    picture: Tensor
    present: Tensor
    strength: Tensor
    change: Tensor
    side: int


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


def scene_of(clean: NDArray[np.uint8], size: int, rng: np.random.Generator) -> Scene:
    """A part of a clean picture, between the whole, reduced, and one at full resolution.

    Parameters
    ----------
    clean : ndarray of uint8, shape (H, W, 3)
    size : int
        Longest side of what is to be shown of it at the most, pixels; the least is two thirds of it.
    rng : numpy.random.Generator

    Returns
    -------
    Scene
    """
    side = int(rng.integers(2 * size // 3, size + 1))
    return Scene(_cut(clean, side + MARGIN + BEYOND, rng), side)


def damaged(scene: Scene, names: Sequence[str], rng: np.random.Generator, other: NDArray[np.uint8]) -> DamagedPicture:
    """A scene with damages, yet without other tones, noise and storage.

    Parameters
    ----------
    scene : Scene
    names : sequence of str
        Damages, of `imgrestore.nets.diagnoser.DAMAGES`; none for a sound picture. One that cannot be seen, however
        often it is drawn, is left out.
    rng : numpy.random.Generator
        The source of all randomness.
    other : ndarray of uint8, shape (h, w, 3)
        Another picture, which panes of glass may reflect.

    Returns
    -------
    DamagedPicture
    """
    side, patterned = scene.side, _waved
    if "moire" in names and rng.random() < SCREENS:
        side, patterned = min(side, SCREEN_SIDE), _screened
    # A blurred scene goes on past the frame, which is to be no smaller for it.
    seen = _middle(scene.planes, side + MARGIN + (BEYOND if "blur" in names else 0))
    return DamagedPicture(*_damaged(seen, names, rng, other, patterned), side)


def finished(case: DamagedPicture, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What a file shows of a damaged picture: a part of it, with other tones, noise and storage.

    One picture may be finished many times, as it takes a small part of the time that its damages take.

    Parameters
    ----------
    case : DamagedPicture
    rng : numpy.random.Generator

    Returns
    -------
    picture : Tensor of float32, shape (3, H, W)
        Range [0, 1], multiples of 1/255; `case.side` pixels across at the most.
    change : Tensor of float16, shape (6, H, W)
        The same part of `case.change`.
    """
    # All is drawn first: pictures of one scene that are finished with equal generators are finished alike.
    mirrored, toned, noisy, stored, halved = (rng.random(5) < (0.5, TONED, NOISY, STORED, jpeg.HALVED)).tolist()
    gamma, contrast, noise, quality = (rng.uniform(*ends) for ends in (GAMMA, (CONTRAST, 1), (0, NOISE), QUALITY))
    offset, down, across = rng.random(3)
    tint = torch.from_numpy(rng.uniform(*TINT, (3, 1, 1)).astype(np.float32))
    planes = case.picture.flip(2) if mirrored else case.picture
    if toned:
        planes = (planes.clamp_min(1e-4) ** gamma * contrast + offset * (1 - contrast)) * tint
    if noisy:
        planes = planes + noise * torch.from_numpy(rng.standard_normal(tuple(planes.shape), np.float32))
    planes = (planes.clamp(0, 1) * 255).round() / 255
    if stored:
        planes = jpeg.store(planes[None], torch.tensor([quality]).float(), torch.tensor([halved]))[0]
    height, width = (min(case.side, length) for length in planes.shape[1:])
    top, left = int(down * (planes.shape[1] - height + 1)), int(across * (planes.shape[2] - width + 1))
    change = case.change.flip(2) if mirrored else case.change
    shown = (slice(None), slice(top, top + height), slice(left, left + width))
    return planes[shown].contiguous(), change[shown]


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
        As in `scene_of`.
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
                case = damaged(scene_of(clean, size, rng), names, rng, other)
                if int(case.present.sum()) == len(names):
                    yield finished(case, rng)[0], truth
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


def _middle(planes: Tensor, side: int) -> Tensor:
    top, left = (max(0, (length - side) // 2) for length in planes.shape[1:])
    return planes[:, top : top + side, left : left + side]


Change = Callable[[Tensor, np.random.Generator, NDArray[np.uint8]], tuple[Tensor, Tensor]]


def _damaged(
    planes: Tensor, names: Sequence[str], rng: np.random.Generator, other: NDArray[np.uint8], patterned: Change
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The picture with its damages, which of them are seen, how strong, and where."""
    present, strength = torch.zeros(len(DAMAGES)), torch.zeros(len(DAMAGES))
    where = torch.zeros(len(DAMAGES), *planes.shape[1:], dtype=torch.float16)
    for name in (name for name in ORDER if name in names):
        change = patterned if name == "moire" else CHANGES[name]
        for _ in range(DRAWS):
            before, after = change(planes, rng, other)
            found = strength_of(before, after)
            if found > 0:
                planes = after.clamp(0, 1)
                which = DAMAGES.index(name)
                present[which], strength[which] = 1.0, found
                # A blur leaves less of the frame.
                down, across = ((n - m) // 2 for n, m in zip(where.shape[1:], planes.shape[1:], strict=True))
                where = where[:, down : down + planes.shape[1], across : across + planes.shape[2]].clone()
                where[which] = (planes - before).square().mean(0).sqrt().half()
                break
    return planes, present, strength, where


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
    params = replace(shadow.sample(tuple(planes.shape), rng), sigma=0.0, bits=None)
    return planes, shadow.apply(planes, params)


def _reflected(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    scene = None
    if rng.random() < PHOTOGRAPHED:
        scene = _cut(other, max(planes.shape[1:]), rng).numpy()
    params = replace(reflection.sample(tuple(planes.shape), rng, scene), noise=0.0)
    return planes, reflection.apply(planes, params)


def _glossy(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    params = replace(specular.sample(tuple(planes.shape), rng, planes), bits=None)
    return planes, specular.apply(planes, params)


def _stained(planes: Tensor, rng: np.random.Generator, other: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    return planes, rust.apply(planes, rust.sample(tuple(planes.shape), rng))


CHANGES: dict[str, Change] = {
    "blur": _blurred,
    "shadow": _shaded,
    "reflection": _reflected,
    "specular": _glossy,
    "rust": _stained,
}
