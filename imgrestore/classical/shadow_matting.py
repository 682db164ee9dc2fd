"""The matte of a cast shadow: how much of it lies on each pixel.

The step across the outline tells what to expect. What a pixel would show with more or less of the shadow taken off is
compared with the lit ground around; a guided filter lets neighbours that look alike decide together. So places that are
lit inside an outline stay as they are, and no rim is left where the outline or the penumbra was not quite right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from imgrestore import ops
from imgrestore.classical.shadow_candidates import refined
from imgrestore.classical.shadow_edge import BAND, EdgeFit, edge_cover, fit_edge, signed_distance
from imgrestore.classical.shadow_light import Light
from imgrestore.classical.shadow_regions import BLACK, chroma
from imgrestore.pixels import to_mask

__all__ = ["Outline", "cast_matte", "measure_outline", "shadow_matte"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

# The longer side of the picture while outlines and mattes are measured.
SIDE = 640
# Parts of the shadow that are tried, of the logarithm of the light that is missing in the umbra.
SHARES = np.linspace(0, 1, 7, dtype=np.float32)
# The lit ground: from where to where outside the outline, in bands, and the fewest pixels that tell of it.
LIT_FROM = 0.7
LIT_TO = 4.0
FEWEST = 200
# Its light and its two colours are counted in cells: the lowest value, the width and the number of them, and a blur.
LOWEST = (-6.0, -0.9, -0.9)
CELL = (0.08, 0.06, 0.06)
CELLS = (112, 30, 30)
BLUR = 1.5
# Part of the counts that is spread over all cells: any colour may turn up.
UNSEEN = 0.02
# How far shares spread about the expected one: anywhere, beside an outline on even ground, how far that reaches in
# bands, and the roughness of the ground, in parts of the step, from which on the outline's fit knows better.
FAR = 0.05
NEAR = 0.18
REACH = 0.25
ROUGH = 0.05
# How often a pixel has quite another share than expected: in shadows found, in given ones, and beside those found.
OTHER_INSIDE = 0.03
OTHER_GIVEN = 1e-5
OTHER_OUTSIDE = 0.02
# The guided filter of the evidence: its radius in parts of the diagonal, and the step of log light that it keeps.
GRAIN = 0.004
STEP = 0.15
# Changes of log light that have to be borne out by the picture; how slowly a light's edge may fall off, in widths of
# the penumbra and in pixels; the window that is asked, in parts of the diagonal; and what its calm pixels count.
SEEN = 0.06
WIDEST = 6.0
SLOW = 8.0
WINDOW = 0.01
CALM = 0.02
# Of the edges that a change would draw, how much has to be edges taken away: for none of it, and for all.
REFUSED = 0.05
ACCEPTED = 0.3
# The guided filter to full size: its radius in pixels of the reduced picture, and the step of coded light it keeps.
FINE_RADIUS = 1.5
FINE_STEP = 0.03


@dataclass(frozen=True)
class Outline:
    """A shadow's outline and what was measured along it.

    Attributes
    ----------
    log_rgb : ndarray, shape (3, h, w)
        Logarithm of linear light of the reduced picture.
    usable : ndarray of bool, shape (h, w)
    factor : float
        How many pixels of the full picture one of the reduced is.
    inner : ndarray, shape (h, w)
        Signed distance to the outline in the reduced picture.
    distance : ndarray, shape (H, W)
        The same in the full one, in its pixels.
    fit : EdgeFit
    """

    log_rgb: Array
    usable: Mask
    factor: float
    inner: Array
    distance: Array
    fit: EdgeFit


def shadow_matte(image: Any, mask: Any) -> NDArray[np.float32]:
    """Measure how much of a cast shadow lies on each pixel.

    A blurred step fitted across the outline gives the umbra's light and the share of the shadow to expect. At each
    pixel shares from 0 to 1 are taken off on trial and weighed by how often such light and colour are found in the lit
    surroundings; guided filters smooth this evidence along the picture's own edges.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), or torch.Tensor, shape (H, W), (1, H, W) or (3, H, W)
        uint8, uint16 or floating point, display-coded.
    mask : array of bool, shape (H, W)
        The shadow, its outline half way through the penumbra. That there is one is believed, however faint the step.

    Returns
    -------
    ndarray of float32, shape (H, W)
        1 in the umbra, 0 in the light. 0 everywhere where the outline tells nothing, or the mask is the brighter side.

    Raises
    ------
    TypeError
        Where `image` is no array or has a dtype that is none of those, or `mask` is not boolean.
    ValueError
        Where `image` is not one gray or RGB picture, or `mask` has another shape.

    References
    ----------
    He, Sun & Tang, "Guided image filtering" (2010); Hosni et al., "Fast cost-volume filtering for visual correspondence
    and beyond" (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import shadow_matte
    >>> wall = np.random.default_rng(0).uniform(0.6, 0.7, (64, 64, 3))
    >>> shade = np.zeros((64, 64), bool)
    >>> shade[16:48, 16:48] = True
    >>> matte = shadow_matte(np.where(shade[..., None], 0.5 * wall, wall), shade)
    >>> bool(matte[24:40, 24:40].min() > 0.9), bool(matte[:8].max() < 0.01)
    (True, True)
    """
    light, planes = Light.of(image)
    area = to_mask(mask, planes)[0].any(dim=0).cpu().numpy()
    outline = measure_outline(light, area, exact=True)
    if outline is None:
        return np.zeros(area.shape, np.float32)
    return cast_matte(light, outline, exact=True)[0]


def measure_outline(light: Light, mask: Mask, exact: bool) -> Outline | None:
    """Fit a blurred step along the outline of a shadow.

    Parameters
    ----------
    light : Light
    mask : ndarray of bool, shape (H, W)
        The shadow.
    exact : bool
        The outline was given; else it is moved to where the light falls.

    Returns
    -------
    Outline or None
        None where the outline tells nothing, or no light is missing.
    """
    linear, usable, factor = light.reduced(SIDE)
    log_rgb = light.logarithm(linear, BLACK)
    size = log_rgb.shape[2], log_rgb.shape[1]
    full = signed_distance(mask)
    small = cv2.resize(full, size, interpolation=cv2.INTER_AREA) > 0
    if not exact:
        small = refined(log_rgb.mean(0), refined(log_rgb.mean(0), small))
    inner = signed_distance(small)
    fit = fit_edge(log_rgb, small, usable, inner)
    if fit is None or fit.typical.mean() <= 0:
        return None
    if not exact:
        full = cv2.resize(inner, mask.shape[::-1], interpolation=cv2.INTER_CUBIC) * factor
    return Outline(log_rgb, usable, factor, inner, full, fit)


def cast_matte(light: Light, outline: Outline, exact: bool) -> tuple[Array, Array]:
    """The matte of a shadow, and what is left of the light in its umbra.

    Parameters
    ----------
    light : Light
    outline : Outline
    exact : bool
        The outline was given: nothing is added beyond its penumbra, and little is taken out.

    Returns
    -------
    matte, depth : ndarray, shapes (H, W) and (3, H, W)
        The gain of linear light is ``1 - matte * (1 - depth)``.
    """
    cover, depth = edge_cover(outline.fit, outline.distance, outline.factor)
    box = _reached(outline.inner)
    if box is None:
        return cover, depth
    expected, umbra = _reduced(cover, depth, outline.inner.shape)
    change = np.zeros_like(expected)
    change[box] = _change(outline, expected, -np.log(umbra), box, exact)
    if outline.factor > 1:
        change = _at_full_size(change, light, outline.factor)
    return np.clip(cover + change, 0, 1), depth


def _reduced(cover: Array, depth: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Cover and depth in the reduced picture; the depth changes slowly."""
    size = shape[1], shape[0]
    umbra = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST) for plane in depth])
    return cv2.resize(cover, size, interpolation=cv2.INTER_AREA), umbra


def _reached(inner: Array) -> tuple[slice, slice] | None:
    """The part of the picture that a shadow can lie on, with a margin."""
    reach = 1.2 * _band(inner)
    if not np.isfinite(inner).all():
        return None
    rows, columns = (np.flatnonzero((inner > -reach).any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _change(outline: Outline, cover: Array, fall: Array, box: tuple[slice, slice], exact: bool) -> Array:
    """What is to be added to the expected cover, inside a box."""
    band = _band(outline.inner)
    ground = outline.usable & (outline.inner < -LIT_FROM * band) & (outline.inner > -LIT_TO * band)
    if ground.sum() < FEWEST:
        return np.zeros_like(cover[box])
    spread = _spread_beside(outline.log_rgb, ground, fall)
    density = _log_density(outline.log_rgb[:, ground])
    log_rgb, fall = (np.ascontiguousarray(planes[(slice(None), *box)]) for planes in (outline.log_rgb, fall))
    cover, distance = cover[box], outline.inner[box] / band
    mean = np.maximum(fall.mean(0), 1e-3)
    share = -np.log(1 - cover * (1 - np.exp(-mean))) / mean
    evidence = _evidence(log_rgb, fall, density, max(2, round(GRAIN * _diagonal(outline.inner))))
    moved = _weighed(evidence, share, distance, spread, exact)
    moved *= np.clip((1 + distance) / 0.3, 0, 1)
    width = float(np.average(outline.fit.width, weights=outline.fit.weight))
    share = share + _borne_out(moved, fall, log_rgb + share * fall, width, _diagonal(outline.inner))
    return (1 - np.exp(-share * mean)) / (1 - np.exp(-mean)) - cover


def _spread_beside(log_rgb: Array, ground: Mask, fall: Array) -> float:
    """How far shares spread beside the outline: the less, the rougher the ground, whose texture is no shadow."""
    light = log_rgb.mean(0)
    rough = float(np.abs(light - cv2.GaussianBlur(light, (0, 0), 2.0))[ground].mean() / max(float(fall.mean()), 1e-3))
    return FAR + (NEAR - FAR) / (1 + (rough / ROUGH) ** 2)


def _log_density(log_rgb: Array) -> Array:
    """How often each cell of light and colour is met among some pixels, as a logarithm."""
    count = np.bincount(_cells(log_rgb), minlength=int(np.prod(CELLS))).reshape(CELLS).astype(np.float32)
    smooth = gaussian_filter(count, BLUR) / count.sum()
    return np.log(smooth + UNSEEN / smooth.size).ravel()


def _cells(log_rgb: Array) -> Array:
    """The cell of light and colour of each pixel."""
    planes = log_rgb.mean(0), *chroma(np.moveaxis(log_rgb, 0, -1))
    code = np.zeros(planes[0].shape, np.int32)
    for plane, lowest, width, count in zip(planes, LOWEST, CELL, CELLS, strict=True):
        code = code * count + np.clip((plane - lowest) / width, 0, count - 1).astype(np.int32)
    return code


def _evidence(log_rgb: Array, fall: Array, density: Array, radius: int) -> Array:
    """How likely each pixel is one of the lit ground with each share taken off, as logarithms; alike pixels agree."""
    tried = np.stack([density[_cells(log_rgb + part * fall)] for part in SHARES])
    guide = torch.from_numpy(log_rgb)
    return ops.guided(torch.from_numpy(tried), guide, radius, STEP**2, channels=True).numpy()


def _weighed(evidence: Array, share: Array, distance: Array, spread: float, exact: bool) -> Array:
    """How the mean share moves once the picture has been asked; distances are in bands."""
    beside = np.exp(-0.5 * (distance / REACH) ** 2)
    width = FAR + (spread - FAR) * beside
    outside = 0.0 if exact else OTHER_OUTSIDE * np.exp(np.minimum(distance, 0) / REACH)
    other = np.where(distance > 0, OTHER_GIVEN if exact else OTHER_INSIDE, outside)
    parts = SHARES[:, None, None]
    expected = np.exp(-0.5 * ((parts - share) / width) ** 2)
    expected /= expected.sum(0)
    weight = ((1 - other) * expected + other / len(SHARES)) * np.exp(evidence - evidence.max(0))
    # The difference of two means, since the shares tried are too few for the expected one itself.
    moved = (parts * weight).sum(0) / weight.sum(0) - (parts * expected).sum(0)
    return np.clip(share + moved, 0, 1) - share


def _borne_out(change: Array, fall: Array, lifted: Array, width: float, diagonal: float) -> Array:
    """Changes of the share that take edges of the light away; those that would draw new ones are left out."""
    moved = _slope(change * fall)
    # The light of a hole falls off as quickly as that of the outline; what changes slowly is the scene's.
    steep = moved > fall.sum(0) / (WIDEST * width + SLOW)
    less = np.where(steep, _slope(lifted) - _slope(lifted + change * fall), 0)
    window = 2 * max(4, round(WINDOW * diagonal)) + 1
    kept = np.zeros_like(change)
    for part in (np.maximum(change, 0), np.minimum(change, 0)):
        body = cv2.dilate((np.abs(part) * fall.mean(0) > SEEN).astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(body, connectivity=4)
        gone, drawn = (np.bincount(labels.ravel(), values.ravel(), count) for values in (less, moved))
        whole = (gone / np.maximum(drawn, 1e-6)).astype(np.float32)[labels]
        near, around = (cv2.blur(values * body, (window, window)) for values in (less, moved))
        score = (near + CALM * whole) / (around + CALM)
        trust = np.clip((score - REFUSED) / (ACCEPTED - REFUSED), 0, 1)
        kept += part * np.where(body > 0, trust, 1)
    return kept


def _slope(planes: Array) -> Array:
    """Differences to the neighbours below and to the right, summed over the channels."""
    down = np.abs(np.diff(planes, axis=1, append=planes[:, -1:])).sum(0)
    right = np.abs(np.diff(planes, axis=2, append=planes[:, :, -1:])).sum(0)
    return down + right


def _at_full_size(change: Array, light: Light, factor: float) -> Array:
    """A change of the matte at full size, following the picture's edges, and 0 where it was."""
    height, width = light.coded.shape[1:]
    plane = cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)
    sharp = ops.guided(torch.from_numpy(plane), light.coded.mean(0), round(FINE_RADIUS * factor), FINE_STEP**2)
    return np.where(plane != 0, sharp.numpy(), 0)


def _diagonal(plane: Array) -> float:
    return float(np.hypot(*plane.shape))


def _band(plane: Array) -> float:
    return max(4.0, BAND * _diagonal(plane))
