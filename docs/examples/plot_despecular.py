"""
Highlights off a glossy body
============================

A saucer gets highlights by the forward model, loses them again, and the light that was taken off is looked at. Then
the same on shaded balls, where the truth has no highlights at all.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore
from imgrestore.degrade import specular
from imgrestore.light import encode

# %%
# A photograph
# ------------
#
# Three lobes, one of them clipped, are added in linear light. The picture is then coded and rounded as a file would be.

photo = data.coffee()[40:290, 20:270].astype(np.float32) / 255
clean = torch.from_numpy(photo).movedim(-1, 0)
lobes = (
    specular.Lobe(0.72, 0.40, 0.045, 0.03, angle=0.5, tail=0.4, peak=0.7),
    specular.Lobe(0.45, 0.36, 0.02, 0.015, tail=0.7, peak=1.2),
    specular.Lobe(0.86, 0.66, 0.03, 0.018, angle=1.9, tail=0.2, peak=0.4),
)
params = specular.SpecularParams(lobes=lobes, bits=8)
observed = specular.apply(clean, params).movedim(0, -1).numpy()

result = imgrestore.despecular(observed, details=True)
print(*result.notes, sep="\n")


def show(panels, truth):
    """Draw pictures side by side with their PSNR."""
    _, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.3), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        if title in ("observed", "despecular"):
            title += f": {peak_signal_noise_ratio(truth, picture.clip(0, 1), data_range=1):.1f} dB"
        axis.imshow(picture.clip(0, 1))
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.show()


show({"observed": observed, "despecular": result.image, "taken off": result.layers["specular"], "truth": photo}, photo)

# %%
# The two layers add up to the input.

print(f"{np.abs(result.recompose() - observed).max():.1e}")

# %%
# The same with a mask
# --------------------
#
# Where the highlights are known, all of them can be taken off.

mask = specular.area(clean.shape, params)[0].numpy()
masked = imgrestore.despecular(observed, mask=mask)
show({"observed": observed, "mask": np.repeat(mask[..., None], 3, 2).astype(float), "despecular": masked}, photo)

# %%
# Shaded balls
# ------------
#
# Balls of one paint each, and one that is white: of that nothing is taken, since nothing tells its light from that of
# the lamp.

down, right = np.mgrid[:200, :600] / 200
light = np.full((200, 600, 3), 0.03)
spots = []
for x, paint in zip((0.5, 1.5, 2.5), ((0.55, 0.08, 0.05), (0.08, 0.25, 0.5), (0.6, 0.6, 0.6)), strict=True):
    square = ((down - 0.5) ** 2 + (right - x) ** 2) / 0.16
    height = np.sqrt(np.maximum(1 - square, 0))
    shade = np.maximum(-0.45 * (down - 0.5) / 0.4 - 0.35 * (right - x) / 0.4 + 0.82 * height, 0) * 0.9 + 0.1
    light = np.where((square < 1)[..., None], np.array(paint) * shade[..., None], light)
    spots.append(specular.Lobe(0.5 - 0.4 * 0.24, (x - 0.4 * 0.19) / 3, 0.06, 0.05, tail=0.3, peak=0.9))
balls = encode(torch.from_numpy(light)).float().movedim(-1, 0)
glossy = specular.apply(balls, specular.SpecularParams(lobes=tuple(spots))).movedim(0, -1).numpy()
result = imgrestore.despecular(glossy, details=True)

figure, axes = plt.subplots(3, 1, figsize=(7, 7.4), layout="constrained")
panels = {"observed": glossy, "despecular": result.image, "taken off": result.layers["specular"]}
for axis, (title, picture) in zip(axes, panels.items(), strict=True):
    axis.imshow(picture.clip(0, 1))
    axis.set_title(title, fontsize=10)
    axis.axis("off")
plt.show()
