"""Means over rectangular windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._boundary import BOUNDARIES, check_boundary, check_image, check_radius, extend, fold, kernels_take


def box(image: Tensor, radius: int | tuple[int, int], *, boundary: str = "reflect") -> Tensor:
    """Average over a window of (2 r + 1) x (2 r + 1) pixels, in a time that does not depend on r.

    Where the native libraries are loaded they filter float32 on the CPU and on CUDA devices (there with up to 8 leading
    dimensions); everything else runs on `box_reference`. On the CPU sums run down the columns in float64, begun afresh
    every few rows. An image that holds NaN or infinity, or pixels more than eight orders apart, is summed without a
    subtraction (van Herk 1992), more slowly; on CUDA devices every image is. Either way rounding does not add up along
    the image, and such a pixel tells in no window but those that hold it.

    Parameters
    ----------
    image : Tensor, shape (..., H, W)
        float32 or float64, any strides, any device.
    radius : int or (int, int)
        r, in pixels; a pair is (vertical, horizontal). It may be larger than the image.
    boundary : {"reflect", "nearest", "mirror", "wrap", "zero", "shrink"}
        How the image goes on past its edge, as in `separable`. With "shrink" only the pixels inside count.

    Returns
    -------
    Tensor
        Of the image's shape and dtype.

    Raises
    ------
    TypeError
        When `image` is not a float32 or float64 tensor.
    ValueError
        When `radius` or `boundary` is not one of those described.

    References
    ----------
    M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels", Pattern
    Recognition Letters 13 (1992): the division of windows into two parts, here for sums.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import box
    >>> box(torch.tensor([[0.0, 3.0, 6.0]]), (0, 1), boundary="shrink")
    tensor([[1.5000, 3.0000, 4.5000]])
    """
    radii, number = _check(image, radius, boundary)
    if image.dtype == torch.float32 and kernels_take(image):
        native = _native.op("box", _register)
        if native is not None:
            return native(image, *radii, number)
    return box_reference(image, radii, boundary=boundary)


def box_reference(image: Tensor, radius: int | tuple[int, int], *, boundary: str = "reflect") -> Tensor:
    """Compute `box` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    image, radius, boundary
        As in `box`.

    Returns
    -------
    Tensor
        As in `box`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import box_reference
    >>> box_reference(torch.tensor([[0.0, 3.0, 6.0]]), (0, 1))
    tensor([[1., 3., 5.]])
    """
    radii = (radius, radius) if isinstance(radius, int) else radius
    for dim, r in zip((-2, -1), radii, strict=True):
        size = image.shape[dim]
        if boundary == "shrink":
            r = min(r, size)  # beyond that nothing changes
        longer = extend(image, r, r, boundary, dim)
        # A sum over a view of all windows: exact where a difference of cumulative sums is not.
        window = (2 * r + 1, 1) if dim == -2 else (1, 2 * r + 1)
        planes = longer.reshape(-1, 1, *longer.shape[-2:])
        mean = torch.nn.functional.avg_pool2d(planes, window, stride=1) if planes.numel() else planes
        image = mean.reshape(*image.shape)
        if boundary == "shrink":
            scale = (2 * r + 1) / _counts(size, r, image)
            image = image * (scale[:, None] if dim == -2 else scale)
    return image


def _counts(size: int, radius: int, like: Tensor) -> Tensor:
    i = torch.arange(size, device=like.device)
    return ((i + radius).clamp(max=size - 1) - (i - radius).clamp(min=0) + 1).to(like.dtype)


def _check(image: Tensor, radius: Any, boundary: str) -> tuple[tuple[int, int], int]:
    check_image("image", image)
    pair = radius if isinstance(radius, (tuple, list)) else (radius, radius)
    if len(pair) != 2:
        raise ValueError(f"radius: got {radius!r}, expected a whole number or a pair of them")
    return (check_radius(pair[0]), check_radius(pair[1])), check_boundary(boundary, BOUNDARIES)


def _register() -> None:
    torch.library.register_fake("imgrestore::box", _fake)
    torch.library.register_autograd("imgrestore::box", _backward, setup_context=_setup_context)


def _fake(image: Tensor, radius_y: int, radius_x: int, boundary: int) -> Tensor:
    return image.new_empty(image.shape)


def _setup_context(ctx: Any, inputs: tuple[Tensor, int, int, int], output: Tensor) -> None:
    image, *ctx.radii, boundary = inputs
    ctx.boundary = BOUNDARIES[boundary]
    ctx.plane = image.shape[-2:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None]:
    # The window is the same turned round, so the adjoint is the box again, on the image with what stood past its edges.
    ry, rx = ctx.radii
    height, width = ctx.plane
    if ctx.boundary == "shrink":
        rows, columns = _counts(height, ry, grad), _counts(width, rx, grad)
        grad = grad * ((2 * ry + 1) * (2 * rx + 1) / (rows[:, None] * columns))
    if ctx.boundary in ("zero", "shrink"):
        return box(grad, (ry, rx), boundary="zero"), None, None, None
    wide = box(torch.nn.functional.pad(grad, (rx, rx, ry, ry)), (ry, rx), boundary="zero")
    wide = fold(wide, height, ry, ctx.boundary, -2)
    return fold(wide, width, rx, ctx.boundary, -1), None, None, None
