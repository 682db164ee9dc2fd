"""What is measured on a GPU, and what is counted for each: operations, and bytes that move to and from memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import OURS, Work
from benchmarks.gpu.contest import Call, Contest
from benchmarks.gpu.loops import as_graph, cupy_loop, with_torch
from benchmarks.peers import centred, fast_domain, picture, point_spread
from imgrestore import ops
from imgrestore.nets.blocks import GatedBlock
from imgrestore.psf import Psf

STEPS = 20
LAST = torch.channels_last
# 48 neighbours in the disk, each pair weighed once (a difference, its square, an exponential of about 8) and added to
# the two sums of both.
BILATERAL_FLOPS = 24 * 10 + 48 * 4


photograph = lru_cache(maxsize=1)(picture)


@dataclass(frozen=True)
class Place:
    """Where the cases run, and whether with tiny sizes."""

    device: torch.device
    quick: bool

    def shapes(self, *full: tuple[int, ...], quick: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes to run."""
        return (quick,) if self.quick else full

    def picture(self, shape: tuple[int, ...], seed: int) -> Tensor:
        """A photograph, as float32; another seed shifts it."""
        return torch.from_numpy(photograph(shape)).to(self.device).roll(17 * seed, -1)

    def random(self, *shape: int, seed: int = 0) -> Tensor:
        """Normal numbers, as float32."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=self.device)


def direct(function: Callable[..., Tensor]) -> Callable[..., Call]:
    """A maker of calls that prepare nothing."""
    return lambda *inputs: lambda: function(*inputs)


def transform_flops(points: int) -> float:
    """Of a real transform, by the usual count: half that of a complex one, 5 n log2 n."""
    return 2.5 * points * math.log2(points)


def moved_by_step(space: int, accelerate: bool) -> int:
    """Bytes a pixel of a step on pictures that no multiprocessor holds, so that each axis takes a pass over memory.

    A pass reads and writes 4 bytes a pixel of spectrum or picture. Passes over the columns of a plane, or the depths of
    a stack, transform, filter and transform back at once, and read 4 bytes of response besides: 12. Passes over the
    rows transform back, compute, and transform again at once: the quotient reads the picture besides (12), the
    correction reads and writes the scene besides (16). Stacks have two more of 8 for each blur. So a step moves 52
    bytes a pixel, or 84 in a stack. Extrapolation reads and writes the last change besides (8), and, as its factor is a
    sum over the whole scene, takes a pass of its own from two scenes to one and its spectrum (16) in place of 4 that
    were written: 20 more.
    """
    return (52 if space == 2 else 84) + (20 if accelerate else 0)


# In tiles: the quotient is made of scene and picture (12 bytes a pixel), and the correction of quotient and scene (12).
MOVED_IN_TILES = 24


def richardson_lucy_work(shape: tuple[int, ...], moved: int, accelerate: bool) -> Work:
    """Of STEPS steps: four transforms, two filterings, and what is done with each pixel."""
    points = math.prod(shape)
    flops = 4 * transform_flops(points) + (2 * 3 + 3 + (8 if accelerate else 0)) * points
    return Work(STEPS * flops, traffic=STEPS * moved * points, resident=8 * points)


def richardson_lucy_case(place: Place, shape: tuple[int, ...], accelerate: bool, support: int) -> Contest:
    """Ours, and the same steps on torch.fft, as a graph, and on CuPy."""
    psf = point_spread(*(support,) * len(shape))
    in_tiles = len(shape) == 2 and support < 25 and not accelerate
    moved = MOVED_IN_TILES if in_tiles else moved_by_step(len(shape), accelerate)
    spread = torch.from_numpy(centred(psf, shape)).to(place.device)
    response = torch.fft.rfftn(spread)
    adjoint = response.conj().resolve_conj()

    def inputs(seed: int) -> tuple[Any, ...]:
        observed = place.picture(shape, seed)[None, None]
        return observed, ops.BlurOperator(Psf(psf), shape, "periodic", observed)

    def ours(observed: Tensor, blur: ops.BlurOperator) -> Tensor:
        return ops.richardson_lucy(observed, blur, STEPS, accelerate=accelerate)[0]

    def loop(observed: Tensor, _: ops.BlurOperator) -> Tensor:
        return with_torch(observed, response, adjoint, STEPS, accelerate)

    def on_cupy(observed: Tensor, _: ops.BlurOperator) -> Call:
        import cupy

        return cupy_loop(cupy, observed, response, adjoint, STEPS)

    makers = {
        OURS: direct(ours),
        "torch.fft loop": direct(loop),
        "torch.fft loop as a graph": lambda *given: as_graph(lambda: loop(*given), place.device),
    }
    if in_tiles:
        name, told = "richardson_lucy, in tiles", f"a PSF of {support} × {support}"
        counted = f"what is read and written between the tiles of a step, {MOVED_IN_TILES} bytes a pixel."
    else:
        name = "richardson_lucy, accelerated" if accelerate else "richardson_lucy"
        told = "a PSF of 31 × 31 or 15 × 15 × 15"
        flat, deep = (moved_by_step(space, accelerate) for space in (2, 3))
        counted = f"the passes over memory that a step takes, {flat} bytes a pixel, in stacks {deep}."
    return Contest(
        name,
        f"{STEPS} steps, periodic, with {told}, whose transform the peers have made beforehand. Counted are {counted}",
        shape,
        inputs,
        makers if accelerate else {**makers, "CuPy": on_cupy},
        richardson_lucy_work(shape, moved, accelerate),
        "torch.fft loop",
        tolerance=1e-3,
        steps=STEPS,
    )


def richardson_lucy(place: Place) -> Iterator[Contest]:
    """Plain steps at four sizes, accelerated ones at one, and with a PSF that is small beside a tile."""
    for shape in place.shapes((1024, 1024), (2048, 2048), (4096, 4096), quick=(36, 40)):
        yield richardson_lucy_case(place, shape, accelerate=False, support=31)
    for shape in place.shapes((128, 512, 512), quick=(16, 20, 18)):
        yield richardson_lucy_case(place, shape, accelerate=False, support=15)
    for shape in place.shapes((2048, 2048), quick=(36, 40)):
        yield richardson_lucy_case(place, shape, accelerate=True, support=31)
    for shape in place.shapes((4096, 4096), quick=(36, 40)):
        yield richardson_lucy_case(place, shape, accelerate=False, support=15)


def fft_filter(place: Place) -> Iterator[Contest]:
    """Batches with one response."""
    for shape in place.shapes((64, 256, 256), (8, 1024, 1024), (4096, 4096), quick=(2, 24, 20)):
        plane, points = math.prod(shape[-2:]), math.prod(shape)
        response = torch.fft.rfft2(torch.from_numpy(centred(point_spread(15, 15), shape[-2:])).to(place.device))

        def by_torch(image: Tensor, response: Tensor = response) -> Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(image).mul_(response), s=image.shape[-2:])

        def ours(image: Tensor, response: Tensor = response) -> Tensor:
            return ops.fft_filter(image, response)

        yield Contest(
            "fft_filter",
            "A circular filter, one response for the batch. Counted are a pass over the rows (8 bytes a pixel), one "
            "over the columns and back (8), one over the rows (8), and the response once.",
            shape,
            lambda seed, shape=shape: (place.picture(shape, seed),),
            {OURS: direct(ours), "torch.fft": direct(by_torch)},
            Work(
                points / plane * 2 * transform_flops(plane) + 3 * points,
                traffic=24 * points + 4 * plane,
                resident=8 * points,
            ),
            "torch.fft",
            tolerance=1e-5,
        )


def fft_convolve(place: Place) -> Iterator[Contest]:
    """Kernels of four sizes, zero outside."""
    for side in (3, 7, 15, 31):
        for shape in place.shapes((2048, 2048), quick=(40, 48)):
            kernel = point_spread(side, side)
            flipped = torch.from_numpy(kernel[::-1, ::-1].copy()).to(place.device)[None, None]
            weights = torch.from_numpy(kernel).to(place.device)
            domain = fast_domain(shape, kernel)
            inside = tuple(slice(side // 2, side // 2 + n) for n in shape)

            def by_conv2d(image: Tensor, flipped: Tensor = flipped, side: int = side) -> Tensor:
                return F.conv2d(image[None, None], flipped, padding=side // 2)[0, 0]

            def by_fft(image: Tensor, weights: Tensor = weights, domain: Any = domain, inside: Any = inside) -> Tensor:
                spectrum = torch.fft.rfft2(image, s=domain).mul_(torch.fft.rfft2(weights, s=domain))
                return torch.fft.irfft2(spectrum, s=domain)[inside]

            def ours(image: Tensor, weights: Tensor = weights) -> Tensor:
                return ops.fft_convolve(image, weights)

            points = math.prod(shape)
            by_way_of_spectra = 2 * transform_flops(math.prod(domain)) + 3 * points
            yield Contest(
                f"fft_convolve, {side} × {side}",
                "A whole call from picture to picture. Counted are the operations of the cheaper way, direct or by "
                "transforms, and the picture read and written once.",
                shape,
                lambda seed, shape=shape: (place.picture(shape, seed),),
                {OURS: direct(ours), "torch conv2d": direct(by_conv2d), "torch.fft": direct(by_fft)},
                Work(min(2 * side**2 * points, by_way_of_spectra), traffic=8 * points, resident=8 * points),
                "torch.fft",
                tolerance=1e-5,
            )


def with_tf32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function during which cuDNN may round factors to TF32."""

    def call(*inputs: Any) -> Tensor:
        torch.backends.cudnn.allow_tf32 = True
        try:
            return function(*inputs)
        finally:
            torch.backends.cudnn.allow_tf32 = False

    return call


def net_contest(
    place: Place, name: str, title: str, shape: tuple[int, ...], dtype: torch.dtype, work: Work, parameters: Any
) -> Contest:
    """An op of the nets beside its twin in both layouts, and compiled."""
    op, twin = getattr(ops, name), getattr(ops, f"{name}_reference")
    parameters = [p.to(place.device, dtype) for p in parameters]

    @cache
    def compiled() -> Callable[..., Tensor]:
        # To compile for a CPU takes longer than all else of a dry run.
        function: Callable[..., Tensor] = torch.compile(
            twin, dynamic=False, backend="eager" if place.quick else "inductor"
        )
        return function

    def inputs(seed: int) -> tuple[Tensor, Tensor]:
        x = place.random(1, *shape, seed=seed).to(dtype)
        return x, x.contiguous(memory_format=LAST)

    makers = {
        OURS: lambda x, _: lambda: op(x, *parameters),
        f"{OURS}, channels last": lambda _, x: lambda: op(x, *parameters),
        "torch": lambda x, _: lambda: twin(x, *parameters),
        "torch, channels last": lambda _, x: lambda: twin(x, *parameters),
        "torch.compile": lambda x, _: lambda: compiled()(x, *parameters),
    }
    differs = {}
    if name == "gated_block":  # each takes seconds to compile
        makers["torch.compile, channels last"] = lambda _, x: lambda: compiled()(x, *parameters)
        if dtype == torch.float32:
            rough = with_tf32(twin)
            makers["torch, channels last, TF32"] = lambda _, x: lambda: rough(x, *parameters)
            differs["torch, channels last, TF32"] = "factors have 10 bits"
    kind = str(dtype).removeprefix("torch.")
    about = f"One picture of {shape[0]} channels in {kind}. Counted are the planes read and written once."
    return Contest(
        f"{title}, {kind}",
        about,
        shape,
        inputs,
        makers,
        work,
        tolerance=1e-4 if dtype == torch.float32 else 4e-2,
        differs=differs,
        peak="flops_bfloat16" if dtype == torch.bfloat16 and name == "gated_block" else "flops",
    )


def gated_block(place: Place) -> Iterator[Contest]:
    """Two widths and two precisions."""
    for width in (32,) if place.quick else (32, 64):
        for dtype in (torch.float32, torch.bfloat16):
            for shape in place.shapes((1024, 1024), quick=(12, 20)):
                torch.manual_seed(0)
                block = GatedBlock(width).eval().requires_grad_(False)
                block.scale.normal_()
                named = dict(block.named_parameters())
                parts = ("norm", "expand", "depthwise", "project")
                parameters = [named[f"{p}.{kind}"] for p in parts for kind in ("weight", "bias")] + [named["scale"]]
                pixels = math.prod(shape)
                moved = 2 * dtype.itemsize * width * pixels
                flops = 2 * pixels * (width * 2 * width + 9 * 2 * width + width * width)
                work, title = Work(flops, moved, moved), f"gated_block, width {width}"
                yield net_contest(place, "gated_block", title, (width, *shape), dtype, work, parameters)


def small_net_ops(place: Place) -> Iterator[Contest]:
    """The parts of the block, 64 channels in, in two precisions."""
    channels = 64
    torch.manual_seed(0)
    norm = [torch.rand(channels), torch.randn(channels)]
    gate = [torch.randn(channels, 1, 3, 3) / 3, torch.randn(channels)]
    for dtype in (torch.float32, torch.bfloat16):
        for shape in place.shapes((1024, 1024), quick=(12, 20)):
            values = channels * math.prod(shape)
            moved = 2 * dtype.itemsize * values
            work = Work(7 * values, moved, moved)
            yield net_contest(place, "channel_norm", "channel_norm", (channels, *shape), dtype, work, norm)
            work = Work(19 * values, 0.75 * moved, 0.75 * moved)  # half as much comes out
            yield net_contest(place, "depthwise_gate", "depthwise_gate", (channels, *shape), dtype, work, gate)


def filters(place: Place) -> Iterator[Contest]:
    """Those of pictures, beside their twins."""
    taps = torch.exp(-(torch.linspace(-2.5, 2.5, 31, device=place.device) ** 2) / 2)
    taps /= taps.sum()
    counted = "Counted are the pictures, each read or written once."
    rows: list[tuple[str, str, Callable[..., Callable[..., Tensor]], float, int, float]] = [
        # title, about, call by an op, operations and pictures moved for each pixel, tolerance
        ("separable", "31 taps each way.", lambda op: lambda x: op(x, taps, taps), 2 * 2 * 31, 2, 1e-5),
        ("box", "31 × 31 pixels.", lambda op: lambda x: op(x, 15), 5, 2, 1e-4),
        (
            "bilateral",
            "9 × 9 pixels, a disk.",
            lambda op: lambda x: op(x, 2.0, 0.1, radius=4),
            BILATERAL_FLOPS,
            2,
            1e-4,
        ),
        ("guided", "Radius 8, a gray guide.", lambda op: lambda x, guide: op(x, guide, 8, 1e-3), 38, 3, 1e-3),
        (
            "tv_denoise",
            "50 iterations; the state in memory between them is not counted.",
            lambda op: lambda x: op(x, 0.1, num_iter=50, tol=0),
            20 * 50,
            2,
            1e-3,
        ),
    ]
    for name, about, call, flops, moved, tolerance in rows:
        for shape in place.shapes((2048, 2048), (4096, 4096), quick=(40, 48)):
            points = math.prod(shape)
            yield Contest(
                name,
                f"{about} {counted}",
                shape,
                # The result is one of those moved.
                lambda seed, shape=shape, given=moved - 1: [
                    place.picture(shape, given * seed + i) for i in range(given)
                ],
                {
                    OURS: direct(call(getattr(ops, name))),
                    "torch": direct(call(getattr(ops, f"{name}_reference"))),
                },
                Work(flops * points, traffic=4 * moved * points, resident=4 * moved * points),
                tolerance=tolerance,
            )


GROUPS: dict[str, Callable[[Place], Iterator[Contest]]] = {
    "richardson_lucy": richardson_lucy,
    "fft_filter": fft_filter,
    "fft_convolve": fft_convolve,
    "gated_block": gated_block,
    "small_net_ops": small_net_ops,
    "filters": filters,
}
