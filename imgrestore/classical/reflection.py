"""Reflections in glass: y = T + R, taken apart by ghosting, by statistics of a veil, or with a second picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from scipy.fft import dctn, idctn
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.reflection_ghost import Ghost, find_ghost, measured, solve_ghost
from imgrestore.classical.reflection_pair import Split, polarized_light, unflashed_light
from imgrestore.classical.reflection_veil import find_veil
from imgrestore.light import decode, encode
from imgrestore.pixels import ChannelAxis, not_negative, to_planes

__all__ = ["estimate_reflection", "flash_estimate", "polarized_estimate", "suppress_reflection", "untouched"]

# Ghosting is looked for at this long side at most, so that the shifts of a camera's full picture are found too.
SEARCHED_SIDE = 640
LEAST_SEARCHED = 96
# The strongest second image that is believed to be one, unless it is known that there is a reflection.
STRONGEST = 0.9
# A mask fades over this part of the longer side.
FADE = 0.01
# Light of the reflection from which it is part of the mask, display-coded.
SEEN = 0.02
# Faint, sharp and partial reflections are missed: how sure a picture without any sign of one is free of them.
UNSEEN = 0.6
ASK_FOR_MORE = "a faint or partial reflection is not found in one picture: a mask, flash or polarized tells more"

untouched = layers_without("transmission", zeros=("reflection",))


def estimate_reflection(picture: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
    """Take a photograph through glass apart: by ghosting where there is some, else by the veil that lies over it.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W), C being 1 or 3
        Display-coded.
    mask : Tensor of bool, shape (1, H, W), optional
        Where there is a reflection. With it none is looked for elsewhere, and fainter signs are believed.
    good : Tensor of bool, shape (1, H, W)
        Pixels that were measured.

    Returns
    -------
    Estimate
        With the layers "transmission" and "reflection", whose sum is the picture.

    References
    ----------
    Shih, Krishnan, Durand & Freeman, "Reflection removal using ghosting cues" (2015); Levin & Weiss, "User assisted
    separation of reflections from a single image using a sparsity prior" (2007).
    """
    told = mask is not None
    ghost = _find_ghost(picture, told)
    if ghost is not None:
        light = solve_ghost(picture.clamp(0, 1), ghost)
        down, right = ghost.shift
        note = (
            f"a doubled reflection: shifted by {down} rows and {right} columns, {ghost.attenuation:.2f} times as strong"
        )
        confidence = float(np.clip(ghost.height / 20, 0, 1))
        return replace(_taken_apart(picture, light, mask, good, note, confidence), clues={"ghost": ghost.height})
    veil = find_veil(_array(picture), told)
    clues = {"veil": veil.score}
    if veil.share == 0:
        if np.isfinite(veil.score):
            note = f"no reflection found: nothing is doubled, and no bright veil is likely (log odds {veil.score:.1f})"
        else:
            note = "no reflection found: nothing is doubled, and the picture is too small to tell a veil"
        sure = UNSEEN / (1 + np.exp(np.clip(veil.score, -30, 30))) if np.isfinite(veil.score) else 0.0
        return Estimate(picture, untouched(picture), notes=(note, ASK_FOR_MORE), confidence=float(sure), clues=clues)
    light = torch.from_numpy(np.ascontiguousarray(veil.light.transpose(2, 0, 1)))
    note = f"a veil of smooth light, {float(light.mean()):.3f} on average (log odds {veil.score:.1f})"
    if veil.share < 1:
        note += f"; {veil.share:.0%} of what was estimated is taken off, as it may be the scene's own"
    confidence = float(1 / (1 + np.exp(-np.clip(veil.score, -30, 30))))
    return replace(_taken_apart(picture, light, mask, good, note, confidence), clues=clues)


def flash_estimate(picture: Tensor, flashed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
    """Take a picture apart by a second one, aligned and of the same exposure, with a flash.

    Parameters
    ----------
    picture, flashed : Tensor of float32, shape (C, H, W)
        Display-coded.
    mask, good : Tensor of bool, shape (1, H, W)
        As in `estimate_reflection`.

    Returns
    -------
    Estimate
        As of `estimate_reflection`.

    References
    ----------
    Agrawal, Raskar, Nayar & Li, "Removing photography artifacts using gradient projection and flash-exposure sampling"
    (2005); Lei & Chen, "Robust reflection removal with reflection-free flash-only cues" (2021).
    """
    return _from_pair(picture, unflashed_light(_light(picture), _light(flashed)), mask, good)


def polarized_estimate(picture: Tensor, second: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
    """Take a picture apart by a second one at another angle of a polariser.

    Parameters
    ----------
    picture, second : Tensor of float32, shape (C, H, W)
        Display-coded, aligned.
    mask, good : Tensor of bool, shape (1, H, W)
        As in `estimate_reflection`.

    Returns
    -------
    Estimate
        As of `estimate_reflection`; the picture itself where the pair does not determine the layers.

    References
    ----------
    Schechner, Shamir & Kiryati, "Polarization and statistical analysis of scenes containing a semireflector" (2000);
    Bronstein, Bronstein, Zibulevsky & Zeevi, "Sparse ICA for blind separation of transmitted and reflected images"
    (2005).
    """
    return _from_pair(picture, polarized_light(_light(picture), _light(second)), mask, good)


def suppress_reflection(
    image: Any, threshold: float = 0.033, *, closeness: float = 1e-4, channel_axis: ChannelAxis = "auto"
) -> Any:
    """Suppress what is smooth: keep edges above a threshold, and let all weaker ones go.

    Minimises ``|lap T - div(S(grad y))|^2 + closeness * |T - y|^2``, where S sets gradients shorter than the threshold
    to 0, by one cosine transform each way. Fine texture of the scene goes with the reflection: `imgrestore.dereflect`
    does not do this; it is here for whoever wants a strong effect.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        As `imgrestore.dereflect` takes it.
    threshold : float
        Of the gradients' length, for a range of 1.
    closeness : float
        Above 0. How much the result is held to the input; more keeps broad light.
    channel_axis : int, None or "auto"
        As in scikit-image.

    Returns
    -------
    array
        Type, shape, dtype and range of `image`. Each channel has the mean that it had.

    Raises
    ------
    ValueError
        Where a setting is negative, or `closeness` is 0.

    References
    ----------
    Yang, Ma, Zheng, Cai & Xu, "Fast single image reflection suppression via convex optimization" (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import suppress_reflection
    >>> step = np.where(np.arange(32) < 16, 0.2, 0.7) + 0.01 * np.sin(np.arange(32) / 3)
    >>> flat = suppress_reflection(np.tile(step, (32, 1)))
    >>> bool(np.abs(np.diff(flat[0, :14])).max() < 1e-3)
    True
    """
    threshold = not_negative(threshold, "threshold")
    if not_negative(closeness, "closeness") == 0:
        raise ValueError("closeness is 0; expected a number above 0")
    planes = to_planes(image, channel_axis=channel_axis)
    data = planes.data.detach().cpu().double().numpy()
    rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in data.shape[-2:])
    laplacian = rows[:, None] + columns
    down = np.diff(data, axis=-2, append=data[..., -1:, :])
    right = np.diff(data, axis=-1, append=data[..., :, -1:])
    weak = np.sqrt((down**2 + right**2).sum(axis=1, keepdims=True)) < threshold
    down, right = (np.where(weak, 0.0, part) for part in (down, right))
    # Minus the divergence, with nothing flowing in over the rim.
    source = -np.diff(down, axis=-2, prepend=0.0) - np.diff(right, axis=-1, prepend=0.0)
    spectrum = laplacian * dctn(source, axes=(-2, -1)) + closeness * dctn(data, axes=(-2, -1))
    result = idctn(spectrum / (laplacian**2 + closeness), axes=(-2, -1))
    return planes.back(torch.from_numpy(result).to(planes.data))


def _find_ghost(picture: Tensor, told: bool) -> Ghost | None:
    gray = picture.clamp(0, 1).mean(dim=0, keepdim=True)
    height, width = gray.shape[1:]
    # A long, narrow picture is reduced no further than its shorter side allows; its middle has to do.
    factor = max(1, min(-(-max(height, width) // SEARCHED_SIDE), min(height, width) // LEAST_SEARCHED))
    if factor > 1:
        # Wide shifts show in the reduced picture, narrow ones in the middle of the full one.
        found = _measured_ghost(_middle(torch.nn.functional.avg_pool2d(gray[None], factor)[0]), told)
        if found is not None:
            shift = (found.shift[0] * factor, found.shift[1] * factor)
            return Ghost(shift, found.attenuation, found.height)
    return _measured_ghost(_middle(gray), told)


def _middle(gray: Tensor) -> Tensor:
    top, left = (max(0, (n - SEARCHED_SIDE) // 2) for n in gray.shape[1:])
    return gray[:, top : top + SEARCHED_SIDE, left : left + SEARCHED_SIDE]


def _measured_ghost(gray: Tensor, told: bool) -> Ghost | None:
    values = np.ascontiguousarray(gray[0].numpy())
    found = find_ghost(values, told)
    if found is None:
        return None
    ghost = measured(values, found)
    # Things that come twice in a scene are equally strong; a pane's second face reflects less.
    return ghost if told or ghost.attenuation < STRONGEST else None


def _from_pair(picture: Tensor, split: Split, mask: Tensor | None, good: Tensor) -> Estimate:
    if split.light is None:
        return Estimate(
            picture, untouched(picture), notes=(f"left as it was: {split.note}",), confidence=split.confidence
        )
    light = torch.from_numpy(np.ascontiguousarray(split.light.transpose(2, 0, 1)))
    coded = torch.where(light == 0, 0.0, picture - encode(decode(picture) - light))
    return _taken_apart(picture, coded, mask, good, split.note, split.confidence)


def _taken_apart(
    picture: Tensor, light: Tensor, mask: Tensor | None, good: Tensor, note: str, confidence: float
) -> Estimate:
    light = torch.minimum(light, picture.clamp(min=0))
    if mask is not None:
        light = light * _faded(mask)
    light = torch.where(good, light, 0.0)
    transmission = picture - light
    found = light.amax(dim=0, keepdim=True) > SEEN
    layers = {"transmission": transmission, "reflection": light}
    return Estimate(transmission, layers, found if mask is None else mask, (note,), confidence)


def _faded(mask: Tensor) -> Tensor:
    """1 inside a mask, falling to 0 around it without a seam."""
    sigma = max(1.0, FADE * max(mask.shape[1:]))
    return torch.from_numpy(cv2.GaussianBlur(mask[0].numpy().astype(np.float32), (0, 0), sigma))[None]


def _array(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.numpy().transpose(1, 2, 0))


def _light(picture: Tensor) -> np.ndarray:
    return _array(decode(picture))
