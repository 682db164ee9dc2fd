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

# White is this quantile of the brightest channel, over what is not black, a part of the brightest pixels but for a few.
WHITE = 98.0
BLACK = 0.02
BRIGHTEST = 99.9
# Values beyond this are no picture whose white is near 1: their powers leave float32. Lamps are no more coloured.
LARGEST = 1e5
PUREST = 1e3


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
        Where `image` is neither, or not floating point, or `mask` not boolean.
    ValueError
        Where shapes are others, or a value is not finite or beyond 100 000.
    """
    is_tensor = isinstance(image, torch.Tensor)
    if not is_tensor and not isinstance(image, np.ndarray):
        raise TypeError(f"image is of type {type(image).__name__}; expected an ndarray or a torch.Tensor")
    if not (image.is_floating_point() if is_tensor else image.dtype.kind == "f" and image.dtype.itemsize <= 8):
        kind = str(image.dtype).removeprefix("torch.")
        raise TypeError(f"image has dtype {kind}; expected floating point of at most 64 bits")
    data = image if is_tensor else torch.from_numpy(np.array(image, image.dtype.newbyteorder("="))).movedim(-1, 0)
    if data.ndim != 3 or data.shape[0] != 3:
        raise ValueError(f"image has shape {tuple(image.shape)}; expected three channels")
    if not data.numel():
        raise ValueError(f"image has shape {tuple(image.shape)}; expected at least one pixel")
    if not torch.isfinite(data).all():
        raise ValueError("image has values that are not finite; imgrestore.despecular leaves such pixels out")
    if (most := float(data.abs().max())) > LARGEST:
        raise ValueError(f"image has values up to {most:.3g}; expected white near 1 (imgrestore.despecular scales)")
    return Picture(data, None if mask is None else _area(mask, tuple(data.shape[1:])), is_tensor)


def _area(mask: Any, shape: tuple[int, ...]) -> Area:
    values = mask.detach().cpu().numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)
    if values.dtype != bool:
        raise TypeError(f"mask has dtype {values.dtype}; expected bool")
    if values.shape != shape:
        raise ValueError(f"mask has shape {values.shape}; expected {shape}")
    return np.array(values)


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
    expected = "expected 'auto' or three positive numbers (red, green, blue), none below a thousandth of another"
    wrong = ValueError(f"illuminant is {illuminant!r}; {expected}")
    if isinstance(illuminant, str) or not isinstance(illuminant, (Sequence, np.ndarray, torch.Tensor)):
        raise wrong
    try:
        plain = illuminant.detach().cpu() if isinstance(illuminant, torch.Tensor) else illuminant
        values = np.asarray(plain, dtype=np.float64)
    except (TypeError, ValueError):
        raise wrong from None
    if values.shape != (3,) or not np.isfinite(values).all() or values.min() <= values.max() / PUREST:
        raise wrong
    values = values / values.max()
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
    if not isinstance(transfer, str) or transfer not in get_args(Transfer):
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
    top = np.percentile(brightest, BRIGHTEST) or brightest.max()
    lit = brightest[brightest > BLACK * top]
    return max(float(np.percentile(lit, WHITE)) if lit.size else 0.0, 1e-6)
