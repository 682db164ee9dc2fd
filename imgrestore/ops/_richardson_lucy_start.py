"""Where Richardson-Lucy begins, and the weights that do not change: for the native op and for its twin."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore.ops.blur_operator import BlurOperator

# Where the frame sees less than this part of a scene's pixel, nothing can be said of it (Bertero & Boccacci 2005).
LEAST_SEEN = 1e-2
ROUNDING = 8


def mean_light(largest: Tensor, total: Tensor, count: Any, background: Tensor | float) -> tuple[Tensor, Tensor]:
    """Where the search begins, and what keeps its quotients finite: from each plane's largest value and its sum."""
    precision = torch.finfo(total.dtype)
    # An expectation below this is rounding of the transforms, whose sign and size mean nothing.
    tiny = (ROUNDING * precision.eps * largest.detach()).clamp_min(precision.tiny)
    # The mean light: a fixed number would be dark for counts and bright for radiances.
    light = (total / count).nan_to_num(0.0)
    return torch.maximum(light - background, LEAST_SEEN * light), tiny


def inverse_share(
    observed: Tensor, blur: BlurOperator, known: Tensor | None, share: Tensor | None = None
) -> Tensor | None:
    """1 / the light seen of each place: 0 where next to nothing is seen, and None where everything is."""
    # A dark outside is known, not unseen, so that no light is missing there.
    if known is None and blur.boundary in ("zero", "periodic"):
        return None
    if share is None and known is not None and blur.boundary == "zero":
        share = 1 - blur.adjoint(1 - known)
    elif share is None:
        share = blur.adjoint(torch.ones_like(observed[:1, :1]) if known is None else known)
    reached = share > LEAST_SEEN * share.amax(dim=tuple(range(2, observed.ndim)), keepdim=True)
    return torch.where(reached, 1 / share.clamp_min(LEAST_SEEN), 0.0)


def window_lines(blur: BlurOperator, like: Tensor) -> list[Tensor]:
    """The weight of residuals along each axis, shaped to broadcast: Hann's window squared."""
    lines = []
    for axis, size in enumerate(blur.frame):
        shape = [1] * blur.space
        shape[axis] = size
        line = torch.hann_window(size + 2, periodic=False, dtype=like.dtype, device=like.device)[1:-1]
        lines.append(line.square().reshape(shape))
    return lines


def window_weight(window: Tensor, known: Tensor | None, space: tuple[int, ...]) -> Tensor:
    weight = window.sum() if known is None else (window * known).sum(dim=space, keepdim=True)
    return weight.clamp_min(torch.finfo(weight.dtype).tiny)


def joined_windows(blur: BlurOperator, observed: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
    """The window's lines, one after the other, that of the depth first, and the sum of its weights."""
    lines = window_lines(blur, observed)
    joined = torch.cat([observed.new_ones(3 - blur.space), *(line.flatten() for line in lines)])
    whole = lines[0] * lines[1] if blur.space == 2 else lines[0] * lines[1] * lines[2]
    return joined, window_weight(whole, known, tuple(range(2, observed.ndim)))


def status_of(known: Tensor | None, saturated: Tensor | None, observed: Tensor) -> Tensor | None:
    """0 for pixels to leave out, 1 for those to fit, 2 for lower bounds; None where all are to be fitted."""
    if known is None and saturated is None:
        return None
    status = torch.ones_like(observed) if known is None else known.expand(observed.shape)
    if saturated is not None:
        status = torch.where(saturated & (status > 0), 2.0, status)
    return status


def deep(size: Any, fill: int = 1) -> tuple[int, ...]:
    """A size, or a place, with a depth."""
    return (fill,) * (3 - len(size)) + tuple(size)
