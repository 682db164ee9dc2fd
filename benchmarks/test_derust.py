"""`imgrestore.derust` beside what people can put together: a threshold of colour, and what it marks inpainted."""

import math

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from skimage.restoration import inpaint_biharmonic

from benchmarks.common import OURS, Case, size_name
from imgrestore.degrade import rust
from imgrestore.tasks.derust import derust


def page(shape):
    """A page of the asked size under one stain of tea, float32."""
    paper = cv2.resize(data.page(), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) / 255
    scene = torch.from_numpy(paper).float().expand(3, -1, -1)
    stain = rust.Stain("splash", rust.DIRECTIONS["tea"], density=0.7, size=0.2, seed=3)
    return np.ascontiguousarray(rust.apply(scene, rust.RustParams((stain,))).numpy().transpose(1, 2, 0))


def threshold(image):
    """Brown by its hue and saturation: the usual recipe's mask."""
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), 2, 0)
    return (hue > 10) & (hue < 50) & (saturation > 0.08)


def with_opencv(image):
    """The recipe with OpenCV's inpainting, which takes bytes."""
    mask = threshold(image).astype(np.uint8)
    return cv2.inpaint((image.clip(0, 1) * 255).astype(np.uint8), mask, 3, cv2.INPAINT_TELEA)


def case(shape):
    image = page(shape)
    peers = {
        "threshold + cv2.inpaint": lambda: with_opencv(image),
        "threshold + inpaint_biharmonic": lambda: inpaint_biharmonic(image, threshold(image), channel_axis=-1),
    }
    if max(shape) > 256:
        # It solves one dense system for each region: minutes, and gigabytes.
        del peers["threshold + inpaint_biharmonic"]
    return Case("derust", size_name(shape), math.prod(shape), {OURS: lambda: derust(image), **peers})


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(64, 64, 3))
def test_derust(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((1024, 1024, 3), quick=(64, 64, 3))
def test_derust_memory(peak_memory, shape):
    peak_memory(case, shape)
