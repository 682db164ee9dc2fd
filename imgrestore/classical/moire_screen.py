"""Is this the photograph of a screen? If so, what the screen cannot have shown, and how its tones were changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from imgrestore.classical import moire_screen_numbers as numbers
from imgrestore.classical.moire_windows import to_luma_chroma

__all__ = [
    "Screen",
    "Tones",
    "features",
    "features_of",
    "judged",
    "places",
    "screen_gain",
    "screen_of",
    "tone_change",
    "tones_of",
]

BANDS = ((0.06, 0.12), (0.2, 0.28), (0.38, 0.5))
SIZE = 64
# So many windows along a side tell enough.
ALONG = 12
# Power of rounding to 8 bits is 1e-6; below this nothing is seen.
FLOOR = 1e-9
# Colours closer to gray than this are no colours, and tell nothing of colour moiré.
COLOURED = 2e-3
# Features beyond this many deviations count no more, and speak against a screen by so much for each deviation.
REACH = 2.0
STRANGE = 0.5
# Log odds from which on a picture is taken for the photograph of a screen, and at which there is no more doubt.
DOUBT, SURE = 0.2, 1.2
THUMBNAIL = 88
LUMA = (0.299, 0.587, 0.114)
LEVELS = (0.02, 0.15, 0.5, 0.85, 0.98)
WHITE = 0.97
# Tones more unusual than so many times the average photograph's are changed less, by this power.
KNOWN, UNKNOWN_POWER = 1.15, 8


@dataclass(frozen=True)
class Screen:
    """What is known of a picture that may be the photograph of a screen.

    Attributes
    ----------
    odds : float
        Logarithm of the odds that it is one.
    strength : float
        From 0 (leave it) to 1 (surely one).
    softness : float
        How much of its fine detail the screen showed, against the average photograph; higher keeps more.
    only_alone : bool
        Whether it counts as none where patterns are found that repeat over the frame, straight or bent.
    """

    odds: float
    strength: float
    softness: float
    only_alone: bool = False


def screen_of(picture: Tensor) -> Screen:
    """Judge a picture.

    Parameters
    ----------
    picture : Tensor, shape (C, H, W)
        Only pictures in colour of at least 64 pixels along each side can be judged.

    Returns
    -------
    Screen
    """
    if len(picture) != 3 or min(picture.shape[1:]) < SIZE:
        return Screen(-np.inf, 0.0, 0.0)
    if float(to_luma_chroma(picture)[1:].abs().mean()) < COLOURED:
        return Screen(-np.inf, 0.0, 0.0)
    return judged(features(picture))


def judged(numbers_seen: np.ndarray) -> Screen:
    """Judge a picture in colour by its `features`.

    Parameters
    ----------
    numbers_seen : ndarray, shape (36,)

    Returns
    -------
    Screen
    """
    scaled = (numbers_seen - numbers.MEAN) / numbers.DEVIATION
    strange = STRANGE * float(np.maximum(np.abs(scaled) - REACH, 0).sum())
    held = np.clip(scaled, -REACH, REACH)
    odds = float(numbers.WEIGHTS @ held) + numbers.BIAS - strange
    strength = float(np.clip((odds - DOUBT) / (SURE - DOUBT), 0, 1))
    return Screen(odds, strength, float(numbers.SOFTNESS @ held))


def features(picture: Tensor) -> np.ndarray:
    """What windows spread over a picture look like, in numbers that do not depend on its exposure.

    Parameters
    ----------
    picture : Tensor, shape (3, H, W)
        At least 64 pixels along each side.

    Returns
    -------
    ndarray, shape (36,)
        For luma and both chroma planes and each of `BANDS`: the decimal logarithm of the power in a quiet window (15 %)
        and in the median one, over that of luma in the lowest band; and of the largest over the median power among the
        frequencies of the band, in the median window and in a clear one (90 %).
    """
    return features_of([picture[:, y : y + SIZE, x : x + SIZE] for y, x in places(picture.shape[1:])])


def places(size: Sequence[int]) -> list[tuple[int, int]]:
    """The upper left corners of the windows by which a picture of some height and width is judged."""
    tops, lefts = (_spread(length) for length in size)
    return [(y, x) for y in tops for x in lefts]


def features_of(windows: Sequence[Tensor]) -> np.ndarray:
    """The `features` of a picture of which there are the windows at `places`: each (3, 64, 64)."""
    pieces = torch.stack([to_luma_chroma(window) for window in windows], 1)
    taper = torch.hann_window(SIZE + 2, periodic=False)[1:-1]
    taper = taper[:, None] * taper
    pieces = (pieces - pieces.mean((-2, -1), keepdim=True)) * taper
    power = torch.fft.rfft2(pieces).abs().square().flatten(2) / taper.square().sum() + FLOOR
    radius = torch.hypot(torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE)[None]).flatten()
    found = []
    for low, high in BANDS:
        part = power[..., (radius >= low) & (radius < high)]
        mean, peak = part.mean(-1).log10(), (part.amax(-1) / part.median(-1).values).log10()
        quantiles = [mean.quantile(0.15, dim=1), mean.quantile(0.5, dim=1)]
        found.append(torch.stack([*quantiles, peak.quantile(0.5, dim=1), peak.quantile(0.9, dim=1)]))
    table = torch.stack(found, -1)
    table[:2] -= table[1, 0, 0].clone()
    return table.flatten().numpy().astype(np.float64)


def _spread(length: int) -> list[int]:
    count = max(1, min(ALONG, round((length - SIZE) / 48) + 1))
    return [int(v) for v in np.linspace(0, length - SIZE, count).round()]


def screen_gain(radius: Tensor, softness: float, plane: int) -> Tensor:
    """What part of a frequency's amplitude the screen showed, on average among photographs of that softness.

    Parameters
    ----------
    radius : Tensor
        Cycles per pixel.
    softness : float
    plane : int
        0 for luma, else chroma.

    Returns
    -------
    Tensor, shape of `radius`
        From 0 to 1.
    """
    gain = numbers.GAIN + softness * numbers.GAIN_CHANGE if plane == 0 else numbers.GAIN_CHROMA
    held = np.interp(radius.numpy(), numbers.FREQUENCIES, np.clip(gain, 0, 1))
    return torch.from_numpy(held.astype(np.float32))


@dataclass(frozen=True)
class Tones:
    """How the tones of a photographed screen are changed, of each channel; see `tone_change`."""

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    trust: float

    def change(self, picture: Tensor) -> Tensor:
        """What has to be added to a picture (3, H, W), or to a part of it."""
        held = picture.clamp(0, 1)
        luma = (held * torch.tensor(LUMA)[:, None, None]).sum(0)
        shared = numbers.TONE_LUMA * luma + numbers.TONE_LUMA_SQUARE * luma.square()
        change = torch.empty_like(picture)
        for c, x in enumerate(held):
            change[c] = (self.slopes[c] + numbers.TONE_SQUARE * x) * x + self.offsets[c] + shared
        return change * self.trust


def tone_change(picture: Tensor) -> Tensor:
    """What has to be added to a photographed screen to make its tones the likeliest ones of the screen's picture.

    Each channel gets ``(a x + b) + c l + d x^2 + e l^2`` with its value x and the luma l of the pixel, where a and b
    are linear in what tells how the camera metered the screen: luma at 2, 15, 50, 85 and 98 % and its contrast; the
    mean and both ends (2 and 98 %) of the channel; and how much is white. The numbers are drawn back to 0.85 of their
    regression, and the change to nothing where all this is unlike the pictures that the regression has seen, since a
    wrong change of tones is worse than none.

    Parameters
    ----------
    picture : Tensor, shape (3, H, W)

    Returns
    -------
    Tensor, shape (3, H, W)
        Of values beyond 0 to 1 as much as of the nearest ones within.
    """
    return tones_of(picture).change(picture)


def tones_of(picture: Tensor) -> Tones:
    """How the tones of a photographed screen (3, H, W) are to be changed; see `tone_change`."""
    held = picture.clamp(0, 1)
    small = F.interpolate(held[None], size=(THUMBNAIL, THUMBNAIL), mode="area")[0]
    weights = torch.tensor(LUMA)[:, None, None]
    thumbnail = (small * weights).sum(0)
    ends = torch.quantile(small.flatten(1), torch.tensor([0.02, 0.98]), dim=1)
    levels = [*torch.quantile(thumbnail, torch.tensor(LEVELS)).tolist(), float(thumbnail.std())]
    white = float((small.amin(0) > WHITE).float().mean())
    known = np.array([[*levels, float(small[c].mean()), *ends[:, c].tolist(), white] for c in range(3)])
    told = (known - numbers.TONE_TYPICAL) / numbers.TONE_WIDTH
    slopes, offsets = (numbers.TONE[0] + told @ numbers.TONE[1:]).T.tolist()
    return Tones(tuple(slopes), tuple(offsets), _trust(told))


def _trust(told: np.ndarray) -> float:
    """1 for a picture of usual tones, falling to 0 as its three channels are unlike those of any photograph seen."""
    apart = (told - numbers.TONE_MEAN) @ numbers.TONE_WHITE.T
    unusual = float(np.sqrt(np.square(apart).sum(1).mean()))
    return (KNOWN / max(unusual, KNOWN)) ** UNKNOWN_POWER
