"""Print how often the kind of a blur is told, and its numbers: ``python tools/kinds.py FOLDER``.

The first twelve pictures of the folder, luma, each blurred by a Gaussian (1 to 3 pixels), a disk (radius 2 to 6) and a
motion (7 to 25 pixels, any direction), 0.5 % noise. Numbers are right within 10 %, angles within 9 degrees.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from imgrestore import Psf, io
from imgrestore.classical import PsfEstimate, estimate_psf

PICTURES, NOISE = 12, 0.005
CLOSE, TURNED = 0.1, 9.0
LUMA = (0.299, 0.587, 0.114)
Numbers = dict[str, float]


def drawn(rng: np.random.Generator) -> list[tuple[str, Psf, Numbers]]:
    """One blur of each kind, with its numbers."""
    sigma, radius, length, angle = rng.uniform(1, 3), rng.uniform(2, 6), rng.uniform(7, 25), rng.uniform(0, 180)
    return [
        ("gaussian", Psf.gaussian(sigma), {"sigma": sigma}),
        ("disk", Psf.disk(radius), {"radius": radius}),
        ("motion", Psf.motion(length, angle), {"length": length, "angle": angle}),
    ]


def near(found: PsfEstimate, numbers: Numbers) -> bool:
    """Whether all numbers were found."""
    if "angle" in numbers:
        off = (found.parameters["angle"] - numbers["angle"] + 90) % 180 - 90
        return abs(off) <= TURNED and math.isclose(found.parameters["length"], numbers["length"], rel_tol=CLOSE)
    ((name, value),) = numbers.items()
    # Of a Gaussian with two widths both have to be near.
    seen = [found.parameters[name], found.parameters.get("sigma_across", found.parameters[name])]
    return all(math.isclose(one, value, rel_tol=CLOSE) for one in seen)


def main(folder: Path) -> None:
    """One line for each blur, and how many were right."""
    kinds = numbers_right = total = 0
    for seed, path in enumerate(sorted(folder.glob("*.png"))[:PICTURES]):
        picture = io.read(path).pixels / 255
        gray = picture[..., :3] @ LUMA if picture.ndim == 3 else picture
        rng = np.random.default_rng(seed)
        for kind, psf, numbers in drawn(rng):
            seen = fftconvolve(gray, psf.array, mode="valid")
            found = estimate_psf(seen + rng.normal(0, NOISE, seen.shape))
            right = found.kind == kind
            close = right and near(found, numbers)
            kinds, numbers_right, total = kinds + right, numbers_right + close, total + 1
            words = [
                ", ".join(f"{name} {value:.2f}" for name, value in one.items()) for one in (numbers, found.parameters)
            ]
            verdict = "numbers right" if close else "kind right" if right else "wrong"
            print(f"{path.stem:24} {kind} ({words[0]}): {found.kind} ({words[1]})  {verdict}", flush=True)
    print(f"the kind is right in {kinds} of {total}, all numbers in {numbers_right}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of PNG files of 8 bits")
    main(parser.parse_args().folder)
