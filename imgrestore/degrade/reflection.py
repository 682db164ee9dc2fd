"""Reflections in glass: the scene behind a pane, and the light of another scene that the pane throws back.

Light adds: a photograph through glass is ``y = T + R (x) h``. T is the scene behind, R the reflected one, and h what
the pane makes of it: out of focus, since the reflected scene lies at another distance; doubled, since a pane has two
faces, the second of which shows the same scene shifted and weaker. Sums are of linear light, unless they are said to
be of display-coded values, as many published synthetic sets are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.light import decode, encode

__all__ = [
    "Pane",
    "ReflectionParams",
    "apply",
    "flash_pair",
    "polarized_pair",
    "random_scene",
    "reflection_light",
    "sample",
]

# How much more than its mean excess over white a reflection is dimmed, so that the sum is barely clipped (Fan 2017).
DIMMING = 1.3


@dataclass(frozen=True)
class Pane:
    """The part of the frame in which the glass reflects: a soft ellipse.

    Attributes
    ----------
    row, column : float
        Centre, as parts of height and width.
    radius : float
        Half axis, as a part of height and width.
    softness : float
        Width of the rim, as a part of the radius; above 0.
    """

    row: float
    column: float
    radius: float
    softness: float = 0.5


@dataclass(frozen=True)
class ReflectionParams:
    """What lies over one picture.

    Attributes
    ----------
    scene : ndarray of float32, shape (C, h, w)
        The reflected scene, range [0, 1], display-coded; it is resized to the frame.
    strength : tuple of float
        Part of its light that the pane throws back: one number, or one a channel for coloured glass.
    sigma : float
        Defocus: standard deviation of a Gaussian in pixels.
    ghost_shift : (int, int)
        Rows and columns by which the second face shifts the reflection.
    ghost_attenuation : float
        Strength of the second reflection to the first; 0 for a thin pane.
    pane : Pane, optional
        Where the reflection is; None: everywhere.
    linear : bool
        Add linear light. False: display-coded values.
    dimmed : bool
        Dim each channel of the reflection by 1.3 times its mean excess over white, where there is any (Fan 2017).
    saturate : bool
        Clip the sum to [0, 1], as a camera does.
    noise : float
        Standard deviation of Gaussian noise, added before clipping.
    seed : int
        Seed of the noise.
    """

    scene: NDArray[np.float32]
    strength: tuple[float, ...] = (0.4,)
    sigma: float = 3.0
    ghost_shift: tuple[int, int] = (0, 0)
    ghost_attenuation: float = 0.0
    pane: Pane | None = None
    linear: bool = True
    dimmed: bool = False
    saturate: bool = True
    noise: float = 0.0
    seed: int = 0


def sample(
    shape: tuple[int, ...], rng: np.random.Generator, scene: NDArray[np.float32] | None = None
) -> ReflectionParams:
    """Draw the parameters of one reflection.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., C, H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    scene : ndarray of float32, shape (C, h, w), optional
        The reflected scene, as another photograph; by default `random_scene`.

    Returns
    -------
    ReflectionParams
        Blurred by up to 5 pixels, of any strength, in a third of the cases doubled.
    """
    channels, height, width = shape[-3:]
    if scene is None:
        scene = random_scene((channels, height, width), rng)
    coded = rng.random() < 0.4
    base = rng.uniform(0.7, 1.0) if coded else np.exp(rng.uniform(np.log(0.08), np.log(0.8)))
    tint = 1 + rng.uniform(0, 0.25) * rng.uniform(-1, 1, channels)
    ghosted = rng.random() < 0.33
    reach = max(4.0, min(20.0, min(height, width) / 6))
    length, angle = rng.uniform(4, reach + 1e-6), rng.uniform(0, np.pi)
    return ReflectionParams(
        scene=np.asarray(scene, np.float32),
        strength=tuple(float(s) for s in base * tint),
        sigma=float(rng.uniform(0, 2) if ghosted else rng.uniform(0.5, 5)),
        ghost_shift=(round(length * np.sin(angle)), round(length * np.cos(angle))) if ghosted else (0, 0),
        ghost_attenuation=float(rng.uniform(0.4, 0.9)) if ghosted else 0.0,
        pane=None
        if rng.random() < 0.6
        else Pane(*map(float, rng.uniform((0.2, 0.2, 0.25, 0.2), (0.8, 0.8, 0.6, 1.0)))),
        linear=not coded,
        dimmed=coded,
        noise=0.0 if rng.random() < 0.5 else float(rng.uniform(0, 0.01)),
        seed=int(rng.integers(2**31)),
    )


def random_scene(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a scene to be reflected: windows, lamps and furniture as even shapes, over a smooth background.

    Parameters
    ----------
    shape : (int, int, int)
        (C, H, W).
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (C, H, W), range [0, 1]
    """
    channels, height, width = shape
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slope = rng.uniform(-0.3, 0.3, 2)
    ground = 0.15 + rng.uniform(0, 0.25) + slope[0] * (rows - 0.5) + slope[1] * (columns - 0.5)
    scene = np.repeat(np.maximum(ground, 0)[None], channels, axis=0)
    for _ in range(int(rng.integers(6, 16))):
        row, column = rng.uniform(0, 1, 2)
        tall, wide = np.exp(rng.uniform(np.log(0.03), np.log(0.25), 2))
        if rng.random() < 0.6:
            inside = (np.abs(rows - row) < tall) & (np.abs(columns - column) < wide)
        else:
            inside = ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 < 1
        colour = np.clip(rng.uniform(0, 1) + rng.normal(0, 0.15, channels), 0, 1)
        scene[:, inside] = colour[:, None]
    return np.clip(scene, 0, 1).astype(np.float32)


def reflection_light(shape: tuple[int, ...], params: ReflectionParams) -> Tensor:
    """The light that the pane throws back, before it meets the scene.

    Parameters
    ----------
    shape : tuple of int
        (..., C, H, W) of the picture.
    params : ReflectionParams

    Returns
    -------
    Tensor of float32, shape (C, H, W)
        Linear light, or display-coded values where ``params.linear`` is False. Not dimmed.
    """
    channels, height, width = shape[-3:]
    scene = torch.from_numpy(np.ascontiguousarray(params.scene))
    if scene.shape[0] != channels:
        scene = scene.mean(dim=0, keepdim=True).expand(channels, -1, -1)
    if params.linear:
        scene = decode(scene)
    if tuple(scene.shape[1:]) != (height, width):
        scene = torch.nn.functional.interpolate(scene[None], (height, width), mode="area")[0]
    light = _blurred(scene, params.sigma)
    if params.ghost_attenuation:
        light = light + params.ghost_attenuation * _shifted(light, params.ghost_shift)
    light = light * light.new_tensor(params.strength).reshape(-1, 1, 1)
    return light if params.pane is None else light * _coverage(height, width, params.pane)


def apply(clean: Tensor, params: ReflectionParams) -> Tensor:
    """Lay a reflection over a clean picture.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point
        The scene behind the glass, display-coded, range [0, 1].
    params : ReflectionParams
        The reflection; a pure function of it and of the scene.

    Returns
    -------
    Tensor, shape of `clean`
        The photograph, display-coded; differentiable with respect to `clean`.
    """
    light = reflection_light(tuple(clean.shape), params).to(clean)
    below = decode(clean) if params.linear else clean
    if params.dimmed:
        light = _dimmed(below.detach(), light)
    total = below + light
    return _photograph(encode(total) if params.linear else total, params, 0)


def flash_pair(clean: Tensor, params: ReflectionParams, flash: float | Tensor = 1.0) -> tuple[Tensor, Tensor]:
    """The same view without and with a flash, which lights the scene behind the glass and not the reflected one.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W)
        As in `apply`, in the light that was there before.
    params : ReflectionParams
        `linear` and `dimmed` are not used: light always adds.
    flash : float or Tensor that broadcasts over `clean`
        The light of the flash on the scene to the light that was there.

    Returns
    -------
    tuple of two Tensors, shape of `clean`
        Without and with the flash, taken with the same exposure.
    """
    light = _linear_light(clean, params)
    below = decode(clean)
    return (
        _photograph(encode(below + light), params, 0),
        _photograph(encode(below * (1 + flash) + light), params, 1),
    )


def polarized_pair(
    clean: Tensor,
    params: ReflectionParams,
    transmitted: tuple[float, float] = (1.0, 0.95),
    reflected: tuple[float, float] = (1.0, 0.3),
) -> tuple[Tensor, Tensor]:
    """The same view through a polariser at two angles, which dims the reflection more than the scene.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W)
        As in `apply`.
    params : ReflectionParams
        `linear` and `dimmed` are not used: light always adds.
    transmitted, reflected : (float, float)
        What each angle lets pass of the scene's light and of the reflection's.

    Returns
    -------
    tuple of two Tensors, shape of `clean`
        One for each angle.
    """
    light = _linear_light(clean, params)
    below = decode(clean)
    first, second = (
        _photograph(encode(a * below + b * light), params, i)
        for i, (a, b) in enumerate(zip(transmitted, reflected, strict=True))
    )
    return first, second


def _linear_light(clean: Tensor, params: ReflectionParams) -> Tensor:
    light = reflection_light(tuple(clean.shape), params).to(clean)
    return light if params.linear else decode(light)


def _photograph(picture: Tensor, params: ReflectionParams, number: int) -> Tensor:
    if params.noise:
        generator = torch.Generator().manual_seed(params.seed + number)
        white = torch.randn(picture.shape, generator=generator, dtype=torch.float32).to(picture)
        picture = picture + params.noise * white
    return picture.clamp(0, 1) if params.saturate else picture


def _dimmed(below: Tensor, light: Tensor) -> Tensor:
    excess = (below + light - 1).clamp(min=0)
    count = (excess > 0).sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    return (light - DIMMING * excess.sum(dim=(-2, -1), keepdim=True) / count).clamp(min=0)


def _blurred(planes: Tensor, sigma: float) -> Tensor:
    if sigma <= 0:
        return planes
    reach = min(int(np.ceil(3 * sigma)), min(planes.shape[-2:]) - 1)
    if reach < 1:
        return planes
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).to(planes)
    padded = torch.nn.functional.pad(planes[:, None], (reach, reach, reach, reach), mode="reflect")
    rows = torch.nn.functional.conv2d(padded, taps.reshape(1, 1, -1, 1))
    return torch.nn.functional.conv2d(rows, taps.reshape(1, 1, 1, -1))[:, 0]


def _shifted(planes: Tensor, shift: tuple[int, int]) -> Tensor:
    """Moved by whole pixels; beyond the frame the scene goes on as its rim does."""
    height, width = planes.shape[-2:]
    rows = (torch.arange(height) - shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width) - shift[1]).clamp(0, width - 1)
    return planes[..., rows, :][..., columns]


def _coverage(height: int, width: int, pane: Pane) -> Tensor:
    rows = (torch.arange(height) + 0.5) / height - pane.row
    columns = (torch.arange(width) + 0.5) / width - pane.column
    distance = torch.hypot(rows[:, None], columns[None]) / pane.radius
    inside = ((1 - distance) / pane.softness + 0.5).clamp(0, 1)
    return inside * inside * (3 - 2 * inside)
