"""The tones of photographed screens, taken from real pairs and lent to other pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from imgrestore.degrade.moire import LUMA
from imgrestore.nets.refiner import Refiner

__all__ = ["Tones"]

# How much the terms of a change of tones are held back: those of the second degree more.
RIDGE = (20.0, 20.0, 20.0, 20.0, *(200.0,) * 6)
# Brightness, contrast, red and blue against green: what differs so much between two pictures makes them strangers.
APART = (0.2, 0.12, 0.12, 0.12)


class Tones:
    """Changes of tones from screen to photograph, each with what the screen showed.

    A camera meters what it sees, so its change of tones depends on the picture. Pictures therefore borrow from pairs
    that look alike in brightness, contrast and colour.

    Parameters
    ----------
    truth, observed : Tensor of float32, shape (N, 3, H, W)
        Small pictures, range [0, 1].
    """

    def __init__(self, truth: Tensor, observed: Tensor) -> None:
        self.curves = torch.stack([_fitted(a, b) for a, b in zip(truth, observed, strict=True)])
        self.looks = _look(truth)

    def borrow(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Curves for other pictures.

        Parameters
        ----------
        clean : Tensor of float32, shape (M, 3, H, W)
        generator : torch.Generator

        Returns
        -------
        Tensor, shape (M, 3, 10)
            As `imgrestore.nets.refiner.Refiner.tone_of` takes them.
        """
        apart = torch.cdist(_look(clean), self.looks).square()
        near = torch.softmax(-0.5 * apart, dim=1)
        return self.curves[torch.multinomial(near, 1, generator=generator)[:, 0]]


def _fitted(truth: Tensor, observed: Tensor) -> Tensor:
    identity = torch.eye(30, device=truth.device).reshape(30, 3, 10)
    terms = Refiner.tone_of(truth.expand(30, -1, -1, -1), identity)[:10, 0].flatten(1).double()
    change = (observed - truth).flatten(1).double()
    normal = terms @ terms.T + torch.diag(torch.tensor(RIDGE, dtype=torch.float64))
    return torch.linalg.solve(normal, terms @ change.T).T.float()


def _look(pictures: Tensor) -> Tensor:
    luma = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(1).flatten(1)
    red, green, blue = pictures.mean((2, 3)).unbind(1)
    found = torch.stack([luma.mean(1), luma.std(1), red - green, blue - green], dim=1)
    return found / found.new_tensor(APART)
