"""Which of the blurs that may explain a picture is to be believed, if any is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from imgrestore.classical.psf_judge import agreement, likeness, overshoot, ramp, shake_confidence, steepness, width
from imgrestore.classical.psf_parametric import Candidate, narrower
from imgrestore.classical.psf_spectrum import Spectrum
from imgrestore.psf import Psf

__all__ = ["Judge", "Kind", "PsfEstimate", "cannot_tell", "point"]

Kind = Literal["none", "unknown", "gaussian", "disk", "motion", "shake"]

# A shaken camera's PSF has many numbers: it has to explain more than a few do by this factor, and by this much; by the
# second factor where the PSF of a few numbers is so much like it.
FACTOR, MARGIN, FACTOR_ALIKE, ALIKE = 1.15, 15.0, 1.35, 0.9
# So much more than a round Gaussian one of two widths has to explain, and than any Gaussian a disk or motion of less
# than this width.
SIMPLER_FACTOR, SIMPLER_MARGIN, MILD = 1.05, 8.0, 1.2
# Of what no blur leaves unexplained so large a part has to be explained by a blur of few numbers, from nothing to full
# confidence.
SHARE = (0.02, 0.2)
# The same for a path, but for files of 8 bits: tone curves and compression raise the spectrum there. Searches that
# explain less than this part as much do not count.
SHARE_PATH, COMPARABLE = (0.05, 0.3), 0.7
LEAST_SHARE, STILL_SOFT = 0.1, 0.5
LEAST_GAIN = 20.0
# Steps of the picture that are steeper than a PSF leaves them, in parts of those: from full confidence to nothing.
STEEP = (1.02, 1.15)
# What the restored scene leaves of the picture's range, in thousandths of it; Gaussians are made narrower by steps of a
# factor until they do not. Tone curves make scenes leave it, too.
OVERSHOOT, OVERSHOOT_CAMERA, NARROWER = (1.5, 3.0), (3.0, 8.0), 0.95
# Blurs smaller than these, in pixels, are those of sharp pictures: root mean square widths of PSFs.
SMALL = {"gaussian": 0.85, "disk": 1.15, "motion": 1.15, "shake": 1.5}
# and a path of a camera covers so many pixels at least (the inverse of the sum of its squares).
LEAST_PATH = 18.0
# A picture whose steepest step is so small a part of its range tells nothing; the steeper it is, the surer a picture is
# sharp.
LEAST_STEP, SHARP = 0.2, (0.1, 0.6)
# With less confidence nothing is said.
DOUBTFUL, DOUBTFUL_PATH, DOUBTFUL_CAMERA = 0.25, 0.5, 0.38
# Of PSFs with nearly the same confidence the one that explains most is taken.
NEARLY = 0.8


@dataclass(frozen=True)
class PsfEstimate:
    """A PSF that was found in a picture.

    Attributes
    ----------
    psf : Psf
        A single point where there is no blur, or none that could be told.
    confidence : float
        From 0 to 1; also of the finding that there is no blur.
    kind : {"none", "unknown", "gaussian", "disk", "motion", "shake"}
        "none": the picture is as sharp as it goes. "unknown": it could not be told.
    parameters : mapping of str to float
        Of a parametric kind: "sigma" (with "sigma_across" and "angle" for a Gaussian that is not round), "radius",
        "length", "angle"; pixels, and degrees counter-clockwise.
    notes : tuple of str
    """

    psf: Psf
    confidence: float
    kind: Kind
    parameters: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """What candidates for one picture's blur are held against.

    Attributes
    ----------
    gray : ndarray of float32, shape (H, W)
        The picture, its range about 1.
    good : ndarray of bool, shape (H, W)
        Pixels that count.
    part : tuple of Tensor
        A part of both, small enough to be restored for each candidate.
    noise : float
        Standard deviation.
    spectrum : Spectrum
    camera : bool
        Whether it is a file of 8 bits, with a tone curve and compression.
    """

    gray: np.ndarray
    good: np.ndarray
    part: tuple[torch.Tensor, torch.Tensor]
    noise: float
    spectrum: Spectrum
    camera: bool

    @property
    def beyond(self) -> tuple[float, float]:
        """The overshoot from which a candidate is believed less, and not at all."""
        return OVERSHOOT_CAMERA if self.camera else OVERSHOOT

    def choice(self, few: list[Candidate], many: list[Candidate]) -> PsfEstimate:
        """The best of the candidates with a few numbers or with many, or none of them."""
        simple = self._simplest([self.tamed(candidate) for candidate in few])
        simple_trust = 0.0 if simple is None else self.trust(simple)
        paths = [candidate for candidate in many if _is_path(candidate.psf)]
        trusts = [self.trust(path, many) for path in paths]
        trust = max(trusts, default=0.0)
        equals = [path for path, its in zip(paths, trusts, strict=True) if its >= NEARLY * trust]
        path = max(equals, key=lambda candidate: candidate.gain, default=None)
        mild = simple is None or width(simple.psf) < SMALL[simple.kind]
        rival = None if mild or simple_trust < DOUBTFUL else simple
        least = DOUBTFUL_CAMERA if self.camera else DOUBTFUL_PATH
        if path is not None and trust >= least and not _enough(rival, path):
            return self.said(path, self.trust(path, many))
        if rival is not None:
            return self.said(rival, simple_trust)
        steep = steepness(self.gray, self.noise, point(), self.good)
        if steep < LEAST_STEP:
            return cannot_tell("the picture has hardly a step")
        if simple is None or mild:
            sure = (1 - trust) * ramp(steep, *SHARP)
            return PsfEstimate(point(), sure, "none", notes=("no blur was found",))
        return cannot_tell(f"the best guess is {_words(simple)}, which explains little")

    def best(self, candidates: list[Candidate]) -> PsfEstimate:
        """The one that explains most, however doubtful."""
        best = max(candidates, key=lambda candidate: candidate.gain)
        return self.said(best, self.trust(best, candidates if best.kind == "shake" else ()))

    def trust(self, candidate: Candidate, others: Sequence[Candidate] = ()) -> float:
        """The confidence in a candidate, from 0 to 1; `others` are those of the other searches for a path."""
        share = candidate.gain / max(self.spectrum.without_blur, 1e-9)
        steep = steepness(self.gray, self.noise, candidate.psf, self.good)
        if candidate.kind == "shake":
            beyond = overshoot(*self.part, self.noise, candidate.psf)
            rivals = [o for o in others if o is not candidate]
            if not self.camera:
                rivals = [o for o in rivals if o.gain > COMPARABLE * candidate.gain]
            agree = agreement(candidate.psf, [rival.psf for rival in rivals])
            trust = shake_confidence(share, steep, beyond, agree, width(candidate.psf))
            if not self.camera:
                return trust * ramp(share, *SHARE_PATH) * (1 - ramp(beyond, *self.beyond))
            # A PSF that leaves the scene softer than that is a part of the blur only.
            return trust if share > (LEAST_SHARE if steep < STILL_SOFT else 0) else 0.0
        trust = ramp(share, *SHARE) * (1 - ramp(steep, *STEEP))
        if candidate.gain < LEAST_GAIN or trust == 0:
            return 0.0
        return trust * (1 - ramp(overshoot(*self.part, self.noise, candidate.psf), *self.beyond))

    def tamed(self, candidate: Candidate) -> Candidate:
        """A Gaussian so narrow that the scene stays in the picture's range; any other kind as it is."""
        if candidate.kind != "gaussian" or candidate.gain < LEAST_GAIN:
            return candidate
        least, most = SMALL["gaussian"], self.beyond[0]
        while width(candidate.psf) > least and overshoot(*self.part, self.noise, candidate.psf) > most:
            candidate = narrower(candidate, self.spectrum, NARROWER)
        return candidate

    def said(self, candidate: Candidate, trust: float) -> PsfEstimate:
        """What is said of a candidate."""
        note = f"estimated PSF: {_words(candidate)}, confidence {trust:.2f}"
        return PsfEstimate(candidate.psf, trust, candidate.kind, candidate.parameters, (note,))

    def _simplest(self, few: list[Candidate]) -> Candidate | None:
        """The best of the candidates that can be trusted; a simpler one where it is hardly worse."""
        trust = {id(candidate): self.trust(candidate) for candidate in few}
        most = max(trust.values(), default=0.0)
        if most == 0:
            return None
        sure = [candidate for candidate in few if trust[id(candidate)] >= most / 2]
        best = max(sure, key=lambda candidate: candidate.gain)
        # A round Gaussian comes first, and any Gaussian before another blur that is hardly wider.
        hardly = (c for c in sure if c.kind == "gaussian" and SIMPLER_FACTOR * c.gain + SIMPLER_MARGIN > best.gain)
        if best.kind == "gaussian" or width(best.psf) < MILD:
            return next(hardly, best)
        return best


def _is_path(psf: Psf) -> bool:
    return width(psf) >= SMALL["shake"] and 1 / float((psf.array**2).sum()) >= LEAST_PATH


def _enough(simple: Candidate | None, shake: Candidate) -> bool:
    """Whether a blur of a few numbers explains about as much as a PSF of any shape."""
    if simple is None:
        return False
    factor = FACTOR_ALIKE if likeness(simple.psf, shake.psf) >= ALIKE else FACTOR
    return shake.gain <= factor * simple.gain + MARGIN


def _words(candidate: Candidate) -> str:
    numbers = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in candidate.parameters.items())
    return f"{candidate.kind} ({numbers})" if numbers else candidate.kind


def point() -> Psf:
    """The PSF that blurs nothing."""
    return Psf([[1.0]])


def cannot_tell(why: str) -> PsfEstimate:
    """An estimate that says nothing but why."""
    return PsfEstimate(point(), 0.0, "unknown", notes=(f"the blur cannot be told: {why}",))
