"""What a classical method says of one picture: the restored picture and the damage, apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

__all__ = ["Estimate", "layers_without"]


@dataclass(frozen=True)
class Estimate:
    """One picture taken apart.

    Attributes
    ----------
    image : torch.Tensor, shape (C, H, W)
        The restored picture. Where nothing was done it is the picture itself, bit by bit.
    layers : mapping of str to torch.Tensor, shape (C, H, W) or (1, H, W)
        What the picture is made of, the result among it; a task gives the same names for every picture.
    mask : torch.Tensor of bool, shape (1, H, W), optional
        Where the damage is. None: nowhere.
    notes : tuple of str
        What was found and estimated, or why nothing was done.
    confidence : float or torch.Tensor, shape (1, H, W)
        How much the answer is to be trusted, from 0 to 1: also the answer that nothing is damaged.
    damaged : bool
        Whether anything was found.
    strength : float
        How far a net that refines the result is to be followed, from 0 (not at all) to 1.
    clues : mapping of str to float
        The numbers by which it was judged whether there is damage, for whoever weighs them beside other evidence.
    """

    image: torch.Tensor
    layers: Mapping[str, torch.Tensor]
    mask: torch.Tensor | None = None
    notes: tuple[str, ...] = field(default=())
    confidence: float | torch.Tensor = 1.0
    damaged: bool = True
    strength: float = 0.0
    clues: Mapping[str, float] = field(default_factory=dict)

    def changes(self, picture: torch.Tensor) -> bool:
        """Whether the restored picture is any other than this one."""
        return bool((self.image != picture).any())


def layers_without(
    result: str, zeros: tuple[str, ...] = (), ones: tuple[str, ...] = ()
) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
    """What makes the layers of a picture (C, H, W) without damage.

    Parameters
    ----------
    result : str
        The layer that is the picture.
    zeros, ones : tuple of str
        The layers of a damage that adds, and of one that multiplies.

    Returns
    -------
    callable
    """

    def untouched(picture: torch.Tensor) -> dict[str, torch.Tensor]:
        nothing = dict.fromkeys(zeros, torch.zeros_like(picture))
        return {result: picture, **nothing, **dict.fromkeys(ones, torch.ones_like(picture))}

    return untouched
