"""Seeded sets of damaged pictures with their truth, and the gain of a task on them. The sets are in set_<damage>.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Damaged:
    """A picture made by a forward model.

    Attributes
    ----------
    name : str
    observed, truth : ndarray of float32, shape (H, W) or (H, W, 3), range 0 to 1
    mask : ndarray of bool, shape (H, W), optional
        Where the damage is.
    settings : dict
        What the task is to be told besides.
    """

    name: str
    observed: np.ndarray
    truth: np.ndarray
    mask: np.ndarray | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gain:
    """PSNR in dB before and after, and the largest error of the layers' recomposition."""

    name: str
    before: float
    after: float
    recomposed: float

    @property
    def gain(self) -> float:
        return self.after - self.before


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    error = np.mean((np.clip(picture.astype(np.float64), 0, 1) - truth) ** 2)
    return float(-10 * np.log10(max(error, 1e-12)))


def gains(task: Callable[..., Any], samples: Sequence[Damaged], *, with_mask: bool = False) -> list[Gain]:
    """What a task gains on each picture of a set."""
    found = []
    for one in samples:
        extra = {**one.settings, "mask": one.mask} if with_mask else one.settings
        result = task(one.observed, details=True, **extra)
        off = float(np.abs(result.recompose() - one.observed).max())
        found.append(Gain(one.name, psnr(one.observed, one.truth), psnr(result.image, one.truth), off))
    return found


def mean(found: Sequence[Gain]) -> float:
    return float(np.mean([one.gain for one in found]))


def worst(found: Sequence[Gain]) -> float:
    return min(one.gain for one in found)
