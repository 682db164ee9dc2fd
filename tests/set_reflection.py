"""Photographs of scikit-image behind glass: ghosted reflections, and pairs of pictures that tell the layers apart."""

import numpy as np
import torch
from damaged import Damaged
from skimage import data
from skimage.transform import resize

from imgrestore.degrade import reflection

SIZE = (240, 320)
# Scene behind the glass and scene reflected. Ghosting shows in edges alike, so what is reflected has some.
PICTURES = (
    ("astronaut", "coins"),
    ("chelsea", "astronaut"),
    ("coffee", "astronaut"),
    ("rocket", "coins"),
    ("astronaut", "camera"),
    ("chelsea", "coffee"),
    ("coffee", "camera"),
    ("rocket", "astronaut"),
)


def planes(name, size=SIZE):
    """A picture of scikit-image as a tensor (3, H, W) in [0, 1]."""
    picture = getattr(data, name)() / 255.0
    picture = picture[..., :3] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    picture = resize(picture, size, anti_aliasing=True)
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))


def array(tensor):
    return np.ascontiguousarray(tensor.numpy().transpose(1, 2, 0))


def parameters(reflected, seed, **settings):
    rng = np.random.default_rng(seed)
    length, angle = rng.uniform(6, 20), rng.uniform(0, np.pi)
    given = {
        "scene": planes(reflected).numpy(),
        "strength": (float(rng.uniform(0.3, 0.55)),),
        "sigma": float(rng.uniform(0, 0.8)),
        "ghost_shift": (round(length * np.sin(angle)), round(length * np.cos(angle))),
        "ghost_attenuation": float(rng.uniform(0.4, 0.9)),
        "linear": False,
    }
    return reflection.ReflectionParams(**{**given, **settings})


def ghosted():
    """A sharp reflection, doubled by up to 20 pixels."""
    made = []
    for i, (behind, reflected) in enumerate(PICTURES):
        # A camera exposes for the sum, so that little of it is clipped.
        clean, params = 0.65 * planes(behind), parameters(reflected, i)
        made.append(Damaged(f"{behind} under {reflected}", array(reflection.apply(clean, params)), array(clean)))
    return made


def veiled():
    """The bright, blurred light of another scene; where it is faint the picture is left as it is."""
    made = []
    for behind in ("astronaut", "chelsea", "coffee", "rocket"):
        for reflected in ("astronaut", "chelsea", "coffee", "rocket"):
            if behind != reflected:
                scene = planes(reflected).numpy()
                params = reflection.ReflectionParams(scene, (1.0,), sigma=4.0, linear=False, dimmed=True)
                clean = planes(behind)
                made.append(
                    Damaged(f"{behind} under {reflected}", array(reflection.apply(clean, params)), array(clean))
                )
    return made


def flash():
    """A second picture with a flash that falls off to one side."""
    made = []
    for i, (behind, reflected) in enumerate(PICTURES[:4]):
        clean = planes(behind)
        params = parameters(reflected, i, sigma=1.5, linear=True, ghost_attenuation=0.0, noise=0.003)
        light = torch.linspace(1.2, 0.5, SIZE[1]).expand(1, *SIZE)
        ambient, flashed = reflection.flash_pair(clean * 0.7, params, light)
        made.append(
            Damaged(
                f"{behind} under {reflected}", array(ambient), array(clean * 0.7), settings={"flash": array(flashed)}
            )
        )
    return made


def polarized():
    """A second picture at another angle of a polariser."""
    made = []
    for i, (behind, reflected) in enumerate(PICTURES[:4]):
        clean = planes(behind)
        params = parameters(reflected, i, sigma=1.0, linear=True, ghost_attenuation=0.0, noise=0.002)
        first, second = reflection.polarized_pair(clean * 0.8, params)
        made.append(
            Damaged(
                f"{behind} under {reflected}", array(first), array(clean * 0.8), settings={"polarized": array(second)}
            )
        )
    return made


SETS = {"ghosted": ghosted, "veiled": veiled, "flash": flash, "polarized": polarized}
