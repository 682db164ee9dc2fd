"""How the values of a picture are coded: in the way with which its highlights agree."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imgrestore.classical.noise import estimate_noise
from imgrestore.classical.specular_fill import Area, Image
from imgrestore.classical.specular_input import Lamp, Transfer, check_transfer, in_light, white_of
from imgrestore.classical.specular_lift import Lifted, lift_wide
from imgrestore.classical.specular_parts import Scene

__all__ = ["agreeing", "coding", "kinds_of", "lifts_of", "scene_of"]

# The camera is at its limit from this part of the largest value on.
CLIPPED = 0.98
# Linear values are dark, their brighter ones too, and highlights in them are found as linear and hardly any as sRGB.
LINEAR_MEDIAN, LINEAR_TOP, LINEAR_EVIDENCE = 0.45, 0.77, 2.5
TOP = 95.0
DARK = 0.03


def coding(picture: Tensor, transfer: Transfer, lamp: Lamp | None, area: Area | None) -> str:
    """How the values of a picture are coded.

    Parameters
    ----------
    picture : Tensor of float32, shape (3, H, W)
    transfer : {"auto", "srgb", "linear"}
    lamp : tuple of float or None
        From `lamp_colour`.
    area : ndarray of bool, shape (H, W), optional
        Where the highlights are.

    Returns
    -------
    {"srgb", "linear"}
        What `transfer` says; for "auto" that with which the highlights agree.

    Raises
    ------
    ValueError
        Where `transfer` is none of these.
    """
    check_transfer(transfer)
    values = picture.movedim(0, -1).contiguous()
    kinds = kinds_of(values, transfer, area)
    return kinds[0] if len(kinds) == 1 else agreeing(lifts_of(values, kinds, lamp))


def kinds_of(values: Tensor, transfer: Transfer, area: Area | None) -> tuple[str, ...]:
    """How values may be coded: what is said, or whatever is possible.

    Parameters
    ----------
    values : Tensor of float32, shape (H, W, 3)
    transfer : {"auto", "srgb", "linear"}
    area : ndarray of bool, shape (H, W), optional

    Returns
    -------
    tuple of str
    """
    if transfer != "auto":
        return (transfer,)
    return ("srgb", "linear") if area is None and _dark(values.numpy()) else ("srgb",)


def lifts_of(values: Tensor, kinds: tuple[str, ...], lamp: Lamp | None) -> dict[str, tuple[Scene, Lifted]]:
    """For each kind of coding the scene, and what is left of it without wide highlights.

    Parameters
    ----------
    values : Tensor of float32, shape (H, W, 3)
    kinds : tuple of str
    lamp : tuple of float or None

    Returns
    -------
    dict of str to tuple of Scene and Lifted
    """
    scenes = {kind: scene_of(values, kind, lamp) for kind in kinds}
    return {kind: (scene, lift_wide(scene)) for kind, scene in scenes.items()}


def agreeing(lifts: dict[str, tuple[Scene, Lifted]]) -> str:
    """The kind of coding with which the highlights agree.

    Parameters
    ----------
    lifts : dict of str to tuple of Scene and Lifted
        From `lifts_of`.

    Returns
    -------
    str
    """
    first, *others = lifts
    evident = "linear" in others and lifts["linear"][1].evidence > LINEAR_EVIDENCE * lifts["srgb"][1].evidence
    return "linear" if evident else first


def scene_of(values: Tensor, kind: str, lamp: Lamp | None, *, noisy: bool = True) -> Scene:
    """The scene that values show.

    Parameters
    ----------
    values : Tensor of float32, shape (H, W, 3)
    kind : {"srgb", "linear"}
    lamp : tuple of float or None
    noisy : bool
        Estimate the noise; otherwise it is 0.

    Returns
    -------
    Scene
    """
    light = in_light(values, kind, lamp)
    opened = (values < CLIPPED * max(1.0, float(values.max()))).float().numpy()
    noise = float(estimate_noise(np.ascontiguousarray(light[..., 1]))) if noisy else 0.0
    return Scene(light, opened, white_of(_brightest(light)), noise)


def _dark(values: Image) -> bool:
    brightest = _brightest(values)
    lit = brightest[brightest > DARK]
    if not lit.size:
        return False
    middle, top = np.percentile(lit, (50.0, TOP))
    return bool(middle < LINEAR_MEDIAN and top < LINEAR_TOP)


def _brightest(image: Image) -> Image:
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])
