"""What the tests of the nets' ops have in common: random arguments, and the check against the twin in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from filter_cases import relative_error

from imgrestore import ops

LAST, PLANES = torch.channels_last, torch.contiguous_format
LAYOUTS = pytest.mark.parametrize("layout", [PLANES, LAST], ids=["planes", "channels_last"])
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}


@dataclass(frozen=True)
class NetOp:
    """An op, how to draw its parameters, and the numbers of channels that it is tried with."""

    name: str
    parameters: Callable  # (draw, channels, **options) -> the arguments after x
    few: int
    usual: int
    odd: int  # filling no vector; even for a gate
    widths: tuple[int, ...]
    precise: tuple[int, ...]  # in other precisions
    numbers: tuple[float, ...] = ()  # the arguments after the tensors
    gate: bool = False  # half as many channels come out

    @property
    def op(self):
        return getattr(ops, self.name)

    @property
    def twin(self):
        return getattr(ops, f"{self.name}_reference")

    def shape(self, shape):
        """Of the result."""
        return (shape[0], shape[1] // 2, *shape[2:]) if self.gate else tuple(shape)

    def make(self, shape, dtype=torch.float32, layout=PLANES, seed=0, **options):
        generator = torch.Generator().manual_seed(seed)

        def draw(*size):
            return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

        return (draw(*shape).contiguous(memory_format=layout), *self.parameters(draw, shape[1], **options))

    def assert_is_twin(self, x, *parameters):
        out = self.op(x, *parameters)
        exact = self.twin(x.double(), *(None if p is None else p.double() for p in parameters))
        error = relative_error(out.double(), exact)
        assert out.dtype == x.dtype
        assert error < TOLERANCE[x.dtype], (tuple(x.shape), x.dtype, error)


def draw_norm(draw, channels):
    return draw(channels), draw(channels)


def draw_gate(draw, channels):
    return draw(channels, 1, 3, 3) / 3, draw(channels)


def draw_block(draw, channels, norm=True, inner=None):
    inner = inner or channels
    norm = (1 + draw(channels), draw(channels)) if norm else (None, None)
    expand = (draw(2 * inner, channels, 1, 1) / channels**0.5, draw(2 * inner))
    depthwise = (draw(2 * inner, 1, 3, 3) / 3, draw(2 * inner))
    project = (draw(channels, inner, 1, 1) / inner**0.5, draw(channels))
    return (*norm, *expand, *depthwise, *project, draw(channels, 1, 1))


NORM = NetOp("channel_norm", draw_norm, 4, 16, 19, (3, 8, 16, 17, 40, 100), (3, 16, 20), (1e-6,))
GATE = NetOp("depthwise_gate", draw_gate, 4, 8, 22, (2, 6, 16, 34, 40), (2, 16, 34), gate=True)
BLOCK = NetOp("gated_block", draw_block, 3, 8, 19, (3, 8, 16, 17, 40), (3, 16, 20), (1e-6,))
NET_OPS = {case.name: case for case in (NORM, GATE, BLOCK)}
