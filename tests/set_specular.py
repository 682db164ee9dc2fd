"""Seeded pictures with highlights: photographs, micrographs, and shaded bodies, of which the truth is known."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from damaged import Damaged, psnr
from scipy.ndimage import gaussian_filter
from skimage import data

from imgrestore.degrade import specular
from imgrestore.light import decode, encode

SIDE = 224
FAINT = 35.0


def photographs():
    """Crops of pictures with coloured surfaces and few highlights of their own, (name, uint8 RGB)."""
    coffee, astronaut, chelsea = data.coffee(), data.astronaut(), data.chelsea()
    retina, tissue, rocket = data.retina(), data.immunohistochemistry(), data.rocket()
    return {
        "coffee": coffee[20:400:2, 180:600:2],
        "table": coffee[40 : 40 + SIDE, 20 : 20 + SIDE],
        "suit": astronaut[200 : 200 + SIDE, 20 : 20 + SIDE],
        "flag": astronaut[0:SIDE, 0:SIDE],
        "cat": chelsea[40 : 40 + SIDE, 100 : 100 + SIDE],
        "retina": retina[300:1100:4, 300:1100:4],
        "tissue": tissue[100 : 100 + SIDE, 100 : 100 + SIDE],
        "rocket": rocket[150 : 150 + SIDE, 200 : 200 + SIDE],
    }


def bodies(seed):
    """Shaded ellipsoids of one or two paints before a dull ground, uint8 (H, W, 3), and where a lamp is mirrored."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    light = np.ones((SIDE, SIDE, 3)) * rng.uniform(0.02, 0.2, 3) * (0.6 + 0.4 * down[..., None])
    places = []
    for y, x in ((0.3, 0.3), (0.35, 0.72), (0.72, 0.5)):
        y, x = y + rng.uniform(-0.04, 0.04), x + rng.uniform(-0.04, 0.04)
        height, width = rng.uniform(0.16, 0.26, 2)
        square = ((down - y) / height) ** 2 + ((right - x) / width) ** 2
        normal = np.stack([(down - y) / height, (right - x) / width, np.sqrt(np.maximum(1 - square, 0))])
        lamp = np.array([-0.45, -0.35, 0.82])
        shade = np.maximum(np.tensordot(lamp, normal, 1), 0) * 0.9 + 0.1
        paint = rng.permutation([rng.uniform(0.35, 0.8), rng.uniform(0.05, 0.4), rng.uniform(0.02, 0.12)])
        other = paint * rng.uniform(0.4, 1.0, 3)
        blotch = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 9)
        mix = np.clip(0.5 + blotch / blotch.std(), 0, 1)[..., None] * (rng.random() < 0.6)
        cover = np.clip((1 - square) * 20, 0, 1)[..., None]
        grain = 1 + 0.04 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1)[..., None] / 0.28
        body = (paint * (1 - mix) + other * mix) * shade[..., None] * grain
        light = light * (1 - cover) + body * cover
        # Where the normal lies halfway between the lamp and the eye.
        half = lamp + np.array([0, 0, 1])
        half /= np.linalg.norm(half)
        places.append((y + height * half[0], x + width * half[1]))
    coded = encode(torch.from_numpy(light)).float().numpy()
    return np.round(np.clip(coded, 0, 1) * 255).astype(np.uint8), places


def made(name, picture, params):
    clean = torch.from_numpy(picture.astype(np.float32) / 255).movedim(-1, 0)
    observed = specular.apply(clean, params).movedim(0, -1).numpy()
    return Damaged(name, observed, clean.movedim(0, -1).numpy(), specular.area(clean.shape, params)[0].numpy())


def with_lobes(picture, rng, lobes=None, **settings):
    clean = torch.from_numpy(picture.astype(np.float32) / 255).movedim(-1, 0)
    while True:
        drawn = specular.sample(clean.shape, rng, clean)
        params = replace(drawn, kind="lobes", lobes=lobes or drawn.lobes, strength=1.0, bits=8, **settings)
        # One that nobody would see is no damage.
        if drawn.kind == "lobes" and psnr(specular.apply(clean, params).numpy(), clean.numpy()) < FAINT:
            return params


@cache
def on_photographs():
    """Lobes on coloured surfaces of photographs and micrographs, two draws of each."""
    found = []
    for number, (name, picture) in enumerate(photographs().items()):
        for turn in range(2):
            rng = np.random.default_rng(100 * turn + number)
            found.append(made(f"{name}-{turn}", picture, with_lobes(picture, rng)))
    return found


@cache
def on_bodies():
    """Shaded bodies, each with a highlight where its lamp is mirrored, some clipped; every third in linear values."""
    found = []
    for seed in range(9):
        rng = np.random.default_rng(1000 + seed)
        picture, places = bodies(seed)
        lobes = tuple(
            specular.Lobe(
                y,
                x,
                length := rng.uniform(0.02, 0.06),
                length * rng.uniform(0.5, 1),
                rng.uniform(0, 3),
                rng.uniform(0, 1),
                rng.uniform(0.3, 1.3),
            )
            for y, x in places
        )
        linear = seed % 3 == 2
        if linear:
            light = decode(torch.from_numpy(picture / 255.0)).numpy()
            picture = np.round(light * 255).astype(np.uint8)
        params = with_lobes(picture, rng, lobes, transfer="linear" if linear else "srgb")
        found.append(made(f"bodies-{seed}", picture, params))
    return found


SETS = {"lobes on photographs": on_photographs, "lobes on shaded bodies": on_bodies}
