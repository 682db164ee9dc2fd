"""
Why the boundary is unknown
===========================

Light from outside the frame comes in at the rim of a blurred picture. A method that assumes something else about the
scene beyond the frame (that it is dark, mirrored or the opposite side) has to explain that light by ringing, which
starts at the rim and runs inwards. Here the same method, total variation, runs with each assumption, and with none.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.signal import fftconvolve
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore

# %%
# A picture out of focus: only the part of the blurred scene is kept whose light comes from the whole PSF.

scene = data.camera() / 255.0
psf = imgrestore.Psf.disk(5)
frame = slice(60, 260), slice(130, 380)
clean = scene[frame]
rng = np.random.default_rng(0)
observed = fftconvolve(scene, psf.array, mode="same")[frame] + rng.normal(0, 0.003, clean.shape)

boundaries = "zero", "periodic", "reflect", "unknown"
results = {boundary: imgrestore.deblur(observed, psf, method="tv", boundary=boundary) for boundary in boundaries}

figure, axes = plt.subplots(2, 3, figsize=(10.5, 6.2), layout="constrained")
for axis, (title, picture) in zip(axes.T.flat, {"clean": clean, "blurred": observed, **results}.items(), strict=True):
    if title != "clean":
        title += f": {peak_signal_noise_ratio(clean, picture.clip(0, 1), data_range=1):.1f} dB"
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
plt.show()

# %%
# How far the damage goes
# -----------------------
#
# The error against the distance from the rim, in rings of 4 pixels, in units of the error that the unknown boundary
# makes there. The dashed line is the radius of the PSF: wrong assumptions do harm many times further in than light
# from outside reaches. A mirrored scene is the best of them, since it goes on without a jump.

depth = distance_transform_edt(np.pad(np.ones(clean.shape), 1))[1:-1, 1:-1]
edges = np.arange(0, 64, 4)
ring = np.digitize(depth, edges)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for boundary, picture in results.items():
    error, least = (
        np.array([np.sqrt(np.mean((p - clean)[ring == i] ** 2)) for i in range(1, len(edges))])
        for p in (picture, results["unknown"])
    )
    axis.semilogy(edges[:-1] + 2, error / least, label=boundary, lw=2.5 if boundary == "unknown" else 1.2)
axis.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
axis.minorticks_off()
axis.axvline(5, color="gray", ls="--", lw=1)
axis.set(xlabel="distance from the rim [pixels]", ylabel="error / error with unknown boundary")
axis.legend(title="boundary", frameon=False)
plt.show()

# %%
# When to say otherwise
# ---------------------
#
# A boundary that is known should be given, since knowledge always helps: ``boundary="zero"`` for a specimen on a
# field that is dark beyond the frame, ``boundary="periodic"`` for a simulation on a torus. ``"reflect"`` is there for
# comparison with other software. The net of ``method="auto"`` takes part with the unknown boundary only.
