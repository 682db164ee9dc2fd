"""Wiener deconvolution of many planes blurred alike, each with a noise-to-signal ratio of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops import _planes
from imgrestore.ops._fft_device import covered, smooth

__all__ = ["wiener_planes", "wiener_planes_reference"]


def wiener_planes(
    image: Tensor,
    otf: Tensor,
    level: Tensor,
    power: Tensor,
    log_frequency: Tensor,
    signal_power: Tensor | None = None,
    *,
    gain: float = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """Deconvolve planes on a periodic domain, without keeping a spectrum or a filter for each of them.

    Plane p is multiplied, in the Fourier domain, by ``gain * conj(otf) / (|otf|² + ratio)`` with::

        log ratio = level[p] + power[p] * log_frequency - signal_power[p] * log(variance + 1e-5)

    bounded to -14 ... 8, where the variance is that of the plane. Where the native library is loaded, no gradient is
    asked for, all is float32, and height and width have no prime factors but 2, 3 and 5 (and on CUDA devices are at
    most 7680), it is computed by it, on the CPU and on CUDA devices; everything else runs on
    `wiener_planes_reference`. After the feature-space deconvolution of Dong, Roth and Schiele, "Deep Wiener
    deconvolution: Wiener meets deep learning for image deblurring" (2020).

    Parameters
    ----------
    image : Tensor, shape (N, C, H, W)
        float32 or float64, any strides, any device.
    otf : Tensor, shape (N, 1, H, W // 2 + 1)
        Transfer functions of the blur, complex, of the image's precision.
    level : Tensor, shape (N, P)
        P is a multiple of C: each plane of the image is deconvolved with P / C ratios, which come one after the other.
    power : Tensor, shape (P,)
        How the ratios grow with the frequency.
    log_frequency : Tensor, shape (H, W // 2 + 1)
        A logarithm of the frequency of each bin of ``rfft2``, whichever is wanted.
    signal_power : Tensor, shape (P,), optional
        How the ratios fall with the plane's variance; not at all by default.
    gain : float
        Factor of the result.
    out : Tensor, optional
        Where to write the result, of its shape and the image's dtype. Fresh memory by default. The result carries no
        gradient to be written there.

    Returns
    -------
    Tensor, shape (N, P, H, W)
        Of the image's dtype.

    Raises
    ------
    TypeError
        When an argument is not a tensor of the image's precision.
    ValueError
        When shapes or devices do not go together.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import wiener_planes
    >>> image, zero = torch.ones(1, 1, 2, 2), torch.zeros(1)
    >>> wiener_planes(image, torch.ones(1, 1, 2, 2).cfloat(), zero[None], zero, torch.zeros(2, 2)).flatten()
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    shape = _check(image, otf, level, power, log_frequency, signal_power)
    if out is not None:
        _planes.check_out(out, shape, image)
    if not shape[0]:  # which no transform takes
        return _planes.write(image.new_empty(shape), out)
    signals = () if signal_power is None else (signal_power,)
    tensors = (image, otf, level, power, log_frequency, *signals)
    if _covered(image, shape) and not _planes.wants_gradient(*tensors) and _native.takes(*tensors):
        native = _native.op("wiener_planes_into", _register)
        if native is not None:
            result = out if out is not None and _has_dense_planes(out) else _planes.fresh(shape, image)
            signal = None if signal_power is None else signal_power.contiguous()
            numbers = (level.contiguous(), power.contiguous(), signal, log_frequency.contiguous())
            native(image, otf, *numbers, float(gain), result)
            return _planes.write(result, out)
    return _planes.write(wiener_planes_reference(image, otf, level, power, log_frequency, signal_power, gain=gain), out)


def wiener_planes_reference(
    image: Tensor,
    otf: Tensor,
    level: Tensor,
    power: Tensor,
    log_frequency: Tensor,
    signal_power: Tensor | None = None,
    *,
    gain: float = 1.0,
) -> Tensor:
    """Compute `wiener_planes` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    image, otf, level, power, log_frequency, signal_power, gain
        As in `wiener_planes`.

    Returns
    -------
    Tensor
        As in `wiener_planes`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import wiener_planes_reference
    >>> image, otf, level = torch.rand(2, 3, 5, 8), torch.rand(2, 1, 5, 5).cfloat(), torch.zeros(2, 6)
    >>> wiener_planes_reference(image, otf, level, torch.ones(6), torch.zeros(5, 5)).shape
    torch.Size([2, 6, 5, 8])
    """
    repeats = level.shape[1] // image.shape[1]
    if signal_power is not None:
        variance = image.var(dim=(-2, -1)).repeat_interleave(repeats, dim=1)
        level = level - signal_power * torch.log(variance + 1e-5)
    ratio = torch.exp((level[..., None, None] + power[:, None, None] * log_frequency).clamp(-14.0, 8.0))
    filters = gain * otf.conj() / (otf.real.square() + otf.imag.square() + ratio)
    spectrum = torch.fft.rfft2(image).repeat_interleave(repeats, dim=1)
    return torch.fft.irfft2(filters * spectrum, s=image.shape[-2:])


def _covered(image: Tensor, shape: tuple[int, ...]) -> bool:
    fits = covered(shape[0] * shape[1], shape[2:]) if _native.on_cuda(image) else smooth(*shape[2:])
    return image.dtype == torch.float32 and fits


def _has_dense_planes(t: Tensor) -> bool:
    apart = t.shape[0] == 1 or t.stride(0) >= t.shape[1] * t.shape[2] * t.shape[3]
    return apart and t.stride()[1:] == (t.shape[2] * t.shape[3], t.shape[3], 1)


def _check(
    image: Tensor, otf: Tensor, level: Tensor, power: Tensor, log_frequency: Tensor, signal_power: Tensor | None
) -> tuple[int, ...]:
    """Raise where the arguments do not go together; else give the result's shape."""
    if not isinstance(image, Tensor) or image.dtype not in (torch.float32, torch.float64):
        got = f"dtype {image.dtype}" if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(f"image: got {got}, expected a torch.Tensor of torch.float32 or torch.float64")
    if image.dim() != 4 or 0 in image.shape[1:]:
        raise ValueError(f"image: got shape {tuple(image.shape)}, expected planes (N, C, H, W) that are not empty")
    count, channels, height, width = image.shape
    planes = level.shape[-1] if isinstance(level, Tensor) and level.dim() else 0
    if planes == 0 or planes % channels:
        had = f"shape {tuple(level.shape)}" if isinstance(level, Tensor) else type(level).__name__
        raise ValueError(f"level: got {had}, expected a tensor of shape ({count}, a multiple of {channels})")
    half = (height, width // 2 + 1)
    wide = torch.complex128 if image.dtype == torch.float64 else torch.complex64
    expected = {
        "otf": (otf, (count, 1, *half), wide),
        "level": (level, (count, planes), image.dtype),
        "power": (power, (planes,), image.dtype),
        "log_frequency": (log_frequency, half, image.dtype),
    }
    if signal_power is not None:
        expected["signal_power"] = (signal_power, (planes,), image.dtype)
    for name, (value, shape, dtype) in expected.items():
        if not isinstance(value, Tensor) or value.dtype != dtype:
            got = f"dtype {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name}: got {got}, expected a torch.Tensor of {dtype}")
        if tuple(value.shape) != shape:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected {shape}")
        if value.device != image.device:
            raise ValueError(f"{name}: got device {value.device}, expected the image's, {image.device}")
    return (count, planes, height, width)


def _register() -> None:
    torch.library.register_fake("imgrestore::wiener_planes_into", _fake)


def _fake(*arguments: object) -> None:
    return None
