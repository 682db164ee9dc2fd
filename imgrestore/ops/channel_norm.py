"""Layer normalisation over the channels of each pixel."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore import _native
from imgrestore.ops import _planes


def channel_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-6) -> Tensor:
    """Normalise each pixel over its channels: ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    This is the layer normalisation of Ba, Kiros and Hinton, "Layer normalization" (2016), over the channels alone, as
    restoration networks use it. Where the native library is loaded, float32 and bfloat16 on the CPU and on CUDA devices
    are normalised by it, in float32 and in one pass over the memory; everything else runs on `channel_norm_reference`.
    Gradients are those of the reference. Autocast leaves x's dtype as it is.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        float32, bfloat16 or float64, any strides, any device.
    weight, bias : Tensor, shape (C,)
        The scale and the offset of each channel, in any of these dtypes.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Of x's dtype.

    Raises
    ------
    TypeError
        When `x`, `weight` or `bias` is not a tensor of one of these dtypes.
    ValueError
        When the shapes or devices do not go together, or `eps` is negative.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import channel_norm
    >>> x = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)
    >>> channel_norm(x, torch.ones(2), torch.zeros(2)).flatten().round(decimals=3)
    tensor([-1.,  1.])
    """
    _planes.check_planes(x)
    _planes.check_parameter("weight", weight, (x.shape[1],), x)
    _planes.check_parameter("bias", bias, (x.shape[1],), x)
    _planes.check_eps(eps)
    if _planes.native_dtypes(x, weight, bias) and _native.takes(x, weight, bias):
        native = _native.op("channel_norm", _register)
        if native is not None:
            return native(x, weight, bias, float(eps))
    return channel_norm_reference(x, weight, bias, eps)


def channel_norm_reference(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-6) -> Tensor:
    """Compute `channel_norm` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    x, weight, bias, eps
        As in `channel_norm`.

    Returns
    -------
    Tensor
        As in `channel_norm`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import channel_norm_reference
    >>> channel_norm_reference(torch.rand(2, 8, 5, 7), torch.ones(8), torch.zeros(8)).shape
    torch.Size([2, 8, 5, 7])
    """
    # Autocast would widen the whole tensor to float32 here; the kernel accumulates in float32 by itself.
    plain = torch.autocast(x.device.type, enabled=False) if x.device.type != "meta" else nullcontext()
    with plain:
        last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(last, (x.shape[1],), weight.to(x.dtype), bias.to(x.dtype), eps)
        return normed.permute(0, 3, 1, 2)


def _register() -> None:
    torch.library.register_fake("imgrestore::channel_norm", _fake)
    torch.library.register_autograd(
        "imgrestore::channel_norm",
        _planes.backward_by(channel_norm_reference),
        setup_context=_planes.setup_context,
    )


def _fake(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return _planes.fake_like(x)
