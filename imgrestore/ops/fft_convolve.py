"""Convolution with a kernel of any size, through the Fourier domain."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops import _fft_device
from imgrestore.ops._shapes import broadcast_shapes

Mode = Literal["same", "full", "valid"]
Boundary = Literal["zero", "reflect", "periodic"]

_OUTSIDE = {"zero": 0, "reflect": 1, "periodic": 2}
LONGEST_AXIS = 2**30  # known to csrc/cuda/fft_convolve_op.cpp, too


def fft_convolve(
    image: Tensor,
    kernel: Tensor,
    *,
    mode: Mode = "same",
    boundary: Boundary = "zero",
    centre: tuple[int, ...] | None = None,
    ndim: int = 2,
) -> Tensor:
    """Convolve with a kernel: ``out[i] = sum_j kernel[j] image[i + centre - j]``.

    Gradients run to both arguments. float32 on the CPU is computed by the native library by overlap-save: in tiles that
    stay in cache, two at a time, for a picture and a kernel of any size. float32 on CUDA devices is convolved tap by
    tap with small kernels, in tiles with larger ones, and in one piece of at most 7680 pixels an axis with the largest.
    All else runs in `fft_convolve_reference`.

    Parameters
    ----------
    image : Tensor, shape (..., H, W), or (..., D, H, W) with ``ndim=3``
        float32 or float64, any strides, any device.
    kernel : Tensor, shape (kh, kw) or (..., kh, kw), or with a depth
        Of the image's dtype and device; its leading dimensions broadcast with those of `image`.
    mode : {"same", "full", "valid"}
        The result's size on each axis: that of the image, n + k - 1, or n - k + 1 (what needs nothing from outside).
    boundary : {"zero", "reflect", "periodic"}
        What the image does outside, with ``mode="same"``: dark, mirrored with its edge pixels repeated, or periodic.
    centre : tuple of int, optional
        The place in the kernel that stands for no shift, with ``mode="same"``; by default ``size // 2``.
    ndim : {2, 3}
        How many trailing dimensions are convolved over.

    Returns
    -------
    Tensor
        Leading dimensions broadcast, then the size that `mode` says; dtype and device of `image`.

    Raises
    ------
    TypeError
        When an argument is no tensor, or not float32 or float64, or dtypes differ.
    ValueError
        When shapes, devices, `mode`, `boundary`, `centre` or `ndim` do not go together.

    References
    ----------
    Stockham, "High-speed convolution and correlation" (1966); Helms, "Fast Fourier transform method of computing
    difference equations and simulating filters" (1967), for overlap-save.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import fft_convolve
    >>> fft_convolve(torch.ones(5, 5), torch.ones(3, 3)).round()[0]
    tensor([4., 6., 6., 6., 4.])
    """
    centre = _check(image, kernel, mode, boundary, centre, ndim)
    n, k = image.shape[-ndim:], kernel.shape[-ndim:]
    lead = broadcast_shapes(image.shape[:-ndim], kernel.shape[:-ndim])
    if mode == "same":
        result, shift = tuple(n), tuple(c + 1 - size for c, size in zip(centre, k, strict=True))
    elif mode == "full":
        result, shift = tuple(a + b - 1 for a, b in zip(n, k, strict=True)), tuple(1 - size for size in k)
    else:
        result, shift = tuple(a - b + 1 for a, b in zip(n, k, strict=True)), (0,) * ndim
    plain = image.dtype == torch.float32 and image.numel() and kernel.numel() and torch.Size(lead).numel()
    if plain and _covered(image, lead.numel(), k, result, shift, boundary) and _native.takes(image, kernel):
        native = _native.op("fft_convolve", _register)
        if native is not None:
            flat = image.expand(*lead, *n).reshape(-1, *_deep(n, 1))
            shared = kernel.ndim == ndim or kernel.shape[:-ndim].numel() == 1
            kernels = kernel.reshape(_deep(k, 1)) if shared else kernel.expand(*lead, *k).reshape(-1, *_deep(k, 1))
            out = native(flat, kernels, list(_deep(result, 1)), list(_deep(shift, 0)), _OUTSIDE[boundary])
            return out.reshape(*lead, *result)
    return fft_convolve_reference(image, kernel, mode=mode, boundary=boundary, centre=centre, ndim=ndim)


def fft_convolve_reference(
    image: Tensor,
    kernel: Tensor,
    *,
    mode: Mode = "same",
    boundary: Boundary = "zero",
    centre: tuple[int, ...] | None = None,
    ndim: int = 2,
) -> Tensor:
    """Compute `fft_convolve` in plain torch, on any device: the twin that the kernel is held to.

    Parameters
    ----------
    image, kernel, mode, boundary, centre, ndim
        As in `fft_convolve`.

    Returns
    -------
    Tensor
        As in `fft_convolve`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import fft_convolve_reference
    >>> fft_convolve_reference(torch.ones(2, 5, 5), torch.ones(2, 2), mode="valid").shape
    torch.Size([2, 4, 4])
    """
    centre = _check(image, kernel, mode, boundary, centre, ndim)
    axes = tuple(range(-ndim, 0))
    n, k = image.shape[-ndim:], kernel.shape[-ndim:]
    start, size = (0,) * ndim, tuple(a + b - 1 for a, b in zip(n, k, strict=True))
    result = size
    if mode == "valid":
        start, result = tuple(b - 1 for b in k), tuple(a - b + 1 for a, b in zip(n, k, strict=True))
    elif mode == "same":
        start, result = tuple(centre), tuple(n)
        if boundary != "zero":
            before = tuple(b - 1 - c for b, c in zip(k, centre, strict=True))
            for axis, length, b, c in zip(axes, n, before, centre, strict=True):
                image = image.index_select(axis, _outside_index(length, b, c, boundary, image.device))
            start = tuple(b - 1 for b in k)
            size = tuple(a + b - 1 for a, b in zip(image.shape[-ndim:], k, strict=True))
    lead = broadcast_shapes(image.shape[:-ndim], kernel.shape[:-ndim])
    if not torch.Size(lead).numel():  # torch.fft refuses them
        return image.new_empty((*lead, *result))
    spectrum = torch.fft.rfftn(image, s=size, dim=axes) * torch.fft.rfftn(kernel, s=size, dim=axes)
    whole = torch.fft.irfftn(spectrum, s=size, dim=axes)
    cut: tuple[Any, ...] = (..., *(slice(a, a + length) for a, length in zip(start, result, strict=True)))
    return whole[cut]


def _covered(
    image: Tensor,
    pictures: int,
    kernel: tuple[int, ...],
    result: tuple[int, ...],
    shift: tuple[int, ...],
    boundary: Boundary,
) -> bool:
    """Whether the library of the image's device has a way: that of CUDA is in csrc/cuda/fft_convolve_op.cpp.

    And a way back, where the image needs a gradient: that convolution may make more than the first.
    """
    if not _native.on_cuda(image):
        return True
    if max(*image.shape[-len(kernel) :], *result) >= LONGEST_AXIS:
        return False
    tap_by_tap = max(kernel) <= 31 and math.prod(kernel) <= 31 * 31
    if tap_by_tap or _in_tiles(kernel):
        return True
    made = [result]
    if torch.is_grad_enabled() and image.requires_grad:
        size = tuple(image.shape[-len(kernel) :])
        seen = [_spread(*axis) for axis in zip(size, result, kernel, shift, strict=True)]
        made.append(tuple(end - begin for begin, end in seen) if boundary == "reflect" else size)
    domains = ([_fft_device.smooth_from(a + b - 1) for a, b in zip(kernel, size, strict=True)] for size in made)
    return all(_fft_device.covered(pictures, domain) for domain in domains)


def _spread(n: int, length: int, kernel: int, shift: int) -> tuple[int, int]:
    """Along an axis of n pixels, where begins and ends what is all of them and all that a result of this length saw."""
    return min(shift, 0), max(n, length + shift + kernel - 1)


def _in_tiles(kernel: tuple[int, ...]) -> bool:
    """Whether a flat kernel leaves a third of a tile of 64 x 128 points."""
    if len(kernel) != 2:
        return False
    rows, columns = 65 - kernel[0], 129 - kernel[1]
    return rows > 0 and columns > 0 and 3 * rows * columns >= 64 * 128


def _outside_index(n: int, before: int, after: int, boundary: str, device: torch.device) -> Tensor:
    place = torch.arange(-before, n + after, device=device)
    if boundary == "periodic":
        return place.remainder(n)
    place = place.remainder(2 * n)
    return torch.where(place < n, place, 2 * n - 1 - place)


def _deep(values: Any, fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(values)) + tuple(values)


def _check(image: Any, kernel: Any, mode: str, boundary: str, centre: Any, ndim: int) -> tuple[int, ...]:
    if ndim not in (2, 3):
        raise ValueError(f"ndim: got {ndim!r}, expected 2 or 3")
    for name, value in (("image", image), ("kernel", kernel)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
        if value.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{name}: got dtype {value.dtype}, expected torch.float32 or torch.float64")
        if value.dim() < ndim:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected at least {ndim} dimensions")
        if 0 in value.shape[-ndim:]:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected no empty dimension of the last {ndim}")
    if kernel.dtype != image.dtype:
        raise TypeError(f"kernel: got dtype {kernel.dtype}, expected the image's, {image.dtype}")
    if kernel.device != image.device:
        raise ValueError(f"kernel: got device {kernel.device}, expected the image's, {image.device}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(get_args(Mode))}")
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary: got {boundary!r}, expected one of {', '.join(get_args(Boundary))}")
    if boundary != "zero" and mode != "same":
        raise ValueError(f"boundary: got {boundary!r} with mode {mode!r}, expected 'zero', or mode 'same'")
    n, k = tuple(image.shape[-ndim:]), tuple(kernel.shape[-ndim:])
    if mode == "valid" and any(a < b for a, b in zip(n, k, strict=True)):
        raise ValueError(f"kernel: got size {k}, expected none above the image's {n} with mode 'valid'")
    try:
        broadcast_shapes(image.shape[:-ndim], kernel.shape[:-ndim])
    except ValueError:
        raise ValueError(
            f"kernel: got leading dimensions {tuple(kernel.shape[:-ndim])}, expected them to broadcast with the "
            f"image's, {tuple(image.shape[:-ndim])}"
        ) from None
    if centre is None:
        return tuple(size // 2 for size in k)
    if len(centre) != ndim or any(not 0 <= c < size for c, size in zip(centre, k, strict=True)):
        raise ValueError(f"centre: got {tuple(centre)}, expected {ndim} places inside the kernel of size {k}")
    return tuple(int(c) for c in centre)


# ---- fake and backward of the native op: (P, d, h, w) pictures, a kernel (d, h, w) or one for each


def _register() -> None:
    torch.library.register_fake("imgrestore::fft_convolve", _fake)
    torch.library.register_autograd("imgrestore::fft_convolve", _backward, setup_context=_setup_context)


def _fake(image: Tensor, kernel: Tensor, result: list[int], shift: list[int], outside: int) -> Tensor:
    return image.new_empty((image.shape[0], *result))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    image, kernel, ctx.result, ctx.shift, ctx.outside = inputs
    ctx.save_for_backward(image, kernel)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
    image, kernel = ctx.saved_tensors
    image_grad = kernel_grad = None
    if ctx.needs_input_grad[0]:
        image_grad = _image_grad(grad, kernel, image.shape[1:], ctx.shift, ctx.outside)
    if ctx.needs_input_grad[1]:
        kernel_grad = _kernel_grad(grad, image, kernel, ctx.shift, ctx.outside)
    return image_grad, kernel_grad, None, None, None


def _image_grad(grad: Tensor, kernel: Tensor, size: Any, shift: list[int], outside: int) -> Tensor:
    """The gradient convolved with the kernel turned round; what falls outside goes to the pixels that stood for it."""
    k, turned = kernel.shape[-3:], kernel.flip(-3, -2, -1)
    back = [-s - length + 1 for s, length in zip(shift, k, strict=True)]
    native: Any = _native.op("fft_convolve", _register)
    if outside == 2:
        return native(grad, turned, list(size), back, 2)
    if outside == 0:
        return native(grad, turned, list(size), back, 0)
    seen = [_spread(n, *rest) for n, *rest in zip(size, grad.shape[1:], k, shift, strict=True)]
    first, wide = [begin for begin, _ in seen], [end - begin for begin, end in seen]
    spread = native(grad, turned, wide, [b + f for b, f in zip(back, first, strict=True)], 0)
    for axis, (n, f) in enumerate(zip(size, first, strict=True), start=1):
        index = _outside_index(n, -f, spread.shape[axis] + f - n, "reflect", grad.device)
        shape = list(spread.shape)
        shape[axis] = n
        spread = spread.new_zeros(shape).index_add(axis, index, spread)
    return spread


def _kernel_grad(grad: Tensor, image: Tensor, kernel: Tensor, shift: list[int], outside: int) -> Tensor:
    """Correlation of the gradient with what the kernel's points met: sum_i grad[i] image[i + shift + size - 1 - j]."""
    for axis, (s, k) in enumerate(zip(shift, kernel.shape[-3:], strict=True), start=1):
        n, length = image.shape[axis], grad.shape[axis] + k - 1
        place = torch.arange(s, s + length, device=image.device)
        if outside == 0:
            inside = (place >= 0) & (place < n)
            shape = [1] * 4
            shape[axis] = length
            image = image.index_select(axis, place.clamp(0, n - 1)) * inside.reshape(shape)
        else:
            before, after = max(0, -s), max(0, s + length - n)
            index = _outside_index(n, before, after, "reflect" if outside == 1 else "periodic", image.device)
            image = image.index_select(axis, index[s + before :][:length])
    axes = (-3, -2, -1)
    size = image.shape[-3:]
    spectrum = torch.fft.rfftn(image, dim=axes) * torch.fft.rfftn(grad, s=size, dim=axes).conj()
    if kernel.ndim == 3:
        spectrum = spectrum.sum(0)
    lags = torch.fft.irfftn(spectrum, s=size, dim=axes)
    cut: tuple[Any, ...] = (..., *(slice(0, k) for k in kernel.shape[-3:]))
    return lags[cut].flip(axes)
