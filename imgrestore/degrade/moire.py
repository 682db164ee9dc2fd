"""Moiré: patterns that repeat, laid over a picture by a screen, a sensor, or a press.

A pattern is a wave whose phase bends over the frame, ``amplitude * cos(2 pi (f . p + bend(p)) + phase)``, with a colour
of its own and overtones. A photographed screen has several of them, a grid of pixels, and a tone curve::

    y = tone(x + sum_k m(x) w_k)

where m is 1, or falls towards black where the screen gives no light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["KINDS", "MoireParams", "Tone", "Wave", "apply", "change_tones", "pattern", "sample"]

Kind = Literal["gray", "colour", "bent", "scan_lines", "halftone", "screen"]
KINDS: tuple[Kind, ...] = ("gray", "colour", "bent", "scan_lines", "halftone", "screen")
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Wave:
    """One wave of a pattern.

    Attributes
    ----------
    row, column : float
        Frequency down and to the right, in cycles per pixel.
    amplitude : tuple of 3 floats
        In red, green and blue; one plane takes their mean.
    phase : float
        In radians, at the upper left pixel.
    bend : tuple of tuples (row, column, cycles, phase)
        Slow waves by which the phase runs ahead: cycles over the height and over the width of the frame, how many
        cycles of the pattern they shift by, and their own phase.
    overtones : tuple of float
        Amplitudes of the double, triple, ... frequency, as parts of the first.
    """

    row: float
    column: float
    amplitude: tuple[float, float, float]
    phase: float = 0.0
    bend: tuple[tuple[float, float, float, float], ...] = ()
    overtones: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tone:
    """A change of tones: ``offset + gain * x ** gamma`` channel by channel, 1 staying where gain and offset send it.

    Attributes
    ----------
    gain, offset, gamma : tuple of 3 floats
        For red, green and blue; one plane takes that of green.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gamma: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class MoireParams:
    """What happened to one picture.

    Attributes
    ----------
    waves : tuple of Wave
        The patterns, which add up.
    follows : float
        From 0 (the pattern is the same everywhere) to 1 (it is in proportion to the light of the scene).
    tone : Tone
        Of the camera, after the patterns.
    """

    waves: tuple[Wave, ...] = ()
    follows: float = 0.0
    tone: Tone = field(default=Tone())


def sample(shape: tuple[int, ...], rng: np.random.Generator, kind: Kind | None = None) -> MoireParams:
    """Draw the parameters of one moiré.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    kind : str, optional
        "gray" and "colour": one to three waves that repeat exactly. "bent": they bend slowly. "scan_lines": lines two
        to six pixels apart. "halftone": two waves at right angles with overtones. "screen": bent waves of several
        colours, stronger where the scene is bright, and a tone curve. One of them at random by default.

    Returns
    -------
    MoireParams

    Raises
    ------
    ValueError
        Where `kind` is none of those above.
    """
    if kind is None:
        kind = KINDS[rng.integers(len(KINDS))]
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    strength = float(rng.uniform(0.04, 0.12))
    if kind == "scan_lines":
        slant = float(rng.normal(0, 0.002))
        wave = Wave(1 / float(rng.uniform(2.0, 6.0)), slant, (strength,) * 3, _phase(rng))
        return MoireParams((wave,), follows=float(rng.uniform(0, 0.5)))
    if kind == "halftone":
        frequency, angle = float(rng.uniform(0.12, 0.3)), float(rng.uniform(0, math.pi / 2))
        overtones = (float(rng.uniform(0.1, 0.3)),) if frequency < 0.24 else ()
        turned = (angle, angle + math.pi / 2)
        waves = tuple(
            Wave(frequency * math.sin(a), frequency * math.cos(a), (strength,) * 3, _phase(rng), overtones=overtones)
            for a in turned
        )
        return MoireParams(waves)
    bends = kind in ("bent", "screen")
    waves = tuple(
        _wave(rng, strength / (1 + 0.5 * i), colour=kind in ("colour", "screen"), bends=bends)
        for i in range(int(rng.integers(1, 4)))
    )
    if kind != "screen":
        return MoireParams(waves)
    tone = Tone(_three(rng, 0.8, 1.0), _three(rng, 0.0, 0.08), _three(rng, 0.8, 1.3))
    return MoireParams(waves, follows=float(rng.uniform(0.3, 1)), tone=tone)


def _three(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    first, second, third = rng.uniform(low, high, 3)
    return float(first), float(second), float(third)


def _phase(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * math.pi))


def _wave(rng: np.random.Generator, strength: float, *, colour: bool, bends: bool) -> Wave:
    frequency, angle = float(rng.uniform(0.09, 0.4)), float(rng.uniform(0, math.pi))
    tint = rng.uniform(-1, 1, 3) if colour else np.ones(3)
    red, green, blue = (float(v) for v in strength * tint / max(float(np.abs(tint).max()), 1e-3))
    # The frequency shifts by up to 2 pi cycles * shift / side, a small part of itself.
    slow = [
        (float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.5, 2.0)), _phase(rng))
        for _ in range(2 if bends else 0)
    ]
    row, column = frequency * math.sin(angle), frequency * math.cos(angle)
    return Wave(row, column, (red, green, blue), _phase(rng), tuple(slow))


def pattern(clean: Tensor, params: MoireParams) -> Tensor:
    """The pattern alone, before the change of tones.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point
        The scene, C being 3 or 1.
    params : MoireParams

    Returns
    -------
    Tensor, shape of `clean`
    """
    channels, height, width = clean.shape[-3:]
    y = torch.arange(height, dtype=torch.float64)[:, None]
    x = torch.arange(width, dtype=torch.float64)
    total = torch.zeros(3, height, width, dtype=torch.float64)
    for wave in params.waves:
        turn = wave.row * y + wave.column * x
        for down, right, cycles, phase in wave.bend:
            turn = turn + cycles * torch.sin(2 * math.pi * (down * y / height + right * x / width) + phase)
        turn = 2 * math.pi * turn + wave.phase
        shape = torch.cos(turn)
        for number, part in enumerate(wave.overtones, start=2):
            shape = shape + part * torch.cos(number * turn)
        total += torch.tensor(wave.amplitude, dtype=torch.float64)[:, None, None] * shape
    if channels != 3:
        total = total.mean(0, keepdim=True)
    total = total.to(clean)
    if params.follows == 0:
        return total.expand(clean.shape)
    light = clean
    if channels == 3:
        light = (clean * torch.tensor(LUMA).to(clean)[:, None, None]).sum(-3, keepdim=True)
    return total * (1 - params.follows + params.follows * light.clamp(0, 1))


def apply(clean: Tensor, params: MoireParams) -> Tensor:
    """Lay the patterns over a picture, and change its tones.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point
        The scene, range [0, 1], C being 3 or 1.
    params : MoireParams

    Returns
    -------
    Tensor, shape of `clean`
        Not clipped: a pattern reaches beyond 0 and 1. Differentiable with respect to `clean`.
    """
    return change_tones(clean + pattern(clean, params), params.tone)


def change_tones(light: Tensor, tone: Tone) -> Tensor:
    """Send a picture through a change of tones.

    Parameters
    ----------
    light : Tensor, shape (..., C, H, W), floating point
        C being 3 or 1, values of any range.
    tone : Tone

    Returns
    -------
    Tensor, shape of `light`
        Differentiable. Below 0.001 a straight line goes on, as a power has no value below 0 and no slope at 0.
    """
    if tone == Tone():
        return light
    which = [0, 1, 2] if light.shape[-3] == 3 else [1]
    gain, offset, gamma = (
        torch.tensor([values[i] for i in which]).to(light)[:, None, None]
        for values in (tone.gain, tone.offset, tone.gamma)
    )
    held = light.clamp_min(1e-3)
    slope = gamma * (1e-3) ** (gamma - 1)
    return offset + gain * (held**gamma + (light - held) * slope)
