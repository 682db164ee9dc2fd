"""Pictures of any sizes as one flat tensor, from which batches of crops are gathered on its device."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Pictures"]


class Pictures:
    """Pictures of any sizes as one flat uint8 tensor, from which batches of crops are gathered on its device.

    Parameters
    ----------
    arrays : iterable of ndarray of uint8, shape (H, W, 3)
        The pictures.
    device : torch.device or str
        Where they live.
    """

    def __init__(self, arrays: Iterable[NDArray[np.uint8]], device: torch.device | str = "cpu") -> None:
        arrays = list(arrays)
        sizes = np.array([a.shape[:2] for a in arrays], np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes.prod(1) * 3)[:-1]])
        self.flat = torch.from_numpy(np.concatenate([np.ascontiguousarray(a).reshape(-1) for a in arrays])).to(device)
        self.sizes = torch.from_numpy(sizes).to(device)
        self.starts = torch.from_numpy(starts).to(device)
        self.largest = int(sizes.min(1).max())

    def __len__(self) -> int:
        return int(self.sizes.shape[0])

    def crops(self, count: int, size: int, generator: torch.Generator) -> torch.Tensor:
        """Random crops, flipped and turned.

        Parameters
        ----------
        count, size : int
            Number and side of the crops.
        generator : torch.Generator
            On the pictures' device.

        Returns
        -------
        Tensor of float32, shape (count, 3, size, size)
            Range [0, 1]. Larger pictures are drawn more often, in proportion to their area; those smaller than
            `size` never.
        """
        device = self.flat.device
        area = self.sizes.prod(1) * (self.sizes.amin(1) >= size)
        which = torch.multinomial(area.double(), count, replacement=True, generator=generator)
        place = torch.rand(count, 2, device=device, generator=generator)
        corner = (place * (self.sizes[which] - size + 1)).long()
        turn = torch.rand(count, 3, device=device, generator=generator) < 0.5
        return self.gather(which, corner, size, turn)

    def centres(self, size: int) -> torch.Tensor:
        """The middle crop of every picture, shape (len, 3, size, size), float32."""
        which = torch.arange(len(self), device=self.flat.device)
        turn = torch.zeros(len(self), 3, dtype=torch.bool, device=self.flat.device)
        return self.gather(which, (self.sizes - size) // 2, size, turn)

    def gather(self, which: torch.Tensor, corner: torch.Tensor, size: int, turn: torch.Tensor) -> torch.Tensor:
        """Crops of pictures `which` (N,) at `corner` (N, 2), flipped down, across, transposed where `turn` (N, 3)."""
        steps = torch.arange(size, device=self.flat.device)
        rows = torch.where(turn[:, 0, None], size - 1 - steps, steps) + corner[:, 0, None]
        columns = torch.where(turn[:, 1, None], size - 1 - steps, steps) + corner[:, 1, None]
        index = (rows[:, :, None] * self.sizes[which, 1, None, None] + columns[:, None, :]) * 3
        index = torch.where(turn[:, 2, None, None], index.transpose(1, 2), index) + self.starts[which, None, None]
        channels = torch.arange(3, device=self.flat.device)
        return self.flat[index[:, None] + channels[:, None, None]].float() / 255
