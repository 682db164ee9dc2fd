"""Seeded pictures with moiré, made from photographs of scikit-image."""

from functools import partial

import numpy as np
import torch
from damaged import Damaged
from skimage import data

from imgrestore.degrade import moire

SIDE = 256


def photographs():
    """Parts of photographs, with and without fine texture."""
    astronaut, coffee, chelsea, rocket = data.astronaut(), data.coffee(), data.chelsea(), data.rocket()
    return {
        "astronaut": astronaut[:SIDE, 100 : 100 + SIDE],
        "coffee": coffee[60 : 60 + SIDE, 150 : 150 + SIDE],
        "chelsea": chelsea[:SIDE, 100 : 100 + SIDE],
        "rocket": rocket[100 : 100 + SIDE, 200 : 200 + SIDE],
        "camera": data.camera()[100 : 100 + SIDE, 100 : 100 + SIDE],
    }


def pictures(kind, seed=0):
    """One picture of each photograph with a moiré of one kind."""
    made = []
    for number, (name, photograph) in enumerate(photographs().items()):
        clean = np.atleast_3d(photograph).astype(np.float32) / 255
        planes = torch.from_numpy(clean).movedim(-1, 0)
        params = moire.sample(planes.shape, np.random.default_rng([seed, number]), kind)
        observed = moire.apply(planes, params).movedim(0, -1).numpy()
        shape = photograph.shape
        made.append(Damaged(f"{name}, {kind}", observed.reshape(shape), clean.reshape(shape)))
    return made


SETS = {
    "gray waves": partial(pictures, "gray"),
    "coloured waves": partial(pictures, "colour"),
    "bent waves": partial(pictures, "bent"),
    "scan lines": partial(pictures, "scan_lines"),
    "half-tone": partial(pictures, "halftone"),
}
