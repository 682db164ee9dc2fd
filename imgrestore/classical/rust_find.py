"""Whether a picture has stains, and where: brown patches on a surface of another colour, believed by several clues."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imgrestore.classical.rust_clues import LEAKY, STRONG, Clues, leaking, worth_filling
from imgrestore.classical.rust_colour import Area, Field, Ground, coloured, find_ground, log_light, ratios

OTHER_FROM = 1.45
WEAK = 0.005
LEAST_AREA = 12
# Noise of log ratios below which a surface has one colour exactly, and the blur for pictures with more.
EXACT, COARSE = 0.003, 2.0
CONVINCED = 0.4


@dataclass(frozen=True)
class Sector:
    """A sector of the plane of log ratios red/green and green/blue.

    Attributes
    ----------
    middle, half : float
        Degrees.
    """

    middle: float
    half: float

    @property
    def axis(self) -> Field:
        """The direction of its middle, length 1."""
        turn = np.radians(self.middle)
        return np.asarray([np.cos(turn), np.sin(turn)], np.float32)

    def holds(self, apart: Field, margin: float = 0.0) -> Area:
        """Where log ratios point into the sector.

        Parameters
        ----------
        apart : ndarray, shape (h, w, 2)
        margin : float
            By how many degrees it is wider.

        Returns
        -------
        ndarray of bool, shape (h, w)
        """
        length = np.hypot(apart[..., 0], apart[..., 1])
        return np.asarray(apart @ self.axis > np.cos(np.radians(self.half + margin)) * length)


# Stains of iron, tea and coffee take blue most and red least.
BROWN = Sector(53.5, 31.5)
# Colours that are so far outside the sector belong to other things.
ELSEWHERE = 11.0


@dataclass(frozen=True)
class Found:
    """Stains of one picture, at the size at which it was judged.

    Attributes
    ----------
    dye : ndarray of bool, shape (h, w)
        Stains that let the surface through.
    crust : ndarray of bool, shape (h, w)
        Stains that hide it.
    ground : Ground or None
        The surface they lie on.
    belief : float
        0 to 1: that there are stains. Those areas are empty where it is low.
    reason : str
        The clue that speaks most against stains, in words.
    blur : float
        Width of the Gaussian with which the picture was judged, 0 for a window of 3 pixels.
    leak : float
        Of `leaking`.
    """

    dye: Area
    crust: Area
    ground: Ground | None
    belief: float
    reason: str
    blur: float
    leak: float


def find_stains(picture: Field, hues: Sector = BROWN) -> Found:
    """Look for stains.

    Parameters
    ----------
    picture : ndarray of float32, shape (h, w, 3)
        White at 1, reduced to a few hundred pixels.
    hues : Sector
        Those of the stains, against those of the ground.

    Returns
    -------
    Found
    """
    fine = cv2.blur(picture, (3, 3))
    found = _judged(fine, fine, picture, hues, 0.0)
    if found.ground is None or found.ground.noise > EXACT or found.leak > LEAKY:
        found = _judged(cv2.GaussianBlur(picture, (0, 0), COARSE), fine, picture, hues, COARSE)
    return found


def _judged(picture: Field, fine: Field, raw: Field, hues: Sector, blur: float) -> Found:
    nowhere = np.zeros(picture.shape[:2], bool)
    ground = find_ground(picture)
    if ground is None:
        return Found(nowhere, nowhere, None, 0.0, "it is too dark for colours", blur, 0.0)
    if ground.share < 0.3:
        why = "no surface of one colour goes through the picture"
        return Found(nowhere, nowhere, ground, 0.0, why, blur, 0.0)
    log, usable = log_light(picture), coloured(picture)
    apart, noise = ratios(log) - ground.colour, ground.noise_at(picture)
    strong, other = _sectors(apart, ground, noise, usable, hues)
    area = _grown(strong, apart, noise, usable, hues)
    if int(area.sum()) < LEAST_AREA:
        return Found(nowhere, nowhere, ground, 0.0, "nothing brown lies on its main surface", blur, 0.0)
    clues = Clues.of(picture, fine, apart, area, strong, other, ground)
    raw_log = log_light(raw)
    leak = leaking((ratios(raw_log) - ground.colour) @ hues.axis, raw_log.mean(axis=2), area)
    dye, why_dye = clues.dye()
    crust, why_crust = clues.crust()
    if max(dye, crust) < CONVINCED:
        return Found(nowhere, nowhere, ground, max(dye, crust), why_dye if dye >= crust else why_crust, blur, leak)
    is_dye = dye >= crust or not worth_filling(log, area)
    return Found(area if is_dye else nowhere, nowhere if is_dye else area, ground, max(dye, crust), "", blur, leak)


def _sectors(apart: Field, ground: Ground, noise: Field, usable: Area, hues: Sector) -> tuple[Area, Area]:
    """Pixels that are browner than the ground, and those that differ from it in any other way."""
    distance = np.hypot(apart[..., 0], apart[..., 1])
    strong = hues.holds(apart) & (distance > np.maximum(STRONG, 3.5 * noise)) & usable
    clear = (distance > np.maximum(OTHER_FROM * ground.reach, np.minimum(4 * noise, 0.25))) & usable
    return strong, clear & ~hues.holds(apart, ELSEWHERE)


def _grown(strong: Area, apart: Field, noise: Field, usable: Area, hues: Sector) -> Area:
    """Strong pixels without specks, and the faint ones that hang on them."""
    seeds = cv2.morphologyEx(strong.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    faint = (apart @ hues.axis > np.maximum(WEAK, 2.5 * noise)) & usable
    count, labels, stats, _ = cv2.connectedComponentsWithStats((faint | (seeds > 0)).astype(np.uint8), connectivity=8)
    seeded = np.bincount(labels[seeds > 0], minlength=count) >= 3
    keep = seeded & (stats[:, cv2.CC_STAT_AREA] >= LEAST_AREA)
    keep[0] = False
    return np.asarray(keep[labels])


# Rust in CIE Lab: from red to yellow, neither gray nor black nor bright.
RUST_HUE, RUST_CHROMA, RUST_LIGHT = (15.0, 80.0), 10.0, (8.0, 72.0)
RUST_GRAIN = 1.2


def looks_like_rust(picture: Field) -> Area:
    """Pixels with the hue of rust where colour and light have a fine grain.

    Parameters
    ----------
    picture : ndarray of float32, shape (h, w, 3)
        White at 1.

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    lab = cv2.cvtColor(np.ascontiguousarray(picture.clip(0, 1), np.float32), cv2.COLOR_RGB2LAB)
    light, red, yellow = lab[..., 0], lab[..., 1], lab[..., 2]
    hue = np.degrees(np.arctan2(yellow, red))
    brown = (hue > RUST_HUE[0]) & (hue < RUST_HUE[1]) & (np.hypot(red, yellow) > RUST_CHROMA)
    brown &= (light > RUST_LIGHT[0]) & (light < RUST_LIGHT[1])
    chroma = np.hypot(red, yellow)
    grain = cv2.blur(np.abs(chroma - cv2.blur(chroma, (7, 7))), (15, 15))
    return np.asarray(brown & (grain > RUST_GRAIN))
