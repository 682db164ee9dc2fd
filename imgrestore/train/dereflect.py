"""The training ground of the net for reflections."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.reflection import estimate_reflection
from imgrestore.data import reflections
from imgrestore.data.focus import shallow
from imgrestore.train.separation import SeparationGround

__all__ = ["DereflectGround"]

# Shares of the scenes with a background that is out of focus, and of these backgrounds that another picture gives.
SHALLOW, ANOTHER = 0.25, 0.5


class DereflectGround(SeparationGround):
    """Photographs behind glass that reflects other ones, and real pairs."""

    task: ClassVar[str] = "dereflect"
    asked: ClassVar[float] = 0.5

    @staticmethod
    def scene(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> Tensor:
        """A picture, now and then before a background out of focus."""
        assert other is not None
        if rng.random() > SHALLOW:
            return clean
        return shallow(clean, other if rng.random() < ANOTHER else clean, rng)

    @staticmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Lay a reflection over a picture."""
        assert other is not None
        observed, area = reflections.drawn(clean, other, rng)
        return observed, clean, area

    @staticmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where the first picture of a pair has more light."""
        return reflections.lit_area(observed, truth)

    @staticmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The classical estimate."""
        return estimate_reflection(observed, mask, good)
