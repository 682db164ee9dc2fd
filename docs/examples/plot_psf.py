"""
The point spread function and its centre
========================================

A `Psf` says how one point of the scene is spread over the picture. It knows its centre, so that a restored picture is
not moved, and its values sum to 1, so that the brightness stays.
"""

import matplotlib.pyplot as plt
import numpy as np

from imgrestore import Psf, deblur

# %%
# Constructors
# ------------
#
# Lengths are in pixels, angles in degrees counter-clockwise as one sees the picture (row 0 on top). All are averaged
# over the area of each pixel or placed with sub-pixel accuracy.

psfs = {
    "gaussian(2)": Psf.gaussian(2),
    "gaussian((1, 3), angle=30)": Psf.gaussian((1, 3), angle=30),
    "disk(5)": Psf.disk(5),
    "motion(15)": Psf.motion(15),
    "motion(15, angle=30)": Psf.motion(15, angle=30),
    "disk(3).shift((0, 4.5))": Psf.disk(3).shift((0, 4.5)),
}


def draw(axis, psf, title, reach=10):
    top, left = (-c - 0.5 for c in psf.centre)
    bottom, right = (size - c - 0.5 for size, c in zip(psf.shape, psf.centre, strict=True))
    axis.set_facecolor("black")
    axis.imshow(psf.array, cmap="gray", extent=(left, right, bottom, top))
    axis.plot(0, 0, "+", color="tab:red", ms=9)
    axis.set(xlim=(-reach - 0.5, reach + 0.5), ylim=(reach + 0.5, -reach - 0.5))
    axis.set_title(title, fontsize=9)
    axis.set(xticks=range(-10, 11, 5), yticks=range(-10, 11, 5))
    axis.tick_params(labelsize=7)


figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for axis, (title, psf) in zip(axes.flat, psfs.items(), strict=True):
    draw(axis, psf, title)
plt.show()

# %%
# The convention
# --------------
#
# The picture is the true convolution ``y[i] = sum_j array[j] * x[i + centre - j]``: the PSF is what a single bright
# point looks like in the picture, and `centre` is the index at which that point itself lies. By default it is
# ``size // 2`` on each axis, for odd and even sizes alike.

for shape in ((5, 5), (4, 6), (1, 7)):
    print(shape, "centre", Psf(np.ones(shape)).centre)

# %%
# Even sizes have no middle pixel, so their default centre lies half a pixel from the centre of mass, and the restored
# picture is moved by half a pixel. Where this matters, and for PSFs cut out of a picture at some place, shift the
# PSF onto its centre, or let `Psf.recentred` put the centre at the nearest pixel. Shifts by parts of a pixel are made
# by cubic splines, which overshoot a little at sharp edges.

measured = np.zeros((12, 12))
measured[2:6, 5:11] = 1
measured[3:5, 4] = 1
raw = Psf(measured)
centred = raw.recentred()
mass = [float((centred.array * i).sum()) - c for i, c in zip(np.indices(centred.shape), centred.centre, strict=True)]
exact = centred.shift([-m for m in mass])

figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for axis, psf, title in zip(
    axes, (raw, centred, exact), ("as measured", "recentred()", "and shifted by parts of a pixel"), strict=True
):
    draw(axis, psf, title)
plt.show()

# %%
# Sum and energy
# --------------
#
# The values are scaled to sum 1. What they summed to stands in `energy`, for those who calibrate with it.

psf = Psf(12 * np.ones((3, 3)))
print(psf, psf.array.sum())

# %%
# Words and files
# ---------------
#
# Wherever a PSF is expected, an array, a tensor, or words will do; ``deblur(picture, "psf.tif")`` reads a file.

print(Psf.parse("motion:15:30"))
print(deblur(np.eye(32), "gaussian:1.2").shape)

# %%
# What cannot be a PSF is refused, with the reason.

for bad in (np.zeros((3, 3)), [[1, -1]], [[np.nan, 1]]):
    try:
        Psf(bad)
    except ValueError as error:
        print(error)
