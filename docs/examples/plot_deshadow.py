"""
Light given back
================

A cast shadow, and a page under an uneven lamp. Both are made by the forward model, so that the truth is known.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.ndimage import gaussian_filter, grey_closing
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import imgrestore
from imgrestore.degrade import shadow


def shade(clean, kind, seed):
    """A picture (H, W, 3) with a drawn shadow, and the shadow's mask."""
    planes = torch.from_numpy(clean).movedim(-1, 0)
    params = shadow.sample(planes.shape, np.random.default_rng(seed), kind)
    observed = shadow.apply(planes, params).clamp(0, 1).movedim(0, -1).numpy()
    return observed, shadow.shadow_mask(planes.shape, params)[0].numpy()


def show(panels, truth):
    _, axes = plt.subplots(1, len(panels), figsize=(2.7 * len(panels), 3), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        if title in ("shaded", "result"):
            title += f": {peak_signal_noise_ratio(truth, picture.clip(0, 1), data_range=1):.1f} dB"
        axis.imshow(picture.clip(0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.show()


# %%
# A cast shadow
# -------------
#
# With a mask, no shadow is looked for; its light is measured across the outline, through the texture of what it falls
# on. The gain times the scene is the picture again.

clean = (data.coffee() / 255.0).astype(np.float32)[::2, ::2]
observed, mask = shade(clean, "cast", 3)
result = imgrestore.deshadow(observed, mask=mask, details=True)
print(*result.notes, sep="\n")
print("off by", np.abs(result.recompose() - observed).max())
show({"clean": clean, "shaded": observed, "gain": result.layers["gain"], "result": result.image}, clean)

# %%
# A page
# ------
#
# The paper between the letters tells the light. It keeps the tone that it has in full light. The photograph of the page
# has a shadow of its own, which is divided out first, so that there is a truth to compare with.

gray = data.text().astype(np.float32) / 255
paper = gaussian_filter(grey_closing(gray, 25), 12)
page = np.clip(0.9 * gray / paper, 0, 1)[:, :, None].repeat(3, axis=2)
observed, _ = shade(page, "document", 5)
result = imgrestore.deshadow(observed, kind="document", details=True)
print(*result.notes, sep="\n")
show({"clean": page, "shaded": observed, "gain": result.layers["gain"], "result": result.image}, page)

# %%
# No shadow, no change
# --------------------
#
# The cup has dark sides, and the spoon stands out against them; none of that is a cast shadow that could be lifted for
# certain.

result = imgrestore.deshadow(clean, details=True)
print(*result.notes, sep="\n")
print("changed:", bool((result.image != clean).any()))
