"""Restore large pictures in a child process and watch its memory and time: ``python tools/large.py``.

A gray picture of 16 bits (or --rgb of 8) is made band by band: a random scene that repeats every 1000 pixels, blurred
by a known PSF and with noise, as an uncompressed TIFF. ``imgrestore deblur IN -o OUT --psf PSF --max-memory 2GB``
restores it, while its resident memory is sampled from outside. Printed for each size: seconds, seconds of processors in
all and per megapixel, the peak of memory (sampled, as the system counted it, and as the command expected it), and the
PSNR of five windows before and after.

``python tools/large.py --sides 20000`` needs 1.6 GB of disk in the folder named by --folder.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from scipy.ndimage import convolve, gaussian_filter

from imgrestore import Psf, io

PERIOD, NOISE = 1000, 0.002
PLACES = ((0.0, 0.0), (0.5, 0.5), (0.3, 0.7), (0.98, 0.98), (0.0, 0.98))
SEEN = 256
ROOT = Path(__file__).parents[1]


def scene(channels: int, rng: np.random.Generator) -> np.ndarray:
    """One period (PERIOD, PERIOD, channels) of a scene with edges and texture, in [0, 1]."""
    levels = [gaussian_filter(rng.standard_normal((PERIOD, PERIOD)), width, mode="wrap") for width in (12, 40)]
    edges = sum((level > 0).astype(float) for level in levels) / 2
    texture = gaussian_filter(rng.standard_normal((PERIOD, PERIOD, channels)), (1.5, 1.5, 0), mode="wrap")
    return np.clip(0.2 + 0.5 * edges[..., None] + 0.1 * texture / texture.std(), 0, 1)


def store(path: Path, side: int, period: np.ndarray, dtype: np.dtype) -> None:
    """Write the blurred scene with noise, a band at a time."""
    rng = np.random.default_rng(1)
    top = np.iinfo(dtype).max
    shape = (side, side, *period.shape[2:])[: 2 if period.shape[2] == 1 else 3]
    with io.open_target(path, shape, dtype) as target:
        for first in range(0, side, 500):
            rows = np.arange(first, min(first + 500, side)) % PERIOD
            band = period[rows][:, np.arange(side) % PERIOD].astype(np.float32)
            band += NOISE * rng.standard_normal(band.shape, dtype=np.float32)
            band = np.rint(band.clip(0, 1) * top).astype(dtype).reshape(len(rows), *shape[1:])
            target.write(io.Rectangle(first, 0, len(rows), side), band)


def quality(path: Path, side: int, period: np.ndarray) -> float:
    """PSNR in windows in the corners and inside, in dB."""
    errors = []
    with io.open_source(path) as source:
        top = np.iinfo(source.dtype).max
        for down, right in PLACES:
            row, column = int(down * (side - SEEN)), int(right * (side - SEEN))
            pixels = source.read(io.Rectangle(row, column, SEEN, SEEN)) / top
            rows, columns = (np.arange(first, first + SEEN) % PERIOD for first in (row, column))
            errors.append(np.square(pixels.reshape(SEEN, SEEN, -1) - period[rows][:, columns]).mean())
    return -10 * math.log10(float(np.mean(errors)))


def watched(words: list[str]) -> tuple[float, float, int, int, str]:
    """Run a command: seconds, those of processors, the peak of memory as sampled and as counted, and what it said."""
    start, sampled = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(words, stderr=said, cwd=ROOT)
        process = psutil.Process(child.pid)
        while True:
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if done:
                break
            with contextlib.suppress(psutil.Error):  # it may end just now
                sampled = max(sampled, process.memory_info().rss)
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        said.seek(0)
        text = said.read()
    if child.returncode:
        raise RuntimeError(f"{' '.join(words)}: {text}")
    return seconds, usage.ru_utime + usage.ru_stime, sampled, 1024 * usage.ru_maxrss, text


def measure(side: int, options: argparse.Namespace, folder: Path) -> None:
    """Make, restore and check one picture, and print its line."""
    dtype = np.dtype(np.uint8 if options.rgb else np.uint16)
    clean = scene(3 if options.rgb else 1, np.random.default_rng(0))
    blurred = np.clip(convolve(clean, Psf.parse(options.psf).array[..., None], mode="wrap"), 0, 1)
    before, after = folder / "before.tif", folder / "after.tif"
    store(before, side, blurred, dtype)
    words = [sys.executable, "-m", "imgrestore", "deblur", str(before), "-o", str(after), "--overwrite", "-v"]
    words += ["--psf", options.psf, "--method", options.method, "--max-memory", options.max_memory]
    words += ["--tile", str(options.tile)] if options.tile else []
    seconds, busy, sampled, peak, said = watched(words)
    tiles, expected = (re.search(part, said) for part in (r"(\d+ tiles of .*)", r"at most (\d+) MB"))
    memory = f"peak {peak / 1e6:.0f} MB (sampled {sampled / 1e6:.0f} MB"
    memory += f", expected {expected[1]} MB)" if expected else ")"
    print(
        f"{side} x {side} {'RGB' if options.rgb else 'gray'} {dtype}: {seconds:.1f} s "
        f"({busy:.1f} s of processors, {busy / side**2 * 1e6:.3f} s/Mpx), {memory}, "
        f"{tiles[1] if tiles else 'no tiles'}, "
        f"{quality(before, side, clean):.2f} -> {quality(after, side, clean):.2f} dB",
        flush=True,
    )
    for path in (before, after):
        path.unlink()


def main() -> None:
    """A line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--psf", default="gaussian:1.5")
    parser.add_argument("--method", default="wiener")
    parser.add_argument("--max-memory", default="2GB")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--rgb", action="store_true", help="RGB of 8 bits instead of gray of 16")
    parser.add_argument("--folder", type=Path, help="where the pictures are made; a temporary folder by default")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        for side in options.sides:
            measure(side, options, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
