"""Stained pictures with their truth: pages, photographs, paper, painted metal; as computed, and as JPEG files."""

import io

import numpy as np
import torch
from damaged import Damaged
from PIL import Image
from scipy.ndimage import binary_dilation
from skimage import data

from imgrestore.degrade import rust
from imgrestore.degrade.rust_shapes import octaves

SIZE = 256


def _colours(picture):
    picture = np.asarray(picture)
    planes = picture[..., :3] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    return (planes / 255).astype(np.float32)


def paper(seed, tint):
    """Printed, fibrous paper of a tint."""
    rng = np.random.default_rng(seed)
    text = np.tile(data.page() / 255, (2, 1))[:SIZE, 40 : 40 + SIZE]
    text = np.clip(text / np.quantile(text, 0.9), 0, 1)
    fibre = 0.97 + 0.03 * octaves((SIZE, SIZE), rng, coarse=60, count=3, gain=0.8)
    return (text[..., None] * np.asarray(tint) * fibre[..., None]).astype(np.float32)


def metal(seed, tint):
    """Painted sheet, unevenly lit, with seams and rivets."""
    rng = np.random.default_rng(seed)
    light = 0.8 + 0.2 * octaves((SIZE, SIZE), rng, coarse=2, count=3)
    light = light * (1 + 0.015 * rng.standard_normal((SIZE, SIZE)))
    down, across = np.mgrid[:SIZE, :SIZE]
    for seam in rng.integers(30, SIZE - 30, 2):
        light[:, seam : seam + 2] *= 0.75
        for rivet in range(16, SIZE, 40):
            away = np.hypot(down - rivet, across - seam - 10)
            light *= 1 - 0.3 * np.exp(-(((away - 4) / 1.5) ** 2))
    return (np.asarray(tint) * light[..., None]).clip(0, 1).astype(np.float32)


def _scenes():
    return {
        "page": _colours(data.page()),
        "text": _colours(data.text())[:, 100:400],
        "camera": _colours(data.camera())[::2, ::2],
        "coins": _colours(data.coins())[:SIZE, :SIZE],
        "brick": _colours(data.brick())[:SIZE, :SIZE],
        "gravel": _colours(data.gravel())[:SIZE, :SIZE],
        "moon": _colours(data.moon())[100:356, 100:356],
        "astronaut": _colours(data.astronaut())[::2, ::2],
        "rocket": _colours(data.rocket())[::2, 60:500:2],
        "coffee": _colours(data.coffee())[::2, 60:560:2],
        "chelsea": _colours(data.chelsea())[:SIZE, 80:380],
        "white paper": paper(0, (0.95, 0.92, 0.84)),
        "old paper": paper(1, (0.93, 0.88, 0.75)),
        "green metal": metal(2, (0.45, 0.62, 0.52)),
        "blue metal": metal(3, (0.42, 0.60, 0.75)),
        "white metal": metal(4, (0.86, 0.86, 0.84)),
        "gray metal": metal(5, (0.50, 0.50, 0.53)),
    }


PAIRS = (
    ("page", "ring"),
    ("page", "foxing"),
    ("text", "splash"),
    ("camera", "ring"),
    ("camera", "run"),
    ("coins", "foxing"),
    ("coins", "patch"),
    ("brick", "run"),
    ("gravel", "splash"),
    ("moon", "ring"),
    ("astronaut", "ring"),
    ("astronaut", "foxing"),
    ("rocket", "run"),
    ("coffee", "patch"),
    ("chelsea", "splash"),
    ("white paper", "foxing"),
    ("white paper", "ring"),
    ("old paper", "splash"),
    ("old paper", "foxing"),
    ("green metal", "patch"),
    ("blue metal", "run"),
    ("white metal", "patch"),
    ("white metal", "run"),
    ("gray metal", "patch"),
)


def _brown(rng, shape, kind):
    """Stains of the given kind, of brown substances only."""
    while True:
        params = rust.sample(shape, rng, (kind,))
        if all(stain.direction[2] == 1 and stain.direction[0] < 0.62 for stain in params.stains):
            return params


def _filed(picture, rng):
    """As a camera files it: noise, 8 bits, JPEG."""
    noisy = picture + rng.normal(0, 0.004, picture.shape)
    stream = io.BytesIO()
    Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream), np.float32) / 255


def _make(filed, pairs=PAIRS):
    scenes, samples = _scenes(), []
    for number, (name, kind) in enumerate(pairs):
        clean = torch.from_numpy(np.ascontiguousarray(scenes[name].transpose(2, 0, 1)))
        rng = np.random.default_rng(100 + number)
        params = _brown(rng, tuple(clean.shape), kind)
        observed = rust.apply(clean, params).numpy().transpose(1, 2, 0)
        # A mask as one draws it, with a margin.
        seen = rust.stained_area(rust.rust_layers(tuple(clean.shape), params), least=0.01)[0].numpy()
        mask = binary_dilation(seen, iterations=5)
        observed = _filed(observed, rng) if filed else np.ascontiguousarray(observed)
        samples.append(Damaged(f"{kind} on {name}", observed.astype(np.float32), scenes[name], mask))
    return samples


def computed(pairs=PAIRS):
    """As the model makes them."""
    return _make(False, pairs)


def filed():
    """The same as noisy JPEG files."""
    return _make(True)


SETS = {"computed": computed, "JPEG files": filed}
