"""Pictures that come with scikit-image, and pages drawn from them, shaded by the forward model."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from damaged import Damaged
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from imgrestore.degrade import shadow

SIDE = 384
PHOTOGRAPHS = ("brick", "grass", "gravel", "coffee", "astronaut", "chelsea", "rocket")
SENTENCE = (
    "Light multiplies what a surface reflects so a shadow divides it again and the quotient of both sides of its edge "
    "tells how much of the light is left while the paper between the letters shows it everywhere on a page"
)


@cache
def photograph(name: str) -> np.ndarray:
    """A picture of scikit-image, float32 RGB with its longer side at `SIDE`."""
    picture = getattr(data, name)()
    picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
    factor = SIDE / max(picture.shape[:2])
    size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


@cache
def page(number: int) -> np.ndarray:
    """A drawn page (480, 360, 3): a headline, text, and for odd numbers a photograph and a coloured bar."""
    rng = np.random.default_rng([11, number])
    paper = tuple(int(v) for v in rng.integers(225, 248) - np.sort(rng.integers(0, 14, 3)))
    canvas = Image.new("RGB", (360, 480), paper)
    draw = ImageDraw.Draw(canvas)
    draw.text((30, 22), "On shadows", fill=(25, 25, 30), font=ImageFont.load_default(26))
    top = 70
    if number % 2:
        figure = Image.fromarray((photograph(("coffee", "chelsea")[number // 2 % 2]) * 255).astype(np.uint8))
        canvas.paste(figure.resize((150, 100)), (180, 80))
        draw.rectangle((30, 90, 150, 120), fill=(200, 60, 40))
        top = 200
    font = ImageFont.load_default(12)
    for y in range(top, 455, 17):
        draw.text((30, y), " ".join(rng.choice(SENTENCE.split(), 9))[:50], fill=(40, 38, 42), font=font)
    grain = rng.normal(0, 0.006, (480, 360, 1))
    return np.clip(np.asarray(canvas) / 255 + grain, 0, 1).astype(np.float32)


@cache
def scan(name: str) -> np.ndarray:
    """A picture of a page that comes with scikit-image, its own uneven light divided out, float32 RGB."""
    gray = getattr(data, name)().astype(np.float32) / 255
    surface = cv2.morphologyEx(gray, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    even = np.clip(0.9 * gray / cv2.GaussianBlur(surface, (0, 0), 12), 0, 1)
    return np.repeat(even[..., None], 3, axis=2)


def shaded(name: str, truth: np.ndarray, kind: shadow.Kind, seed: list[int]) -> Damaged:
    """A picture with one drawn shadow on it."""
    clean = torch.from_numpy(truth).movedim(-1, 0)
    params = shadow.sample(clean.shape, np.random.default_rng(seed), kind)
    observed = shadow.apply(clean, params).movedim(0, -1).clamp(0, 1).numpy()
    mask = shadow.shadow_mask(clean.shape, params)[0].numpy()
    return Damaged(name, observed, truth, mask if kind == "cast" and mask.any() else None)


def cast(count: int = 4) -> list[Damaged]:
    """Cast shadows on photographs, `count` on each."""
    return [
        shaded(f"{name} {k}", photograph(name), "cast", [i, k])
        for i, name in enumerate(PHOTOGRAPHS)
        for k in range(count)
    ]


def documents(count: int = 3) -> list[Damaged]:
    """Shadows on pages, `count` on each."""
    pages = {f"page {n}": page(n) for n in range(4)} | {name: scan(name) for name in ("page", "text")}
    return [
        shaded(f"{name}, {k}", truth, "document", [20 + i, k])
        for i, (name, truth) in enumerate(pages.items())
        for k in range(count)
    ]


SETS = {"cast shadows": cast, "documents": documents}
