"""
Richardson-Lucy for counts
==========================

Stars on a dark sky, in photons. Richardson-Lucy (Richardson 1972, Lucy 1974) maximises the Poisson likelihood, keeps
the result positive, and keeps the flux.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import fftconvolve

import imgrestore
from imgrestore.classical import richardson_lucy

# %%
# A field of stars
# ----------------
#
# The instrument spreads each star over a Gaussian of 2 pixels, adds an even sky of 20 counts, and counts photons.

size, sky = 160, 20.0
rng = np.random.default_rng(3)
grid = np.stack(np.meshgrid(*[np.arange(20, 150, 20)] * 2), axis=-1).reshape(-1, 2)
places = np.array([p + rng.integers(-4, 5, 2) for p in grid if tuple(p) != (80, 80)])
stars = np.zeros((size, size))
stars[tuple(places.T)] = 10 ** rng.uniform(2.7, 4.7, len(places))
stars[80, 78], stars[80, 83] = 20000, 12000

psf = imgrestore.Psf.gaussian(2.0)
counts = rng.poisson(fftconvolve(stars, psf.array, mode="same").clip(0) + sky).astype(np.float32)

restored = richardson_lucy(counts, psf, 100, background=sky)


def draw(axis, picture, title):
    axis.imshow(np.arcsinh(np.maximum(picture, 0) / 20), cmap="inferno", vmin=0, vmax=7)
    axis.set_title(title, fontsize=10)
    axis.axis("off")


figure, axes = plt.subplots(2, 3, figsize=(10, 6.8), layout="constrained")
box = slice(62, 98), slice(60, 96)
for column, (picture, title) in enumerate([(stars, "scene"), (counts, "counts"), (restored, "restored, 100 steps")]):
    draw(axes[0, column], picture, title)
    draw(axes[1, column], picture[box], "a pair, 5 pixels apart" if column == 0 else "")
plt.show()

# %%
# The flux is kept
# ----------------
#
# Light is only put back to where it came from. A star is measured inside a small aperture of the restored picture,
# where the blurred one would need a large one. Over the whole field the restored light is a little more than the
# counts less the sky: where noise is above the sky it becomes faint light, and where it is below, nothing can be
# taken off.

above = counts.sum() - sky * counts.size
print(f"all light: observed {above:.0f}, restored {restored.sum():.0f}, true {stars.sum():.0f}")

y, x = np.indices(stars.shape)


def fluxes(picture, radius):
    return np.array([picture[np.hypot(y - p[0], x - p[1]) <= radius].sum() for p in places])


true = stars[tuple(places.T)]
figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for picture, label, marker in ((counts - sky, "counts less the sky", "s"), (restored, "restored", "o")):
    axis.semilogx(true, fluxes(picture, 4) / true, marker, label=f"{label}, aperture 4", ms=5)
axis.axhline(1, color="gray", lw=1)
axis.set(xlabel="flux of the star [counts]", ylabel="measured / true", ylim=(0.6, 1.4))
axis.legend(frameon=False)
plt.show()

# %%
# Acceleration
# ------------
#
# Biggs and Andrews (1997) extrapolate from step to step. The same likelihood is reached in far fewer steps. The axis
# shows the Kullback-Leibler divergence between the counts and the model, per pixel: half the deviance, which
# Richardson-Lucy brings down. Its expected value for the true scene is 0.5.


def divergence(scene):
    expected = fftconvolve(scene, psf.array, mode="same").clip(0) + sky
    ratio = np.maximum(counts, 1e-12) / expected
    return np.mean(counts * np.log(ratio) - counts + expected)


steps = [1, 2, 4, 8, 16, 32, 64, 128, 256]
figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for accelerate, label in ((False, "plain"), (True, "accelerated")):
    curve = [
        divergence(richardson_lucy(counts, psf, n, boundary="zero", accelerate=accelerate, background=sky))
        for n in steps
    ]
    axis.loglog(steps, curve, "o-", label=label)
axis.axhline(0.5, color="gray", lw=1, label="the true scene")
axis.set(xlabel="steps", ylabel="divergence per pixel")
axis.legend(frameon=False)
plt.show()

# %%
# Stopping
# --------
#
# Run too far, the likelihood is raised by noise. ``stop="discrepancy"`` ends where the residual has come down to the
# noise; ``tv_weight`` adds total variation (Dey et al. 2006) instead, for scenes with surfaces rather than stars.
