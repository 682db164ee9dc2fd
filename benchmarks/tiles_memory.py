"""How much memory tiles and looks take: ``python -m benchmarks.tiles_memory``; the numbers stand in `imgrestore.tiles`.

Each tile is restored in a process of its own, with one thread. Its bytes for a pixel are how much the peak of resident
memory rises from a tile to one of four times as many pixels, over how many more pixels both have with their halos.
A look's are by how much the peak rises when a million pixels are looked at.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np

CASES: dict[str, tuple[str, dict[str, object]]] = {
    "wiener": ("deblur", {"psf": "gaussian:1", "method": "wiener"}),
    "rl": ("deblur", {"psf": "gaussian:1", "method": "rl", "noise": 0.01}),
    "tv": ("deblur", {"psf": "gaussian:1", "method": "tv"}),
    "hyperlaplacian": ("deblur", {"psf": "gaussian:1", "method": "hyperlaplacian"}),
    "net": ("deblur", {"psf": "gaussian:1"}),
    "demoire": ("demoire", {"method": "classical"}),
    "deshadow": ("deshadow", {"kind": "soft"}),
}
SIDES = (512, 1024)
LOOK = 1000
MASK = np.pad(np.ones((200, 200), bool), ((100, LOOK - 300), (100, LOOK - 300)))
LOOKS: dict[str, tuple[str, dict[str, object]]] = {
    **CASES,
    "blind": ("deblur", {"refine": False}),
    "deshadow": ("deshadow", {"kind": "soft"}),
    "dereflect": ("dereflect", {}),
    "despecular": ("despecular", {}),
    "derust": ("derust", {"mask": MASK}),
    "restore": ("restore", {}),
}


def picture(channels: int, side: int) -> np.ndarray:
    """Smooth shapes, light that falls off, noise and a wave."""
    y, x = np.mgrid[:side, :side] / 256
    plane = 0.4 + 0.2 * np.sin(5 * x + np.sin(3 * y)) + 0.1 * np.sin(np.arange(side) * 1.7)
    plane = plane * np.linspace(0.3, 1, side)[:, None]
    values = plane[..., None] + np.random.default_rng(0).normal(0, 0.01, (side, side, channels))
    return (values if channels > 1 else values[..., 0]).astype(np.float32)


def child(name: str, channels: int, side: int) -> None:
    """Restore one tile and print its pixels and the peak, in bytes."""
    from imgrestore.tiles import Window, prepare

    task, options = CASES[name]
    whole = picture(channels, 1600)
    prepared = prepare(task, whole, look_pixels=60_000, **options)
    window = Window(200, 200, side, side)
    seen = prepared.seen(window)
    prepared(np.ascontiguousarray(whole[seen.slices]), window)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([seen.height * seen.width, peak, prepared.bytes_per_pixel]))


def look(name: str, channels: int) -> None:
    """Look at one picture and print by how much the peak rose, and what is predicted, in bytes."""
    import imgrestore.tiles.deblur  # noqa: F401 - what libraries load counts as held already
    from imgrestore.tiles import prepare
    from imgrestore.tiles.memory import look_bytes, resident_bytes

    task, options = LOOKS[name]
    whole = picture(channels, LOOK)
    before = resident_bytes()
    prepare(task, whole, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    refined = "method" not in options and "refine" not in options
    print(json.dumps([peak - before, look_bytes(task, whole.shape, whole.dtype, refined=refined)]))


def main() -> None:
    """Measure all cases."""
    if len(sys.argv) == 3:
        return look(sys.argv[1], int(sys.argv[2]))
    if len(sys.argv) > 1:
        return child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    for name in LOOKS:
        for channels in (1, 3):
            words = [sys.executable, "-m", __spec__.name, name, str(channels)]
            rise, said = json.loads(subprocess.check_output(words))
            print(f"a look, {name}, {channels} channels: {rise / 1e6:.0f} MB, said {said / 1e6:.0f}", flush=True)
    for name in CASES:
        for channels in (1, 3):
            found = [
                json.loads(subprocess.check_output([sys.executable, "-m", __spec__.name, name, str(channels), str(s)]))
                for s in SIDES
            ]
            (less, low, predicted), (more, high, _) = found
            print(
                f"{name}, {channels} channels: {(high - low) / (more - less):.0f} bytes a pixel, said {predicted:.0f}"
            )


if __name__ == "__main__":
    main()
