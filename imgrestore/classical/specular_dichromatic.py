"""The dichromatic model at single pixels: what no highlight changes, and light with a mirrored part taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.specular_coding import coding
from imgrestore.classical.specular_fill import Image
from imgrestore.classical.specular_input import Lamp, Picture, Transfer, coded, in_light, lamp_colour, take, white_of
from imgrestore.classical.specular_judge import ramp

__all__ = ["Light", "specular_free"]

# The brightest channel less the darkest one, where a pixel is as good as neutral and where it is coloured: as a part
# of its brightest channel, and of the picture's white.
NEUTRAL = (0.15, 0.3)
FAINT = (0.05, 0.1)
# Of the white: what is darker has no colour to speak of.
BLACK = 0.01


@dataclass(frozen=True)
class Light:
    """The light of a picture, its lamp made white.

    Attributes
    ----------
    planes : ndarray of float32, shape (3, H, W)
    kind : {"srgb", "linear"}
        How the values were coded.
    lamp : tuple of float or None
        Colour of the light.
    least, most : ndarray of float32, shape (H, W)
        Of every pixel the darkest and the brightest channel.
    white : float
        Brightness of its brighter parts.
    """

    planes: Image
    kind: str
    lamp: Lamp | None
    least: Image
    most: Image
    white: float

    @classmethod
    def of(cls, light: Image, kind: str = "linear", lamp: Lamp | None = None) -> Light:
        """From light as it is, of shape (H, W, 3)."""
        planes = np.ascontiguousarray(light.transpose(2, 0, 1))
        least, most = planes.min(axis=0), planes.max(axis=0)
        return cls(planes, kind, lamp, least, most, white_of(most))

    @classmethod
    def seen_in(cls, picture: Picture, illuminant: Any, transfer: Transfer) -> Light:
        """From a picture, the settings as those of `imgrestore.classical.separate_highlights`."""
        lamp, values = lamp_colour(illuminant), picture.values
        kind = coding(values, transfer, lamp, picture.area)
        return cls.of(in_light(values.movedim(0, -1).contiguous(), kind, lamp), kind, lamp)

    @property
    def spread(self) -> Image:
        """The brightest channel less the darkest one, which no highlight changes."""
        return self.most - self.least

    @property
    def coloured(self) -> Image:
        """0 where a pixel is black or as good as neutral, 1 where it has a colour."""
        by_own = ramp(self.spread / np.maximum(self.most, BLACK * self.white), *NEUTRAL)
        by_white = ramp(self.spread / self.white, *FAINT)
        return np.asarray(by_own * by_white, np.float32)

    def values(self, planes: Image) -> Tensor:
        """Light (3, H, W) coded as the picture was."""
        return coded(planes.transpose(1, 2, 0), self.kind, self.lamp).movedim(-1, 0)

    def mirrored(self, picture: Picture, amount: Image) -> Tensor:
        """What the picture loses with an amount (H, W) of mirrored light, which leaves no channel below 0."""
        amount = np.clip(amount, 0, np.maximum(self.least, 0))
        if picture.area is not None:
            amount = np.where(picture.area, amount, 0)
        loss = picture.values - self.values(self.planes - amount)
        return torch.where(torch.from_numpy(amount > 0), loss.clamp(min=0), torch.zeros_like(loss))


def specular_free(image: Any, *, illuminant: Any = "auto", transfer: Transfer = "auto") -> Any:
    """Subtract from every pixel its darkest channel: a picture in which highlights cannot be seen.

    In light of which the lamp is white, a highlight adds the same to all channels; what is left here without the
    darkest one has the hue of the body, and its shading and edges, but is darker and purer in colour than the body. It
    is a guide for other methods, not a restored picture.

    Neutral things would turn black, and are left as they are: in full where the channels differ by less than 15 % of
    the brightest one, or 5 % of the picture's white, and by degrees up to twice as much. So highlights stay where they
    are clipped to white, and on dark and on neutral bodies.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3) or torch.Tensor of shape (3, H, W)
        Floating point, black at 0 and white near 1.
    illuminant : "auto" or (r, g, b)
        Colour of the light in linear values, of which only the ratios count. "auto" takes it for white.
    transfer : {"auto", "srgb", "linear"}
        How the values are coded. "auto" decides as `separate_highlights` does.

    Returns
    -------
    array
        Of the image's type, shape and dtype, nowhere brighter.

    Raises
    ------
    TypeError
        Where `image` is not floating point.
    ValueError
        Where an argument is not as described, or a value not finite or beyond 100 000.

    References
    ----------
    Tan & Ikeuchi, "Separating reflection components of textured surfaces using a single image" (2005): the
    specular-free image, there of one chromaticity. Shen & Cai, "Simple and efficient method for specularity removal in
    an image" (2009): the one without the darkest channel, there with an offset.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.classical import specular_free
    >>> green, shine = np.full((8, 8, 3), (0.1, 0.4, 0.2)), np.zeros((8, 8, 1))
    >>> shine[3:5, 3:5] = 0.3
    >>> bool(np.ptp(specular_free(green + shine, transfer="linear"), axis=(0, 1)).max() < 1e-6)
    True
    """
    picture = take(image)
    light = Light.seen_in(picture, illuminant, transfer)
    return picture.apart(light.mirrored(picture, light.coloured * light.least))[0]
