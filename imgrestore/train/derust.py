"""The training ground of the net for stains and rust."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.rust import separate_stains
from imgrestore.data import stains
from imgrestore.data.pack import read_pack
from imgrestore.train.ground import reading
from imgrestore.train.separation import SeparationGround

__all__ = ["DerustGround"]


class DerustGround(SeparationGround):
    """Stains drawn on photographs, some crusts with the colours of photographed rust, and real pairs."""

    task: ClassVar[str] = "derust"
    takes: ClassVar[tuple[str, ...]] = ("pairs", "textures")

    def _helpers(self) -> list[NDArray[np.uint8]]:
        if not self.options.textures:
            return []
        with reading("textures", self.options.textures):
            return list(read_pack(self.options.textures).values())

    @staticmethod
    def drawn(clean: Tensor, other: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Stain a picture."""
        observed, area = stains.drawn(clean, other, rng)
        return observed, clean, area

    @staticmethod
    def damaged_area(observed: Tensor, truth: Tensor) -> Tensor:
        """Where the first picture of a pair is of another colour or darker."""
        return stains.changed_area(observed, truth)

    @staticmethod
    def estimator(observed: Tensor, mask: Tensor | None, good: Tensor) -> Estimate:
        """The classical estimate."""
        return separate_stains(observed, mask, good)
