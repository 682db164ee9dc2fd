"""The clues that tell stains from brown things, and how they are measured."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imgrestore.classical.rust_colour import Area, Field, Ground, coloured, local_mean, log_light, ratios

# The smallest log ratio that is taken for a stain by itself.
STRONG = 0.045
# Part of the light's detail by which a stain's colour is off in compressed pictures.
LEAKY = 0.75
# A crust is filled where it is further from its surroundings than they are from each other, by this factor in squares.
WORTH = 2.5


def rising(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, straight between; `low` may be the larger one.

    Parameters
    ----------
    value, low, high : float

    Returns
    -------
    float
    """
    return float(np.clip((value - low) / (high - low), 0, 1))


@dataclass(frozen=True)
class Clues:
    """What speaks for and against stains, measured on all brown areas of one picture together.

    Attributes
    ----------
    other : float
        Part of the picture that is of neither colour.
    around : float
        Part of a ring near the areas that is of the ground's colour.
    beyond : float
        The same of a ring a little further away.
    frame : float
        Part of the frame that the areas touch.
    sector : float
        Median deviation of their hues from one direction, degrees.
    grain : float
        Fine variation of colour inside the areas, log ratio.
    unrest : float
        What is left of edges of light when the density is taken off, over such edges elsewhere.
    slope : float
        Density of red for a unit of log ratio that explains the edges of the areas; NaN where they have none.
    doubt : float
        Standard error of `slope`.
    exact : float
        1 where all the rest of the picture has one colour exactly, as in prints and black-and-white photographs.
    share : float
        The ground's part of the picture.
    contrast : float
        Log ratio of the areas over the noise of the ground.
    """

    other: float
    around: float
    beyond: float
    frame: float
    sector: float
    grain: float
    unrest: float
    slope: float
    doubt: float
    exact: float
    share: float
    contrast: float

    @staticmethod
    def of(picture: Field, fine: Field, apart: Field, area: Area, strong: Area, other: Area, ground: Ground) -> Clues:
        """Measure the clues.

        Parameters
        ----------
        picture, fine : ndarray, shape (h, w, 3)
            White at 1, and the same less blurred.
        apart : ndarray, shape (h, w, 2)
            Log ratios less those of the ground.
        area, strong, other : ndarray of bool, shape (h, w)
            Brown areas with their faint parts and without; pixels of other colours.
        ground : Ground

        Returns
        -------
        Clues
        """
        log, usable = log_light(picture), coloured(picture)
        count = int(usable.sum())
        core = strong & area
        if not core.any():
            core = area
        direction = np.median(apart[core], axis=0)
        direction = direction / np.hypot(*direction)
        along = (apart @ direction).astype(np.float32)
        across = apart @ np.asarray([-direction[1], direction[0]])
        sector = float(np.degrees(np.median(np.arctan2(np.abs(across[core]), along[core]))))
        elsewhere = float((other & usable).sum()) / count
        rims = [strong[0], strong[-1], strong[:, 0], strong[:, -1]]
        slope, doubt, unrest = edges(log[..., 0], along, brightness(picture), area, ground.area)
        return Clues(
            other=elsewhere,
            around=_share(ground.area, _ring(core, 2, 5) & usable & ~area, default=_share(ground.area, ~area & usable)),
            beyond=_share(ground.area, _ring(core, 6, 12) & usable, default=1.0),
            frame=float(np.concatenate(rims).mean()),
            sector=sector,
            grain=_grain(((ratios(log_light(fine)) - ground.colour) @ direction).astype(np.float32), core),
            unrest=unrest,
            slope=slope,
            doubt=doubt,
            exact=rising(ground.noise, 0.010, 0.003) * rising(elsewhere, 0.002, 0.0005),
            share=ground.share,
            contrast=float(np.median(along[core])) / max(ground.noise, 1e-3),
        )

    def dye(self) -> tuple[float, str]:
        """The belief in stains that let the surface through, and the clue that speaks most against them.

        Returns
        -------
        tuple of float and str
        """
        narrow = 4.0 + 14.0 * self.exact
        slope = 1.0
        if not np.isnan(self.slope):
            slope = rising(self.slope + self.doubt, 0.15, 0.28) * rising(self.slope - 2 * self.doubt, 2.6, 2.1)
        return _verdict(
            {
                "other colours are about": rising(self.other, 0.008, 0.003),
                "the brown is not surrounded by one surface": rising(min(self.around, self.beyond), 0.89, 0.96),
                "too little of the surface is seen": rising(self.share, 0.35, 0.5),
                "it reaches far along the frame": rising(self.frame, 0.5, 0.3),
                "its hues are many": rising(self.sector, 1.6 * narrow, narrow),
                "its light does not follow its colour, as that of a dye would": slope,
                "the surface does not go on through it": rising(self.unrest, 2.2, 1.5),
                "the surface is as uneven as the brown": rising(self.contrast, 4.0, 8.0),
            }
        )

    def crust(self) -> tuple[float, str]:
        """The belief in stains that hide the surface, and the clue that speaks most against them.

        Returns
        -------
        tuple of float and str
        """
        light = 1.0
        if not np.isnan(self.slope):
            light = rising(self.slope, -2.0, -1.2) * rising(self.slope, 3.0, 2.2)
        return _verdict(
            {
                "other colours are about": rising(self.other, 0.016, 0.008),
                "the brown is not surrounded by one surface": rising(min(self.around, self.beyond), 0.85, 0.95),
                "it reaches far along the frame": rising(self.frame, 0.45, 0.3),
                "its hues are many": rising(self.sector, 20.0, 12.0),
                "the brown is too even for rust": rising(self.grain, 0.065, 0.090),
                "its light is not that of a crust": light,
                "too little of the surface is seen": rising(self.share, 0.35, 0.5),
                "the surface is as rough as the brown": min(1.0, rising(self.unrest, 1.6, 2.6) + self.exact),
            }
        )


def _verdict(clues: dict[str, float]) -> tuple[float, str]:
    return float(np.prod(list(clues.values()))), min(clues, key=clues.__getitem__)


def disk(radius: int) -> np.ndarray:
    """A disk for dilating and eroding.

    Parameters
    ----------
    radius : int

    Returns
    -------
    ndarray of uint8, shape (2 radius + 1, 2 radius + 1)
    """
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _ring(area: Area, inner: int, outer: int) -> Area:
    byte = area.astype(np.uint8)
    return np.asarray((cv2.dilate(byte, disk(outer)) > 0) & (cv2.dilate(byte, disk(inner)) == 0))


def _share(part: Area, whole: Area, default: float = 0.0) -> float:
    count = int(whole.sum())
    return float((part & whole).sum()) / count if count else default


def _grain(along: Field, core: Area) -> float:
    """Standard deviation of what a window of 7 pixels inside the area does not explain."""
    inner = cv2.erode(core.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if int(inner.sum()) < 30:
        return 0.0
    weight = core.astype(np.float32)
    mean = cv2.blur(along * weight, (7, 7)) / (cv2.blur(weight, (7, 7)) + 1e-6)
    return float((along - mean)[inner].std())


def leaking(along: Field, light: Field, area: Area) -> float:
    """How far colour follows the light in its detail, as compression makes it do: 0 not at all, 1 wholly.

    Differences of channels are stored more coarsely than light, and so dark details get the difference that belongs to
    their brighter surroundings: a larger ratio.

    Parameters
    ----------
    along : ndarray, shape (h, w)
        Log ratio along the direction of the stain, less that of the ground.
    light : ndarray, shape (h, w)
        Logarithm of the picture.
    area : ndarray of bool, shape (h, w)
        The stains.

    Returns
    -------
    float
    """
    inner = cv2.erode(area.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    if int(inner.sum()) < 50:
        return 0.0
    # Stains themselves have hardly any detail in so small a window.
    window = (3, 3)
    along = np.ascontiguousarray(along)
    light = light + np.float32(0.7) * along
    mean = cv2.blur(along, window)
    expected = (-mean * (light - cv2.blur(light, window)))[inner].astype(np.float64)
    detail = (along - mean)[inner]
    return float(np.clip((detail * expected).sum() / max((expected * expected).sum(), 1e-12), 0, 1))


def worth_filling(log: Field, hole: Area) -> bool:
    """Whether a filling is likely to be nearer to what lies below than the picture itself is.

    Parameters
    ----------
    log : ndarray, shape (h, w, 3)
        Logarithm of the picture.
    hole : ndarray of bool, shape (h, w)
        What would be filled.

    Returns
    -------
    bool
    """
    ring = _ring(hole, 3, 24)
    if not ring.any():
        return False
    light = np.ascontiguousarray(log.mean(axis=2))
    mean = local_mean(light, ring, 24)
    return float(np.square(light - mean)[hole].mean()) > WORTH * float(np.square(light - mean)[ring].mean())


def brightness(picture: Field) -> Field:
    """How much a pixel's log ratios can be trusted, 0 to 1.

    Parameters
    ----------
    picture : ndarray, shape (h, w, 3)
        White at 1.

    Returns
    -------
    ndarray, shape (h, w)
    """
    square = np.square(np.maximum(picture.min(axis=2), 0))
    return np.asarray(square / (square + np.float32(0.03)), np.float32)


def edges(light: Field, along: Field, trust: Field, area: Area, ground: Area) -> tuple[float, float, float]:
    """How the light falls where the colour rises: red's density for a unit of log ratio.

    The scene knows nothing of the stain, so that its own edges are no more often with those of the stain than
    against them; a robust regression of one on the other finds what the stain does.

    Parameters
    ----------
    light : ndarray, shape (h, w)
        Logarithm of the least absorbed channel.
    along : ndarray, shape (h, w)
        Log ratio along the direction of the stain, less that of the ground.
    trust : ndarray, shape (h, w)
        Of `brightness`.
    area : ndarray of bool, shape (h, w)
        The stains.
    ground : ndarray of bool, shape (h, w)
        The surface.

    Returns
    -------
    tuple of three floats
        The slope (NaN where there are too few edges), its standard error, and the spread of the edges that it
        leaves over those of the ground.
    """
    soft, rise = np.ascontiguousarray(light), along
    near = cv2.dilate(area.astype(np.uint8), disk(3)) > 0
    known = cv2.erode((ground | area).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    known[:2] = known[-2:] = False
    known[:, :2] = known[:, -2:] = False
    steps_light, steps_rise = _steps(soft), _steps(rise)
    steep = np.abs(steps_rise).max(axis=2)
    used = near & known & (steep > 0.4 * STRONG)
    if int(used.sum()) < 30:
        return float("nan"), float("inf"), 1.0
    used &= steep >= np.quantile(steep[used], 0.5)
    a, b = steps_rise[used].ravel().astype(np.float64), steps_light[used].ravel().astype(np.float64)
    sure = np.stack([trust, trust], axis=2)
    sure[2:-2, :, 0] = trust[4:] * trust[:-4]
    sure[:, 2:-2, 1] = trust[:, 4:] * trust[:, :-4]
    sure = sure[used].ravel().astype(np.float64)
    weight = sure
    slope = spread = 0.0
    for _ in range(8):
        slope = -float((weight * a * b).sum() / max((weight * a * a).sum(), 1e-12))
        left = b + slope * a
        spread = 1.4826 * float(np.median(np.abs(left))) + 1e-3
        weight = sure / (1 + (left / (1.5 * spread)) ** 2)
    # Neighbours share their edges: a window of 5 x 5 holds about one independent value.
    doubt = spread * np.sqrt(12.0 / float((weight * a * a).sum() + 1e-12))
    quiet = ground & ~near & known
    usual = _spread(steps_light[quiet], trust[quiet]) if int(quiet.sum()) > 30 else spread
    return slope, float(doubt), float(np.sqrt((sure * left * left).sum() / max(sure.sum(), 1e-12))) / max(usual, 0.015)


def _spread(steps: Field, trust: Field) -> float:
    weight = trust.astype(np.float64)[:, None]
    return float(np.sqrt((weight * steps * steps).sum() / max(2 * weight.sum(), 1e-12)))


def _steps(values: Field) -> Field:
    """Differences over four pixels, down and across."""
    out = np.zeros((*values.shape, 2), np.float32)
    out[2:-2, :, 0] = values[4:] - values[:-4]
    out[:, 2:-2, 1] = values[:, 4:] - values[:, :-4]
    return out
