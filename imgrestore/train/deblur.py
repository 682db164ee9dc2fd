"""The deblurring net's training ground: the classical estimate, batches, loss and validation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from imgrestore.classical.admm import outlier_level, sparse_gradients, sparse_weight
from imgrestore.data import PSF_SIZE, BlurBatch, Pictures, blur_batch, psf_pool, read_pack, split
from imgrestore.data.blur import stored_as_jpeg, where_known
from imgrestore.data.blur_pairs import BlurPairs, PsfFit, fit_psf, reason_against
from imgrestore.data.estimates import content_of, kept_estimates
from imgrestore.data.pack import spread
from imgrestore.data.pairs import Pair, read_pairs
from imgrestore.degrade import blur
from imgrestore.losses import LOSSES
from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig
from imgrestore.ops.blur_operator import BlurOperator, fast_size
from imgrestore.train.ground import CallError, TrainError, net_config, reading
from imgrestore.train.options import Options
from imgrestore.train.scores import PSNR, Measure, psnr, sheet

__all__ = ["DeblurGround", "classical_estimate"]

MARGIN = PSF_SIZE // 2
LARGEST_CASE = 256
# Pictures of a validation batch that are computed at a time.
AT_ONCE = 8
SHOWN = 3
# One crop of so many comes from real pairs, where there are any; so few are looked at here, not by other processes.
REAL, FEW = 4, 16
# What batches are made of: 2 has JPEG files and lights above white.
DRAWS = 2


def classical_estimate(
    observed: torch.Tensor,
    psf: torch.Tensor,
    sigma: torch.Tensor,
    iterations: int,
    known: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The classical estimate that the net starts from.

    Parameters
    ----------
    observed : Tensor of float32, shape (N, C, h, w)
        Frames.
    psf : Tensor of float32, shape (N, kh, kw)
        PSFs.
    sigma : Tensor of float32, shape (N,)
        Noise levels.
    iterations : int
        Iterations of the solver.
    known : Tensor, shape (N, 1, h, w), optional
        0 where a channel is saturated, else 1: there values of 1 are only lower bounds.

    Returns
    -------
    x : Tensor of float32, shape (N, C, h + kh - 1, w + kw - 1)
        The estimate on the periodic domain, the frame at ``(kh - 1 - kh // 2, kw - 1 - kw // 2)``.
    y : Tensor of float32, same shape
        The observation, filled in with the estimate's blur outside the frame and where it is not known.
    """
    operator = BlurOperator(psf, (observed.shape[-2], observed.shape[-1]), "unknown", observed)
    level = sigma[:, None, None, None]
    found = sparse_gradients(
        observed,
        operator,
        sparse_weight(level),
        num_iter=iterations,
        saturated=None if known is None else (observed >= 1) & (known == 0),
        lower=level.new_zeros(()),
        outlier=outlier_level(level),
    )
    mask = operator.pad(torch.ones_like(observed[:1, :1]) if known is None else known)
    return found.scene, mask * operator.pad(observed) + (1 - mask) * found.blurred


class DeblurGround:
    """Batches, loss and validation of the deblurring net; see `imgrestore.train.ground.Ground`.

    Parameters
    ----------
    options : Options
        The run's.
    device : torch.device
        Where everything lives.
    """

    needs: ClassVar[tuple[str, ...]] = ("clean",)
    takes: ClassVar[tuple[str, ...]] = ("pairs",)
    defaults: ClassVar[Mapping[str, Any]] = {"batch": 64, "size": 192, "loss": "psnr"}
    measure: ClassVar[Measure] = PSNR

    def __init__(self, options: Options, device: torch.device) -> None:
        if options.size != fast_size(options.size) or options.size <= 2 * MARGIN:
            raise CallError(f"--size is {options.size}; expected an even number above 40 of the form 2^a 3^b 5^c")
        self.options, self.device = options, device
        self.config = net_config(DeepWienerConfig, {"width": 40, "blocks": (2, 3, 5)}, options.net)
        self.fingerprint: dict[str, Any] = {"iterations": options.iterations, "psfs": options.psfs, "draws": DRAWS}
        with reading("clean", options.clean):
            pictures = read_pack(options.clean)
        self.fingerprint["content"] = content_of({name: (picture,) for name, picture in pictures.items()})
        train, self.held = split(pictures, options.validation)
        self.sets = sorted({name.split("/")[0] for name in train})
        train = [name for name in train if min(pictures[name].shape[:2]) >= options.size]
        if not train:
            raise TrainError(
                f"--clean {options.clean}: none of its {len(pictures)} pictures is left to train on; expected at "
                f"least 2, of {options.size} pixels or more on each side (--size)"
            )
        held = Pictures([pictures[name] for name in self.held], device)
        if int(held.sizes.amin()) < 2 * MARGIN + 2:
            raise TrainError(f"--clean {options.clean}: a held-out picture is smaller than {2 * MARGIN + 2} pixels")
        self.count = len(train)
        self.pictures = Pictures([pictures[name] for name in train], device)
        self.psfs = tuple(p.to(device) for p in psf_pool(options.psfs, options.seed, workers=options.workers))
        self.generator = torch.Generator(device)
        self.loss = LOSSES[options.loss]
        self.cases = self._cases(held)
        self.pairs = self._pairs() if options.pairs else None

    def _pairs(self) -> BlurPairs:
        """The real pairs that one PSF explains; some of them are held out and become a case."""
        o = self.options
        with reading("pairs", o.pairs):
            pairs = {f"pairs/{name}": pair for name, pair in read_pairs(o.pairs).items()}
        sound, left_out = _sound(pairs, o)
        told = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        if len(sound) < 2:
            why = f" ({told})" if told else ""
            raise TrainError(f"--pairs {o.pairs}: {len(sound)} can be learned from; expected at least 2{why}")
        if left_out:
            warnings.warn(f"{len(left_out)} of {len(pairs)} pairs are left out: {told}", stacklevel=3)
        held = spread(list(sound), o.validation)
        learnt = [name for name in sound if name not in held]
        self.held, self.sets, self.count = [*self.held, *held], [*self.sets, "pairs"], self.count + len(learnt)
        self.fingerprint["pairs"] = content_of({name: pairs[name] for name in sound})
        cases = BlurPairs([pairs[n] for n in held], [sound[n] for n in held], self.device)
        self.cases["pairs"] = cases.centres(_case_size(int(cases.sharp.sizes.amin())))
        return BlurPairs([pairs[n] for n in learnt], [sound[n] for n in learnt], self.device)

    def net(self) -> DeepWiener:
        """A new net."""
        return DeepWiener(self.config)

    def batch(self, step: int, part: int) -> BlurBatch:
        """A part of a step's batch, which depends on the seed, the step and the part alone."""
        self.generator.manual_seed(self.options.seed_of(step, part))
        psfs, count, size = (self.psfs[0], self.psfs[1]), self.options.part_size, self.options.size
        # Small parts take turns: over `REAL` steps the share is exact.
        real = (count + (step + part) % REAL) // REAL if self.pairs is not None else 0
        drawn = []
        if count > real:
            drawn.append(blur_batch(self.pictures, psfs, count - real, size, self.generator))
        if self.pairs is not None and real:
            drawn.append(self.pairs.crops(real, size, self.generator))
        return drawn[0] if len(drawn) == 1 else _joined(drawn)

    def estimate(self, net: DeepWiener, batch: BlurBatch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The classical estimate and the net's stages, on the extended domain."""
        # The solver inverts what noise drowns: it needs float32 throughout.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            x0, y = classical_estimate(batch.observed, batch.psf, batch.sigma, self.options.iterations, batch.known)
            otf = blur.otf(batch.psf, (y.shape[-2], y.shape[-1]))
            mask = F.pad(batch.known, (MARGIN,) * 4)
        return x0, net.stages(y, x0, otf, batch.sigma, mask)

    def step_loss(self, net: DeepWiener, batch: BlurBatch) -> torch.Tensor:
        """The loss of a part of a batch."""
        _, stages = self.estimate(net, batch)
        total = torch.zeros((), device=self.device)
        for x, weight in zip(reversed(stages), (1.0, 0.3, 0.1, 0.03), strict=False):
            target = _target(x, batch)
            total = total + weight * self.loss(_inner(x), _inner(target), None)
            # What lies past the frame only has to be plausible.
            total = total + weight * 0.1 * (x - target).abs().mean()
        return total

    def _cases(self, held: Pictures) -> dict[str, BlurBatch]:
        """Fixed validation batches: two noise levels, slightly wrong PSFs, and JPEG files."""
        clean = held.centres(_case_size(int(held.sizes.amin()))).cpu()
        cases = {}
        for name, level, wrong in (("0.01", 0.01, 0.0), ("0.03", 0.03, 0.0), ("wrong", 0.01, 1.0), ("jpeg", 0.01, 0.0)):
            true, told = psf_pool(len(clean), 10**6 + self.options.seed, wrong)
            white = torch.Generator().manual_seed(1)
            blurred = blur.convolve_valid(clean, true)
            observed = blurred + level * torch.randn(blurred.shape, generator=white)
            sigma, known = torch.full((len(clean),), level), torch.ones_like(observed[:, :1])
            if name == "jpeg":
                observed = stored_as_jpeg(observed, white)
                sigma, known = (observed - blurred).square().mean((1, 2, 3)).sqrt(), where_known(observed)
            batch = BlurBatch(observed, clean, told, sigma, known)
            cases[name] = BlurBatch(*(getattr(batch, f.name).to(self.device) for f in fields(batch)))
        return cases

    @torch.no_grad()
    def validate(self, net: DeepWiener) -> dict[str, float]:
        """Mean PSNR of the classical estimate (``before ...``) and of the net on the held-out pictures."""
        scores = {}
        for name, batch in self.cases.items():
            found = [self.estimate(net, _part(batch, i, AT_ONCE)) for i in range(0, len(batch.sigma), AT_ONCE)]
            target = _inner(batch.clean)
            scores[f"before {name}"] = psnr(torch.cat([_inner(x0) for x0, _ in found]), target)
            scores[f"net {name}"] = psnr(torch.cat([_inner(stages[-1]) for _, stages in found]), target)
        return scores

    def remarks(self, net: DeepWiener) -> dict[str, float]:
        """None."""
        return {}

    @torch.no_grad()
    def samples(self, net: DeepWiener) -> NDArray:
        """Observed, classical, net and truth of the first held-out pictures."""
        batch = _part(self.cases["0.01"], 0, SHOWN)
        x0, stages = self.estimate(net, batch)
        columns = (batch.observed, _inner(x0), _inner(stages[-1]), _inner(batch.clean))
        return sheet(list(zip(*columns, strict=True)))


def _sound(pairs: Mapping[str, Pair], options: Options) -> tuple[dict[str, PsfFit], dict[str, str]]:
    """The PSFs of those pairs that can be learned from, and why the others cannot."""
    left_out = {
        name: f"smaller than --size {options.size}"
        for name, (observed, _) in pairs.items()
        if min(observed.shape[:2]) < max(options.size, 2 * PSF_SIZE + 1)
    }
    large = {name: pair for name, pair in pairs.items() if name not in left_out}
    workers = options.workers if len(large) > FEW else 0
    kept = kept_estimates(options.folder / "pairs.npz", _fit, list(large.values()), content_of(large), workers)
    fits = {name: PsfFit(i["psf"], *map(float, i["levels"])) for name, i in zip(large, kept, strict=True)}
    reasons = {name: reason_against(fit) for name, fit in fits.items()}
    left_out.update({name: reason for name, reason in reasons.items() if reason is not None})
    return {name: fit for name, fit in fits.items() if name not in left_out}, left_out


def _fit(observed: NDArray, truth: NDArray) -> dict[str, NDArray]:
    """A `PsfFit` as arrays."""
    found = fit_psf(observed, truth)
    return {"psf": found.psf, "levels": np.array([found.noise, found.residual, found.worst])}


def _case_size(room: int) -> int:
    """The largest side of a domain that pictures of this side have room for."""
    return max(s for s in range(2 * MARGIN + 2, min(LARGEST_CASE, room) + 1) if s == fast_size(s))


def _target(x: torch.Tensor, batch: BlurBatch) -> torch.Tensor:
    """What a result is held to: the scene, but no limit on white light that a clipped frame may have cut off.

    A frame says of it that it is white at least. Held to white, the net would darken lights, whose blur then no longer
    explains the known pixels around them.
    """
    clipped = batch.known.amin((1, 2, 3), keepdim=True) == 0
    return torch.where(clipped & (batch.clean >= 1), x.detach().clamp_min(1), batch.clean)


def _joined(parts: list[BlurBatch]) -> BlurBatch:
    return BlurBatch(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(BlurBatch)))


def _part(batch: BlurBatch, start: int, count: int) -> BlurBatch:
    return BlurBatch(*(getattr(batch, f.name)[start : start + count] for f in fields(batch)))


def _inner(x: torch.Tensor) -> torch.Tensor:
    """The frame of an extended domain."""
    return x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
