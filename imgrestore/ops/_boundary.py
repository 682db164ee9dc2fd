"""How pictures go on past their edges, and what the filters' functions have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._shapes import broadcast_shapes

# In the order of the native library's numbers; "shrink" is for means only.
BOUNDARIES = ("reflect", "nearest", "mirror", "wrap", "zero", "shrink")


def indices(size: int, before: int, after: int, boundary: str, device: torch.device) -> Tensor:
    """Which of `size` pixels stands at each place from ``-before`` to ``size + after - 1``; -1 where it is a zero."""
    i = torch.arange(-before, size + after, device=device)
    if boundary == "nearest":
        return i.clamp(0, size - 1)
    if boundary == "wrap":
        return i.remainder(size)
    if boundary == "reflect":
        i = i.remainder(2 * size)
        return torch.minimum(i, 2 * size - 1 - i)
    if boundary == "mirror":
        period = max(2 * size - 2, 1)
        i = i.remainder(period)
        return torch.minimum(i, period - i)
    return torch.where((i < 0) | (i >= size), -1, i)


def extend(image: Tensor, before: int, after: int, boundary: str, dim: int) -> Tensor:
    """Continue an image past both ends of one dimension (-1 or -2)."""
    if boundary in ("zero", "shrink"):
        ends = (before, after) if dim == -1 else (0, 0, before, after)
        return torch.nn.functional.pad(image, ends)
    return image.index_select(dim, indices(image.shape[dim], before, after, boundary, image.device))


def fold(grad: Tensor, size: int, before: int, boundary: str, dim: int) -> Tensor:
    """The adjoint of `extend`: what fell on places outside goes back to the pixels that stood there."""
    after = grad.shape[dim] - size - before
    if boundary in ("zero", "shrink"):
        return grad.narrow(dim, before, size)
    shape = list(grad.shape)
    shape[dim] = size
    places = indices(size, before, after, boundary, grad.device)
    return grad.new_zeros(shape).index_add(dim, places, grad)


def check_image(name: str, value: Any, dims: int = 2) -> None:
    """Refuse what is not a float32 or float64 tensor with a plane of at least one pixel."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
    if value.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name}: got dtype {value.dtype}, expected torch.float32 or torch.float64")
    if value.dim() < dims:
        raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected at least {dims} dimensions")
    if 0 in value.shape[-2:]:
        raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected no empty dimension among the last 2")


def check_guide(guide: Any, image: Tensor, dims: int) -> None:
    """Refuse a guide that does not go with an image."""
    check_image("guide", guide, dims)
    if guide.dtype != image.dtype:
        raise TypeError(f"guide: got dtype {guide.dtype}, expected the image's, {image.dtype}")
    if guide.device != image.device:
        raise ValueError(f"guide: got device {guide.device}, expected the image's, {image.device}")
    if guide.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"guide: got shape {tuple(guide.shape)}, expected it to end in {tuple(image.shape[-2:])}, the image's "
            "height and width"
        )


def check_leading(guide: Sequence[int], image: Sequence[int]) -> None:
    """Refuse leading dimensions that do not broadcast."""
    try:
        broadcast_shapes(guide, image)
    except ValueError:
        raise ValueError(
            f"guide: got leading dimensions {tuple(guide)}, expected them to broadcast with the image's, {tuple(image)}"
        ) from None


def kernels_take(*tensors: Tensor) -> bool:
    """Whether native filters may be given these tensors: those of CUDA know up to 8 leading dimensions."""
    if not _native.takes(*tensors):
        return False
    return not _native.on_cuda(tensors[0]) or all(t.dim() <= 10 and max(t.shape[-2:]) < 2**30 for t in tensors)


def check_radius(value: Any, name: str = "radius", largest: int = 2**24 - 1) -> int:
    """Refuse what is not a whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError(f"{name}: got {value!r}, expected a whole number from 0 to {largest}")
    return value


def check_positive(name: str, value: Any) -> float:
    """Refuse what is not a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{name}: got {value!r}, expected a finite number above 0")
    return float(value)


def check_boundary(value: Any, names: Sequence[str]) -> int:
    """Give the native library's number of a boundary."""
    if value not in names:
        raise ValueError(f"boundary: got {value!r}, expected one of {', '.join(map(repr, names))}")
    return BOUNDARIES.index(value)


def twin_gradients(
    twin: Callable[..., Tensor], tensors: Sequence[Tensor], needed: Sequence[bool], grad: Tensor
) -> list[Tensor | None]:
    """Gradients of a native op by going through its twin again: where a backward of its own is not worth its code."""
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        # Each a tensor of its own, as one tensor may have been given for two arguments.
        asked = list(zip(tensors, needed, strict=True))
        inputs = [t.view_as(t) if further else t.detach().requires_grad_(n) for t, n in asked]
        wanted = [t for t, n in zip(inputs, needed, strict=True) if n]
        found = iter(torch.autograd.grad(twin(*inputs), wanted, grad, create_graph=further))
    return [next(found) if n else None for n in needed]
