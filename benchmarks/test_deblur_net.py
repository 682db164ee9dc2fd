"""The net of `deblur`, its weights included, on the domain of a picture and a PSF of 41 × 41, and its parts."""

import math
from unittest import mock

import pytest
import torch
from scipy.fft import next_fast_len

from benchmarks.common import OURS, Case, Work, op, size_name
from imgrestore import _native
from imgrestore.degrade.blur import otf
from imgrestore.nets.blocks import GatedBlock
from imgrestore.nets.weights import load

PSF = 41


def without_native(call):
    """A call as it runs where there is no native library."""

    def plain():
        with mock.patch.multiple(_native, available=lambda: False, op=lambda *_: None):
            return call()

    return plain


def domain(shape):
    return tuple(next_fast_len(n + PSF - 1, real=True) for n in shape)


def planes(count, size, seed=0):
    return torch.rand(1, count, *size, generator=torch.Generator().manual_seed(seed))


def inputs(size):
    """An observation, a first estimate, the transfer function, the noise and the mask."""
    psf = planes(1, (PSF, PSF))[0] ** 8
    transfer = otf(psf / psf.sum(), size)
    scene = planes(3, size, 1)
    blurred = op("fft_filter")(scene, transfer)
    mask = torch.zeros(1, 1, *size)
    mask[..., PSF // 2 : -(PSF // 2), PSF // 2 : -(PSF // 2)] = 1
    return blurred + 0.01 * (planes(3, size, 2) - 0.5), 0.5 * (scene + blurred), transfer, torch.tensor([0.01]), mask


def block_work(channels, pixels):
    """Of a gated block: multiply-adds, and floats that come and go."""
    return pixels * channels * (3 * channels + 18), 2 * pixels * channels


def unet_parts(unet, pixels):
    """Multiply-adds of a U-Net's convolutions and blocks, and the floats they read and write, by kind."""
    convs, blocks = [0, 0], [0, 0]

    def conv(layer, times, results):
        per_pixel = layer.weight.numel()
        convs[0] += per_pixel * results
        convs[1] += times * layer.weight.shape[1] * results + layer.weight.shape[0] * results

    def all_blocks(module, at):
        for part in module.modules():
            if isinstance(part, GatedBlock):
                flops, floats = block_work(part.scale.numel(), at)
                blocks[0] += flops
                blocks[1] += floats

    conv(unet.stem, 4, pixels // 4)
    if unet.recall is not None:
        conv(unet.recall, 1, pixels // 4)
    for level, (encoder, decoder) in enumerate(zip(unet.encoders, reversed(unet.decoders), strict=True)):
        at = pixels // 4 ** (level + 1)
        all_blocks(encoder, at)
        all_blocks(decoder, at)
        conv(unet.downs[level], 4, at // 4)
        conv(unet.ups[-1 - level], 1, at // 4)
    all_blocks(unet.bottom, pixels // 4 ** (len(unet.encoders) + 1))
    conv(unet.head, 1, pixels // 4)
    return convs, blocks


def transform_work(count, size):
    """Of `count` planes forward and back, once: 5 n log2 n operations a complex transform, half of that a real one."""
    pixels = math.prod(size)
    return count * 5 * pixels * math.log2(pixels), 2 * count * pixels


def net_work(net, size):
    """The least that the net has to do."""
    pixels, features = math.prod(size), net.config.features
    convs = [75 * features * pixels, (3 + features) * pixels]
    blocks = list(block_work(features, pixels))
    for unet in net.unets:
        for total, part in zip((convs, blocks), unet_parts(unet, pixels), strict=True):
            total[:] = (a + b for a, b in zip(total, part, strict=True))
    steps = net.config.stages * (3 + 3 * len(net.config.strengths))
    flops, floats = transform_work(steps + features, size)
    total = 2 * (convs[0] + blocks[0]) + flops
    moved = 4 * (convs[1] + blocks[1] + floats)
    return Work(flops=total, traffic=moved, resident=moved)


def called(net, *arguments):
    def call():
        with torch.no_grad():
            return net(*arguments)

    return call


def nets():
    """The net as it comes, and with all products in float32."""
    net = load("deblur")
    wide = type(net)(net.config)
    wide.load_state_dict(net.state_dict())
    for unet in wide.requires_grad_(False).unets:
        unet.narrow = False
    return net, wide


def case(shape):
    size = domain(shape)
    arguments = inputs(size)
    net, wide = nets()
    plain = without_native(called(wide, *arguments))
    return Case(
        "deblur_net",
        size_name(shape),
        math.prod(shape),
        {
            OURS: called(net, *arguments),
            "imgrestore, products of float32": called(wide, *arguments),
            "torch": plain,
        },
        reference="torch",
        tolerance=1e-4,
        differs={OURS: "products of bfloat16 have 8 bits"},
        work=net_work(net, size),
    )


def block_case(shape, channels):
    pixels, block = math.prod(shape), GatedBlock(channels).requires_grad_(False)
    torch.nn.init.normal_(block.scale)
    x, out = planes(channels, shape) - 0.5, torch.zeros(1, channels, *shape)
    flops, floats = block_work(channels, pixels)
    return Case(
        "deblur_net_blocks",
        size_name((channels, *shape)),
        pixels * channels,
        {
            OURS: lambda: block.fused(x, True, out),
            "imgrestore, products of float32": lambda: block.fused(x),
            "torch": without_native(lambda: block(x)),
        },
        reference="torch",
        tolerance=1e-4,
        differs={OURS: "products of bfloat16 have 8 bits"},
        work=Work(flops=2 * flops, traffic=4 * floats, resident=4 * floats),
    )


def conv_case(shape, channels, outputs, kernel, **options):
    conv, plain = op("patch_conv"), op("patch_conv_reference")
    x, weight = planes(channels, shape) - 0.5, planes(outputs, (kernel, kernel * channels))
    weight = weight.reshape(outputs, channels, kernel, kernel) - 0.5
    like = plain(x, weight, **options)
    out, results = torch.empty_like(like), like.numel() // outputs
    floats = x.numel() + like.numel()
    return Case(
        "deblur_net_convolutions",
        size_name((channels, outputs, kernel, kernel, *shape)),
        x.numel(),
        {
            OURS: lambda: conv(x, weight, out=out, **options),
            "imgrestore, products of bfloat16": lambda: conv(x, weight, narrow=True, **options),
            "torch": lambda: plain(x, weight, **options),
        },
        reference="torch",
        tolerance=1e-4,
        differs={"imgrestore, products of bfloat16": "bfloat16 has 8 bits"},
        work=Work(flops=2 * weight.numel() * results, traffic=4 * floats, resident=4 * floats),
    )


def spectra_case(shape):
    """The 16 features of the first stage, each with its own filter."""
    size, count = domain(shape), 16
    _, _, transfer, _, _ = inputs(size)
    image, half = planes(count, size), (size[0], size[1] // 2 + 1)
    numbers = (torch.full((1, count), -4.0), torch.linspace(0.5, 1.5, count), planes(1, half)[0, 0], torch.ones(count))
    flops, floats = transform_work(count, size)
    return Case(
        "deblur_net_spectra",
        size_name(shape),
        count * math.prod(size),
        {
            OURS: lambda: op("wiener_planes")(image, transfer, *numbers),
            "torch": lambda: op("wiener_planes_reference")(image, transfer, *numbers),
        },
        reference="torch",
        tolerance=1e-4,
        work=Work(flops=flops, traffic=4 * floats, resident=4 * floats),
    )


@pytest.mark.shapes(1024, quick=24)
def test_deblur_net(compare, shape):
    compare(case(shape))


@pytest.mark.shapes(1024, quick=24)
def test_deblur_net_memory(peak_memory, shape):
    peak_memory(case, shape)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.shapes(1024, quick=24)
def test_blocks(compare, shape, level):
    size = [n // 2 ** (level + 1) for n in domain(shape)]
    compare(block_case(size, 40 * 2**level))


@pytest.mark.parametrize("layer", ["stem", "down", "up", "head"])
@pytest.mark.shapes(1024, quick=24)
def test_convolutions(compare, shape, layer):
    full, half, quarter = ([n // 2**level for n in domain(shape)] for level in range(3))
    arguments, options = {
        "stem": ((full, 33, 40, 2), {"stride": 2}),
        "down": ((half, 40, 80, 2), {"stride": 2}),
        "up": ((quarter, 80, 160, 1), {"shuffle": True}),
        "head": ((half, 40, 12, 3), {"padding": 1, "shuffle": True}),
    }[layer]
    compare(conv_case(*arguments, **options))


@pytest.mark.shapes(1024, quick=24)
def test_spectra(compare, shape):
    compare(spectra_case(shape))
