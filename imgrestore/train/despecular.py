"""The training ground of the net for highlights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.specular import estimate_highlights
from imgrestore.data import highlights
from imgrestore.train.separation import SeparationGround

__all__ = ["DespecularGround"]


class DespecularGround(SeparationGround):
    """Highlights drawn on photographs, and real pairs."""

    task: ClassVar[str] = "despecular"
    takes: ClassVar[tuple[str, ...]] = ("pairs",)
    defaults: ClassVar[Mapping[str, Any]] = {**SeparationGround.defaults, "loss": "psnr30"}
    # Highlights are small beside what shadows and reflections cover.
    parts: ClassVar[tuple[float, float]] = (0.4, 0.9)
    asked: ClassVar[float] = 0.2
    # Photographs have highlights of their own.
    sure: ClassVar[float] = 0.5

    @staticmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Put highlights on a picture."""
        return highlights.drawn(clean, rng)

    @staticmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where the first picture of a pair has more light."""
        return highlights.lit_area(observed, truth)

    @staticmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The classical estimate."""
        return estimate_highlights(observed, mask, good)
