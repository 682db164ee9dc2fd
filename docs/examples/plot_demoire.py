"""
Moiré: what repeats, what bends
===============================

A press, a scanner or a sensor may lay a pattern over a picture. :func:`imgrestore.demoire` looks for it and takes it
off. Here the pattern is made by the forward model, so that the truth is known.
"""

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

from imgrestore import demoire
from imgrestore.classical import find_peaks, notch_filter
from imgrestore.degrade import moire

clean = data.coffee()[60:316, 150:406].astype(np.float32) / 255
planes = torch.from_numpy(clean).movedim(-1, 0)


def psnr(picture):
    return -10 * np.log10(np.mean((np.clip(picture, 0, 1) - clean) ** 2))


# %%
# Five kinds of pattern
# ---------------------
#
# Nothing is set. The third row is the layer "moire": what was taken off.

kinds = ["gray", "colour", "bent", "scan_lines", "halftone"]
figure, axes = plt.subplots(3, 5, figsize=(11, 6.8), layout="constrained")
for column, kind in zip(axes.T, kinds, strict=True):
    params = moire.sample(planes.shape, np.random.default_rng([0, 1]), kind)
    observed = moire.apply(planes, params).movedim(0, -1).numpy()
    result = demoire(observed, details=True)
    column[0].imshow(observed.clip(0, 1))
    column[0].set_title(f"{kind}, {psnr(observed):.1f} dB", fontsize=9)
    column[1].imshow(result.image.clip(0, 1))
    column[1].set_title(f"demoire, {psnr(result.image):.1f} dB", fontsize=9)
    column[2].imshow((0.5 + 2 * result.layers["moire"]).clip(0, 1))
for axis in axes.ravel():
    axis.axis("off")
plt.show()

# %%
# By hand
# -------
#
# :func:`imgrestore.classical.find_peaks` names the waves, and :func:`imgrestore.classical.notch_filter` takes out
# those that it is given.

params = moire.sample(planes.shape, np.random.default_rng([0, 1]), "halftone")
observed = moire.apply(planes, params).movedim(0, -1).numpy()
peaks = find_peaks(observed)
for peak in peaks:
    print(f"row {peak.row:+.3f}, column {peak.column:+.3f}, amplitude {peak.amplitude:.3f}, plane {peak.plane}")
print(
    f"{psnr(observed):.1f} dB, without the strongest {psnr(notch_filter(observed, peaks[:1])):.1f} dB, "
    f"without all {psnr(notch_filter(observed, peaks)):.1f} dB"
)

# %%
# A picture without moiré
# -----------------------
#
# Bricks repeat too, but none of their waves goes through the whole frame. The picture comes back bit by bit.

bricks = data.brick()
result = demoire(bricks, details=True)
print(result.notes, np.array_equal(result.image, bricks))
