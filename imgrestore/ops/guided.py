"""The guided filter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._boundary import (
    check_guide,
    check_image,
    check_leading,
    check_positive,
    check_radius,
    kernels_take,
    twin_gradients,
)
from imgrestore.ops._shapes import broadcast_shapes
from imgrestore.ops.box import box_reference


def guided(image: Tensor, guide: Tensor, radius: int, eps: float, *, channels: bool = False) -> Tensor:
    """Filter an image so that it follows the edges of a guide (He, Sun & Tang 2010).

    In each window of (2 r + 1) x (2 r + 1) pixels the image is fitted by a linear function of the guide; the result is
    the mean of the fits of all windows that hold a pixel. Windows are cut off at the edge of the image. Gradients run
    to the image and to the guide. Where the native libraries are loaded they filter float32 on the CPU and on CUDA
    devices (there with up to 8 leading dimensions); everything else runs on `guided_reference`.

    Parameters
    ----------
    image : Tensor, shape (..., H, W)
        float32 or float64, any strides, any device.
    guide : Tensor, shape (..., H, W), or (..., 3, H, W) with ``channels=True``
        Of the image's dtype. Leading dimensions broadcast with those of `image`.
    radius : int
        r, in pixels. It may be larger than the image.
    eps : float
        What is added to the guide's variance, in its units squared: edges of a much larger variance are kept.
    channels : bool
        The guide's last dimension but two holds three channels that guide together. The image's dimension at that
        place, where it has one, holds planes which are filtered one by one, any number of them.

    Returns
    -------
    Tensor
        Of the broadcast shape and the image's dtype.

    Raises
    ------
    TypeError
        When `image` or `guide` is not a float32 or float64 tensor, or they are not of one dtype.
    ValueError
        When shapes or devices do not go together, or `radius` or `eps` is not as described.

    References
    ----------
    K. He, J. Sun, X. Tang, "Guided image filtering", ECCV 2010 and IEEE TPAMI 35 (2013).

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import guided
    >>> step = (torch.arange(32) >= 16).float().expand(32, 32)
    >>> noisy = step + 0.1 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    >>> bool((guided(noisy, step, 4, 1e-3) - step).abs().max() < 0.1)
    True
    """
    eps = _check(image, guide, radius, eps, channels)
    native_kind = image.dtype == torch.float32
    if native_kind and kernels_take(image, guide):
        native = _native.op("guided", _register)
        if native is not None:
            return native(image, guide, radius, eps, channels)
    return guided_reference(image, guide, radius, eps, channels=channels)


def guided_reference(image: Tensor, guide: Tensor, radius: int, eps: float, *, channels: bool = False) -> Tensor:
    """Compute `guided` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    image, guide, radius, eps, channels
        As in `guided`.

    Returns
    -------
    Tensor
        As in `guided`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import guided_reference
    >>> guided_reference(torch.ones(4, 8, 8), torch.rand(3, 8, 8), 2, 1e-2, channels=True).shape
    torch.Size([4, 8, 8])
    """

    def mean(x: Tensor) -> Tensor:
        return box_reference(x, radius, boundary="shrink")

    # Channels of the guide come last, so that one channel and three are the same formulas.
    if channels:
        guide = guide.movedim(-3, -1)
        guide = guide.unsqueeze(-4) if image.dim() > 2 else guide
    else:
        guide = guide.unsqueeze(-1)
    if image.numel() == 0 or guide.numel() == 0:
        return image.new_empty(broadcast_shapes(image.shape, guide.shape[:-1]))
    image, _ = torch.broadcast_tensors(image, guide[..., 0])
    count = guide.shape[-1]
    mean_guide = torch.stack([mean(guide[..., i]) for i in range(count)], -1)
    mean_image = mean(image)

    def covariance(i: int, j: int) -> Tensor:
        value = mean(guide[..., i] * guide[..., j]) - mean_guide[..., i] * mean_guide[..., j]
        return value.clamp_min(0) + eps if i == j else value

    rows = [torch.stack([covariance(i, j) for j in range(count)], -1) for i in range(count)]
    covariances = [mean(guide[..., i] * image) - mean_guide[..., i] * mean_image for i in range(count)]
    a = torch.linalg.solve(torch.stack(rows, -2), torch.stack(covariances, -1).unsqueeze(-1)).squeeze(-1)
    b = mean_image - (a * mean_guide).sum(-1)
    mean_a = torch.stack([mean(a[..., i]) for i in range(count)], -1)
    return (mean_a * guide).sum(-1) + mean(b)


def _check(image: Tensor, guide: Tensor, radius: int, eps: float, channels: bool) -> float:
    check_image("image", image)
    check_guide(guide, image, 3 if channels else 2)
    check_radius(radius)
    if channels and guide.shape[-3] != 3:
        raise ValueError(f"guide: got shape {tuple(guide.shape)}, expected 3 channels before its height")
    skip = 3 if channels else 2
    check_leading(guide.shape[:-skip], image.shape[:-skip] if image.dim() > skip else ())
    return check_positive("eps", eps)


def _register() -> None:
    torch.library.register_fake("imgrestore::guided", _fake)
    torch.library.register_autograd("imgrestore::guided", _backward, setup_context=_setup_context)


def _fake(image: Tensor, guide: Tensor, radius: int, eps: float, channels: bool) -> Tensor:
    leading = guide.shape[:-2]
    if channels:
        leading = guide.shape[:-3] + ((1,) if image.dim() > 2 else ())
    return image.new_empty((*broadcast_shapes(image.shape[:-2], leading), *image.shape[-2:]))


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, float, bool], output: Tensor) -> None:
    image, guide, ctx.radius, ctx.eps, ctx.channels = inputs
    ctx.save_for_backward(image, guide)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
    # The way back through the solve and both means is longer than the filter: it is left to the twin.
    def twin(image: Tensor, guide: Tensor) -> Tensor:
        return guided_reference(image, guide, ctx.radius, ctx.eps, channels=ctx.channels)

    image_grad, guide_grad = twin_gradients(twin, ctx.saved_tensors, ctx.needs_input_grad[:2], grad)
    return image_grad, guide_grad, None, None, None
