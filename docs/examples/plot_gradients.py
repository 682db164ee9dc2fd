"""
Find the width of a blur by gradient descent
============================================

With torch tensors every step of `imgrestore.deblur` carries gradients, to the picture and to the PSF. So a blur whose
shape is known but not its width can be measured in the picture itself: hide a few pixels from the method, deblur,
blur again, and see how well the hidden pixels are foretold. A PSF near the right one foretells them best. The method is
total variation, so that the result does not depend on what a net has learned.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.signal import fftconvolve
from skimage import data

import imgrestore

# %%
# A picture out of focus. Its width, 2 pixels, is to be found.


def gaussian(width, radius=8):
    """A Gaussian PSF that carries the gradient of its width."""
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-(x**2) / (2 * width**2))
    psf = line[:, None] * line
    return psf / psf.sum()


TRUTH = 2.0
rng = np.random.default_rng(0)
scene = data.camera() / 255.0
frame = slice(154, 282), slice(204, 332)
blurred = fftconvolve(scene, gaussian(torch.tensor(TRUTH)).numpy(), mode="same")[frame]
observed = torch.tensor(blurred + rng.normal(0, 0.01, blurred.shape), dtype=torch.float32)
hidden = torch.tensor(rng.random(observed.shape) < 0.1)


def foretold(width):
    """Mean squared error of the hidden pixels, in units of the noise's variance."""
    result = imgrestore.deblur(observed, gaussian(width), method="tv", noise=0.01, mask=~hidden, details=True)
    return (result.layers["residual"][hidden] / 0.01).square().mean()


# %%
# Gradient descent
# ----------------
#
# Rprop takes steps by the gradient's sign alone, which suits a single parameter of unknown scale.

width = torch.tensor(1.2, requires_grad=True)
optimizer = torch.optim.Rprop([width], lr=0.2)
trace = []
for _ in range(12):
    optimizer.zero_grad()
    loss = foretold(width)
    loss.backward()
    trace.append((width.item(), loss.item()))
    optimizer.step()
print(f"found {width.item():.2f}, true {TRUTH}")

# %%
# The loss over a range of widths, and the way that the descent took on it. The width comes out 0.15 too small: how
# well the hidden pixels are foretold depends on what the method expects of a scene, too, and that moves the minimum.

with torch.no_grad():
    widths = np.linspace(1.1, 2.8, 12)
    curve = [foretold(torch.tensor(w, dtype=torch.float32)).item() for w in widths]

figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
axis.plot(widths, curve, color="gray", label="hidden pixels")
axis.plot(*np.transpose(trace), "o-", ms=4, lw=0.8, color="tab:orange", label="gradient descent")
axis.axvline(TRUTH, color="tab:green", ls="--", lw=1, label="true width")
axis.set(xlabel="width of the PSF [pixels]", ylabel="squared error / noise variance")
axis.legend(frameon=False)
plt.show()

# %%
# The picture with the width at the start, the one found, and one too large. A PSF that is too wide rings; one that is
# too narrow leaves blur.

with torch.no_grad():
    panels = {"observed": observed, "clean": torch.tensor(scene[frame])}
    for w in (1.2, width.item(), 2.8):
        panels[f"width {w:.2f}"] = imgrestore.deblur(observed, gaussian(torch.tensor(w)), method="tv", noise=0.01)

figure, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained")
for axis, (title, picture) in zip(axes, panels.items(), strict=True):
    axis.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
plt.show()
