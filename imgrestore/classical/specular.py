"""Highlights on coloured bodies, by the dichromatic model: what a body shows, and what its surface mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.noise import estimate_noise
from imgrestore.classical.specular_fill import Area, Image, membrane
from imgrestore.classical.specular_lift import Lifted, lift_below, lift_small, lift_wide
from imgrestore.classical.specular_parts import Scene
from imgrestore.light import decode, encode

__all__ = ["Transfer", "estimate_highlights", "lamp_colour", "separate_highlights", "untouched"]

Transfer = Literal["auto", "srgb", "linear"]

# The camera is at its limit from this part of the largest value on.
CLIPPED = 0.98
# White is this quantile of the brightest channel, over what is not black.
WHITE = 98.0
BLACK = 0.02
# Linear values are dark, their brighter ones too, and highlights in them are found as linear and hardly any as sRGB.
LINEAR_MEDIAN, LINEAR_TOP, LINEAR_EVIDENCE = 0.45, 0.77, 2.5
TOP = 95.0
DARK = 0.03
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
        Where `image` is not floating point.
    ValueError
        Where an argument is not as described.

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
    is_tensor = isinstance(image, torch.Tensor)
    data = image if is_tensor else torch.from_numpy(np.array(image, image.dtype.newbyteorder("="))).movedim(-1, 0)
    if not data.is_floating_point():
        raise TypeError(f"image has dtype {data.dtype}; expected floating point")
    if data.ndim != 3 or data.shape[0] != 3:
        raise ValueError(f"image has shape {tuple(image.shape)}; expected three channels")
    if not torch.isfinite(data).all():
        raise ValueError("image has values that are not finite; imgrestore.despecular leaves such pixels out")
    area = None if mask is None else torch.as_tensor(mask).detach().cpu().bool()[None]
    if area is not None and area.shape[1:] != data.shape[1:]:
        raise ValueError(f"mask has shape {tuple(area.shape[1:])}; expected {tuple(data.shape[1:])}")
    good = torch.ones((1, *data.shape[1:]), dtype=torch.bool)
    found = estimate_highlights(data.detach().cpu().float(), area, good, illuminant=illuminant, transfer=transfer)
    specular = found.layers["specular"].to(data)
    diffuse = data - specular
    return (diffuse, specular) if is_tensor else (diffuse.movedim(0, -1).numpy(), specular.movedim(0, -1).numpy())


def lamp_colour(illuminant: Any) -> tuple[float, float, float] | None:
    """Check the colour of the light.

    Parameters
    ----------
    illuminant : "auto" or sequence of three positive numbers

    Returns
    -------
    tuple of float or None
        Scaled to a mean of 1; None for "auto".

    Raises
    ------
    ValueError
        Where it is neither.
    """
    if isinstance(illuminant, str) and illuminant == "auto":
        return None
    wrong = ValueError(f"illuminant is {illuminant!r}; expected 'auto' or three positive numbers (red, green, blue)")
    if isinstance(illuminant, str) or not isinstance(illuminant, (Sequence, np.ndarray, torch.Tensor)):
        raise wrong
    try:
        values = np.asarray(illuminant, dtype=np.float64)
    except (TypeError, ValueError):
        raise wrong from None
    if values.shape != (3,) or not np.isfinite(values).all() or (values <= 0).any():
        raise wrong
    red, green, blue = (float(v) for v in values / values.mean())
    return red, green, blue


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
    if transfer not in get_args(Transfer):
        raise ValueError(f"transfer is {transfer!r}; expected one of {', '.join(get_args(Transfer))}")
    area = None if mask is None else mask[0].numpy()
    if area is not None and area.all():
        note = "left as it is: the mask shows no body beside the highlights"
        return Estimate(picture, untouched(picture), notes=(note,), confidence=0.5)
    if len(picture) == 1:
        return _gray(picture, area, good)
    values = picture.movedim(0, -1).contiguous()
    kinds = ("srgb", "linear") if transfer == "auto" else (transfer,)
    if transfer == "auto" and (area is not None or not _dark(values.numpy())):
        kinds = ("srgb",)
    kind, best = _lifted(values, kinds, lamp, area)
    if best.evidence < LEAST_EVIDENCE and area is None:
        return Estimate(
            picture, untouched(picture), notes=("no highlight on a coloured body was found",), confidence=0.8
        )
    result, changed = _coded(values, best.light, kind, lamp)
    changed &= good[0].numpy()
    result = torch.where(torch.from_numpy(changed), result.movedim(-1, 0), picture)
    where = ((picture - result).abs().amax(dim=0, keepdim=True) > SEEN) if mask is None else (mask & good)
    return Estimate(
        result,
        {"diffuse": result, "specular": picture - result},
        where,
        _notes(best, kind, lamp, area is not None, float(where.float().mean())),
        0.5 + 0.5 * best.score if area is None else 0.5,
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


def _brightest(image: Image) -> Image:
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def _dark(values: Image) -> bool:
    brightest = _brightest(values)
    lit = brightest[brightest > DARK]
    if not lit.size:
        return False
    middle, top = np.percentile(lit, (50.0, TOP))
    return bool(middle < LINEAR_MEDIAN and top < LINEAR_TOP)


def _lifted(
    values: Tensor, kinds: tuple[str, ...], lamp: tuple[float, float, float] | None, area: Area | None
) -> tuple[str, Lifted]:
    """The light without highlights, and which of the kinds of coding agrees with the model."""
    if area is not None:
        return kinds[0], lift_below(_scene(values, _open(values), kinds[0], lamp, noisy=False), area)
    opened = _open(values)
    scenes = {kind: _scene(values, opened, kind, lamp) for kind in kinds}
    wide = {kind: lift_wide(scene) for kind, scene in scenes.items()}
    kind = kinds[0]
    if len(kinds) == 2 and wide["linear"].evidence > LINEAR_EVIDENCE * wide["srgb"].evidence:
        kind = "linear"
    return kind, lift_small(scenes[kind], wide[kind])


def _open(values: Tensor) -> Image:
    """1 where a channel is not clipped, else 0."""
    return (values < CLIPPED * max(1.0, float(values.max()))).float().numpy()


def _scene(
    values: Tensor, opened: Image, kind: str, lamp: tuple[float, float, float] | None, *, noisy: bool = True
) -> Scene:
    light = (decode(values) if kind == "srgb" else values).numpy()
    if lamp is not None:
        light = light / np.asarray(lamp, np.float32)
    brightest = _brightest(light)
    lit = brightest[brightest > BLACK * brightest.max()]
    white = max(float(np.percentile(lit, WHITE)) if lit.size else 0.0, 1e-6)
    noise = float(estimate_noise(np.ascontiguousarray(light[..., 1]))) if noisy else 0.0
    return Scene(light, opened, white, noise)


def _coded(values: Tensor, light: Image, kind: str, lamp: tuple[float, float, float] | None) -> tuple[Tensor, Area]:
    """The picture without its highlights, and where it was changed."""
    before = (decode(values) if kind == "srgb" else values).numpy()
    if lamp is not None:
        before = before / np.asarray(lamp, np.float32)
        changed = (light != before).any(axis=2)
        light = light * np.asarray(lamp, np.float32)
    else:
        changed = (light != before).any(axis=2)
    after = torch.from_numpy(light)
    return (encode(after) if kind == "srgb" else after), changed


def _notes(
    best: Lifted, kind: str, lamp: tuple[float, float, float] | None, given: bool, part: float
) -> tuple[str, ...]:
    what = "highlights taken off where the mask shows them" if given else f"{best.spots} highlights taken off"
    coded = "sRGB" if kind == "srgb" else "linear"
    colour = "white" if lamp is None else "{:.2f}, {:.2f}, {:.2f}".format(*lamp)
    return (f"{what}, on {100 * part:.2g} % of the picture", f"values taken to be {coded}, the light to be {colour}")
