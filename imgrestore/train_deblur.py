"""The deblurring net's training ground: the classical estimate, batches, loss and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from imgrestore.classical.admm import outlier_level, sparse_gradients, sparse_weight
from imgrestore.data import PSF_SIZE, BlurBatch, Pictures, blur_batch, psf_pool, read_pack, split
from imgrestore.degrade import blur
from imgrestore.losses import LOSSES
from imgrestore.nets.deep_wiener import DeepWiener
from imgrestore.ops.blur_operator import BlurOperator, fast_size

if TYPE_CHECKING:
    from imgrestore.train import Options

MARGIN = PSF_SIZE // 2


def classical_estimate(
    observed: torch.Tensor, psf: torch.Tensor, sigma: torch.Tensor, iterations: int
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

    Returns
    -------
    x : Tensor of float32, shape (N, C, h + kh - 1, w + kw - 1)
        The estimate on the periodic domain, the frame at ``(kh - 1 - kh // 2, kw - 1 - kw // 2)``.
    y : Tensor of float32, same shape
        The observation, filled in with the estimate's blur outside the frame.
    """
    operator = BlurOperator(psf, (observed.shape[-2], observed.shape[-1]), "unknown", observed)
    level = sigma[:, None, None, None]
    found = sparse_gradients(
        observed,
        operator,
        sparse_weight(level),
        num_iter=iterations,
        lower=level.new_zeros(()),
        outlier=outlier_level(level),
    )
    mask = operator.pad(torch.ones_like(observed[:1, :1]))
    return found.scene, operator.pad(observed) + (1 - mask) * found.blurred


class DeblurGround:
    """Batches, loss and validation of the deblurring net.

    Parameters
    ----------
    options : Options
        The run's.
    device : torch.device
        Where everything lives.
    """

    def __init__(self, options: Options, device: torch.device) -> None:
        if options.size != fast_size(options.size) or options.size <= 2 * MARGIN:
            raise ValueError(f"size is {options.size}; expected an even number above 40 of the form 2^a 3^b 5^c")
        self.options, self.device = options, device
        self.psfs = tuple(p.to(device) for p in psf_pool(options.psfs, options.seed, workers=options.workers))
        pictures = read_pack(options.clean)
        train, self.held = split(pictures, options.validation)
        self.sets = sorted({name.split("/")[0] for name in train})
        train = [name for name in train if min(pictures[name].shape[:2]) >= options.size]
        self.pictures = Pictures([pictures[name] for name in train], device)
        self.generator = torch.Generator(device)
        self.loss = LOSSES[options.loss]
        self.cases = self._cases(Pictures([pictures[name] for name in self.held], device))

    def net(self) -> DeepWiener:
        """A new net."""
        return DeepWiener(self.options.config())

    def batch(self, step: int) -> BlurBatch:
        """The batch of a step, which depends on the seed and the step alone."""
        self.generator.manual_seed(self.options.seed * 1_000_003 + step)
        return blur_batch(self.pictures, (self.psfs[0], self.psfs[1]), self.options.batch, self.options.size,
                          self.generator)  # fmt: skip

    def estimate(self, net: DeepWiener, batch: BlurBatch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The classical estimate and the net's stages, on the extended domain."""
        # The solver inverts what noise drowns: it needs float32 throughout.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            x0, y = classical_estimate(batch.observed, batch.psf, batch.sigma, self.options.iterations)
            otf = blur.otf(batch.psf, (y.shape[-2], y.shape[-1]))
            mask = F.pad(torch.ones_like(batch.observed[:1, :1]), (MARGIN,) * 4)
        return x0, net.stages(y, x0, otf, batch.sigma, mask)

    def step_loss(self, net: DeepWiener, batch: BlurBatch) -> torch.Tensor:
        """The loss of a batch."""
        _, stages = self.estimate(net, batch)
        total = torch.zeros((), device=self.device)
        for x, weight in zip(reversed(stages), (1.0, 0.3, 0.1, 0.03), strict=False):
            total = total + weight * self.loss(inner(x), inner(batch.clean), None)
            # What lies past the frame only has to be plausible.
            total = total + weight * 0.1 * (x - batch.clean).abs().mean()
        return total

    def _cases(self, held: Pictures) -> dict[str, BlurBatch]:
        """Fixed validation batches: two noise levels, and slightly wrong PSFs."""
        size = max(s for s in range(2 * MARGIN + 2, min(256, int(held.sizes.amin())) + 1) if s == fast_size(s))
        clean = held.centres(size).cpu()
        cases = {}
        for name, sigma, wrong in (("0.01", 0.01, 0.0), ("0.03", 0.03, 0.0), ("wrong", 0.01, 1.0)):
            true, told = psf_pool(len(clean), 10**6 + self.options.seed, wrong)
            white = torch.Generator().manual_seed(1)
            observed = blur.convolve_valid(clean, true)
            observed = observed + sigma * torch.randn(observed.shape, generator=white)
            batch = BlurBatch(observed, clean, told, torch.full((len(clean),), sigma))
            cases[name] = BlurBatch(*(getattr(batch, f).to(self.device) for f in batch.__dataclass_fields__))
        return cases

    @torch.no_grad()
    def validate(self, net: DeepWiener) -> dict[str, float]:
        """Mean PSNR of the classical estimate (``x0 ...``) and of the net on the held-out pictures."""
        scores = {}
        for name, batch in self.cases.items():
            found = [
                self.estimate(net, BlurBatch(*(getattr(batch, f)[i : i + 8] for f in batch.__dataclass_fields__)))
                for i in range(0, len(batch.sigma), 8)
            ]
            target = inner(batch.clean)
            scores[f"x0 {name}"] = psnr(torch.cat([inner(x0) for x0, _ in found]), target)
            scores[f"net {name}"] = psnr(torch.cat([inner(stages[-1]) for _, stages in found]), target)
        return scores


def inner(x: torch.Tensor) -> torch.Tensor:
    """The frame of an extended domain."""
    return x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def psnr(result: torch.Tensor, target: torch.Tensor) -> float:
    """Mean PSNR in dB over a batch, the result clipped to [0, 1]."""
    error = (result.clamp(0, 1) - target).square().mean((1, 2, 3)).clamp(min=1e-12)
    return float((-10 * error.log10()).mean())
