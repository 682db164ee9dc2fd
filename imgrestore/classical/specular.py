"""Highlights on coloured bodies, by the dichromatic model: what a body shows, and what its surface mirrors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.specular_bilateral import beside
from imgrestore.classical.specular_coding import agreeing, kinds_of, lifts_of, scene_of
from imgrestore.classical.specular_fill import Area, Image, membrane
from imgrestore.classical.specular_input import (
    Lamp,
    Transfer,
    check_transfer,
    coded,
    in_light,
    lamp_colour,
    take,
)
from imgrestore.classical.specular_lift import Lifted, lift_below, lift_small

__all__ = ["Transfer", "estimate_highlights", "lamp_colour", "separate_highlights", "untouched"]

# A change of less than half a step of an 8-bit file is not shown in the mask.
SEEN = 0.5 / 255
# Less light than this many pixels of white is no finding.
LEAST_EVIDENCE = 0.5

untouched = layers_without("diffuse", zeros=("specular",))


def separate_highlights(
    image: Any, *, illuminant: Any = "auto", transfer: Transfer = "auto", mask: Any = None
) -> tuple[Any, Any]:
    """Take a colour picture apart into its bodies and the light that they mirror.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3) or torch.Tensor of shape (3, H, W)
        Floating point, black at 0 and white near 1; values outside are kept.
    illuminant : "auto" or (r, g, b)
        Colour of the light in linear values, of which only the ratios count. "auto" takes it for white.
    transfer : {"auto", "srgb", "linear"}
        How the values are coded. "auto" decides by which the highlights agree with the model.
    mask : array of bool, shape (H, W), optional
        Where the highlights are; found by default.

    Returns
    -------
    tuple of two arrays
        The diffuse and the specular part, of the image's type, shape and dtype; their sum is the image.

    Raises
    ------
    TypeError
        Where `image` is not floating point, or `mask` not boolean.
    ValueError
        Where an argument is not as described, or a value not finite or beyond 100 000.

    See Also
    --------
    separate_by_ratio, separate_by_bilateral, specular_free : published methods, which change every coloured picture.

    References
    ----------
    Shafer, "Using color to separate reflection components" (1985); Shen & Zheng, "Real-time highlight removal using
    intensity ratio" (2013); Yang, Wang & Ahuja, "Real-time specular highlight removal using bilateral filtering"
    (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import separate_highlights
    >>> green = np.full((64, 64, 3), (0.1, 0.4, 0.2))
    >>> diffuse, specular = separate_highlights(green)
    >>> float(specular.max())
    0.0
    """
    picture = take(image, mask)
    good = torch.ones((1, *picture.data.shape[1:]), dtype=torch.bool)
    area = None if picture.area is None else torch.from_numpy(picture.area)[None]
    found = estimate_highlights(picture.values, area, good, illuminant=illuminant, transfer=transfer)
    return picture.apart(found.layers["specular"])


def estimate_highlights(
    picture: Tensor,
    mask: Tensor | None,
    good: Tensor,
    *,
    illuminant: Any = "auto",
    transfer: Transfer = "auto",
) -> Estimate:
    """Find the highlights of one picture and take them off.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W), C being 1 or 3
        Black at 0 and white near 1; values outside are kept.
    mask : Tensor of bool, shape (1, H, W), optional
        Where the highlights are: nothing else is looked at.
    good : Tensor of bool, shape (1, H, W)
        False where a pixel means nothing.
    illuminant, transfer
        As in `separate_highlights`.

    Returns
    -------
    Estimate
        With the layers "diffuse" and "specular", whose sum is the picture.
    """
    lamp = lamp_colour(illuminant)
    check_transfer(transfer)
    area = None if mask is None else mask[0].numpy()
    if area is not None and area.all():
        note = "left as it is: the mask shows no body beside the highlights"
        return Estimate(picture, untouched(picture), notes=(note,), confidence=0.5)
    if len(picture) == 1:
        return _gray(picture, area, good)
    values = picture.movedim(0, -1).contiguous()
    kind, best = _lifted(values, kinds_of(values, transfer, area), lamp, area)
    clues = {"light": best.evidence, "score": best.score, "linear": float(kind == "linear")}
    if best.evidence < LEAST_EVIDENCE and area is None:
        note = "no highlight on a coloured body was found"
        return Estimate(picture, untouched(picture), notes=(note,), confidence=0.8, clues=clues)
    light = best.light
    if kind == "linear" and area is None:
        light = beside(in_light(values, kind, lamp), light)
    result, changed = _coded(values, light, kind, lamp)
    changed &= good[0].numpy()
    result = torch.where(torch.from_numpy(changed), result.movedim(-1, 0), picture)
    where = ((picture - result).abs().amax(dim=0, keepdim=True) > SEEN) if mask is None else (mask & good)
    return Estimate(
        result,
        {"diffuse": result, "specular": picture - result},
        where,
        _notes(best, kind, lamp, area is not None, light is not best.light, float(where.float().mean())),
        0.5 + 0.5 * best.score if area is None else 0.5,
        clues=clues,
    )


def _gray(picture: Tensor, area: Area | None, good: Tensor) -> Estimate:
    """Without colours only a mask can tell highlights from white things."""
    if area is None:
        note = "left as it is: without colours a highlight cannot be told from a white thing; a mask would say where"
        return Estimate(picture, untouched(picture), notes=(note,), confidence=0.5)
    body = torch.from_numpy(membrane(picture.movedim(0, -1).contiguous().numpy(), area)).movedim(-1, 0)
    result = torch.where(good, torch.minimum(picture, body), picture)
    note = "a picture without colours: what the mask shows was filled from around it"
    where = torch.from_numpy(area)[None] & good
    return Estimate(result, {"diffuse": result, "specular": picture - result}, where, (note,), 0.5)


def _lifted(values: Tensor, kinds: tuple[str, ...], lamp: Lamp | None, area: Area | None) -> tuple[str, Lifted]:
    """The light without highlights, and which of the kinds of coding agrees with the model."""
    if area is not None:
        return kinds[0], lift_below(scene_of(values, kinds[0], lamp, noisy=False), area)
    lifts = lifts_of(values, kinds, lamp)
    kind = agreeing(lifts)
    return kind, lift_small(*lifts[kind])


def _coded(values: Tensor, light: Image, kind: str, lamp: Lamp | None) -> tuple[Tensor, Area]:
    """The picture without its highlights, and where it was changed."""
    before = in_light(values, kind, lamp)
    changed = (light != before).any(axis=2)
    return coded(light, kind, lamp), changed


def _notes(best: Lifted, kind: str, lamp: Lamp | None, given: bool, faint: bool, part: float) -> tuple[str, ...]:
    what = "highlights taken off where the mask shows them" if given else f"{best.spots} highlights taken off"
    what += " with the faint light beside them" if faint else ""
    coded = "sRGB" if kind == "srgb" else "linear"
    colour = "white" if lamp is None else "{:.2f}, {:.2f}, {:.2f}".format(*lamp)
    return (f"{what}, on {100 * part:.2g} % of the picture", f"values taken to be {coded}, the light to be {colour}")
