"""The blur by a field of PSFs on devices, tap by tap; on the CPU `BlurField` goes through the Fourier domain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore import _native

# What the kernels are made for: pixels of a PSF along an axis, PSFs along an axis of the grid.
TAPS, GRID = 31, 512


def covers(scene: Tensor, kernels: Tensor) -> bool:
    """Whether `blur_field` takes a scene and a grid of kernels.

    Parameters
    ----------
    scene : Tensor, shape (..., H, W)
    kernels : Tensor, shape (rows, columns, kh, kw)

    Returns
    -------
    bool
    """
    if not _native.on_cuda(scene) or scene.dtype != torch.float32 or kernels.dtype != torch.float32:
        return False
    small = max(kernels.shape[2:]) <= TAPS and max(kernels.shape[:2]) <= GRID and scene.numel() and kernels.numel()
    # Gradients of the kernels are the torch path's.
    grad = torch.is_grad_enabled() and kernels.requires_grad
    alike = scene.device == kernels.device
    return bool(small) and alike and not grad and _native.takes(scene, kernels) and _op() is not None


def blur_field(scene: Tensor, kernels: Tensor, down: Tensor, right: Tensor, *, adjoint: bool) -> Tensor:
    """Mix blurs of a scene that repeats without end, ``sum_w m_w * (k_w (x) scene)``, or give the adjoint of that.

    Gradients run to the scene only.

    Parameters
    ----------
    scene : Tensor, shape (..., H, W)
        As `covers` takes it, all tensors alike.
    kernels : Tensor, shape (rows, columns, kh, kw)
        Their centres are at ``size // 2``.
    down, right : Tensor, shapes (rows, H) and (columns, W)
        The weights: ``m[i, j] = down[i, y] * right[j, x]``.
    adjoint : bool
        ``sum_w k_w^T (m_w * scene)`` in its stead.

    Returns
    -------
    Tensor, shape of `scene`
    """
    native: Any = _op()
    blurred: Tensor = native(scene, kernels, down, right, adjoint)
    return blurred


def _op() -> Any | None:
    return _native.op("blur_field", register)


def register(namespace: str = "imgrestore") -> None:
    """Register the op's fake and its backward."""
    torch.library.register_fake(f"{namespace}::blur_field", _fake)
    torch.library.register_autograd(f"{namespace}::blur_field", _backward, setup_context=_setup_context)


def _fake(scene: Tensor, kernels: Tensor, down: Tensor, right: Tensor, adjoint: bool) -> Tensor:
    return torch.empty_like(scene, memory_format=torch.contiguous_format)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, *rest, ctx.adjoint = inputs
    if any(ctx.needs_input_grad[1:4]):
        raise NotImplementedError("blur_field has gradients for the scene only")
    ctx.save_for_backward(*rest)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, None]:
    native: Any = _op()
    return native(grad, *ctx.saved_tensors, not ctx.adjoint), None, None, None, None
