"""
Saturated, missing and masked pixels
====================================

A clipped highlight says only that the light was at least this bright, and a dead pixel says nothing. Both are kept out
of the fit: what they hide is filled in from the rest of the picture.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import fftconvolve
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore

psf = imgrestore.Psf.disk(4)
rng = np.random.default_rng(1)


def row(panels, **options):
    _, axes = plt.subplots(1, len(panels), figsize=(3.3 * len(panels), 3.6), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        axis.imshow(picture, **{"cmap": "gray", "vmin": 0, "vmax": 1, **options})
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.show()


# %%
# Lamps that are too bright
# -------------------------
#
# Lamps of three times the sensor's limit over a dim scene, out of focus. Every lamp becomes a flat patch of clipped
# values. Floating point pictures have no largest value of their own; a top value that repeats exactly is taken for
# clipping. Of integers it is the type's largest value.
#
# All methods take the clipped values for lower bounds, and bring such lamps back to nearly their true brightness.
# Wiener's filter, which knows no darkness to stop at, goes below 0 beside them. Here it is Richardson-Lucy.

scene = 0.5 * data.camera()[60:300, 120:360] / 255.0
for y, x in ((40, 60), (60, 180), (110, 30), (150, 200), (200, 90), (70, 110)):
    scene[y : y + 7, x : x + 7] = 3.0
light = fftconvolve(scene, psf.array, mode="same")[20:-20, 20:-20]
observed = np.clip(light + rng.normal(0, 0.003, light.shape), 0, 1)

aware = imgrestore.deblur(observed, psf, method="rl", details=True)
print(*aware.notes, sep="\n")
print(f"brightest value: observed {observed.max():.1f}, restored {aware.image.max():.1f}, true 3.0")

# %%
# A method that takes the clipped values for true ones rings around every lamp. To see it, the limit is hidden here by
# a trace of noise on the clipped values.

hidden = observed - np.where(observed >= 1, rng.uniform(0, 1e-6, observed.shape), 0)
naive = imgrestore.deblur(hidden, psf, method="rl")
row({"observed": observed, "clipping ignored": naive, "clipping known": aware.image, "left out": aware.mask})

# %%
# Holes
# -----
#
# NaN (and infinite) pixels are holes: dead pixels, cosmic rays that were removed, the edge of a stitched mosaic. The
# blur carries light from each hidden point to pixels that were seen, which is why small holes are filled truly and
# not only smoothly.

clean = data.camera()[60:300, 120:360] / 255.0
picture = fftconvolve(data.camera() / 255.0, psf.array, mode="same")[60:300, 120:360]
picture += rng.normal(0, 0.003, picture.shape)
holes = picture.copy()
holes[rng.random(holes.shape) < 0.1] = np.nan
holes[100:103] = np.nan
holes[:, 60:62] = np.nan

filled = imgrestore.deblur(holes, psf)
whole = imgrestore.deblur(picture, psf)


def named(name, result):
    return f"{name}, {peak_signal_noise_ratio(clean, result.clip(0, 1), data_range=1):.1f} dB"


shown = np.nan_to_num(holes, nan=1.0)
row({"observed": shown, named("restored", filled): filled, named("without holes", whole): whole})

# %%
# A mask of one's own
# -------------------
#
# ``mask`` says which pixels count (True). Here a label was laid over the picture after it was taken: it was not
# blurred, and would ring if it were taken for a part of the scene.

labelled = picture.copy()
labelled[200:224, 20:110] = data.text()[30:54, 60:150] / 255.0
mask = np.ones(labelled.shape, bool)
mask[200:224, 20:110] = False
plain = imgrestore.deblur(labelled, psf)
masked = imgrestore.deblur(labelled, psf, mask=mask)
row({"observed": labelled, "without mask": plain, "with mask": masked})
