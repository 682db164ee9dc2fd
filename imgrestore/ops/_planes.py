"""What the ops of the nets share: checks of planes and parameters, fakes, and gradients by way of the twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from imgrestore import _native

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


def check_out(out: Any, shape: tuple[int, ...], x: Tensor) -> None:
    """Raise where `out` cannot take a result of this shape that is computed from `x`."""
    if not isinstance(out, Tensor):
        raise TypeError(f"out: got {type(out).__name__}, expected a torch.Tensor")
    if tuple(out.shape) != shape or out.dtype != x.dtype or out.device != x.device:
        raise ValueError(
            f"out: got {tuple(out.shape)} of {out.dtype} on {out.device}, expected {shape} of {x.dtype} on {x.device}"
        )
    if x.numel() and x.device.type != "meta":
        (begin, end), (first, last) = _extent(out), _extent(x)
        if begin < last and first < end:
            raise ValueError("out: shares memory with the input, expected memory of its own")


def _extent(t: Tensor) -> tuple[int, int]:
    """First byte, and the one past the last, of a tensor that is not empty."""
    reach = sum((size - 1) * stride for size, stride in zip(t.shape, t.stride(), strict=True))
    return t.data_ptr(), t.data_ptr() + (reach + 1) * t.element_size()


def wants_gradient(*tensors: Tensor | None) -> bool:
    """Whether a result computed from these has to carry a gradient."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def room_for(x: Tensor, out: Tensor | None) -> Tensor:
    """Give memory of x's shape, laid out as the kernels write: `out` where it is so, else fresh."""
    last = x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    if out is not None and out.is_contiguous(memory_format=layout):
        return out
    if last:
        return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=layout)
    return fresh(x.shape, x)


def fresh(shape: Sequence[int], x: Tensor) -> Tensor:
    """Contiguous memory of x's dtype that a kernel will fill, in large pages where the system gives them."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and _native.available():
        return torch.ops.imgrestore.large_empty(list(shape))
    return x.new_empty(tuple(shape))


def write(result: Tensor, out: Tensor | None) -> Tensor:
    """Give `result`, in `out` where there is one."""
    return result if out is None or out is result else out.copy_(result)


class Room:
    """Hands out float32 tensors from the memory of one that is no longer needed, as long as it lasts.

    Parameters
    ----------
    tensor : Tensor, optional
        Contiguous, and not read any more; fresh memory is given where there is none.
    """

    def __init__(self, tensor: Tensor | None = None) -> None:
        self._left = None if tensor is None else tensor.flatten()

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """A contiguous tensor of a shape, of the dtype and on the device of `like`, not filled."""
        size = math.prod(shape)
        if self._left is None or self._left.numel() < size:
            return fresh(shape, like)
        taken, self._left = self._left[:size], self._left[size + -size % 16 :]
        return taken.view(tuple(shape))


def in_autocast(x: Tensor) -> Tensor:
    """Give float32 as bfloat16 on a CUDA device where autocast asks for that, as it does with conv2d's inputs."""
    if x.dtype != torch.float32 or not _native.on_cuda(x) or not torch.is_autocast_enabled("cuda"):
        return x
    return x.to(torch.bfloat16) if torch.get_autocast_dtype("cuda") == torch.bfloat16 else x


def native_dtypes(x: Tensor, *parameters: Tensor | None) -> bool:
    """Whether the kernels cover these: float32 or bfloat16."""
    return all(p is None or p.dtype in (torch.float32, torch.bfloat16) for p in (x, *parameters))


def kernels_take(*tensors: Tensor) -> bool:
    """Whether native ops may be given these tensors, the first of them planes: no side is too long for a GPU's."""
    return _native.takes(*tensors) and (not _native.on_cuda(tensors[0]) or max(tensors[0].shape[-2:]) < 2**28)


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
