"""Richardson-Lucy, whole calls from array to array, beside scikit-image and plain loops on torch, SciPy and FFTW."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from skimage import restoration

from benchmarks.common import OURS, Case, Work, optional, size_name
from benchmarks.peers import (
    ScipyFft,
    TorchFft,
    by_channel,
    fast_domain,
    fftw_call,
    picture,
    point_spread,
    richardson_lucy_loop,
)
from imgrestore.classical import richardson_lucy

# Beyond these pixels only imgrestore is measured: the peers would take minutes.
PEERS_UP_TO = 4096**2
RULE = {"boundary": "zero", "accelerate": False}


def case(shape, num_iter=30):
    stack = len(shape) == 3 and shape[-1] != 3
    space = 3 if stack else 2
    image = picture(shape)
    psf = point_spread(15, 15, 15) if stack else point_spread(31, 31)
    psf = psf if min(shape[:space]) >= max(psf.shape) else point_spread(*(5,) * space)
    channel_axis = -1 if len(shape) > space else None
    calls = {OURS: lambda: richardson_lucy(image, psf, num_iter, channel_axis=channel_axis, **RULE)}
    small_enough = math.prod(shape) <= PEERS_UP_TO
    if small_enough:
        calls |= loops(image, psf, num_iter, space)
    return Case(
        "richardson_lucy",
        size_name(shape),
        math.prod(shape),
        calls,
        reference="scikit-image" if small_enough else None,
        steps=num_iter,
        work=work(shape, space, num_iter),
    )


def loops(image, psf, num_iter, space=2):
    """The peers: scikit-image, and loops that start as it does."""
    domain = fast_domain(image.shape[:space], psf)

    def with_torch():
        fft = TorchFft(domain)
        return by_channel(
            lambda plane: richardson_lucy_loop(fft, torch.from_numpy(plane), psf, num_iter).numpy(), image, space
        )

    def with_scipy():
        fft = ScipyFft(domain)
        return by_channel(lambda plane: richardson_lucy_loop(fft, plane, psf, num_iter), image, space)

    def with_fftw(plans):
        return by_channel(lambda plane: richardson_lucy_loop(plans, plane, psf, num_iter), image, space)

    def scikit_image():
        return by_channel(lambda plane: restoration.richardson_lucy(plane, psf, num_iter, clip=False), image, space)

    calls = {
        "scikit-image": scikit_image,
        "torch.fft loop": with_torch,
        "scipy.fft loop, 2 workers": with_scipy,
        "FFTW loop": fftw_call(domain, with_fftw),
    }
    return optional(**calls)


def work(shape, space, num_iter):
    """Four real transforms of the frame a step, two products of spectra, a quotient and a product of pictures.

    Beyond the frame nothing counts. Large frames may be transformed in tiles, with fewer operations: they count as
    tiles of 256 × 256 pixels without overlap.
    """
    plane = math.prod(shape[:space])
    channels = math.prod(shape) // plane
    points = min(plane, 256**2) if space == 2 else plane
    step = plane * (4 * 2.5 * math.log2(points) + 2 * 3 + 2)
    return Work(num_iter * channels * step, traffic=num_iter * channels * 12 * plane, resident=12 * plane)


@pytest.mark.shapes(256, 512, 1024, 2048, (2048, 2048, 3), 4096, (64, 256, 256), quick=48)
def test_richardson_lucy(compare, shape):
    compare(case(shape))


@pytest.mark.shapes(8192, quick=96)
def test_richardson_lucy_alone(compare, shape):
    compare(case(shape, num_iter=10))


@pytest.mark.shapes(4096, quick=48)
def test_richardson_lucy_memory(peak_memory, shape):
    peak_memory(case, shape, num_iter=2)


def likelihood(scene, observed, psf):
    """Of Poisson counts, but for a constant, where it is dark outside."""
    expected = scipy.signal.fftconvolve(scene.astype(np.float64), psf, mode="same").clip(1e-9)
    return float((observed * np.log(expected) - expected).sum())


def accelerated_case(shape, plain_steps=100):
    """Counts of a dark scene with lights, and as many accelerated steps as come as far as the plain ones."""
    psf = point_spread(31, 31)
    rng = np.random.default_rng(0)
    scene = (40 * picture(shape) + 2000 * (rng.random(shape) > 0.998)).astype(np.float32)
    mean = scipy.signal.fftconvolve(scene, psf, mode="same").clip(0)
    observed = rng.poisson(mean).astype(np.float32)

    def reached(num_iter, accelerate):
        result = richardson_lucy(observed, psf, num_iter, boundary="zero", accelerate=accelerate)
        return likelihood(result, observed, psf)

    goal, low, high = reached(plain_steps, False), 0, plain_steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle, True) >= goal else (middle, high)
    assert reached(high, True) >= goal
    quick = f"imgrestore, {high} accelerated steps"
    peers = loops(observed, psf, plain_steps)
    return Case(
        f"richardson_lucy to the likelihood of {plain_steps} plain steps",
        size_name(shape),
        math.prod(shape),
        {
            OURS: lambda: richardson_lucy(observed, psf, plain_steps, **RULE),
            quick: lambda: richardson_lucy(observed, psf, high, boundary="zero"),
            **{name: call for name, call in peers.items() if name != "scipy.fft loop, 2 workers"},
        },
        reference="scikit-image",
        tolerance=1e-3,
        differs={quick: "it goes by another way to the same likelihood, or a higher one"},
    )


@pytest.mark.shapes(1024, quick=128)
def test_accelerated(compare, shape):
    compare(accelerated_case(shape))
