"""What all tests share: quiet threads, interrupts, a hypothesis profile without deadlines, and blurred photographs."""

import os
import signal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
from executor import device, executor  # noqa: F401, fixtures
from hypothesis import HealthCheck, settings
from scipy.signal import convolve

from imgrestore import Psf
from imgrestore.tiles import memory

# What a shell starts in the background ignores interrupts, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("imgrestore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgrestore")


def pytest_addoption(parser, pluginmanager):
    parser.addoption(
        "--device",
        choices=("executor", "cuda", "cpu"),
        default="executor",
        help="where the tests of device kernels run; cpu: on the CPU's own kernels, to find mistakes in the tests",
    )
    parser.addoption("--sample", type=int, metavar="N", help="run N tests of each file, from all over it")
    if not pluginmanager.hasplugin("timeout"):  # as on a machine that is lent for its GPU
        parser.addini("timeout", "not heeded without pytest-timeout")


def pytest_collection_modifyitems(config, items):
    most = config.getoption("--sample")
    if not most:
        return
    kept = []
    for path in dict.fromkeys(item.path for item in items):
        own = [item for item in items if item.path == path]
        kept += [own[i * len(own) // most] for i in range(most)] if len(own) > most else own
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def observe(picture, psf, size=64, noise=0.01, seed=0):
    """The middle of a picture, and the same blurred with the scene going on beyond the frame: (sharp, observed)."""
    top, left = ((n - size) // 2 for n in picture.shape)
    (before, after) = zip(*((k - 1 - c, c) for k, c in zip(psf.shape, psf.centre, strict=True)), strict=True)
    scene = picture[top - before[0] : top + size + after[0], left - before[1] : left + size + after[1]]
    observed = convolve(scene, psf.array, mode="valid")
    sharp = picture[top : top + size, left : left + size]
    return sharp, observed + np.random.default_rng(seed).normal(0, noise, observed.shape)


def psnr(picture, truth):
    return -10 * np.log10(np.mean((np.asarray(picture, np.float64) - truth) ** 2))


def same_but_for_rounding(a, b, method):
    """Whether two results of `deblur`, from 0 to 1, differ by rounding alone."""
    difference = np.abs(np.asarray(a, np.float64) - b)
    # The hyper-Laplacian's threshold jumps: which pixels do depends on how the machine's transforms round.
    near = np.quantile(difference, 0.95) if method == "hyperlaplacian" else difference.max()
    return near < 2e-3 and np.sqrt(np.mean(difference**2)) < 2e-3


@pytest.fixture(scope="session")
def photographs():
    """Two parts of a photograph, 120 x 120, from 0 to 1."""
    from skimage import data

    camera = data.camera() / 255.0
    return {"man": camera[70:190, 170:290], "buildings": camera[220:340, 150:270]}


@pytest.fixture(scope="session")
def case(photographs):
    """A sharp and an observed picture, 48 x 48, blurred by a disk."""
    return observe(photographs["man"], Psf.disk(2), 48)


@pytest.fixture
def fresh_process(monkeypatch):
    """What a process has counts towards `max_memory`: let it be a fresh one's, and not what other tests have left."""
    monkeypatch.setattr(memory, "resident_bytes", lambda: 500_000_000)
