"""The blocks of the networks: a gated depthwise block and an encoder-decoder built of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from imgrestore import _native, ops
from imgrestore.ops._planes import Room

Depthwise = Literal["conv", "shift"]


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, with a learned scale and offset.

    Parameters
    ----------
    channels : int
        Number of channels.
    eps : float
        Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise planes (N, C, H, W)."""
        norm = ops.channel_norm if may_fuse(x, self) else ops.channel_norm_reference
        return norm(x, self.weight, self.bias, self.eps)


class DepthwiseConv(nn.Module):
    """A 3×3 depthwise convolution with zero padding.

    Parameters
    ----------
    channels : int
        Number of channels.

    Attributes
    ----------
    mode : {"conv", "shift"}
        How it is computed; ``shift`` writes it as nine multiply-adds, which a compiler fuses with its neighbours.
        The parameters are the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mode: Depthwise = "conv"
        nn.init.normal_(self.weight, std=1 / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter planes (N, C, H, W)."""
        if self.mode == "conv":
            return F.conv2d(x, self.weight, self.bias, padding=1, groups=x.shape[1])
        height, width = x.shape[-2:]
        padded = F.pad(x, (1, 1, 1, 1))
        weight = self.weight.to(x.dtype)
        out = self.bias.to(x.dtype)[:, None, None]
        for i in range(3):
            for j in range(3):
                out = out + weight[:, 0, i, j, None, None] * padded[..., i : i + height, j : j + width]
        return out


class GatedBlock(nn.Module):
    """``x + scale * project(gate(depthwise(expand(norm(x)))))`` where gate multiplies one half by the other.

    The simple gate and the block's order follow NAFNet (Chen et al., "Simple baselines for image restoration",
    2022); the channel attention is left out, so that a pixel depends on its neighbourhood alone and pictures can be
    cut into tiles. Where the residual scale starts at zero a new block is
    the identity.

    Parameters
    ----------
    channels : int
        Number of channels in and out.
    expansion : int
        The depthwise convolution sees ``2 * expansion * channels``.
    norm : bool
        Whether the block starts with a `ChannelNorm`.
    start : float
        What the residual scale is at first: with more than 0 a new net learns sooner what short trainings can.
    """

    def __init__(self, channels: int, expansion: int = 1, norm: bool = True, start: float = 0.0) -> None:
        super().__init__()
        inner = expansion * channels
        self.norm = ChannelNorm(channels) if norm else nn.Identity()
        self.expand = nn.Conv2d(channels, 2 * inner, 1)
        self.depthwise = DepthwiseConv(2 * inner)
        self.project = nn.Conv2d(inner, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map planes (N, C, H, W) to planes of the same shape and dtype, or that of autocast on a CUDA device."""
        if may_fuse(x, self):
            return self.fused(x)
        a, b = self.depthwise(self.expand(self.norm(x))).chunk(2, dim=1)
        return x + self.project(a * b) * self.scale.to(x.dtype)

    def fused(self, x: torch.Tensor, narrow: bool = False, out: torch.Tensor | None = None) -> torch.Tensor:
        """Run the block as one op, `imgrestore.ops.gated_block`, whose options these are."""
        norm = self.norm if isinstance(self.norm, ChannelNorm) else None
        assert self.expand.bias is not None
        assert self.project.bias is not None
        return ops.gated_block(
            x,
            norm.weight if norm else None,
            norm.bias if norm else None,
            self.expand.weight,
            self.expand.bias,
            self.depthwise.weight,
            self.depthwise.bias,
            self.project.weight,
            self.project.bias,
            self.scale,
            norm.eps if norm else 0.0,
            narrow=narrow,
            out=out,
        )


class UNet(nn.Module):
    """An encoder-decoder of `GatedBlock` at 1/2, 1/4, 1/8 ... of the input's resolution.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out, at full resolution. With no outputs there is the first half alone, which `encoded` runs.
    width : int
        Channels at half resolution; they double with every level.
    blocks : sequence of int
        Blocks of each level, one side; the last number is the bottom's.
    memory : int
        Channels of an earlier net's features at half resolution that are added to the stem's, 0 for none.
    start : float
        As in `GatedBlock`.

    Attributes
    ----------
    stride : int
        Height and width of the input must be multiples of it.
    narrow : bool
        Whether, where no gradient is asked for, products between the first and the last convolution may be rounded to
        bfloat16. True by default; it has an effect where the processor has such products.

    Notes
    -----
    The head starts at zero: a new net returns zeros.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, blocks: Sequence[int], memory: int = 0, start: float = 0.0
    ) -> None:
        super().__init__()

        def stack(channels: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(GatedBlock(channels, start=start) for _ in range(count)))

        self.stride = 2 ** len(blocks)
        self.narrow = True
        self.stem = nn.Conv2d(inputs, width, 2, stride=2)
        self.recall = nn.Conv2d(memory, width, 1) if memory else None
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.decoders, self.ups = nn.ModuleList(), nn.ModuleList()
        channels = width
        for count in blocks[:-1]:
            self.encoders.append(stack(channels, count))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            if outputs:
                self.ups.insert(0, nn.Conv2d(2 * channels, 4 * channels, 1, bias=False))
                self.decoders.insert(0, stack(channels, count))
            channels *= 2
        self.bottom = stack(channels, blocks[-1])
        if not outputs:
            return
        self.head = nn.Conv2d(width, 4 * outputs, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor | None = None, room: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the net.

        Parameters
        ----------
        x : Tensor, shape (N, inputs, H, W)
            H and W multiples of `stride`.
        memory : Tensor, shape (N, memory, H / 2, W / 2), optional
            Features of an earlier net.
        room : Tensor of float32, contiguous, optional
            Memory that the net may overwrite once it has read `x`; may be that of `x`. It is used where no gradient is
            asked for.

        Returns
        -------
        result : Tensor of float32, shape (N, outputs, H, W)
            The head's output.
        features : Tensor, shape (N, width, H / 2, W / 2)
            What the head saw.
        """
        # Where a device's autocast asks for bfloat16, planes of half the bytes save more than `_fused` does.
        lowered = x.device.type != "cpu" and torch.is_autocast_enabled(x.device.type)
        if x.dtype == self.stem.weight.dtype == torch.float32 and not lowered and may_fuse(x, self):
            return self._fused(x, memory, room)
        return self.decoded(*self.encoded(x, memory))

    def encoded(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Run the first half of the net.

        Parameters
        ----------
        x, memory : Tensor
            As in `forward`.

        Returns
        -------
        bottom : Tensor
            The features at the least resolution.
        skips : list of Tensor
            Those of the other levels, the finest first.
        """
        # bfloat16 keeps 8 bits: the first look at the picture and the last word on it stay in float32.
        with torch.autocast(x.device.type, enabled=False):
            h = self.stem(x.float())
        if self.recall is not None and memory is not None:
            h = h + self.recall(memory)
        if torch.is_autocast_enabled(x.device.type):
            h = h.to(torch.get_autocast_dtype(x.device.type))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        return self.bottom(h), skips

    def decoded(self, bottom: torch.Tensor, skips: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the second half: from what `encoded` returns, whose list it empties, to what `forward` returns."""
        h = bottom
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            h = decoder(F.pixel_shuffle(up(h), 2) + skips.pop())
        with torch.autocast(h.device.type, enabled=False):
            return F.pixel_shuffle(self.head(h.float()), 2), h

    def _fused(
        self, x: torch.Tensor, memory: torch.Tensor | None, room: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the net on native ops, in planes from end to end and with two sets of them for each level."""
        narrow, rest = self.narrow, Room(room)
        h = ops.patch_conv(x, self.stem.weight, self.stem.bias, stride=2)
        if self.recall is not None and memory is not None:
            h = ops.patch_conv(memory.float(), self.recall.weight, self.recall.bias, h, narrow=narrow, out=h)
        skips = []
        first = h
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            assert isinstance(down, nn.Conv2d)
            h, spare = _run(encoder, h, rest.take(h.shape, h), narrow)
            skips.append((h, spare))
            smaller = rest.take((h.shape[0], 2 * h.shape[1], h.shape[2] // 2, h.shape[3] // 2), h)
            h = ops.patch_conv(h, down.weight, down.bias, stride=2, narrow=narrow, out=smaller)
        h, _ = _run(self.bottom, h, rest.take(h.shape, h), narrow)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            assert isinstance(up, nn.Conv2d)
            skip, spare = skips.pop()
            h = ops.patch_conv(h, up.weight, None, skip, shuffle=True, narrow=narrow, out=skip)
            h, _ = _run(decoder, h, spare, narrow)
        # As many blocks go up as went down, so that it is the same again, but for a net of one level. Never in `room`.
        h = h if h is first else first.copy_(h)
        return ops.patch_conv(h, self.head.weight, self.head.bias, padding=1, shuffle=True), h


def _run(blocks: nn.Module, h: torch.Tensor, spare: torch.Tensor, narrow: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Run blocks to and fro between two tensors; the result comes first."""
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        assert isinstance(block, GatedBlock)
        h, spare = block.fused(h, narrow, spare), h
    return h, spare


def may_fuse(x: torch.Tensor, module: nn.Module) -> bool:
    """Whether a module may run on its native op: nobody asks for a gradient, and there is one for `x`.

    With gradients torch is faster: it keeps what the op would compute again.
    """
    if x.dtype not in (torch.float32, torch.bfloat16) or not _native.takes(x):
        return False
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in module.parameters())):
        return False
    return _native.available()


def set_depthwise(net: nn.Module, mode: Depthwise) -> None:
    """Choose how every `DepthwiseConv` of a net is computed.

    Parameters
    ----------
    net : Module
        Any net.
    mode : {"conv", "shift"}
        See `DepthwiseConv`.
    """
    for module in net.modules():
        if isinstance(module, DepthwiseConv):
            module.mode = mode
