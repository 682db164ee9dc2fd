"""The verdict: how the clues of a picture are weighed, those of physics and those of the nets, to say what is wrong.

A few small nets of two layers, fitted to different parts of the same pictures, say for each damage how likely it is;
their mean is the answer. Beside each there is a linear rule, to which the layers only add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from imgrestore.nets.diagnoser import DAMAGES

__all__ = ["Verdict", "VerdictConfig"]

# Clues further from their mean than so many standard deviations tell no more than those.
REACH = 3.0


@dataclass(frozen=True)
class VerdictConfig:
    """What a `Verdict` weighs.

    Attributes
    ----------
    clues : tuple of str
        Names of the numbers, in their order; by default what the classifier says of each damage.
    classes : tuple of str
        The damages.
    members, width : int
        How many nets there are, and the numbers between the two layers of each.
    """

    clues: tuple[str, ...] = tuple(f"net_{name}" for name in DAMAGES)
    classes: tuple[str, ...] = DAMAGES
    members: int = 8
    width: int = 16

    def __post_init__(self) -> None:
        for what, names in (("clues", self.clues), ("classes", self.classes)):
            if not names or len(set(names)) != len(names) or not all(isinstance(n, str) and n for n in names):
                raise ValueError(f"{what} are {names!r}; expected names, each once")
        if min(self.members, self.width) < 1:
            raise ValueError(f"{self}: expected numbers of at least 1")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> VerdictConfig:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


class Verdict(nn.Module):
    """Weighs clues: see the module's text.

    Parameters
    ----------
    config : VerdictConfig, optional

    Examples
    --------
    >>> import torch
    >>> from imgrestore.nets.verdict import Verdict, VerdictConfig
    >>> Verdict(VerdictConfig(("steep", "veil")))(torch.zeros(3, 2)).shape
    torch.Size([3, 6])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: VerdictConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VerdictConfig()
        inputs, outputs = len(config.clues), len(config.classes)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.first = nn.Parameter(torch.empty(config.members, inputs, config.width).normal_(std=inputs**-0.5))
        self.first_bias = nn.Parameter(torch.zeros(config.members, 1, config.width))
        self.second = nn.Parameter(torch.zeros(config.members, config.width, outputs))
        self.straight = nn.Parameter(torch.zeros(config.members, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(config.members, 1, outputs))

    def forward(self, numbers: Tensor) -> Tensor:
        """Weigh the clues of pictures.

        Parameters
        ----------
        numbers : Tensor of float32, shape (N, clues)

        Returns
        -------
        Tensor, shape (N, classes)
            Logarithms of the odds.
        """
        return self.each(numbers.expand(self.config.members, -1, -1)).mean(0)

    def each(self, numbers: Tensor) -> Tensor:
        """What each member says, (members, N, classes), of numbers (members, N, clues)."""
        scaled = ((numbers - self.mean) / self.deviation).clamp(-REACH, REACH)
        thought = torch.relu(scaled @ self.first + self.first_bias)
        return scaled @ self.straight + thought @ self.second + self.bias
