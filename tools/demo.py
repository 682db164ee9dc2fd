"""Deblur a real picture, with a known PSF and blind, and draw the comparisons: ``make demo``.

The picture is the moving clock that ships with scikit-image. Its blur was found by trial: of the straight motions,
36 pixels at 2 degrees counter-clockwise give the sharpest face. For the blind result it is estimated, and nothing is
set.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import imgrestore
from imgrestore import io

CLOCK_BLUR = "motion:36:2"
# A PSF found by trial explains the picture to so many gray levels, well above its noise.
CLOCK_NOISE = 5.0
SHAKE = "motion:15:30"


def clock() -> io.Picture:
    """Read the picture of scikit-image of a clock that moved while it was exposed."""
    with resources.as_file(resources.files("skimage") / "data" / "clock_motion.png") as path:
        return io.read(path)


def demo(folder: Path) -> None:
    """Write the deblurred clock and its sheet, by the blur found by trial and blind, and say where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = clock()
    known = imgrestore.deblur(picture.pixels, CLOCK_BLUR, noise=CLOCK_NOISE, details=True)
    blind = imgrestore.deblur(picture.pixels, details=True)
    for name, restored in (("clock", known), ("clock_blind", blind)):
        result, sheet = folder / f"{name}.png", folder / f"{name}_sheet.png"
        io.write(result, restored.image, like=picture)
        restored.plot().save(sheet)
        print(f"result      {result.resolve()}")
        print(f"comparison  {sheet.resolve()}")
    print(f"blind       {blind.notes[0]}")


def shaken() -> tuple[np.ndarray, np.ndarray]:
    """Part of a photograph, blurred with the scene going on beyond the frame, with 1 % noise; and deblurred."""
    from scipy import signal
    from skimage import data

    psf = imgrestore.Psf.parse(SHAKE)
    scene = data.astronaut()[:340, 60:400].astype(float)
    blurred = np.stack([signal.convolve(plane, psf.array, mode="valid") for plane in np.moveaxis(scene, -1, 0)], -1)
    noisy = blurred + np.random.default_rng(0).normal(0, 2.55, blurred.shape)
    observed = noisy.round().clip(0, 255).astype(np.uint8)[10:310, 10:310]
    return observed, imgrestore.deblur(observed, psf)


def picture_of_readme(path: Path) -> None:
    """Draw the picture that the README opens with: two blurred pictures, each beside its result."""
    face = clock().pixels
    sharp = imgrestore.deblur(face, CLOCK_BLUR, noise=CLOCK_NOISE)
    window = np.s_[75:235, 130:290]
    pairs = [(face[window], sharp[window]), shaken()]
    side, gap, below = 300, 8, 26
    sheet = Image.new("RGB", (4 * side + 3 * gap + gap, side + below), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    captions = ("a clock that moved", f"deblurred, {CLOCK_BLUR}", "a shaken camera, 1 % noise", f"deblurred, {SHAKE}")
    for i, pixels in enumerate(p for pair in pairs for p in pair):
        x = i * (side + gap) + (gap if i > 1 else 0)
        panel = Image.fromarray(pixels).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(panel, (x, 0))
        pen.text((x, side + 6), captions[i], font=font, fill=(90, 90, 90))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
    print(f"{path.resolve()} ({path.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "demo")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="draw the picture of the README instead")
    arguments = parser.parse_args()
    if arguments.readme:
        picture_of_readme(arguments.readme)
    else:
        demo(arguments.folder)
