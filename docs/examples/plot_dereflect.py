"""
Two scenes in one pane of glass
===============================

What one picture tells of a reflection, and how much more a second one tells. The scene and the reflected scene are
photographs that come with scikit-image.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from skimage.transform import resize

import imgrestore
from imgrestore.degrade import reflection


def planes(picture):
    return torch.from_numpy(resize(picture / 255.0, (240, 320), anti_aliasing=True).transpose(2, 0, 1)).float()


def array(tensor):
    return tensor.numpy().transpose(1, 2, 0)


clean = 0.65 * planes(data.coffee())
other = planes(data.astronaut()).numpy()


def show(pictures):
    _, axes = plt.subplots(1, len(pictures), figsize=(3.4 * len(pictures), 2.9), layout="constrained")
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture.clip(0, 1))
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    plt.show()


def decibels(picture):
    return f"{peak_signal_noise_ratio(array(clean), picture, data_range=1):.1f} dB"


# %%
# A doubled reflection
# --------------------
#
# A thick pane shows what it reflects twice. An edge of the reflection comes in pairs, an edge of the scene does not.

params = reflection.ReflectionParams(other, (0.45,), sigma=0.5, ghost_shift=(8, 6), ghost_attenuation=0.7, linear=False)
observed = array(reflection.apply(clean, params))
found = imgrestore.dereflect(observed, details=True)
print(*found.notes, sep="\n")
show(
    {
        f"through glass: {decibels(observed)}": observed,
        f"transmission: {decibels(found.image)}": found.image,
        "reflection": found.layers["reflection"],
    }
)

# %%
# A second picture with a flash
# -----------------------------
#
# The flash lights the scene behind the glass, more so on the left; the reflection is the same in both pictures.

params = reflection.ReflectionParams(other, (0.4,), sigma=1.5, noise=0.003)
light = torch.linspace(1.0, 0.4, 320).expand(1, 240, 320)
ambient, flashed = (array(picture) for picture in reflection.flash_pair(clean, params, light))
result = imgrestore.dereflect(ambient, flash=flashed)
show({f"without flash: {decibels(ambient)}": ambient, "with flash": flashed, f"result: {decibels(result)}": result})

# %%
# A polariser at two angles
# -------------------------
#
# Turning it dims the reflection to a third and hardly touches the scene. How much of each layer is left in the second
# picture shows in the directions of its gradients.

first, second = (array(picture) for picture in reflection.polarized_pair(clean, params))
found = imgrestore.dereflect(first, polarized=second, details=True)
print(found.notes[0])
show({f"one angle: {decibels(first)}": first, "another": second, f"result: {decibels(found.image)}": found.image})

# %%
# Without a reflection
# --------------------
#
# Nothing is found, and nothing is changed.

untouched = imgrestore.dereflect(array(clean), details=True)
print(untouched.notes[0])
print("changed:", bool(np.any(untouched.image != array(clean))))
