"""Optimizers by name, the schedule of the learning rate, and the limit of the gradient."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

__all__ = ["Clip", "optimizer_of", "rate_at"]

WARM_STEPS, WARM_PART = 300, 0.05
LEAST = 1e-3


def optimizer_of(name: str, net: nn.Module, lr: float, decay: float) -> torch.optim.Optimizer:
    """An optimizer of a net's weights.

    Parameters
    ----------
    name : {"adam", "adamw", "sgd", "momentum", "rmsprop"}
        ``momentum`` is Nesterov's, 0.9.
    net : Module
        Biases, scales and depthwise filters are not decayed.
    lr, decay : float
        Learning rate and weight decay; the decay is decoupled for ``adamw``, a part of the gradient for the others.

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    ValueError
        For any other name.
    """
    flat = [p for p in net.parameters() if _is_flat(p)]
    deep = [p for p in net.parameters() if not _is_flat(p)]
    groups: list[dict[str, Any]] = [{"params": deep, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    match name:
        case "adam":
            return torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.99), fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=lr, fused=True)
        case "momentum":
            return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=lr, alpha=0.99)
    raise ValueError(f"optimizer is {name!r}; expected adam, adamw, sgd, momentum or rmsprop")


def _is_flat(parameter: nn.Parameter) -> bool:
    return parameter.ndim < 2 or parameter.shape[1:].numel() == 1


def rate_at(step: int, progress: float) -> float:
    """Part of the highest learning rate: a linear warm-up, then half a cosine.

    Parameters
    ----------
    step : int
        Steps taken.
    progress : float
        Position in the schedule, 0 to 1.

    Returns
    -------
    float
        The warm-up is over after 300 steps or a twentieth of the schedule, whichever comes first.
    """
    warm = min(1.0, max((step + 1) / WARM_STEPS, progress / WARM_PART))
    return warm * max(LEAST, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Clip:
    """Limits gradients to twice their usual norm, whatever the loss's scale.

    Parameters
    ----------
    device : torch.device
        Where the gradients live; nothing waits for it.

    Attributes
    ----------
    norm : Tensor, shape ()
        Running mean of the norm, 0 at first.
    """

    def __init__(self, device: torch.device) -> None:
        self.norm = torch.zeros((), device=device)

    def __call__(self, grads: list[torch.Tensor]) -> torch.Tensor:
        """Scale gradients in place; returns their norm before, which is not finite where one of them is not."""
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        usual = torch.where(self.norm > 0, self.norm, norm)
        torch._foreach_mul_(grads, (2 * usual / (norm + 1e-12)).clamp(max=1.0))
        running = torch.lerp(usual, torch.minimum(norm, 2 * usual), 0.02)
        self.norm = torch.where(torch.isfinite(norm), running, self.norm)
        return norm
