"""Filtering with two 1-D kernels, one along the rows and one along the columns."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._boundary import BOUNDARIES, check_boundary, check_image, check_positive, extend, fold, kernels_take

_BOUNDARIES = BOUNDARIES[:5]


def separable(image: Tensor, row_taps: Tensor, column_taps: Tensor, *, boundary: str = "reflect") -> Tensor:
    """Correlate with two 1-D kernels, one along the rows and one along the columns.

    ``out[y, x] = sum over i, j of column_taps[i] row_taps[j] image[y + i - len(column_taps) // 2, x + j -
    len(row_taps) // 2]``: the centre of a kernel of n taps is tap n // 2. Gradients run to the image and to the taps.
    Where the native libraries are loaded they filter float32 on the CPU and on CUDA devices (there with up to 8 leading
    dimensions); everything else runs on `separable_reference`.

    Parameters
    ----------
    image : Tensor, shape (..., H, W)
        float32 or float64, any strides, any device.
    row_taps : Tensor, shape (n,)
        The kernel along the rows, over the last dimension; of the image's dtype, any length, odd or even.
    column_taps : Tensor, shape (m,)
        The kernel along the columns, over the last dimension but one.
    boundary : {"reflect", "nearest", "mirror", "wrap", "zero"}
        How the image goes on past its edge, as in `scipy.ndimage`: "reflect" repeats the edge (d c b a | a b c d),
        "mirror" does not (d c b | a b c d). Kernels may be longer than the image.

    Returns
    -------
    Tensor
        Of the image's shape and dtype.

    Raises
    ------
    TypeError
        When `image` is not a float32 or float64 tensor, or the taps are not of its dtype.
    ValueError
        When shapes or devices do not go together, or `boundary` is unknown.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import gaussian_taps, separable
    >>> taps = gaussian_taps(1.5)
    >>> separable(torch.ones(2, 16, 16), taps, taps).shape
    torch.Size([2, 16, 16])
    """
    number = _check(image, row_taps, column_taps, boundary)
    native_kind = image.dtype == torch.float32
    if native_kind and kernels_take(image, row_taps, column_taps):
        native = _native.op("separable", _register)
        if native is not None:
            return native(image, row_taps, column_taps, number)
    return separable_reference(image, row_taps, column_taps, boundary=boundary)


def separable_reference(image: Tensor, row_taps: Tensor, column_taps: Tensor, *, boundary: str = "reflect") -> Tensor:
    """Compute `separable` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    image, row_taps, column_taps, boundary
        As in `separable`.

    Returns
    -------
    Tensor
        As in `separable`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import separable_reference
    >>> separable_reference(torch.eye(3), torch.ones(2), torch.ones(1), boundary="zero")
    tensor([[1., 1., 0.],
            [0., 1., 1.],
            [0., 0., 1.]])
    """
    for dim, taps in ((-2, column_taps), (-1, row_taps)):
        size, count = image.shape[dim], taps.shape[0]
        longer = extend(image, count // 2, count - 1 - count // 2, boundary, dim)
        image = torch.stack([taps[j] * longer.narrow(dim, j, size) for j in range(count)]).sum(0)
    return image


def gaussian_taps(
    sigma: float, truncate: float = 4.0, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Tensor:
    """Sample a Gaussian, for `separable`.

    Parameters
    ----------
    sigma : float
        Standard deviation, in pixels.
    truncate : float
        Where it is cut off, in standard deviations.
    dtype, device
        Of the result.

    Returns
    -------
    Tensor, shape (2 r + 1,)
        Taps that add up to 1, with r = int(truncate sigma + 0.5), as in `scipy.ndimage.gaussian_filter`.

    Raises
    ------
    ValueError
        When `sigma` or `truncate` is not a finite number above 0.

    Examples
    --------
    >>> from imgrestore.ops import gaussian_taps
    >>> len(gaussian_taps(2.0)), float(gaussian_taps(2.0).sum())
    (17, 1.0)
    """
    radius = int(check_positive("truncate", truncate) * check_positive("sigma", sigma) + 0.5)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)]
    total = math.fsum(weights)
    return torch.tensor([w / total for w in weights], dtype=dtype, device=device)


def _check(image: Tensor, row_taps: Tensor, column_taps: Tensor, boundary: str) -> int:
    check_image("image", image)
    for name, taps in (("row_taps", row_taps), ("column_taps", column_taps)):
        if not isinstance(taps, Tensor):
            raise TypeError(f"{name}: got {type(taps).__name__}, expected a torch.Tensor")
        if taps.dtype != image.dtype:
            raise TypeError(f"{name}: got dtype {taps.dtype}, expected the image's, {image.dtype}")
        if taps.dim() != 1 or not len(taps):
            raise ValueError(f"{name}: got shape {tuple(taps.shape)}, expected one dimension that is not empty")
        if taps.device != image.device:
            raise ValueError(f"{name}: got device {taps.device}, expected the image's, {image.device}")
    return check_boundary(boundary, _BOUNDARIES)


def _register() -> None:
    torch.library.register_fake("imgrestore::separable", _fake)
    torch.library.register_autograd("imgrestore::separable", _backward, setup_context=_setup_context)


def _fake(image: Tensor, row_taps: Tensor, column_taps: Tensor, boundary: int) -> Tensor:
    return image.new_empty(image.shape)


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    *tensors, boundary = inputs
    ctx.save_for_backward(*tensors)
    ctx.boundary = BOUNDARIES[boundary]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    image, row_taps, column_taps = ctx.saved_tensors
    grads: list[Tensor | None] = [None, None, None]
    if ctx.needs_input_grad[0]:
        grads[0] = _image_gradient(grad, row_taps, column_taps, ctx.boundary, image.shape)
    one = row_taps.new_ones(1)
    if ctx.needs_input_grad[1]:
        filtered = separable(image, one, column_taps, boundary=ctx.boundary)
        grads[1] = _taps_gradient(grad, filtered, len(row_taps), ctx.boundary, -1)
    if ctx.needs_input_grad[2]:
        filtered = separable(image, row_taps, one, boundary=ctx.boundary)
        grads[2] = _taps_gradient(grad, filtered, len(column_taps), ctx.boundary, -2)
    return grads[0], grads[1], grads[2], None


def _image_gradient(grad: Tensor, row_taps: Tensor, column_taps: Tensor, boundary: str, shape: torch.Size) -> Tensor:
    # Correlation with the kernels turned round, on the image with all that stood past its edges. Of an even number of
    # taps the centre moves by one in turning, hence the unequal ends.
    m, n = len(column_taps), len(row_taps)
    wide = torch.nn.functional.pad(grad, (n - 1 - n // 2, n // 2, m - 1 - m // 2, m // 2))
    wide = separable(wide, row_taps.flip(0), column_taps.flip(0), boundary="zero")
    for dim, taps, size in ((-2, m, shape[-2]), (-1, n, shape[-1])):
        wide = fold(wide, size, taps // 2, boundary, dim)
    return wide


def _taps_gradient(grad: Tensor, filtered: Tensor, count: int, boundary: str, dim: int) -> Tensor:
    longer = extend(filtered, count // 2, count - 1 - count // 2, boundary, dim)
    return torch.stack([(grad * longer.narrow(dim, j, grad.shape[dim])).sum() for j in range(count)])
