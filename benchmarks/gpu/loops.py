"""Richardson-Lucy as a user of torch or CuPy would write it well, for a periodic boundary, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TINY = 8 * torch.finfo(torch.float32).eps  # of the largest value: below it an expectation is rounding


def with_torch(observed: Tensor, response: Tensor, adjoint: Tensor, num_iter: int, accelerate: bool) -> Tensor:
    """Run the iteration on torch.fft, the responses transformed beforehand, and in place wherever that is possible.

    Not with `out=` for the transforms: on CUDA torch then transforms into memory of its own and copies.
    """
    axes = tuple(range(2, observed.ndim))
    size, tiny = observed.shape[2:], TINY * observed.max()

    def corrected(start: Tensor) -> Tensor:
        expected = torch.fft.irfftn(torch.fft.rfftn(start, dim=axes).mul_(response), s=size, dim=axes)
        quotient = torch.div(observed, expected.clamp_(min=tiny), out=expected)
        return torch.fft.irfftn(torch.fft.rfftn(quotient, dim=axes).mul_(adjoint), s=size, dim=axes).mul_(start)

    scene = observed.mean(dim=axes, keepdim=True).expand_as(observed)
    previous = change = factor = None
    for _ in range(num_iter):
        start = scene
        if factor is not None:
            start = torch.addcmul(scene, scene - previous, factor).clamp_(min=0)
        new = corrected(start)
        if accelerate:
            last, change = change, new - start
            if last is not None:
                agree, length = (torch.dot(one.flatten(), last.flatten()) for one in (change, last))
                factor = agree.div_(length.clamp_(min=torch.finfo(length.dtype).tiny)).clamp_(0, 1)
        previous, scene = scene, new
    return scene


def as_graph(function: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """A call that replays what a function does as a CUDA graph; on the CPU, where there is none, the function."""
    if device.type != "cuda":
        return function
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        function()  # plans are made outside of the graph
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def cupy_loop(cupy: Any, observed: Tensor, response: Tensor, adjoint: Tensor, num_iter: int) -> Callable[[], Tensor]:
    """The plain iteration on cupy.fft, with the quotient as one kernel."""
    axes = tuple(range(2, observed.ndim))
    size = tuple(observed.shape[2:])
    seen, forward, back = (cupy.from_dlpack(t.contiguous()) for t in (observed, response, adjoint))
    least = float(TINY * observed.max())
    divide = cupy.ElementwiseKernel("T y, T e, T least", "T q", "q = y / max(e, least)", "imgrestore_quotient")
    # All on the stream that torch uses, whose events take the time.
    stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream) if observed.is_cuda else None

    def loop() -> Any:
        scene = cupy.full_like(seen, seen.mean())
        for _ in range(num_iter):
            spectrum = cupy.fft.rfftn(scene, axes=axes)
            spectrum *= forward
            expected = cupy.fft.irfftn(spectrum, s=size, axes=axes)
            divide(seen, expected, seen.dtype.type(least), expected)
            spectrum = cupy.fft.rfftn(expected, axes=axes)
            spectrum *= back
            scene *= cupy.fft.irfftn(spectrum, s=size, axes=axes)
        return scene

    def call() -> Tensor:
        if stream is None:
            return torch.from_dlpack(loop())
        with stream:
            return torch.from_dlpack(loop())

    return call
