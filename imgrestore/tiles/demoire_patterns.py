"""What is settled of a picture's moiré, and how a part of the picture is freed of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgrestore.classical.estimate import Estimate
from imgrestore.classical.moire import START, Seen, bent_taken_off, feathered
from imgrestore.classical.moire_bands import bands_of
from imgrestore.classical.moire_screen import Screen, Tones
from imgrestore.classical.moire_windows import to_luma_chroma, to_rgb
from imgrestore.nets.refiner import Refiner
from imgrestore.nets.weights import load
from imgrestore.tasks.check import REACH
from imgrestore.tasks.demoire_net import corrected, own_refiner
from imgrestore.tasks.device import chosen, net_on
from imgrestore.tiles.waves import LocalWaves, Waves
from imgrestore.tiles.window import Window

__all__ = ["HOP", "Masked", "Patterns", "net_for"]

# Windows of 64 pixels overlap by half: tiles begin where windows do.
HOP = 32
# Windows beyond a tile's own that its spectra depend on: next ones for patterns, and those along which bands go on.
WINDOWS, WINDOWS_BANDS = 4, 10
# A correction is compared with the picture around: the windows of `imgrestore.tasks.demoire_net`.
NEAR = REACH // 2 + REACH // 4 + 8


@dataclass(frozen=True)
class Patterns:
    """What is settled of a picture in gray or colours.

    Attributes
    ----------
    waves : Waves or LocalWaves
    bent : tuple of float
        How far each plane shows a pattern that bends.
    tilts, powers : tuple of Tensor
        Of the average window of each plane.
    bands : float
        How far bands of colour are taken off.
    screen : Screen
    tones : Tones or None
        Of a photographed screen.
    curve, code : Tensor or None
        What the net says of the whole.
    weights : str or None
    """

    waves: Waves | LocalWaves
    bent: tuple[float, ...]
    tilts: tuple[Tensor, ...]
    powers: tuple[Tensor, ...]
    bands: float
    screen: Screen
    tones: Tones | None = None
    curve: Tensor | None = None
    code: Tensor | None = None
    weights: str | None = None

    @property
    def halo(self) -> int:
        """How far a pixel's result depends on its surroundings."""
        windows = HOP * (WINDOWS_BANDS if self.bands > 0 else WINDOWS)
        net = 0 if self.curve is None else net_for(self.weights).halo + NEAR
        return self.waves.reach + windows + net + HOP

    @torch.no_grad()
    def scene(self, picture: Tensor, window: Window, device: Any) -> Tensor:
        """A part (C, h, w) of a picture without its patterns; `window` is where it lies."""
        planes = to_luma_chroma(picture)
        clean = self.waves.off(planes, window)
        looks = [Seen.at(plane, tilt) for plane, tilt in zip(clean, self.tilts, strict=True)]
        spectra = [look.spectra for look in looks]
        bands = bands_of(spectra, looks[0].windows.taper, tilts=self.tilts, strength=self.bands)
        clean = bent_taken_off(clean, looks, self.bent, bands, self.screen, self.powers)
        pattern = to_rgb(planes - clean)
        if self.tones is None:
            return picture - pattern
        tone = -self.screen.strength * self.tones.change(picture - pattern)
        scene = picture - pattern - tone
        if self.curve is None or self.code is None:
            return scene
        layers = {"scene": scene, "moire": pattern, "tone": tone}
        found = Estimate(scene, layers, strength=self.screen.strength)
        where = chosen(device, np.empty(0))
        net = net_on(net_for(self.weights), where)
        assert isinstance(net, Refiner)
        moved = replace(found, image=scene.to(where), layers={k: v.to(where) for k, v in layers.items()})
        return corrected(picture.to(where), moved, net, self.curve.to(where), self.code.to(where)).image.cpu()


@dataclass(frozen=True)
class Masked:
    """Takes off what stands out inside a mask that was given."""

    tilts: tuple[Tensor, ...]
    halo: int = HOP * WINDOWS + HOP

    def scene(self, picture: Tensor, mask: Tensor) -> Tensor:
        """A part (C, h, w) of a picture without the pattern inside a part of the mask (1, h, w)."""
        planes = to_luma_chroma(picture)
        looks = [Seen.at(plane, tilt) for plane, tilt in zip(planes, self.tilts, strict=True)]
        lost = torch.stack([look.lost(look.keep(*START[min(i, 1)])) for i, look in enumerate(looks)])
        weight = feathered(mask)
        return torch.where(weight > 0, picture - to_rgb(lost) * weight, picture)


def net_for(weights: str | None) -> Refiner:
    """The net of a file, or the one that ships."""
    net = own_refiner(weights, "auto", True) or load("demoire")
    assert isinstance(net, Refiner)
    return net
