"""
Deblur a photograph
===================

A photograph is blurred by a shaken camera and by noise, and restored with each of the methods. Only the point spread
function (PSF) is given; noise level and weights are estimated from the picture.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import fftconvolve
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore

# %%
# The blurred picture
# -------------------
#
# The path of a shaken camera, drawn as a chain of small steps. The picture is blurred where the whole PSF fits
# ("valid"), as in a camera: light from beyond the frame comes in at the rim, and nothing is known about that part of
# the scene.

t = np.linspace(0, 1, 2000)
path = np.stack([8 * np.sin(2.2 * t) - 4 * t**2, 9 * t - 5 * np.sin(4 * t) ** 2])
path += 12 - path.mean(axis=1, keepdims=True)
kernel, _, _ = np.histogram2d(*path, bins=25, range=[(-0.5, 24.5)] * 2)
psf = imgrestore.Psf(kernel).recentred().trimmed()

scene = data.astronaut() / 255.0
rows, columns = slice(30, 286), slice(90, 346)
blurred = np.stack([fftconvolve(scene[..., c], psf.array, mode="same") for c in range(3)], axis=-1)
# "same" puts index (size - 1) // 2 of the kernel at the origin; the PSF's own centre may be another.
offset = [c - (size - 1) // 2 for c, size in zip(psf.centre, psf.shape, strict=True)]
blurred = np.roll(blurred, [-o for o in offset], axis=(0, 1))

clean = scene[rows, columns]
rng = np.random.default_rng(0)
observed = blurred[rows, columns] + rng.normal(0, 0.01, clean.shape)

print("noise that was added 0.0100, found", np.round(imgrestore.estimate_noise(observed), 4))

# %%
# Every method
# ------------

# "auto" is total variation refined by a net here; the others are the classical methods, with nothing learned.

titles = {
    "auto": "auto",
    "tv": "total variation",
    "hyperlaplacian": "hyper-Laplacian",
    "wiener": "Wiener",
    "rl": "Richardson-Lucy",
}
panels = {"clean": clean, "blurred": observed}
for method, title in titles.items():
    panels[title] = imgrestore.deblur(observed, psf, method=method)


def show(panels, truth=None, columns=4, size=3.0, **options):
    """Draw pictures side by side, with their PSNR where the truth is known."""
    count = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        count, columns, figsize=(size * columns, size * count + 0.3 * count), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, panels.items(), strict=False):
        if truth is not None and picture is not truth:
            title += f"\n{peak_signal_noise_ratio(truth, picture.clip(0, 1), data_range=1):.1f} dB"
        axis.imshow(picture.clip(0, 1), **options)
        axis.set_title(title, fontsize=10)
    return figure


figure = show(panels, truth=clean)

# %%
# The PSF that was used, pixel by pixel.

figure, axis = plt.subplots(figsize=(2.6, 2.6), layout="constrained")
axis.imshow(psf.array, cmap="gray")
axis.plot(*psf.centre[::-1], "r+")
axis.set_title("PSF and its centre", fontsize=10)
axis.axis("off")
plt.show()

# %%
# Details
# -------
#
# ``details=True`` returns the `Restoration`: what the result looks like through the PSF, what that leaves over, and
# notes. The layer "refinement" is what the net changed. Where the PSF is right the residual looks like noise. The
# reverse does not hold: many a wrong PSF leaves a residual like noise too.

details = imgrestore.deblur(observed, psf, details=True)
for note in details.notes:
    print(note)
print(f"residual {np.std(details.layers['residual']):.4f}, confidence {details.confidence.mean():.2f}")
print("recomposed to", np.abs(details.recompose() - observed).max())

# %%
# A real one
# ----------
#
# A clock, photographed while the camera moved. Nobody measured the motion; a straight path of 36 pixels, 2 degrees
# off the rows, was found by trial. Such a PSF is only near to the truth; ``noise=5`` says that it explains the picture
# to five gray levels only. A smaller number makes the hands crisper and the faint rings beside the dial stronger.

clock = data.clock()
sharp = imgrestore.deblur(clock, imgrestore.Psf.motion(36, angle=2), noise=5)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for axis, picture, title in zip(axes, (clock, sharp), ("as photographed", "deblurred"), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
plt.show()
