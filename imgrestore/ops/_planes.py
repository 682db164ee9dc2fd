"""What the ops of the nets share: checks of planes and parameters, fakes, and gradients by way of the twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FLOATING = (torch.float32, torch.bfloat16, torch.float64)


def check_planes(x: Any) -> None:
    """Raise where `x` is no tensor of planes (N, C, H, W) with at least one channel."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x: got {type(x).__name__}, expected a torch.Tensor")
    if x.dtype not in FLOATING:
        raise TypeError(f"x: got dtype {x.dtype}, expected torch.float32, torch.bfloat16 or torch.float64")
    if x.dim() != 4 or x.shape[1] == 0:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected planes (N, C, H, W) with C at least 1")


def check_parameter(name: str, value: Any, shape: tuple[int, ...], x: Tensor, tail: tuple[int, ...] = ()) -> None:
    """Raise where a parameter is not of a shape (or of that shape followed by `tail`), floating, and where `x` is."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
    if value.dtype not in FLOATING:
        raise TypeError(f"{name}: got dtype {value.dtype}, expected torch.float32, torch.bfloat16 or torch.float64")
    if tuple(value.shape) not in (shape, shape + tail):
        also = f" or {shape + tail}" if tail else ""
        raise ValueError(
            f"{name}: got shape {tuple(value.shape)}, expected {shape}{also} to go with x of {tuple(x.shape)}"
        )
    if value.device != x.device:
        raise ValueError(f"{name}: got device {value.device}, expected x's, {x.device}")


def check_eps(eps: Any) -> None:
    """Raise where `eps` is negative or not a number."""
    if not isinstance(eps, (int, float)) or not eps >= 0:
        raise ValueError(f"eps: got {eps!r}, expected a number of at least 0")


def native_dtypes(x: Tensor, *parameters: Tensor | None) -> bool:
    """Whether the kernels cover these: on the CPU, of float32 or bfloat16."""
    narrow = (torch.float32, torch.bfloat16)
    return x.device.type == "cpu" and x.dtype in narrow and all(p is None or p.dtype in narrow for p in parameters)


def fake_like(x: Tensor, channels: int | None = None) -> Tensor:
    """An empty result in the layout that the kernels give: channels_last where `x` is, else contiguous."""
    last = x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)
    shape = (x.shape[0], x.shape[1] if channels is None else channels, *x.shape[2:])
    return x.new_empty(shape).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep an op's tensors, and its plain numbers, for `backward_by`."""
    ctx.save_for_backward(*(v if isinstance(v, Tensor) else None for v in inputs))
    ctx.numbers = [None if isinstance(v, Tensor) else v for v in inputs]


def backward_by(twin: Callable[..., Tensor]) -> Callable[..., tuple[Tensor | None, ...]]:
    """Give a backward that computes the twin again and differentiates that.

    The kernels serve inference; training runs on torch. A backward written by hand would be used by nobody.
    """

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad
        with torch.enable_grad():
            # Views, so that a tensor that was given twice is told apart.
            tensors = [None if t is None else t.view_as(t) for t in ctx.saved_tensors]
            values = [n if t is None else t for t, n in zip(tensors, ctx.numbers, strict=True)]
            out = twin(*values)
        wanted = [v for v, need in zip(values, needed, strict=True) if need]
        grads = iter(torch.autograd.grad(out, wanted, grad, create_graph=torch.is_grad_enabled()))
        return tuple(next(grads) if need else None for need in needed)

    return backward
