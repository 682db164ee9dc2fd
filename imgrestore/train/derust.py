"""The training ground of the net for stains and rust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.rust import separate_stains
from imgrestore.data import stains
from imgrestore.train.separation import SeparationGround

__all__ = ["DerustGround"]


class DerustGround(SeparationGround):
    """Stains drawn on photographs, some crusts with the colours of photographed rust, and real pairs."""

    task: ClassVar[str] = "derust"
    takes: ClassVar[tuple[str, ...]] = ("pairs", "textures")
    defaults: ClassVar[Mapping[str, Any]] = {**SeparationGround.defaults, "loss": "psnr30"}
    # Stains are small beside what shadows and reflections cover.
    parts: ClassVar[tuple[float, float]] = (0.4, 0.9)
    asked: ClassVar[float] = 0.25

    def _helpers(self) -> list[NDArray[np.uint8]]:
        return list(self.textures.values())

    @staticmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Stain a picture."""
        return stains.drawn(clean, other, rng)

    @staticmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where the first picture of a pair is of another colour or darker."""
        return stains.changed_area(observed, truth)

    @staticmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The classical estimate."""
        return separate_stains(observed, mask, good)
