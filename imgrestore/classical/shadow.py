"""Shadows: which kind a picture has, its gain, and the picture without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.shadow_cast import Cast, find_cast, mend_cast
from imgrestore.classical.shadow_document import Paper, find_paper, paper_gain
from imgrestore.classical.shadow_light import Light, split_gain
from imgrestore.classical.shadow_soft import soft_gain

__all__ = ["Kind", "estimate_shadow", "shadow_mask", "untouched"]

Array = NDArray[Any]
Kind = Literal["auto", "cast", "soft", "document"]

# A page whose light is evener than this (as a logarithm) is left alone.
EVEN_PAGE = 0.12
# A mask's outline that agrees on a step less than this tells nothing certain.
DOUBTFUL = 0.3
# Shade counts as such from here on.
SHADE = 0.06
# A shadow this deep, on a logarithmic scale, is surely one where its outline agrees.
DEEP = 0.2
# Log odds where there is no region at all that looks shaded.
NO_SHADOW = -9.0

untouched = layers_without("scene", ones=("gain",))


def estimate_shadow(
    picture: torch.Tensor, mask: torch.Tensor | None, good: torch.Tensor, *, kind: Kind = "auto"
) -> Estimate:
    """Take a picture apart into the evenly lit scene and the gain of its shadow.

    Parameters
    ----------
    picture : torch.Tensor, shape (C, H, W)
        Display-coded, C = 1 or 3.
    mask : torch.Tensor of bool, shape (1, H, W), or None
        Where the shadow is; None to look for it.
    good : torch.Tensor of bool, shape (1, H, W)
        False where pixels are not to be asked.
    kind : {"auto", "cast", "soft", "document"}

    Returns
    -------
    Estimate
        Layers "scene" and "gain", whose product is the picture.
    """
    light = Light(picture, good)
    if kind in ("auto", "document"):
        told = kind == "document"
        paper = find_paper(light, told=told)
        if paper is not None and (told or not paper.reasons):
            page = _document(light, paper, mask, told=told)
            return replace(page, clues={"page": float(not paper.reasons), "page_depth": paper.depth})
    if kind == "soft":
        return _soft(light, mask)
    # A net knows shadows that have an edge.
    return replace(_cast(light, mask), strength=1.0)


def shadow_mask(image: Any) -> NDArray[np.bool_]:
    """Find the shadows of a photograph.

    Superpixels are judged by their light and colour against those of like material and of the whole picture, with the
    logarithmic chromaticity projected along the direction of least entropy; a logistic classifier fitted to photographs
    with marked shadows weighs these numbers.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), or torch.Tensor, shape (H, W), (1, H, W) or (3, H, W)
        uint8, uint16 or floating point, display-coded.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True where a shadow seems to lie, on surfaces turned from the light as well as cast ones. `imgrestore.deshadow`
        lifts only those that it is sure of.

    References
    ----------
    Finlayson, Drew & Lu, "Entropy minimization for shadow removal" (2009); Guo, Dai & Hoiem, "Single-image shadow
    detection and removal using paired regions" (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import shadow_mask
    >>> shadow_mask(np.random.default_rng(0).random((32, 48, 3))).shape
    (32, 48)
    """
    return find_cast(Light.of(image)[0]).shaded


def _nothing(picture: torch.Tensor, notes: tuple[str, ...], mask: Array | None = None, sure: float = 1.0) -> Estimate:
    found = None if mask is None else torch.from_numpy(mask)[None]
    return Estimate(picture, untouched(picture), found, notes, sure)


def _lifted(picture: torch.Tensor, gain: Array, mask: Array, notes: tuple[str, ...], sure: float) -> Estimate:
    scene, coded = split_gain(picture, gain)
    return Estimate(scene, {"scene": scene, "gain": coded}, torch.from_numpy(mask)[None], notes, sure)


def _percent(gain: Array, mask: Array) -> str:
    """The light that is left under a mask, in words."""
    left = [float(np.median(plane[mask])) for plane in gain]
    if len(left) == 1:
        return f"{left[0]:.0%} of the light is left in it"
    return "{:.0%} of the red, {:.0%} of the green and {:.0%} of the blue light is left in it".format(*left)


def _document(light: Light, paper: Paper, mask: torch.Tensor | None, *, told: bool) -> Estimate:
    notes = ["kind document" + ("" if told else ": flat paper of one colour with strokes on it")]
    if told and paper.reasons:
        notes.append("this does not look like a page: " + "; ".join(paper.reasons))
    if paper.depth < EVEN_PAGE and mask is None:
        return _nothing(light.coded, (*notes, "nothing to mend: the paper is evenly lit"))
    gain = paper_gain(light, paper)
    if mask is not None:
        gain = np.where(_feathered(mask), gain, 1.0).astype(np.float32)
    shaded = gain.mean(0) < np.exp(-SHADE)
    if not shaded.any():
        return _nothing(light.coded, (*notes, "nothing to mend: the paper is evenly lit where the mask is"))
    notes.append(f"{shaded.mean():.0%} of the page gets less than the full light; {_percent(gain, shaded)}")
    return _lifted(light.coded, gain, shaded, tuple(notes), 0.5 if paper.reasons else 0.9)


def _soft(light: Light, mask: torch.Tensor | None) -> Estimate:
    gain = soft_gain(light)
    if mask is not None:
        gain = np.where(_feathered(mask), gain, 1.0).astype(np.float32)
    shaded = gain.mean(0) < np.exp(-SHADE)
    if not shaded.any():
        return _nothing(light.coded, ("kind soft", "nothing to mend: no slow change of the light"))
    notes = ("kind soft: light that changes slowly was evened out", _percent(gain, shaded))
    return _lifted(light.coded, gain, shaded, notes, 0.5)


def _cast(light: Light, mask: torch.Tensor | None) -> Estimate:
    if mask is not None:
        return _given(light, mask[0].numpy())
    found = find_cast(light)
    best = max(found.odds, default=NO_SHADOW)
    clues = {"cast": best, "lifted": float(bool(found.lifted)), "shaded": float(found.shaded.mean())}
    return replace(_mended(light, found), clues=clues)


def _mended(light: Light, found: Cast) -> Estimate:
    """A picture whose cast shadows are lifted, those that can be."""
    share = f"{found.shaded.mean():.0%} of the picture looks shaded"
    gain, lifted, sure = np.ones_like(light.linear), np.zeros_like(found.shaded), []
    for one, odds in zip(found.lifted, found.odds, strict=False):
        mended = mend_cast(light, one, exact=False)
        if mended is not None:
            gain = gain * mended[0]
            lifted |= mended[0].mean(0) < np.exp(-SHADE)
            sure.append(1 / (1 + np.exp(-odds)))
    if not lifted.any():
        best = 1 / (1 + np.exp(-max(found.odds, default=NO_SHADOW)))
        if not found.shaded.any():
            return _nothing(light.coded, ("no shadow was found",), found.shaded, float(1 - best))
        why = f"{share}, but no outline there behaves like that of a cast shadow"
        return _nothing(light.coded, ("left as it is: " + why,), found.shaded, float(1 - best))
    notes = (f"kind cast: {len(sure)} shadow{'s' if len(sure) > 1 else ''} lifted; {_percent(gain, lifted)}", share)
    return _lifted(light.coded, gain, found.shaded | lifted, notes, float(min(sure)))


def _given(light: Light, mask: NDArray[np.bool_]) -> Estimate:
    mended = mend_cast(light, mask, exact=True)
    if mended is None:
        return _nothing(light.coded, ("left as it is: no light is missing inside the mask's outline",), mask, 0.5)
    gain, agreement = mended
    notes = [f"kind cast, as given by the mask; {_percent(gain, mask)}"]
    if agreement < DOUBTFUL:
        notes.append("the light does not fall alike along the mask's outline: is it a shadow's?")
    # Steps that are hardly there agree with each other, and tell of no shadow.
    depth = min(1.0, float(-np.log(gain.min())) / DEEP)
    return _lifted(light.coded, gain, mask, tuple(notes), float(agreement) * depth)


def _feathered(mask: torch.Tensor) -> NDArray[np.bool_]:
    """A mask with the reach of a penumbra around it."""
    size = 2 * max(1, min(mask.shape[1:]) // 50) + 1
    return cv2.dilate(mask[0].numpy().astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
