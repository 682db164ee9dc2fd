"""Small convolutions of planes, with what networks do next to them: halve or double the resolution, and add."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore import _native
from imgrestore.ops import _planes


def patch_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    plus: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    shuffle: bool = False,
    narrow: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Convolve planes with k×k kernels, turn fours of planes into larger ones if asked to, and add `plus`.

    The convolution (without flipping, as in `torch.nn.functional.conv2d`) sees zeros beyond the frame, and `shuffle` is
    `torch.nn.functional.pixel_shuffle` by 2. Where the native library is loaded, no gradient is asked for and all is
    float32 on the CPU or on a CUDA device, it is computed by it, without changes of layout; everything else runs on
    `patch_conv_reference`.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        float32, bfloat16 or float64, any strides, any device.
    weight : Tensor, shape (O, C, k, k)
        The kernels, of x's dtype.
    bias : Tensor, shape (O,), optional
        Added to each channel.
    plus : Tensor, optional
        Of the result's shape and x's dtype; added last.
    stride : {1, 2}
        Distance of the pixels that are computed.
    padding : int
        Zeros on every side, at least 0.
    shuffle : bool
        Whether four channels become one of twice the height and width; O is a multiple of 4 then.
    narrow : bool
        Whether inputs and weights may be rounded to bfloat16, where the processor has products of it. Without
        effect on the twin.
    out : Tensor, optional
        Where to write the result, of its shape and x's dtype; may be `plus`. Fresh memory by default. The result
        carries no gradient to be written there.

    Returns
    -------
    Tensor, shape (N, O, H', W') or, shuffled, (N, O / 4, 2 H', 2 W')
        Of x's dtype; H' is ``(H + 2 padding - k) // stride + 1``.

    Raises
    ------
    TypeError
        When an argument is not a tensor of x's dtype.
    ValueError
        When shapes or devices do not go together, or a number is none of those above.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import patch_conv
    >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> patch_conv(x, torch.ones(1, 1, 2, 2), stride=2).flatten()
    tensor([6.])
    """
    shape = _check(x, weight, bias, plus, stride, padding, shuffle)
    if out is not None:
        _planes.check_out(out, shape, x)
    tensors = [t for t in (x, weight, bias, plus) if t is not None]
    if all(t.dtype == torch.float32 for t in tensors) and _planes.kernels_take(*tensors):
        native = None if _planes.wants_gradient(*tensors) else _native.op("patch_conv_into", _register)
        if native is not None:
            dense = out is not None and out.is_contiguous()
            result = out if out is not None and dense else _planes.fresh(shape, x)
            added = None if plus is None else plus.contiguous()
            native(x, weight, bias, added, stride, padding, bool(shuffle), bool(narrow), result)
            return _planes.write(result, out)
    result = patch_conv_reference(x, weight, bias, plus, stride=stride, padding=padding, shuffle=shuffle)
    return _planes.write(result, out)


def patch_conv_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    plus: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    shuffle: bool = False,
) -> Tensor:
    """Compute `patch_conv` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    x, weight, bias, plus, stride, padding, shuffle
        As in `patch_conv`.

    Returns
    -------
    Tensor
        As in `patch_conv`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import patch_conv_reference
    >>> patch_conv_reference(torch.rand(2, 3, 5, 7), torch.rand(8, 3, 3, 3), padding=1, shuffle=True).shape
    torch.Size([2, 2, 10, 14])
    """
    h = F.conv2d(x, weight, bias, stride=stride, padding=padding)
    if shuffle:
        h = F.pixel_shuffle(h, 2)
    return h if plus is None else h + plus


def _check(
    x: Tensor, weight: Tensor, bias: Tensor | None, plus: Tensor | None, stride: int, padding: int, shuffle: bool
) -> tuple[int, ...]:
    """Raise where the arguments do not go together; else give the result's shape."""
    _planes.check_planes(x)
    if stride not in (1, 2):
        raise ValueError(f"stride: got {stride!r}, expected 1 or 2")
    if not isinstance(padding, int) or padding < 0:
        raise ValueError(f"padding: got {padding!r}, expected an integer of at least 0")
    for name, value in (("weight", weight), ("bias", bias), ("plus", plus)):
        if value is None and name != "weight":
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
        if value.dtype != x.dtype:
            raise TypeError(f"{name}: got dtype {value.dtype}, expected x's, {x.dtype}")
        if value.device != x.device:
            raise ValueError(f"{name}: got device {value.device}, expected x's, {x.device}")
    if weight.dim() != 4 or weight.shape[1] != x.shape[1] or weight.shape[2] != weight.shape[3] or not weight.numel():
        raise ValueError(f"weight: got shape {tuple(weight.shape)}, expected (outputs, {x.shape[1]}, k, k)")
    outputs, kernel = weight.shape[0], weight.shape[2]
    if shuffle and outputs % 4:
        raise ValueError(f"weight: got {outputs} outputs, expected a multiple of 4 to be shuffled")
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ValueError(f"bias: got shape {tuple(bias.shape)}, expected ({outputs},)")
    size = [(n + 2 * padding - kernel) // stride + 1 for n in x.shape[-2:]]
    if min(x.shape[-2:]) + 2 * padding < kernel:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected {kernel} pixels a side with the padding")
    twice = 2 if shuffle else 1
    shape = (x.shape[0], outputs // twice**2, *(twice * n for n in size))
    if plus is not None and tuple(plus.shape) != shape:
        raise ValueError(f"plus: got shape {tuple(plus.shape)}, expected the result's, {shape}")
    return shape


def _register() -> None:
    torch.library.register_fake("imgrestore::patch_conv_into", _fake)


def _fake(*arguments: object) -> None:
    return None
