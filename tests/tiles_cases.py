"""Pictures for the tests of tiles, and how tiles are put together."""

import numpy as np
import torch
from scipy import ndimage
from skimage import data

from imgrestore import Psf
from imgrestore.degrade import moire, screen
from imgrestore.tiles import Window


def tiled(prepared, picture, tile):
    """A picture restored tile by tile; each tile is given no more pixels than its halo."""
    out = np.empty_like(picture)
    for window in Window.grid(picture.shape, tile):
        seen = window.grown(prepared.halo, picture.shape)
        out[window.slices] = prepared(np.ascontiguousarray(picture[seen.slices]), window)
    return out


def apart(one, other):
    """The largest difference, as part of the range of the second one."""
    one, other = (np.asarray(each, np.float64) for each in (one, other))
    return float(np.abs(one - other).max() / max(np.ptp(other), 1e-30))


def blurred(shape, psf, *, colours=False, noise=0.01, seed=0):
    """A part of a photograph through a PSF, range 0 to 1, float32."""
    kernel = Psf.parse(psf).array
    scene = data.astronaut()[: shape[0], : shape[1]] if colours else data.camera()[100:, 60:][: shape[0], : shape[1]]
    planes = np.atleast_3d(scene / 255)
    seen = np.stack([ndimage.convolve(plane, kernel, mode="reflect") for plane in np.moveaxis(planes, -1, 0)], -1)
    seen = seen.reshape(scene.shape)
    return (seen + np.random.default_rng(seed).normal(0, noise, seen.shape)).astype(np.float32)


def stars(shape, psf, seed=0):
    """Counts of stars on an even ground."""
    rng = np.random.default_rng(seed)
    scene = np.full(shape, 100.0)
    scene[rng.integers(0, shape[0], 60), rng.integers(0, shape[1], 60)] += rng.uniform(2e3, 5e4, 60)
    seen = ndimage.convolve(scene, Psf.parse(psf).array, mode="reflect")
    return (seen + rng.normal(0, 5, shape)).clip(0, 65535).round().astype(np.uint16)


def with_moire(kind, shape, seed=0):
    """A photograph with a moiré pattern, range 0 to 1, float32."""
    clean = torch.from_numpy(data.astronaut()[: shape[0], : shape[1]].astype(np.float32) / 255).movedim(-1, 0)
    rng = np.random.default_rng(seed)
    return moire.apply(clean, moire.sample(clean.shape, rng, kind)).movedim(0, -1).numpy()


def of_a_screen(shape):
    """The photograph of a screen, range 0 to 1, float32; as tall as one likes."""
    picture = np.concatenate([data.astronaut(), data.astronaut()[::-1]])[: shape[0], : shape[1]]
    clean = torch.from_numpy(picture.astype(np.float32) / 255).movedim(-1, 0)
    seen = screen.apply(clean, screen.sample(clean.shape, np.random.default_rng(0)))
    return np.ascontiguousarray(seen.movedim(0, -1).numpy())
