"""Windows to learn from: parts of the pictures, changed in what has nothing to do with damage."""

import numpy as np
import pytest
import torch
from skimage import data

from imgrestore.data import windows as drawing
from imgrestore.data.windows import drawn_windows
from imgrestore.nets.judge import WINDOW

SHARES = ("SCALED", "TONED", "BLURRED", "NOISY", "STORED", "TURNED")


def pictures():
    small = np.ascontiguousarray(data.chelsea()[:100, :140])
    small.setflags(write=False)  # as packed pictures are
    return [data.astronaut(), data.chelsea(), small]


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.filterwarnings("error")
def test_windows_follow_the_generator():
    a, b, c = (drawn_windows(pictures(), 2, generator(seed)) for seed in (1, 1, 2))
    assert a.shape == (3, 2, 3, WINDOW, WINDOW)
    assert a.dtype == torch.float32
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("seed", range(6))
def test_windows_stay_within_the_range(seed):
    found = drawn_windows(pictures(), 1, generator(seed))
    assert float(found.amin()) >= 0
    assert float(found.amax()) <= 1
    assert float(found.std()) > 0.02


@pytest.fixture
def alone(monkeypatch):
    """Sets one share to 1, and the others to 0."""

    def settle(name):
        for share in SHARES:
            monkeypatch.setattr(drawing, share, float(share == name))

    return settle


def test_unchanged_windows_are_parts_of_the_picture(alone):
    alone(None)
    height, width = 140, 150
    places = np.arange(height * width)
    picture = np.stack([places // width, places % width, 0 * places], -1).reshape(height, width, 3).astype(np.uint8)
    found = (drawn_windows([picture], 4, generator(3)) * 255).round()
    for window in found[0]:
        # However it was flipped and turned, neighbours are neighbours.
        steps = sorted(float(window[:2].diff(dim=dim).abs().sum(0).amax()) for dim in (1, 2))
        assert steps == [1.0, 1.0]


@pytest.mark.parametrize("name", SHARES)
def test_each_change_is_made(alone, name):
    alone(None)
    plain = drawn_windows([data.astronaut()] * 8, 1, generator(4))
    alone(name)
    changed = drawn_windows([data.astronaut()] * 8, 1, generator(4))
    assert changed.shape == plain.shape
    moved = (changed - plain).abs().mean((1, 2, 3, 4))
    assert float(moved.median()) > {"BLURRED": 1e-3, "NOISY": 1e-3, "STORED": 1e-3}.get(name, 1e-2)


def test_the_blocks_of_a_file_begin_anywhere(alone):
    alone("STORED")
    smooth = np.add.outer(np.arange(300), np.arange(300))[..., None].repeat(3, 2) % 600 / 600 * 255
    begins = set()
    for seed in range(12):
        window = drawn_windows([smooth.astype(np.uint8)], 1, generator(seed))[0, 0, 1]
        steps = window.diff(dim=1).diff(dim=1).abs().mean(0)
        begins.add(int(steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(0).argmax()))
    assert len(begins) > 2
