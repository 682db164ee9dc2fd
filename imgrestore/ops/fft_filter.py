"""Circular filtering through the Fourier domain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops import _fft_device
from imgrestore.ops._shapes import broadcast_shapes

_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def fft_filter(image: Tensor, response: Tensor, *, ndim: int = 2) -> Tensor:
    """Filter circularly with a frequency response: ``irfft(rfft(image) * response)``.

    Gradients run to both arguments. Where the native library is loaded, planes on the CPU whose height and width are of
    the form 2^a 3^b 5^c are filtered by it, and so are float32 planes and volumes on CUDA devices whose sizes are of
    that form and at most 7680; everything else runs on `fft_filter_reference`.

    Parameters
    ----------
    image : Tensor, shape (..., H, W), or (..., D, H, W) with ``ndim=3``
        float32 or float64, any strides, any device.
    response : Tensor, shape (..., H, W // 2 + 1), or (..., D, H, W // 2 + 1) with ``ndim=3``
        complex64 for float32, complex128 for float64: the half spectrum as `torch.fft.rfft2` lays it out. Leading
        dimensions broadcast with those of `image`. Where columns 0 and (for an even W) W / 2 are not Hermitian, only
        their Hermitian part matters, as in `torch.fft.irfft2`.
    ndim : {2, 3}
        How many trailing dimensions are filtered over.

    Returns
    -------
    Tensor
        Of the broadcast shape and the image's dtype.

    Raises
    ------
    TypeError
        When `image` is not a float32 or float64 tensor, or `response` not complex of the same precision.
    ValueError
        When the shapes, the devices or `ndim` do not go together.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import fft_filter
    >>> image = torch.arange(12.0).reshape(3, 4)
    >>> identity = torch.ones(3, 3, dtype=torch.complex64)
    >>> torch.allclose(fft_filter(image, identity), image, atol=1e-5)
    True
    """
    _check(image, response, ndim)
    if image.numel() and response.numel() and _covered(image, response, ndim) and _native.takes(image, response):
        native = _native.op("fft_filter" if ndim == 2 else "fft_filter_3d", _register if ndim == 2 else _register_3d)
        if native is not None:
            return native(image, response)
    return fft_filter_reference(image, response, ndim=ndim)


def fft_filter_reference(image: Tensor, response: Tensor, *, ndim: int = 2) -> Tensor:
    """Compute `fft_filter` in plain torch, on any device and for any size: the twin that the kernels are held to.

    Parameters
    ----------
    image, response, ndim
        As in `fft_filter`.

    Returns
    -------
    Tensor
        As in `fft_filter`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import fft_filter_reference
    >>> fft_filter_reference(torch.ones(2, 7, 5), torch.zeros(7, 3, dtype=torch.complex64)).shape
    torch.Size([2, 7, 5])
    """
    if not (image.numel() and response.numel()):  # torch.fft refuses them
        return image.expand(*broadcast_shapes(image.shape[:-ndim], response.shape[:-ndim]), *image.shape[-ndim:])
    dims = tuple(range(-ndim, 0))
    spectrum = torch.fft.rfftn(image, dim=dims) * response
    return torch.fft.irfftn(spectrum, s=image.shape[-ndim:], dim=dims)


def _check(image: Tensor, response: Tensor, ndim: int) -> None:
    if ndim not in (2, 3):
        raise ValueError(f"ndim: got {ndim!r}, expected 2 or 3")
    for name, value in (("image", image), ("response", response)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
        if value.dim() < ndim:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected at least {ndim} dimensions")
    if image.dtype not in _COMPLEX:
        raise TypeError(f"image: got dtype {image.dtype}, expected torch.float32 or torch.float64")
    if response.dtype != _COMPLEX[image.dtype]:
        wanted = _COMPLEX[image.dtype]
        raise TypeError(f"response: got dtype {response.dtype}, expected {wanted} to go with an image of {image.dtype}")
    if response.device != image.device:
        raise ValueError(f"response: got device {response.device}, expected the image's, {image.device}")
    plane = tuple(image.shape[-ndim:])
    if 0 in plane:
        raise ValueError(f"image: got shape {tuple(image.shape)}, expected no empty dimension among the last {ndim}")
    half = (*plane[:-1], plane[-1] // 2 + 1)
    if tuple(response.shape[-ndim:]) != half:
        raise ValueError(
            f"response: got shape {tuple(response.shape)}, expected it to end in {half}, the half spectrum of an image "
            f"that ends in {plane}"
        )
    if image.dim() == ndim or response.dim() == ndim:
        return
    try:
        broadcast_shapes(image.shape[:-ndim], response.shape[:-ndim])
    except ValueError:
        raise ValueError(
            f"response: got leading dimensions {tuple(response.shape[:-ndim])}, expected them to broadcast with the "
            f"image's, {tuple(image.shape[:-ndim])}"
        ) from None


def _covered(image: Tensor, response: Tensor, ndim: int) -> bool:
    if not _native.on_cuda(image):
        return ndim == 2 and _fft_device.smooth(*image.shape[-2:])
    pictures = broadcast_shapes(image.shape[:-ndim], response.shape[:-ndim])
    narrow = image.dtype == torch.float32 and len(pictures) <= 8
    return narrow and _fft_device.covered(pictures.numel(), image.shape[-ndim:])


def _register() -> None:
    torch.library.register_fake("imgrestore::fft_filter", _fake)
    torch.library.register_autograd("imgrestore::fft_filter", _backward, setup_context=_setup_context)


def _register_3d() -> None:
    torch.library.register_fake("imgrestore::fft_filter_3d", lambda image, response: _fake(image, response, 3))
    torch.library.register_autograd(
        "imgrestore::fft_filter_3d", lambda ctx, grad: _backward(ctx, grad, 3), setup_context=_setup_context
    )


def _fake(image: Tensor, response: Tensor, ndim: int = 2) -> Tensor:
    leading = broadcast_shapes(image.shape[:-ndim], response.shape[:-ndim])
    return image.new_empty((*leading, *image.shape[-ndim:]))


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor, ndim: int = 2) -> tuple[Tensor | None, Tensor | None]:
    image, response = ctx.saved_tensors
    image_grad = response_grad = None
    if ctx.needs_input_grad[0]:
        image_grad = fft_filter(grad, response.conj_physical(), ndim=ndim).sum_to_size(image.shape)
    if ctx.needs_input_grad[1]:
        dims = tuple(range(-ndim, 0))
        spectra = torch.fft.rfftn(image, dim=dims).conj() * torch.fft.rfftn(grad, dim=dims)
        response_grad = spectra.sum_to_size(response.shape) * _half_spectrum_weights(image, ndim)
    return image_grad, response_grad


def _half_spectrum_weights(image: Tensor, ndim: int) -> Tensor:
    # A column stands for itself and its mirror image, but for column 0 and, in an even width, the last.
    width = image.shape[-1]
    count = image.shape[-ndim:].numel()
    weights = torch.full((width // 2 + 1,), 2.0 / count, dtype=image.dtype, device=image.device)
    weights[0] /= 2
    if width % 2 == 0:
        weights[-1] /= 2
    return weights
