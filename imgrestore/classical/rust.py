"""Rust and stains: found, divided out where they are dyes, filled where they are crusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.rust_clues import LEAKY, disk
from imgrestore.classical.rust_colour import Area, Field, log_light, ratios, white_of
from imgrestore.classical.rust_density import dye_density, slopes
from imgrestore.classical.rust_fill import fill
from imgrestore.classical.rust_find import BROWN, CONVINCED, Found, Sector, find_stains, looks_like_rust
from imgrestore.classical.rust_masked import gray_density, judge

__all__ = ["forward", "separate_stains"]

# Longest side of the picture that is judged.
JUDGED = 512
# A density that the eye sees.
SEEN = 0.02
# Half the angle of the sector of colours when the stain's density is given.
GIVEN_HALF = 22.0
# With less colour than this a given stain cannot be told from a shadow.
COLOURLESS = 0.05
RUST_ALL_OVER = 0.45
# A surface whose log ratios vary so much has colours of its own.
UNEVEN = 0.02
# By how much what is left of a leak makes edges less sure.
LEAK_CAUTION = 5.0
# A crust's log ratio over that of the strongest ones, and at the least; what is fainter is dye.
CRUST_PART, CRUST_LEAST = 0.35, 0.12
SPARK, SPARK_DENSITY = 1.3, 0.2
# Part of the picture that may be filled: with more, it would be an invention.
MOST_FILLED = 0.4
# Part of a mask in which stains have to be found for them to be its stains.
COVERED = 0.25
MASKED = "inside the mask given"

untouched = layers_without("scene", zeros=("density", "opaque"))


@dataclass(frozen=True)
class _Parts:
    """What was found at full size: density (H, W, C), how much is filled (H, W), and the filling (H, W, C)."""

    density: Field
    filled: Field
    filling: Field


def separate_stains(
    picture: Tensor, mask: Tensor | None, good: Tensor, *, stain: tuple[float, ...] | None = None
) -> Estimate:
    """Take rust and stains off one picture.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W), C 1 or 3
        Display-coded values, white near 1; others are kept.
    mask : Tensor of bool, shape (1, H, W), optional
        True where stains are; they are looked for by default, in colour pictures.
    good : Tensor of bool, shape (1, H, W)
        False where a pixel says nothing.
    stain : tuple of 3 floats, optional
        Optical density of red, green and blue of the stain, of which only the ratios count; found by default.

    Returns
    -------
    Estimate
        Layers "scene", "density" and "opaque", from which `forward` makes the picture again.

    References
    ----------
    Ruifrok & Johnston, "Quantification of histochemical staining by color deconvolution" (2001); Macenko et al., "A
    method for normalizing histology slides for quantitative analysis" (2009).

    Examples
    --------
    >>> import torch
    >>> from imgrestore.classical.rust import separate_stains
    >>> page = torch.full((3, 64, 64), 0.9)
    >>> page[:, 20:40, 20:40] *= torch.tensor([0.9, 0.8, 0.6])[:, None, None]
    >>> clean = separate_stains(page, None, torch.ones(1, 64, 64, dtype=torch.bool)).image
    >>> bool((clean - 0.9).abs().max() < 0.05)
    True
    """
    array = np.ascontiguousarray(picture.movedim(0, -1).numpy())
    white = white_of(array)
    scaled = array / np.float32(white)
    given = None if stain is None else np.asarray(stain, np.float32)
    if given is not None and array.shape[2] == 1:
        given = np.ones(1, np.float32)
    guessed, seen = False, None
    clues: dict[str, float] = {}
    if mask is None:
        parts, notes, belief, seen = _unasked(scaled, given, clues)
    else:
        parts, notes, belief, guessed = _asked(scaled, mask[0].numpy(), given)
    if parts is None:
        area = None if seen is None else torch.from_numpy(seen)[None]
        return Estimate(picture, untouched(picture), area, notes, belief, clues=clues)
    return replace(_compose(picture, parts, white, notes, belief), strength=float(guessed), clues=clues)


def forward(image: Any, layers: Mapping[str, Any]) -> Any:
    """The stained picture: what the scene lets through, and what covers it.

    Parameters
    ----------
    image : array
        The result; not needed, as the layers hold the scene.
    layers : mapping
        "scene", "density" and "opaque", arrays or tensors.

    Returns
    -------
    array
        ``scene * exp(-density) + opaque``.
    """
    density = layers["density"]
    through = torch.exp(-density) if isinstance(density, Tensor) else np.exp(-density)
    return layers["scene"] * through + layers["opaque"]


def _compose(picture: Tensor, parts: _Parts, white: float, notes: tuple[str, ...], belief: float) -> Estimate:
    density = torch.from_numpy(np.ascontiguousarray(parts.density.transpose(2, 0, 1)))
    scene = picture * torch.exp(density)
    opaque = torch.zeros_like(picture)
    share = torch.from_numpy(parts.filled)[None]
    if bool(share.any()):
        filling = torch.from_numpy(np.ascontiguousarray(parts.filling.transpose(2, 0, 1))) * white
        scene = torch.where(share > 0, scene + share * (filling - scene), scene)
        opaque = torch.where(share > 0, picture - scene * torch.exp(-density), opaque)
    area = (density.amax(dim=0, keepdim=True) > SEEN) | (share > 0.05)
    part = 100 * float(area.float().mean())
    dyed = density.mean(dim=0, keepdim=True)[(density.amax(dim=0, keepdim=True) > SEEN)]
    amount = f"stains on {part:.2g} % of the picture"
    amount += f", mean density {float(dyed.mean()):.2g}" if dyed.numel() else ""
    crust = 100 * float((share > 0.5).float().mean())
    amount += f", {crust:.2g} % hidden by crust and filled" if crust else ""
    return Estimate(
        scene,
        {"scene": scene, "density": density, "opaque": opaque},
        area,
        (amount, *notes),
        max(0.0, min(1.0, belief)),
    )


def _reduced(picture: Field) -> Field:
    scale = JUDGED / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _sector(stain: Field | None) -> Sector | None:
    """The hues of a stain of given density; None where it has no colour."""
    if stain is None:
        return BROWN
    across, down = float(stain[1] - stain[0]), float(stain[2] - stain[1])
    if np.hypot(across, down) < COLOURLESS * float(stain.max()):
        return None
    return Sector(float(np.degrees(np.arctan2(down, across))), GIVEN_HALF)


def _unasked(
    picture: Field, stain: Field | None, clues: dict[str, float]
) -> tuple[_Parts | None, tuple[str, ...], float, Area | None]:
    """Look for stains in the whole picture; what they are judged by is added to the clues."""
    if picture.shape[2] != 3:
        return None, ("left as it is: without colour, a stain cannot be told from the scene; give a mask",), 0.5, None
    hues = _sector(stain)
    if hues is None:
        return None, ("left as it is: a stain without colour cannot be told from shadow; give a mask",), 0.5, None
    small = _reduced(picture)
    found = find_stains(small, hues)
    clues["belief"] = found.belief
    if found.belief >= CONVINCED:
        parts = _removed(picture, small, found, hues, stain)
        if float(parts.filled.mean()) < MOST_FILLED:
            return parts, _told(stain), found.belief, None
        seen = (parts.filled > 0.5) | (parts.density.max(axis=2) > SEEN)
        return None, (f"left as it is: crust hides {100 * float(parts.filled.mean()):.0f} % of the picture",), 0.3, seen
    if stain is None:
        rust = looks_like_rust(small)
        if float(rust.mean()) > RUST_ALL_OVER:
            size = (picture.shape[1], picture.shape[0])
            seen = cv2.resize(rust.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            note = (
                f"left as it is: {100 * float(rust.mean()):.0f} % of the picture is brown and grainy as rust is, "
                "too much to tell what lies below"
            )
            return None, (note,), 0.3, seen
    return None, (f"left as it is, no stain found: {found.reason}",), 1 - found.belief, None


def _told(stain: Field | None) -> tuple[str, ...]:
    return () if stain is None else ("the density's direction was given",)


def _removed(picture: Field, small: Field, found: Found, hues: Sector, stain: Field | None) -> _Parts:
    """Take off what was found, at full size."""
    size = picture.shape[:2]
    ground, area = found.ground, found.dye | found.crust
    assert ground is not None
    small = cv2.GaussianBlur(small, (0, 0), found.blur) if found.blur else cv2.blur(small, (3, 3))
    log = log_light(small)
    apart = ratios(log) - ground.colour
    direction = None
    if stain is not None:
        direction = hues.axis
        slope = np.full(area.shape, stain[0] / np.hypot(stain[1] - stain[0], stain[2] - stain[1]), np.float32)
    else:
        slope = slopes(small, log, apart, hues.axis, found.dye, ground, LEAK_CAUTION if found.blur else 1.0)
        if ground.noise > UNEVEN:
            mean = np.median(apart[area], axis=0)
            direction = mean / np.hypot(*mean)
    near = cv2.dilate(area.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(np.float32)
    density = dye_density(
        picture,
        _enlarged(ground.colour, size),
        _enlarged(slope, size),
        _enlarged(cv2.blur(near, (5, 5)), size),
        ground.error,
        direction,
        coarse=found.blur > 0,
    )
    if not found.crust.any():
        return _Parts(density, np.zeros(size, np.float32), picture)
    thick = apart @ hues.axis
    hard = found.crust & (thick > max(CRUST_PART * float(np.quantile(thick[found.crust], 0.8)), CRUST_LEAST))
    # What shows through small gaps of a crust is as good as hidden.
    closed = cv2.erode(cv2.dilate(hard.astype(np.uint8), disk(6)), disk(4))
    hole = _enlarged(closed.astype(np.float32), size) > 0.4
    # Grains of crust in its dye would come out as sparks.
    light = (picture * np.exp(density)).mean(axis=2)
    sparks = (light > SPARK * cv2.medianBlur(light, 5)) & (density.max(axis=2) > SPARK_DENSITY)
    return _filled(picture, density, hole | sparks)


def _filled(picture: Field, density: Field, hole: Area) -> _Parts:
    """Fill what a crust hides from what the dye around it lets through."""
    share = np.maximum(cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.0), hole).astype(np.float32)
    share[share < 0.02] = 0
    filling = fill(picture * np.exp(density), share > 0)
    density = np.where(hole[..., None], np.float32(0), density)
    return _Parts(density, share, filling)


def _covers(found: Area, inside: Area) -> bool:
    return bool(inside.any()) and float(found[inside].mean()) > COVERED


def _enlarged(values: Field, size: tuple[int, int]) -> Field:
    if values.shape[:2] == size:
        return values
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def _asked(picture: Field, hole: Area, stain: Field | None) -> tuple[_Parts | None, tuple[str, ...], float, bool]:
    """Stains where the user says they are, and whether they could only be guessed from their rim."""
    if hole.all():
        return None, ("left as it is: the mask leaves nothing of the surface to see",), 0.3, True
    size = hole.shape
    small = _reduced(picture)
    inside = _enlarged(hole.astype(np.float32), small.shape[:2]) > 0.05
    # A mask seldom ends where the stain does; its rim is soft.
    soft = cv2.GaussianBlur(cv2.dilate(hole.astype(np.float32), disk(1)), (0, 0), 1.0)
    nothing = np.zeros(size, np.float32)
    hues = _sector(stain)
    if picture.shape[2] == 3 and hues is not None:
        # What is seen of the stains all over the picture tells more than what is seen of these alone.
        found = find_stains(small, hues)
        if found.belief >= CONVINCED and _covers(found.dye | found.crust, inside):
            parts = _removed(picture, small, found, hues, stain)
            inner = _Parts(parts.density * soft[..., None], parts.filled * soft, parts.filling)
            return inner, (MASKED, *_told(stain)), found.belief, False
    if picture.shape[2] == 1 or (stain is not None and hues is None):
        # Neither a gray picture nor a gray stain has a colour to go by.
        thick = _enlarged(gray_density(np.ascontiguousarray(small.mean(axis=2)), inside), size) * soft
        each = np.ones(1, np.float32) if stain is None else (stain / stain.mean()).astype(np.float32)
        return _Parts(thick[..., None] * each, nothing, picture), (MASKED, *_told(stain)), 0.5, True
    judged = judge(small, inside, stain)
    if judged is None:
        return None, ("left as it is: nothing is known of the surface around the mask",), 0.3, True
    density = dye_density(
        picture,
        _enlarged(judged.ground.colour, size),
        _enlarged(judged.slope, size),
        soft * _enlarged(judged.whole, size),
        0.0,
        None if judged.plain and stain is None else judged.axis,
        coarse=judged.leak > LEAKY,
        detail=None if judged.plain else _enlarged(judged.detail, size),
    )
    if not judged.crust.any():
        return _Parts(density, nothing, picture), (MASKED, *_told(stain)), 0.7, True
    crust = hole & (_enlarged(judged.crust.astype(np.float32), size) > 0.3)
    return _filled(picture, density, crust), (MASKED, *_told(stain)), 0.7, True
