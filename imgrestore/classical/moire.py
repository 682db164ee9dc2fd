"""Moiré, scan lines and half-tone screens: what repeats goes, what bends goes window by window, tones come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from imgrestore.classical.estimate import Estimate, layers_without
from imgrestore.classical.moire_bands import Bands, bands_of
from imgrestore.classical.moire_peaks import Peak, find_peaks, notch_filter, notched, peaks_of, periodic_plus_smooth
from imgrestore.classical.moire_screen import Screen, screen_gain, screen_of, tone_change
from imgrestore.classical.moire_windows import Windows, excess, to_luma_chroma, to_rgb

__all__ = [
    "Peak",
    "Seen",
    "bent_taken_off",
    "estimate",
    "find_peaks",
    "notch_filter",
    "periodic_plus_smooth",
    "untouched",
]

THRESHOLD = 5.0
# A wave weaker than this, or seen in less of the frame, is left to the scene: luma, chroma.
LEAST_AMPLITUDE = (0.012, 0.006)
LEAST_UNIFORM = 0.6
# Power of rounding, as Windows sees it.
FLOOR = 1e-6
# A bending pattern: its peak is e^3.5 times as strong as what is around it, and goes on from window to window.
CLEAR = 3.5
LEAST_WAVE = (0.02, 0.01)
NEAR = 2.3
LOWEST_TRIGGER, HIGHEST = 0.15, 0.5
# Share of neighbouring windows that it must go on between: from doubt to certainty.
GOES_ON = (0.55, 0.68)
# How far above its surroundings a frequency starts to go, and how soon it goes altogether, in logarithms of power,
# and the lowest frequency: in luma, and in chroma.
START = ((2.0, 1.0, 0.07), (1.5, 1.0, 0.07))
SCREEN_START = ((4.0, 1.0, 0.07), (1.0, 1.0, 0.07))
# The grid and the sharpening of a photographed screen grow with the scene's details by this power.
FOLLOWS = 0.6
# The mask that was found: where as much as this was taken off, averaged over so many pixels.
SEEN, SEEN_OVER = 0.006, 15
FEATHER = 6

untouched = layers_without("scene", zeros=("moire", "tone"))


def estimate(picture: Tensor, mask: Tensor | None, good: Tensor, screen: Screen | None = None) -> Estimate:
    """Take one picture apart into scene, pattern and change of tone.

    Parameters
    ----------
    picture : Tensor of float32, shape (C, H, W), C 1 or 3
    mask : Tensor of bool, shape (1, H, W), or None
        Where the pattern is; by default it is looked for.
    good : Tensor of bool, shape (1, H, W)
        False where a pixel was filled in.
    screen : Screen, optional
        What is known of it as the photograph of a screen; by default `screen_of` judges.

    Returns
    -------
    Estimate
    """
    planes = to_luma_chroma(picture)
    if mask is not None:
        return _inside(picture, planes, mask)
    notes = []
    peaks = [p for p in peaks_of(planes, THRESHOLD) if is_pattern(p)]
    clean = notched(planes, peaks) if peaks else planes
    if peaks:
        notes.append(f"{len(peaks)} waves over the whole frame, the strongest {_words(peaks[0])}")
    looks = [Seen.at(plane) for plane in clean]
    shares = [look.share(LEAST_WAVE[min(i, 1)]) for i, look in enumerate(looks)]
    bent = [ramp(share, *GOES_ON) for share in shares]
    if max(bent) > 0:
        notes.append(f"a pattern that bends goes on between {max(shares):.0%} of neighbouring windows")
    bands = bands_of([look.spectra for look in looks], looks[0].windows.taper)
    if bands.strength > 0:
        notes.append(f"bands of colour that go on between {bands.share:.1%} of neighbouring windows")
    screen = screen or screen_of(picture)
    clues = {
        "waves": float(len(peaks)),
        "wave": max((peak.amplitude for peak in peaks), default=0.0),
        "bent": shares[0],
        "bent_chroma": max(shares[1:], default=0.0),
        "bands": bands.share,
        "bands_strength": bands.strength,
        "screen": screen.odds,
    }
    if screen.only_alone and (peaks or max(bent) > 0):
        screen = replace(screen, strength=0.0)
    if not notes and screen.strength == 0:
        nothing = ("no moiré found: the picture is left as it is",)
        return Estimate(picture, untouched(picture), None, nothing, _sureness(screen.odds), False, clues=clues)
    clean = bent_taken_off(clean, looks, bent, bands, screen)
    pattern = to_rgb(planes - clean)
    tone = torch.zeros_like(picture)
    if screen.strength > 0:
        tone = -screen.strength * tone_change(picture - pattern)
        notes.append(f"the photograph of a screen (log odds {screen.odds:.1f}), its tones changed by {_rms(tone):.3f}")
    scene = picture - pattern - tone
    found = _seen(pattern)
    layers = {"scene": scene, "moire": pattern, "tone": tone}
    sure = max(*bent, bands.strength, screen.strength, 1.0 if peaks else 0.0)
    return Estimate(scene, layers, found, tuple(notes), sure, strength=screen.strength, clues=clues)


def bent_taken_off(
    planes: Tensor,
    looks: Sequence[Seen],
    bent: Sequence[float],
    bands: Bands,
    screen: Screen,
    powers: Sequence[Tensor] | None = None,
) -> Tensor:
    """Planes without what stands out of the spectra of their windows.

    Parameters
    ----------
    planes : Tensor, shape (C, H, W)
        Luma and chroma, free of waves over the whole frame.
    looks : sequence of Seen
        At each plane.
    bent : sequence of float
        How far each plane shows a pattern that bends, from 0 to 1.
    bands : Bands
    screen : Screen
    powers : sequence of Tensor, optional
        `Seen.mean_power` of the picture that the planes are a part of, for a photographed screen; by default their own.

    Returns
    -------
    Tensor, shape (C, H, W)
    """
    parts = []
    for i, (plane, look) in enumerate(zip(planes, looks, strict=True)):
        if bent[i] > 0 or bands.strength > 0 or screen.strength > 0:
            keep = 1 - bent[i] * (1 - look.keep(*START[min(i, 1)]))
            if screen.strength > 0:
                alike = look.keep(*SCREEN_START[min(i, 1)])
                gain = screen_gain(look.radius_steps, screen.softness, i)
                wiener = look.wiener(gain, alike, None if powers is None else powers[i])
                keep = keep * (1 - screen.strength * (1 - alike * wiener))
            if bands.strength > 0:
                keep = torch.minimum(keep, bands.keep[i])
            plane = plane - look.lost(keep)
        parts.append(plane)
    return torch.stack(parts)


def _inside(picture: Tensor, planes: Tensor, mask: Tensor) -> Estimate:
    """The pattern inside a mask that was given."""
    weight = feathered(mask)
    patterns = [look.lost(look.keep(*START[min(i, 1)])) for i, look in enumerate(map(Seen.at, planes))]
    pattern = to_rgb(torch.stack(patterns)) * weight
    scene = torch.where(weight > 0, picture - pattern, picture)
    layers = {"scene": scene, "moire": pattern, "tone": torch.zeros_like(picture)}
    note = f"inside the mask given a pattern of {_rms(pattern[:, mask[0]]):.3f} was taken off; tones were kept"
    return Estimate(scene, layers, mask, (note,), 0.5)


def is_pattern(peak: Peak) -> bool:
    return peak.amplitude >= LEAST_AMPLITUDE[min(peak.plane or 0, 1)] and peak.uniformity >= LEAST_UNIFORM


def _words(peak: Peak) -> str:
    period = 1 / math.hypot(peak.row, peak.column)
    return f"with a period of {period:.1f} pixels and an amplitude of {peak.amplitude:.3f}"


@dataclass(frozen=True)
class Seen:
    """A plane seen through windows: their spectra, how far these stand out, and from what."""

    windows: Windows
    spectra: Tensor
    above: Tensor
    background: Tensor

    @classmethod
    def at(cls, plane: Tensor, tilt: Tensor | None = None) -> Seen:
        """Look at a plane (H, W); `tilt` is that of the picture it is a part of, by default its own."""
        windows = Windows(*plane.shape)
        spectra = windows.split(plane)
        return cls(windows, spectra, *excess(spectra, FLOOR, tilt))

    @property
    def frequencies(self) -> tuple[Tensor, Tensor]:
        """Cycles per pixel along rows and columns, shaped to broadcast."""
        n = self.windows.size
        return torch.fft.fftfreq(n)[:, None], torch.fft.rfftfreq(n)[None]

    def share(self, least: float) -> float:
        """Between what part of neighbouring windows one clear wave goes on."""
        n = self.windows.size
        if min(self.windows.height, self.windows.width) < 2 * n:
            return 0.0
        rows, columns = self.frequencies
        radius = torch.hypot(rows, columns)
        within = (radius >= LOWEST_TRIGGER) & (radius <= HIGHEST)
        height, where = torch.where(within, self.above, -torch.inf).flatten(2).max(-1)
        y, x = rows[where // columns.numel(), 0] * n, columns[0, where % columns.numel()] * n
        wave = self.spectra.flatten(2).gather(2, where[..., None])[..., 0].abs() * 2 / self.windows.taper.sum()
        clear = (height > CLEAR) & (wave > least)
        shares = []
        for dim in (0, 1):
            count = clear.shape[dim] - 1
            (a, b, c), (d, e, f) = ([v.narrow(dim, start, count) for v in (y, x, clear)] for start in (0, 1))
            # A wave and its conjugate are the same.
            apart = torch.minimum(torch.hypot(a - d, b - e), torch.hypot(a + d, b + e))
            shares.append(float(((apart <= NEAR) & c & f).float().mean()))
        return sum(shares) / 2

    def keep(self, start: float, over: float, lowest: float) -> Tensor:
        """Gains that bring what stands out down to what is around it."""
        own = (self.spectra.abs().square() + FLOOR).log()
        part = ((self.above - start) / over).clamp(0, 1)
        part *= ((torch.hypot(*self.frequencies) - lowest) * self.windows.size / 2).clamp(0, 1)
        return torch.exp(-0.5 * (own - self.background).clamp_min(0) * part)

    @property
    def radius_steps(self) -> Tensor:
        """Radii of the spectra in whole steps."""
        n = self.windows.size
        return torch.arange(math.ceil(n / math.sqrt(2)) + 1) / n

    def _powers(self, keep: Tensor) -> Tensor:
        """Power by radius of each window: (rows, columns, steps)."""
        steps = len(self.radius_steps)
        power = (self.spectra.abs() * keep).square().flatten(2)
        sums = power.new_zeros(*power.shape[:2], steps).index_add_(2, self._ring.flatten(), power)
        return sums / torch.bincount(self._ring.flatten(), minlength=steps).clamp_min(1) + FLOOR / 100

    @property
    def _ring(self) -> Tensor:
        return (torch.hypot(*self.frequencies) * self.windows.size).round().long()

    def mean_power(self, index: int) -> Tensor:
        """Power by radius of the average window of luma (0) or chroma, less what a screen's grid adds: (steps,)."""
        return self._powers(self.keep(*SCREEN_START[min(index, 1)])).mean((0, 1))

    def wiener(self, gain: Tensor, keep: Tensor, mean: Tensor | None = None) -> Tensor:
        """Gains that are `gain`, by radius, over all windows, but nearer to 1 where there is more to be seen."""
        local = self._powers(keep)
        mean = local.mean((0, 1)) if mean is None else mean
        lost = (1 - gain) * (mean / local) ** (1 - FOLLOWS)
        return (1 - lost).clamp(0, 1)[:, :, self._ring]

    def lost(self, keep: Tensor) -> Tensor:
        """What gains take off, as a plane."""
        return self.windows.join(self.spectra * (1 - keep))


def ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _sureness(odds: float) -> float:
    return 1 / (1 + math.exp(max(odds, -30.0)))


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _seen(pattern: Tensor) -> Tensor:
    """Where the pattern can be seen."""
    power = pattern.square().mean(0, keepdim=True)[None]
    size = min(SEEN_OVER, *(side - (side + 1) % 2 for side in pattern.shape[1:]))
    local = F.avg_pool2d(power, size, 1, size // 2, count_include_pad=False)
    return local[0] > SEEN**2


def feathered(mask: Tensor) -> Tensor:
    """1 inside, 0 a few pixels outside, a ramp between."""
    size = 2 * FEATHER + 1
    wider = F.max_pool2d(mask[None].float(), size, 1, FEATHER)
    return F.avg_pool2d(wider, size, 1, FEATHER, count_include_pad=False)[0]
