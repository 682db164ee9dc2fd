"""What all methods that separate highlights share: the checks of their input, the way to light, and back to layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.specular_fill import Area, Image
from imgrestore.light import decode, encode

__all__ = ["Lamp", "Picture", "Transfer", "check_transfer", "coded", "in_light", "lamp_colour", "take", "white_of"]

Transfer = Literal["auto", "srgb", "linear"]
Lamp = tuple[float, float, float]

# White is this quantile of the brightest channel, over what is not black.
WHITE = 98.0
BLACK = 0.02


@dataclass(frozen=True)
class Picture:
    """A colour picture as it was given, checked.

    Attributes
    ----------
    data : Tensor of floating point, shape (3, H, W)
    area : ndarray of bool, shape (H, W), optional
        Where the highlights are said to be.
    is_tensor : bool
        Whether it came as a tensor.
    """

    data: Tensor
    area: Area | None
    is_tensor: bool

    @property
    def values(self) -> Tensor:
        """The picture in float32 on the CPU, shape (3, H, W)."""
        return self.data.detach().cpu().float()

    def back(self, layer: Tensor) -> Any:
        """A layer (3, H, W) in the layout, the type and the dtype that the picture came in."""
        layer = layer.to(self.data)
        return layer if self.is_tensor else layer.movedim(0, -1).numpy()

    def apart(self, specular: Tensor) -> tuple[Any, Any]:
        """The diffuse and the specular layer, whose sum is the picture, from the specular one."""
        specular = specular.to(self.data)
        return self.back(self.data - specular), self.back(specular)


def take(image: Any, mask: Any = None) -> Picture:
    """Check a colour picture and the mask of its highlights.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3) or torch.Tensor of shape (3, H, W)
        Floating point.
    mask : array of bool, shape (H, W), optional

    Returns
    -------
    Picture

    Raises
    ------
    TypeError
        Where `image` is neither, or not floating point.
    ValueError
        Where shapes are others, or a value is not finite.
    """
    is_tensor = isinstance(image, torch.Tensor)
    if not is_tensor and not isinstance(image, np.ndarray):
        raise TypeError(f"image is of type {type(image).__name__}; expected an ndarray or a torch.Tensor")
    data = image if is_tensor else torch.from_numpy(np.array(image, image.dtype.newbyteorder("="))).movedim(-1, 0)
    if not data.is_floating_point():
        raise TypeError(f"image has dtype {data.dtype}; expected floating point")
    if data.ndim != 3 or data.shape[0] != 3:
        raise ValueError(f"image has shape {tuple(image.shape)}; expected three channels")
    if not data.numel():
        raise ValueError(f"image has shape {tuple(image.shape)}; expected at least one pixel")
    if not torch.isfinite(data).all():
        raise ValueError("image has values that are not finite; imgrestore.despecular leaves such pixels out")
    area = None if mask is None else torch.as_tensor(mask).detach().cpu().bool().numpy()
    if area is not None and area.shape != tuple(data.shape[1:]):
        raise ValueError(f"mask has shape {area.shape}; expected {tuple(data.shape[1:])}")
    return Picture(data, area, is_tensor)


def lamp_colour(illuminant: Any) -> Lamp | None:
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


def check_transfer(transfer: Any) -> None:
    """Refuse what is no way of coding.

    Parameters
    ----------
    transfer : {"auto", "srgb", "linear"}

    Raises
    ------
    ValueError
        Where it is none of these.
    """
    if transfer not in get_args(Transfer):
        raise ValueError(f"transfer is {transfer!r}; expected one of {', '.join(get_args(Transfer))}")


def in_light(values: Tensor, kind: str, lamp: Lamp | None) -> Image:
    """Light of which the lamp is white, from values.

    Parameters
    ----------
    values : Tensor of float32, any shape with the channels last
    kind : {"srgb", "linear"}
    lamp : tuple of float or None
        From `lamp_colour`.

    Returns
    -------
    ndarray of float32
    """
    light = (decode(values) if kind == "srgb" else values).numpy()
    return np.asarray(light if lamp is None else light / np.asarray(lamp, np.float32), np.float32)


def coded(light: Image, kind: str, lamp: Lamp | None) -> Tensor:
    """Values from light: the inverse of `in_light`.

    Parameters
    ----------
    light : ndarray of float32, any shape with the channels last
    kind : {"srgb", "linear"}
    lamp : tuple of float or None

    Returns
    -------
    Tensor of float32
    """
    values = torch.from_numpy(light if lamp is None else light * np.asarray(lamp, np.float32))
    return encode(values) if kind == "srgb" else values


def white_of(brightest: Image) -> float:
    """Brightness of the brighter parts.

    Parameters
    ----------
    brightest : ndarray, shape (H, W)
        Of every pixel the brightest channel.

    Returns
    -------
    float
        Above 0.
    """
    lit = brightest[brightest > BLACK * brightest.max()]
    return max(float(np.percentile(lit, WHITE)) if lit.size else 0.0, 1e-6)
