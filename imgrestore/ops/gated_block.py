"""A whole gated block of the restoration networks in one pass over the memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore import _native
from imgrestore.ops import _planes
from imgrestore.ops.channel_norm import channel_norm_reference
from imgrestore.ops.depthwise_gate import depthwise_gate_reference

DEVICE_CHANNELS = 192  # more do not fit into the kernels for CUDA


def gated_block(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    expand_weight: Tensor,
    expand_bias: Tensor,
    depthwise_weight: Tensor,
    depthwise_bias: Tensor,
    project_weight: Tensor,
    project_bias: Tensor,
    scale: Tensor,
    eps: float = 1e-6,
    *,
    narrow: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Compute ``x + scale * project(depthwise_gate(expand(channel_norm(x))))``, where `expand` and `project` are 1×1.

    The first half of the block of NAFNet (Chen et al., "Simple baselines for image restoration", 2022), without its
    channel attention. Where the native library is loaded, float32 and bfloat16 on the CPU and on CUDA devices are
    computed by it: what lies between reading x and writing the result stays in the cache. Between them it keeps float32
    (bfloat16 has its 1×1 convolutions round their inputs and weights, where the processor has products of bfloat16, as
    all these devices do). Everything else, and on CUDA devices more than 192 channels, runs on `gated_block_reference`.
    Gradients are those of the reference. On CUDA devices autocast to bfloat16 turns float32 into it, as for `conv2d`,
    unless there is an `out`.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        float32, bfloat16 or float64, any strides, any device.
    norm_weight, norm_bias : Tensor, shape (C,), or None
        As in `channel_norm`; both None for no normalisation.
    expand_weight : Tensor, shape (2 I, C, 1, 1) or (2 I, C)
        The first 1×1 convolution. Parameters may have any of these dtypes.
    expand_bias : Tensor, shape (2 I,)
        Its bias.
    depthwise_weight : Tensor, shape (2 I, 1, 3, 3)
        As in `depthwise_gate`.
    depthwise_bias : Tensor, shape (2 I,)
        As in `depthwise_gate`.
    project_weight : Tensor, shape (C, I, 1, 1) or (C, I)
        The second 1×1 convolution.
    project_bias : Tensor, shape (C,)
        Its bias.
    scale : Tensor, shape (C,) or (C, 1, 1)
        What the result is multiplied by before x is added.
    eps : float
        As in `channel_norm`.
    narrow : bool
        Whether the 1×1 convolutions may round their inputs and weights to bfloat16 in float32, too, where the processor
        has products of bfloat16, which takes about half the time. Without effect where gradients are asked for.
    out : Tensor, optional
        Where to write the result, of x's shape and dtype, and without gradients; fresh memory by default.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Of x's dtype, or autocast's.

    Raises
    ------
    TypeError
        When an argument is not a tensor of one of these dtypes.
    ValueError
        When shapes or devices do not go together, only one of `norm_weight` and `norm_bias` is None, `eps` is
        negative, or `out` is not like x or overlaps it.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import gated_block
    >>> x, one = torch.ones(1, 1, 2, 2), torch.ones(1)
    >>> centre = torch.zeros(2, 1, 3, 3)
    >>> centre[..., 1, 1] = 1
    >>> expand = torch.tensor([[3.0], [5.0]])
    >>> gated_block(x, None, None, expand, torch.zeros(2), centre, torch.zeros(2), one[None], one, one).flatten()
    tensor([17., 17., 17., 17.])
    """
    parameters = (expand_weight, expand_bias, depthwise_weight, depthwise_bias, project_weight, project_bias, scale)
    _check(x, norm_weight, norm_bias, *parameters, eps)
    norm = () if norm_weight is None or norm_bias is None else (norm_weight, norm_bias)
    if out is None:
        x = _planes.in_autocast(x)
    tensors = (x, *norm, *parameters)
    if out is not None:
        _planes.check_out(out, tuple(x.shape), x)
    native = None
    covered = x.shape[1] <= DEVICE_CHANNELS or not _native.on_cuda(x)
    if covered and _planes.native_dtypes(*tensors) and _planes.kernels_take(*tensors):
        native = _native.op("gated_block", _register)
    if native is None:
        return _planes.write(gated_block_reference(x, norm_weight, norm_bias, *parameters, eps), out)
    if (out is None and not narrow) or _planes.wants_gradient(*tensors):
        return _planes.write(native(x, norm_weight, norm_bias, *parameters, float(eps)), out)
    result = _planes.room_for(x, out)
    into = _native.op("gated_block_into", _register_nothing)
    assert into is not None
    into(x, norm_weight, norm_bias, *parameters, float(eps), bool(narrow), result)
    return _planes.write(result, out)


def gated_block_reference(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    expand_weight: Tensor,
    expand_bias: Tensor,
    depthwise_weight: Tensor,
    depthwise_bias: Tensor,
    project_weight: Tensor,
    project_bias: Tensor,
    scale: Tensor,
    eps: float = 1e-6,
) -> Tensor:
    """Compute `gated_block` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    x, norm_weight, norm_bias, expand_weight, expand_bias, depthwise_weight, depthwise_bias, project_weight, \
project_bias, scale, eps
        As in `gated_block`.

    Returns
    -------
    Tensor
        As in `gated_block`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import gated_block_reference
    >>> x, three, six = torch.rand(2, 3, 5, 7), torch.rand(3), torch.rand(6)
    >>> shape = ((6, 3), (6,), (6, 1, 3, 3), (6,), (3, 3), (3,), (3,))
    >>> gated_block_reference(x, three, three, *(torch.rand(s) for s in shape)).shape
    torch.Size([2, 3, 5, 7])
    """
    channels, kind = x.shape[1], x.dtype
    h = x
    if norm_weight is not None and norm_bias is not None:
        h = channel_norm_reference(x, norm_weight, norm_bias, eps)
    h = F.conv2d(h, expand_weight.reshape(-1, channels, 1, 1).to(kind), expand_bias.to(kind))
    h = depthwise_gate_reference(h, depthwise_weight, depthwise_bias)
    h = F.conv2d(h, project_weight.reshape(channels, -1, 1, 1).to(kind), project_bias.to(kind))
    return x + h * scale.reshape(channels, 1, 1).to(kind)


def _check(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    expand_weight: Tensor,
    expand_bias: Tensor,
    depthwise_weight: Tensor,
    depthwise_bias: Tensor,
    project_weight: Tensor,
    project_bias: Tensor,
    scale: Tensor,
    eps: float,
) -> None:
    _planes.check_planes(x)
    channels = x.shape[1]
    if (norm_weight is None) != (norm_bias is None):
        name = "norm_weight" if norm_weight is None else "norm_bias"
        raise ValueError(f"{name}: got None, expected a tensor, or both of norm_weight and norm_bias to be None")
    if norm_weight is not None:
        _planes.check_parameter("norm_weight", norm_weight, (channels,), x)
        _planes.check_parameter("norm_bias", norm_bias, (channels,), x)
    if not isinstance(expand_bias, Tensor):
        raise TypeError(f"expand_bias: got {type(expand_bias).__name__}, expected a torch.Tensor")
    inner = expand_bias.numel() // 2
    if expand_bias.dim() != 1 or inner == 0 or expand_bias.numel() % 2:
        raise ValueError(f"expand_bias: got shape {tuple(expand_bias.shape)}, expected one dimension of an even number")
    _planes.check_parameter("expand_weight", expand_weight, (2 * inner, channels), x, (1, 1))
    _planes.check_parameter("expand_bias", expand_bias, (2 * inner,), x)
    _planes.check_parameter("depthwise_weight", depthwise_weight, (2 * inner, 1, 3, 3), x)
    _planes.check_parameter("depthwise_bias", depthwise_bias, (2 * inner,), x)
    _planes.check_parameter("project_weight", project_weight, (channels, inner), x, (1, 1))
    _planes.check_parameter("project_bias", project_bias, (channels,), x)
    _planes.check_parameter("scale", scale, (channels,), x, (1, 1))
    _planes.check_eps(eps)


def _register() -> None:
    torch.library.register_fake("imgrestore::gated_block", _fake)
    torch.library.register_autograd(
        "imgrestore::gated_block", _planes.backward_by(gated_block_reference), setup_context=_planes.setup_context
    )


def _register_nothing() -> None:
    return None


def _fake(x: Tensor, *parameters: Tensor | float | None) -> Tensor:
    return _planes.fake_like(x)
