"""A depthwise convolution whose halves are multiplied: the nonlinearity of gated restoration networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore import _native
from imgrestore.ops import _planes


def depthwise_gate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Filter each channel by its own 3×3 kernel, and multiply the first half of the channels by the second.

    The convolution (without flipping, as in `torch.nn.functional.conv2d`) sees zeros beyond the frame. The simple gate
    is that of Chen et al., "Simple baselines for image restoration" (2022). Where the native library is loaded, float32
    and bfloat16 on the CPU and on CUDA devices are computed by it, in float32 and in one pass over the memory;
    everything else runs on `depthwise_gate_reference`. Gradients are those of the reference. On CUDA devices autocast
    to bfloat16 turns float32 into it, as for `conv2d`.

    Parameters
    ----------
    x : Tensor, shape (N, 2 C, H, W)
        float32, bfloat16 or float64, any strides, any device.
    weight : Tensor, shape (2 C, 1, 3, 3) or (2 C, 3, 3)
        The kernel of each channel, in any of these dtypes.
    bias : Tensor, shape (2 C,)
        Added to each channel before the product.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Of x's dtype, or autocast's.

    Raises
    ------
    TypeError
        When `x`, `weight` or `bias` is not a tensor of one of these dtypes.
    ValueError
        When the number of channels is odd, or shapes or devices do not go together.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import depthwise_gate
    >>> x = torch.stack([torch.full((2, 2), 3.0), torch.full((2, 2), 5.0)])[None]
    >>> centre = torch.zeros(2, 1, 3, 3)
    >>> centre[..., 1, 1] = 1
    >>> depthwise_gate(x, centre, torch.zeros(2)).flatten()
    tensor([15., 15., 15., 15.])
    """
    _planes.check_planes(x)
    channels = x.shape[1]
    if channels % 2:
        raise ValueError(f"x: got {channels} channels, expected an even number, for two halves")
    if not isinstance(weight, Tensor) or weight.dim() != 3:
        _planes.check_parameter("weight", weight, (channels, 1, 3, 3), x)
    else:
        _planes.check_parameter("weight", weight, (channels, 3, 3), x)
    _planes.check_parameter("bias", bias, (channels,), x)
    x = _planes.in_autocast(x)
    if _planes.native_dtypes(x, weight, bias) and _planes.kernels_take(x, weight, bias):
        native = _native.op("depthwise_gate", _register)
        if native is not None:
            return native(x, weight, bias)
    return depthwise_gate_reference(x, weight, bias)


def depthwise_gate_reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `depthwise_gate` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    x, weight, bias
        As in `depthwise_gate`.

    Returns
    -------
    Tensor
        As in `depthwise_gate`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import depthwise_gate_reference
    >>> depthwise_gate_reference(torch.rand(2, 8, 5, 7), torch.rand(8, 1, 3, 3), torch.zeros(8)).shape
    torch.Size([2, 4, 5, 7])
    """
    kernels = weight.reshape(x.shape[1], 1, 3, 3).to(x.dtype)
    if x.numel() == 0:  # which conv2d refuses in part
        return x[:, : x.shape[1] // 2] * kernels.sum() * bias.sum().to(x.dtype)
    a, b = F.conv2d(x, kernels, bias.to(x.dtype), padding=1, groups=x.shape[1]).chunk(2, dim=1)
    return a * b


def _register() -> None:
    torch.library.register_fake("imgrestore::depthwise_gate", _fake)
    torch.library.register_autograd(
        "imgrestore::depthwise_gate",
        _planes.backward_by(depthwise_gate_reference),
        setup_context=_planes.setup_context,
    )


def _fake(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _planes.fake_like(x, x.shape[1] // 2)
