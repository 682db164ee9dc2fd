"""
Stains taken off, and measured
==============================

A dye takes the same part of the light from everything that lies below it, so its density can be read from the colour
that it gives to a surface, and divided out. What is printed below comes back with it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore
from imgrestore.degrade import rust


def show(panels, width=3.4):
    """Pictures in a row, gray ones as densities."""
    _, axes = plt.subplots(1, len(panels), figsize=(width * len(panels), 3.2), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        if picture.ndim == 3:
            axis.imshow(picture.clip(0, 1))
        else:
            axis.imshow(picture, cmap="magma")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.show()


def stained(scene, *stains):
    """A picture (H, W, 3) under stains."""
    planes = torch.from_numpy(np.ascontiguousarray(scene.transpose(2, 0, 1))).float()
    return rust.apply(planes, rust.RustParams(stains)).numpy().transpose(1, 2, 0)


# %%
# Two rings of coffee on a photograph
# -----------------------------------
#
# The photograph is black and white, so everything that has a colour is the stain's. Its luminance is another matter:
# how much darker the stain makes the picture is measured at its edges.

print_ = np.repeat(data.camera()[::2, ::2, None] / 255.0, 3, axis=2)
rings = (
    rust.Stain("ring", rust.DIRECTIONS["coffee"], density=0.9, centre=(0.35, 0.35), size=0.22, seed=1),
    rust.Stain("ring", rust.DIRECTIONS["coffee"], density=0.6, centre=(0.6, 0.6), size=0.25, seed=2),
)
picture = stained(print_, *rings)
result = imgrestore.derust(picture, details=True)
before, after = (peak_signal_noise_ratio(print_, p.clip(0, 1), data_range=1) for p in (picture, result.image))
show(
    {
        f"stained: {before:.1f} dB": picture,
        f"derust: {after:.1f} dB": result.image,
        "density (blue)": result.layers["density"][..., 2],
    }
)
print(*result.notes, sep="\n")

# %%
# The layers make the picture again: ``scene * exp(-density) + opaque``.

print(f"largest error: {np.abs(result.recompose() - picture).max():.1e}")

# %%
# A crust on paint
# ----------------
#
# Where rust covers, nothing of the surface is left to be divided out. It is filled from around, and the layer
# ``"opaque"`` holds what was taken off.

rng = np.random.default_rng(0)
light = np.linspace(0.75, 1.0, 256)[:, None] * (1 + 0.015 * rng.standard_normal((256, 256)))
paint = np.asarray([0.42, 0.60, 0.72]) * light[..., None]
crust = rust.Stain("patch", rust.DIRECTIONS["rust"], density=0.6, cover=1.0, size=0.28, seed=11)
picture = stained(paint, crust)
result = imgrestore.derust(picture, details=True)
show({"rusty": picture, "derust": result.image, "mask": result.mask.astype(float)})

# %%
# What is brown by itself
# -----------------------
#
# The cat and the coffee have all colours of rust. They come back bit by bit, and ``notes`` say which clue spoke
# against stains.

for name in ("chelsea", "coffee", "rocket", "astronaut"):
    picture = getattr(data, name)()
    result = imgrestore.derust(picture, details=True)
    print(f"{name:10} unchanged: {np.array_equal(result.image, picture)}   {result.notes[0]}")
