"""
What looks damaged and is not
=============================

Dark paint is no shadow, a white cup is no highlight, and what is seen in a mirror does not lie over the scene. Three
tasks find out for themselves where damage is; here they meet pictures that can mislead them. Most scenes are drawn, so
that the truth is known. The others are photographs that come with scikit-image.

Below each picture stands its PSNR to the truth; where nothing is damaged, the truth is the input. "Left alone" means
that the input came back bit by bit. Below each mask stands how much of the picture it covers. All is computed when this
page is built. **Some of these cases go wrong**: the figures show which, and the last one shows what helps.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.transform import resize

import imgrestore
from imgrestore.degrade import shadow

SIZE = 240, 320
DOWN, RIGHT = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
WHITE, BLACK, IRON = (0.9, 0.9, 0.88), (0.05, 0.05, 0.06), (0.13, 0.14, 0.15)
NAVY, BROWN = (0.12, 0.14, 0.28), (0.20, 0.12, 0.07)


def photo(name, crop=np.s_[:, :], size=SIZE):
    picture = getattr(data, name)()[crop] / 255
    return resize(picture if picture.ndim == 3 else np.dstack([picture] * 3), size, anti_aliasing=True)


def blotches(seed, sigma):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(SIZE), sigma)
    return (noise / noise.std())[..., None]


def surface(paint, seed, grain=0.03):
    return np.array(paint) * (1 + grain * blotches(seed, 1) + grain * blotches(seed + 1, 25))


def wood(seed):
    rings = np.sin(DOWN[..., None] / 7 + 2.5 * blotches(seed, (25, 90)))
    return np.array([0.66, 0.47, 0.30]) * (1 + 0.07 * rings + 0.08 * blotches(seed, (0.7, 25)))


def over(scene, paint, cover):
    return scene + np.asarray(cover, float)[..., None] * (np.asarray(paint) - scene)


def box(top, left, bottom, right):
    return gaussian_filter(1.0 * ((top <= DOWN) & (bottom > DOWN) & (left <= RIGHT) & (right > RIGHT)), 0.6)


def disc(y, x, radius):
    return np.clip(radius - np.hypot(DOWN - y, RIGHT - x) + 0.5, 0, 1)


def ball(scene, y, x, height, width, paint):
    down, right = (DOWN - y) / height, (RIGHT - x) / width
    front = 1 - down**2 - right**2
    shade = np.maximum(0.8 * np.sqrt(np.maximum(front, 0)) - 0.4 * right - 0.45 * down, 0)[..., None]
    return over(scene, np.array(paint) * (0.35 + 0.65 * shade), np.clip(front * height / 2, 0, 1))


def post(scene, top, bottom, x, width, paint):
    """An upright cylinder, lit from the left and seen a little from above."""
    across = np.clip((RIGHT - x) / width, -1, 1)
    bend = width / 4 * np.sqrt(1 - across**2)
    cover = np.clip(bottom + bend - DOWN, 0, 1) * np.clip(DOWN - top + bend, 0, 1) * (abs(across) < 1)
    return over(scene, np.array(paint) * (0.35 + 0.65 * np.cos(1.1 * across + 0.5))[..., None], cover)


def vessel(scene, paint, content, handle=0.0):
    return over(over(scene, paint, np.maximum(handle, disc(105, 115, 52))), content, disc(105, 115, 44))


def stored(scene):
    return np.round(255 * scene.clip(0, 1)).astype(np.uint8)


def photographed(scene, fall=0.25):
    """The scene in light that falls off to the right."""
    grain = np.random.default_rng(0).normal(0, 0.008, (*SIZE, 1))
    return stored(gaussian_filter(scene * (1 - fall * RIGHT[..., None] / SIZE[1]), (0.5, 0.5, 0)) + grain)


def written(scene, ink, *lines):
    """Lines of (text, height, x, y) on a scene."""
    canvas = Image.fromarray(stored(scene))
    for text, height, x, y in lines:
        ImageDraw.Draw(canvas).text((x, y), text, fill=ink, font=ImageFont.load_default(height))
    return np.asarray(canvas) / 255


def decibels(picture, truth):
    return -10 * np.log10(max(np.square(picture / 255 - truth / 255).mean(), 1e-12))


def caption(picture, case, alone="left alone"):
    alone = alone if np.array_equal(picture, case["input"]) else ""
    number = "" if np.array_equal(picture, case["truth"]) else f"{decibels(picture, case['truth']):.1f} dB"
    return ", ".join(filter(None, (alone, number)))


def table(rows, titles):
    size = 3.2 * len(titles), 2.62 * len(rows)
    _, axes = plt.subplots(len(rows), len(titles), figsize=size, layout="constrained")
    for line, (name, panels) in zip(axes, rows.items(), strict=True):
        for axis, (picture, below) in zip(line, panels, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[], xlabel=below)
        line[0].set_ylabel(name, fontsize=11)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    plt.show()


def show(cases, task):
    """A row for each case; the one that is farthest from its truth is returned."""
    rows, scores = {}, []
    for name, case in cases.items():
        found = task(case["input"], details=True)
        before, after = caption(case["input"], case, ""), caption(found.image, case)
        rows[name] = (case["input"], before), (found.image, after), (found.mask, f"{found.mask.mean():.1%}")
        scores.append((decibels(found.image, case["truth"]), name, case, task))
    table(rows, ("input", "result", "mask"))
    return min(scores)[1:]


# %%
# Shadows of objects
# ------------------
#
# A dark thing throws its shadow on the ground beside it. The shadow should be lifted, and the thing stay as dark as it
# is. The ground is shaded by the forward model, then the thing is drawn on it, so both pictures are known.


def swept(y, x, to_y, to_x, radius, flat=1.0):
    """The outline of what a disc sweeps from one place to another, in parts of the picture."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ahead = np.cos(turn - np.arctan2((to_y - y) / flat, to_x - x)) > 0
    middle = np.where(ahead[:, None], (to_y, to_x), (y, x))
    return (middle + radius * np.stack([flat * np.sin(turn), np.cos(turn)], 1)) / SIZE


def with_shadow(ground, thing, *outlines, fall=0.25):
    """A thing on a ground with its shadow, and for the truth without."""
    params = shadow.ShadowParams(outlines, (0.26, 0.28, 0.33), (0.003, 0.012), 0.3)
    planes = torch.from_numpy(ground).clamp(0, 1).movedim(-1, 0)
    shaded, mask = shadow.apply(planes, params).movedim(0, -1).numpy(), shadow.shadow_mask(planes.shape, params)[0]
    pictures = [photographed(thing(one), fall) for one in (shaded, ground)]
    seen = abs(thing(ground) - ground).max(-1) < 0.02
    return {"input": pictures[0], "truth": pictures[1], "mask": mask.numpy() & seen}


grass = photo("grass", np.s_[:360, :480]) * (0.98, 1.15, 0.52)
bricks = photo("brick", np.s_[100:460, :480]) * (1.35, 1.0, 0.85) + 0.12
gravel = photo("gravel", np.s_[:360, :480]) * (1.15, 1.08, 0.98)
lines = [("Dear reader, the ink is black before any light falls.", 14, 12, 12 + 26 * k) for k in range(9)]
letter = written(surface((0.88, 0.86, 0.80), 3, 0.01), (60, 60, 90), *lines)
handle = disc(88, 62, 24) * (1 - disc(88, 62, 15))
beside = swept(105, 115, 135, 195, 50)
plaster = surface((0.80, 0.74, 0.62), 7)
bars = sum(box(0, x - 6, 240, x + 6) for x in range(24, 320, 58)) + box(40, 0, 52, 320)
cast = [swept(-30, x, 270, x, 6) for x in range(-10, 350, 58)] + [swept(64, -20, 64, 340, 6)]
shadows = {
    "ball on grass": with_shadow(grass, lambda s: ball(s, 105, 110, 46, 46, NAVY), swept(150, 130, 165, 215, 40, 0.45)),
    "post on bricks": with_shadow(bricks, lambda s: post(s, 40, 170, 90, 18, IRON), swept(172, 92, 205, 270, 17, 0.6)),
    "bucket on gravel": with_shadow(gravel, lambda s: vessel(s, IRON, BLACK), beside),
    "mug on wood": with_shadow(wood(5), lambda s: vessel(s, IRON, BROWN, handle), beside, swept(88, 62, 118, 142, 22)),
    "railing at a wall": with_shadow(plaster, lambda s: over(s, IRON, bars.clip(0, 1)), *cast),
    # On a page uneven light is evened out as well, so here there is none.
    "ink pot on a letter": with_shadow(letter, lambda s: vessel(s, NAVY, BLACK), beside, fall=0),
}
worst = [show(shadows, imgrestore.deshadow)]

# %%
# The mask shows what looks shaded. Without good evidence the picture is left as it is, even if the mask is not empty.
#
# Painted dark areas
# ------------------
#
# Nothing is in shadow here. But thin paint and tar let the ground show through, as a shadow does, and a dark tile has
# the same pattern as a light one.


def undamaged(scenes):
    scenes = {name: one if one.dtype == np.uint8 else photographed(one) for name, one in scenes.items()}
    return {name: {"input": one, "truth": one, "mask": np.zeros(SIZE, bool)} for name, one in scenes.items()}


def chessboard(light, dark):
    part = (DOWN - 35) / 180
    across, along = 4 + 4 * (RIGHT - 160) / (100 + 50 * part), 8 * part * 150 / (100 + 50 * part)
    fields = np.where((np.floor(across) + np.floor(along))[..., None] % 2, light, dark)
    off_centre = np.maximum(abs(across - 4), abs(along - 4))
    return over(over(wood(11), BROWN, off_centre < 4.3), fields * (1 + 0.04 * blotches(12, (1, 15))), off_centre < 4)


road = (photo("gravel") * 0.45 + 0.2) * (1 - 0.55 * box(-9, 60, 145, 175)[..., None])
worn = np.clip(0.9 + 0.25 * blotches(8, 2)[..., 0], 0, 1)
tone = 1 + 0.04 * np.random.default_rng(4).standard_normal((4, 5))
tone[[1, 1, 2], [1, 2, 3]] *= 0.38
tiles = surface((0.82, 0.78, 0.72), 14) * tone[(DOWN // 60).astype(int), (RIGHT // 64).astype(int)][..., None]
poster = over(surface(WHITE, 16, 0.01), BLACK, box(18, 20, 92, 300) + box(110, 20, 222, 120))
poster = written(poster, (235, 230, 220), ("NIGHT TRAIN", 38, 38, 30))
lines = [("leaves at ten to nine and", 14, 135, 108 + 23 * k) for k in range(5)]
painted = {
    "stripe on a wall": plaster * (1 - box(140, 0, 205, 320)[..., None] * (0.62, 0.66, 0.70)),
    "patched road": over(road, WHITE, worn * (box(20, 225, 110, 245) + box(160, 225, 260, 245))),
    "dark clothes": stored(photo("astronaut", np.s_[:384])),
    "chessboard": chessboard((0.80, 0.70, 0.52), (0.22, 0.14, 0.09)),
    "dark tiles": over(tiles, (0.6, 0.59, 0.56), np.minimum(DOWN % 60, RIGHT % 64) < 2.5),
    "poster": photographed(written(poster, (25, 25, 28), *lines), fall=0),
}
worst.append(show(undamaged(painted), imgrestore.deshadow))

# %%
# White objects
# -------------
#
# A highlight is bright and has the colour of the lamp. So has a white thing in white light, but that is its paint. Of
# these pictures only the photograph of the cup has highlights as well: small ones, on the glaze and on the spoon.

eggs = surface((0.16, 0.36, 0.30), 23, 0.05)
for y, x, paint in (105, 105, WHITE), (150, 215, (0.86, 0.68, 0.52)):
    eggs = ball(eggs * (1 - 0.6 * gaussian_filter(disc(y + 14, x + 14, 46), 5)[..., None]), y, x, 48, 60, paint)
billows = blotches(30, (24, 40)) + 0.5 * blotches(31, (8, 13)) + 0.2 * blotches(32, (3, 5))
sky = np.array([0.25, 0.47, 0.80]) + DOWN[..., None] / 240 * (0.25, 0.2, 0.08)
jars = over(surface((0.62, 0.58, 0.52), 35), wood(36), DOWN > 165)
for x, paint in (62, (0.62, 0.10, 0.08)), (160, (0.12, 0.36, 0.20)), (258, (0.75, 0.48, 0.05)):
    jars = post(post(jars, 60, 200, x, 38, paint), 50, 68, x, 33, (0.35, 0.27, 0.2))
    jars = post(jars, 105, 155, x, 38, WHITE)
sign = over(surface((0.10, 0.24, 0.50), 40), WHITE, box(24, 20, 216, 300) - box(30, 26, 210, 294))
white = {
    "cup": stored(photo("coffee", np.s_[20:380, 100:580])),
    "letters on a sign": written(sign, (232, 232, 226), ("EXIT", 90, 58, 34), ("to the river", 36, 64, 145)),
    "eggs on a cloth": eggs,
    "clouds": photographed(over(sky, (0.95, 0.95, 0.96), np.clip(0.8 * billows[..., 0] - 0.3, 0, 1)), fall=0),
    "white fields": chessboard(WHITE, (0.55, 0.12, 0.08)),
    "paper labels": written(jars, "black", ("CHERRY", 13, 36, 130), ("MINT", 13, 144, 130), ("HONEY", 13, 235, 130)),
}
worst.append(show(undamaged(white), imgrestore.despecular))

# %%
# Mirrors, and pictures in pictures
# ---------------------------------
#
# Two scenes are in one picture here, too. But they lie side by side, and there is nothing to take off of either.


def framed(scene, picture, place, paint, border=9):
    """A scene with a framed picture at a place (top, left, bottom, right)."""
    frame = np.add(place, (-border, -border, border, border))
    scene = scene * (1 - 0.5 * gaussian_filter(box(*frame + 6), 3)[..., None])
    scene = over(scene, surface(paint, 50, 0.01), box(*frame))
    top, left, bottom, right = place
    scene[top:bottom, left:right] = resize(picture, (bottom - top, right - left), anti_aliasing=True)
    return scene


portrait = photo("astronaut", np.s_[:340, 345:90:-1])
wall = np.rot90(photo("brick", np.s_[:480, :360], SIZE[::-1])) * (1.35, 0.95, 0.8) + 0.12
shore = np.array([0.45, 0.62, 0.82]) + DOWN[..., None] / 130 * (0.35, 0.22, 0.05)
noise = np.random.default_rng(1).standard_normal(SIZE[1])
ridge = sum(np.sqrt(s) * gaussian_filter(noise, s) for s in (3, 12, 30))
shore = over(shore, surface((0.50, 0.56, 0.62), 60), np.clip(DOWN - 70 - 12 * ridge, 0, 1))
shore = over(shore, surface((0.22, 0.30, 0.17), 61, 0.12), np.clip(DOWN - 104 - 5 * ridge[::-1], 0, 1))
depth = np.maximum(DOWN - 125, 0)
column = (RIGHT + depth / 18 * np.sin(depth / 1.7 + RIGHT / 40)).astype(int) % SIZE[1]
water = shore[np.clip(124 - depth, 0, 124).astype(int), column] * (0.70, 0.78, 0.82)
window = framed(surface((0.50, 0.46, 0.42), 52), shore[:150], (25, 60, 195, 260), WHITE)
mirrors = {
    "mirror": framed(surface((0.52, 0.60, 0.50), 54), portrait, (25, 95, 205, 230), (0.45, 0.27, 0.1)),
    "window": over(window, WHITE, np.maximum(box(25, 156, 195, 164), box(105, 60, 111, 260))),
    "picture in a picture": framed(photo("chelsea"), photo("rocket"), (135, 195, 228, 312), BLACK, 3),
    "photograph on bricks": framed(wall, photo("chelsea"), (60, 75, 185, 245), WHITE, 18),
    "lake": over(shore, water, DOWN >= 125),
}
worst.append(show(undamaged(mirrors), imgrestore.dereflect))

# %%
# What helps
# ----------
#
# Of each section the case that is farthest from its truth. ``refine=False``, or ``method="classical"``, leaves the net
# out, so that what only the net sees is not touched. ``mask`` says where the damage is, and nothing else is looked at;
# where there is no damage, it is empty here. ``kind="cast"`` keeps ``deshadow`` from taking a picture for a page.

rows = {}
for name, case, task in worst:
    results = [task(case["input"], **options) for options in ({}, {"refine": False}, {"mask": case["mask"]})]
    rows[name] = [(picture, caption(picture, case)) for picture in results]
table(rows, ("automatic", "refine=False", "mask="))
