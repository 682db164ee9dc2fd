"""The training ground of the net for shadows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.shadow import estimate_shadow
from imgrestore.data import shadows
from imgrestore.train.separation import SeparationGround

__all__ = ["DeshadowGround"]


class DeshadowGround(SeparationGround):
    """Shadows drawn on photographs, real pairs, and photographs whose shadows are marked."""

    task: ClassVar[str] = "deshadow"
    # Photographs have shadows of their own.
    sure: ClassVar[float] = 0.25

    @staticmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Shade a picture."""
        observed, area = shadows.drawn(clean, rng)
        return observed, clean, area

    @staticmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where the first picture of a pair is darker."""
        return shadows.shaded_area(observed, truth)

    @staticmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The classical estimate."""
        return estimate_shadow(observed, mask, good)
