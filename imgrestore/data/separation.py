"""Pictures to take apart: real pairs and drawn damages with their classical estimates, and crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.nets.separator import Form

__all__ = ["Sample", "SeparationBatch", "counted", "cut", "drawn_region", "planes_of", "reduced_to", "toned"]

# How often crops are flipped down and transposed; across they are every other time.
UPSIDE_DOWN = 0.15
# Range of the exponent and of the factor of the tones, and how far the factor of a colour may be from the others.
GAMMA, LEVEL, CAST = (0.7, 2.0), (0.7, 1.02), 0.15


@dataclass(frozen=True)
class Sample:
    """One crop, or one picture, of size (H, W).

    Attributes
    ----------
    observed, truth, estimate : Tensor of float32, shape (3, H, W)
        Range [0, 1]. Where no truth is known it is the observation.
    layer : Tensor of float32, shape (L, H, W)
        The classical estimate of the damage, as `imgrestore.nets.separator.Separated` has it.
    found, area : Tensor of float32, shape (1, H, W)
        Where the classical method found damage, and where there is some: 0 to 1.
    given : Tensor of float32, shape (2, H, W)
        What a user says of it, as `imgrestore.nets.separator.Separator` takes it.
    scored, sure : float
        Weight of the scene in the loss: 0 where no truth is known. Weight of what is said to be undamaged.
    """

    observed: Tensor
    truth: Tensor
    estimate: Tensor
    layer: Tensor
    found: Tensor
    area: Tensor
    given: Tensor
    scored: float = 1.0
    sure: float = 1.0

    @classmethod
    def untreated(
        cls, observed: Tensor, truth: Tensor, area: Tensor, layers: int, *, scored: float = 1.0, sure: float = 1.0
    ) -> Sample:
        """A sample in which a classical method found nothing; its damage has so many planes."""
        layer, found, given = (torch.zeros_like(area).repeat(count, 1, 1) for count in (layers, 1, 2))
        return cls(observed, truth, observed, layer, found, area, given, scored, sure)


@dataclass
class SeparationBatch:
    """Samples side by side: the planes of `Sample` with one more axis, the weights as (N, 1, 1, 1)."""

    observed: Tensor
    truth: Tensor
    estimate: Tensor
    layer: Tensor
    found: Tensor
    area: Tensor
    given: Tensor
    scored: Tensor
    sure: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SeparationBatch:
        """Samples of one size, joined."""
        found = {}
        for field in fields(cls):
            values = [getattr(sample, field.name) for sample in samples]
            planes = values if isinstance(values[0], Tensor) else [torch.full((1, 1, 1), value) for value in values]
            found[field.name] = torch.stack(planes).float()
        return cls(**found)

    def to(self, device: torch.device) -> SeparationBatch:
        """The same on another device."""
        return SeparationBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def counted(values: Tensor, begins: float, width: float) -> Tensor:
    """How far values count: 0 up to where they begin to, and 1 from so much above on."""
    return ((values - begins) / width).clamp(0, 1)


def planes_of(picture: NDArray) -> Tensor:
    """A picture (H, W, 3) of values up to 255 as planes of float32, range [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def drawn_region(shape: tuple[int, ...], parts: tuple[float, float], rng: np.random.Generator) -> tuple[slice, slice]:
    """A square of random place and side.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    parts : (float, float)
        The least and the largest side, as parts of the shorter side of the picture.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of slice
    """
    side = max(1, round(rng.uniform(*parts) * min(shape)))
    top, left = (int(rng.integers(length - side + 1)) for length in shape)
    return slice(top, top + side), slice(left, left + side)


def cut(picture: NDArray, size: int, parts: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float32]:
    """A random crop of a stack of planes.

    Parameters
    ----------
    picture : ndarray, shape (H, W, C)
    size : int
    parts : (float, float)
        As `drawn_region` takes them.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (size, size, C)
        Reduced or enlarged, flipped, sometimes turned.
    """
    part = picture[drawn_region(picture.shape[:2], parts, rng)]
    part = _resized(part, size, size)
    across, down, turned = rng.random(3) < (0.5, UPSIDE_DOWN, UPSIDE_DOWN)
    part = part[:, ::-1] if across else part
    part = part[::-1] if down else part
    part = part.transpose(1, 0, 2) if turned else part
    return np.ascontiguousarray(part, np.float32)


def reduced_to(picture: NDArray, side: int) -> NDArray:
    """A picture (H, W, C) with its shorter side at most `side`."""
    factor = min(picture.shape[:2]) / side
    if factor <= 1:
        return picture
    return _resized(picture, *(max(1, round(length / factor)) for length in picture.shape[:2]))


def _resized(picture: NDArray, height: int, width: int) -> NDArray:
    if picture.shape[:2] == (height, width):
        return picture
    way = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_LINEAR
    # OpenCV takes four planes at a time.
    parts = [picture[..., i : i + 4] for i in range(0, picture.shape[2], 4)]
    sized = [cv2.resize(part, (width, height), interpolation=way).reshape(height, width, -1) for part in parts]
    return np.concatenate(sized, axis=2)


def toned(
    planes: Sequence[Tensor], layer: Tensor | None, form: Form, rng: np.random.Generator
) -> tuple[list[Tensor], Tensor | None]:
    """Pictures in other light, all changed alike, with the layer that belongs to them.

    Parameters
    ----------
    planes : sequence of Tensor, shape (3, H, W)
        Range [0, 1].
    layer : Tensor, shape (L, H, W), optional
        As in `Sample`.
    form : str
        How the damage meets the scene. Only a factor can be brought through an exponent.
    rng : numpy.random.Generator

    Returns
    -------
    list of Tensor, Tensor or None
    """
    power = float(np.exp(rng.uniform(*np.log(GAMMA)))) if form == "factor" else 1.0
    level = torch.tensor(rng.uniform(*LEVEL) * (1 + rng.uniform(-CAST, CAST, 3)), dtype=torch.float32)[:, None, None]
    changed = [one.clamp_min(1e-5) ** power * level if form == "factor" else one * level for one in planes]
    if layer is not None:
        layer = layer * power if form == "factor" else layer * level if form == "added" else layer
    return changed, layer
