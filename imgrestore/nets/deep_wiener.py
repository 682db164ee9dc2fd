"""Deblurring with a known PSF: Wiener deconvolution of learned features, and a net that refines the result.

After Dong, Roth and Schiele, "Deep Wiener deconvolution: Wiener meets deep learning for image deblurring" (2020).
Different here: the net starts from a classical estimate and adds to it; what is unknown past the frame is filled in
with the estimate's own blur, so that the periodic transform sees no edge; and each stage begins with what the
observation still says against the estimate, deconvolved at several strengths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from imgrestore import ops
from imgrestore.nets.blocks import GatedBlock, UNet, may_fuse
from imgrestore.nets.pieces import NO_CUTS, Cuts, Piece, in_pieces, pieces_of
from imgrestore.ops._planes import Room

# Stands for the variance where that of the planes does not enter.
CONSTANT_VARIANCE = 0.02


@dataclass(frozen=True)
class DeepWienerConfig:
    """Size of a `DeepWiener` net.

    Attributes
    ----------
    features : int
        Learned features that are deconvolved at full resolution.
    width : int
        Channels of the U-Nets at half resolution.
    blocks : tuple of int
        Blocks of each level of a U-Net, one side; the last number is the bottom's.
    stages : int
        How often the net looks at the observation again.
    strengths : tuple of float
        Relative regularisation weights at which each stage deconvolves what its estimate left unexplained; they are
        where the learned weights start.
    """

    features: int = 16
    width: int = 40
    blocks: tuple[int, ...] = (3, 3, 5)
    stages: int = 2
    strengths: tuple[float, ...] = (0.03, 0.3, 3.0)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DeepWienerConfig:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


class FeatureWiener(nn.Module):
    """Wiener deconvolution of planes, each with its own learned noise-to-signal ratio.

    The ratio falls with the signal's variance and rises with the noise and, since natural pictures hold little at
    high frequencies, with the squared frequency; all exponents and factors are learned, one for each plane::

        log ratio = a + b log(sigma² + floor²) + c log(|w|² + w0²) - s log(variance)

    Parameters
    ----------
    planes : int
        Number of ratios.
    factors : sequence of float, optional
        Start of the ratios' factors exp(a); 1 by default.
    use_variance : bool
        Whether the planes' own variance enters; where it does not, 0.02 stands for it.
    """

    def __init__(self, planes: int, factors: tuple[float, ...] | None = None, use_variance: bool = True) -> None:
        super().__init__()
        start = torch.zeros(planes) if factors is None else torch.tensor([math.log(one) / 10 for one in factors])
        self.use_variance = use_variance
        # Parameters are scaled to move at the pace of the net's other weights: the step size is shared.
        self.factor = nn.Parameter(start)
        self.noise_power = nn.Parameter(torch.ones(planes))
        self.frequency_power = nn.Parameter(torch.ones(planes))
        self.signal_power = nn.Parameter(torch.ones(planes))
        self.floor = nn.Parameter(torch.full((planes,), -0.6))  # log of 0.0025

    def level(self, sigma: torch.Tensor) -> torch.Tensor:
        """Logarithms (N, planes) of the ratios, but for frequency and variance, from sigma (N,)."""
        noise = torch.log(sigma[:, None] ** 2 + torch.exp(20 * self.floor)) * self.noise_power
        return 10 * self.factor + noise

    def ratio(self, sigma: torch.Tensor, variance: torch.Tensor, frequency: torch.Tensor) -> torch.Tensor:
        """Noise-to-signal ratios (N, planes, H, W // 2 + 1) from sigma (N,), variances (N, planes), |w|² (H, W')."""
        level = self.level(sigma) - self.signal_power * torch.log(variance + 1e-5)
        shape = self.frequency_power[:, None, None] * torch.log(frequency + 0.02)
        # Bounds keep the quotient finite whatever is learned, also where the transfer function is zero.
        return torch.exp((level[..., None, None] + shape).clamp(-14.0, 8.0))

    def forward(
        self, spectrum: torch.Tensor, variance: torch.Tensor, otf: torch.Tensor, sigma: torch.Tensor, width: int
    ) -> torch.Tensor:
        """Deconvolve.

        Parameters
        ----------
        spectrum : Tensor of complex64, shape (N, C, H, W // 2 + 1)
            ``rfft2`` of the planes; C divides or equals the number of ratios. Where it divides it, every plane is
            deconvolved with ``planes / C`` ratios.
        variance : Tensor, shape (N, planes)
            Variances of the planes.
        otf : Tensor of complex64, shape (N, 1, H, W // 2 + 1)
            The transfer function.
        sigma : Tensor, shape (N,)
            Noise level.
        width : int
            W.

        Returns
        -------
        Tensor of float32, shape (N, planes, H, W)
            The deconvolved planes, plane-major for each ratio.
        """
        height = spectrum.shape[-2]
        ratio = self.ratio(sigma, variance, frequency_squared((height, width), spectrum.device))
        filters = otf.conj() / (otf.real.square() + otf.imag.square() + ratio)
        if spectrum.shape[1] != filters.shape[1]:
            repeats = filters.shape[1] // spectrum.shape[1]
            spectrum = spectrum.repeat_interleave(repeats, dim=1)
        return torch.fft.irfft2(filters * spectrum, s=(height, width))

    def fused(
        self,
        image: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        log_frequency: torch.Tensor,
        gain: float,
        out: torch.Tensor,
        variance: torch.Tensor | None = None,
    ) -> None:
        """Write `gain` times the deconvolved planes of an image (N, C, H, W) to `out`, on native ops.

        `log_frequency` is the logarithm of |w|² + 0.02; `variance` (N, planes) stands for the planes' own.
        """
        level, power = self.level(sigma), self.signal_power if self.use_variance else None
        if power is None:
            level = level - self.signal_power * math.log(CONSTANT_VARIANCE + 1e-5)
        elif variance is not None:
            level, power = level - self.signal_power * torch.log(variance + 1e-5), None
        ops.wiener_planes(image, otf, level, self.frequency_power, log_frequency, power, gain=gain, out=out)


class DeepWiener(nn.Module):
    """The deblurring net: a classical estimate in, a better one out.

    Parameters
    ----------
    config : DeepWienerConfig, optional
        Its size.

    Notes
    -----
    At initialisation the result is the classical estimate, exactly.
    """

    def __init__(self, config: DeepWienerConfig | None = None) -> None:
        super().__init__()
        self.config = config or DeepWienerConfig()
        c = self.config
        self.extract = nn.Conv2d(3, c.features, 5, padding=2, padding_mode="circular")
        self.polish = GatedBlock(c.features, norm=False)
        nn.init.constant_(self.polish.scale, 0.1)
        self.wiener = FeatureWiener(c.features)
        factors = tuple(s for _ in range(3) for s in c.strengths)
        self.residual_wieners = nn.ModuleList(
            FeatureWiener(len(factors), factors, use_variance=False) for _ in range(c.stages)
        )
        # Estimate 3, observation minus estimate 3, residual's deconvolutions, features, noise level 1, mask 1.
        inputs = 3 + 3 + len(factors) + 2
        self.unets = nn.ModuleList(
            UNet(inputs + (c.features if s == 0 else 0), 3, c.width, c.blocks, memory=c.width if s else 0)
            for s in range(c.stages)
        )

    def forward(
        self,
        y: torch.Tensor,
        x0: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        mask: torch.Tensor | None = None,
        variance: torch.Tensor | None = None,
        cuts: Cuts = NO_CUTS,
    ) -> torch.Tensor:
        """Refine a classical estimate.

        Parameters
        ----------
        y : Tensor of float32, shape (N, 3, H, W)
            The observation on a periodic domain larger than the frame by at least the PSF's size less one; outside
            the frame it holds the blur of `x0`. Range about [0, 1].
        x0 : Tensor of float32, shape (N, 3, H, W)
            The classical estimate on that domain.
        otf : Tensor of complex64, shape (N, 1, H, W // 2 + 1)
            Transfer function of the PSFs on that domain, see `imgrestore.degrade.blur.otf`.
        sigma : Tensor of float32, shape (N,)
            Standard deviation of the noise, for a range of 1.
        mask : Tensor, shape (N, 1, H, W) or (1, 1, H, W), optional
            1 where `y` was observed, 0 where it was filled in. All observed by default.
        variance : Tensor, shape (N, features), optional
            `variance_of` the picture that `y` is a part of; by default of `y` itself.
        cuts : tuple of two sequences of int, optional
            Rows and columns of `y` with which the domain of the picture that it is a part of begins anew. Layers with
            zeros around see no farther than to there.

        Returns
        -------
        Tensor of float32, shape (N, 3, H, W)
            The estimate on that domain.
        """
        return self.stages(y, x0, otf, sigma, mask, variance, cuts)[-1]

    def variance_of(self, y: torch.Tensor) -> torch.Tensor:
        """Variances (N, features) of the features of observations: all that the net asks of a picture as a whole."""
        return self.polish(self.extract(y - 0.5)).var(dim=(-2, -1))

    def stages(
        self,
        y: torch.Tensor,
        x0: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        mask: torch.Tensor | None = None,
        variance: torch.Tensor | None = None,
        cuts: Cuts = NO_CUTS,
    ) -> list[torch.Tensor]:
        """The estimates after each stage; parameters as in `forward`."""
        x = x0
        count, size = y.shape[0], (y.shape[-2], y.shape[-1])
        sigma = sigma.to(y).reshape(-1).expand(count)
        observed = torch.ones_like(y[:, :1]) if mask is None else mask.to(y).expand(count, 1, *size)
        level = (0.5 * torch.log10(sigma + 1e-3) + 1)[:, None, None, None].expand(-1, 1, *size)
        fused, stacked = self._may_fuse(y, x0, otf, sigma), None
        pieces = pieces_of(size, cuts)
        memories: list[torch.Tensor | None] = [None] * len(pieces)
        estimates: list[torch.Tensor] = []
        for stage, unet in enumerate(self.unets):
            with torch.autocast(y.device.type, enabled=False):
                blurred = ops.fft_filter(x, otf) if fused else torch.fft.irfft2(torch.fft.rfft2(x) * otf, s=size)
                gap = y - blurred if mask is None else (y - blurred) * observed
                if stage:
                    y = blurred + gap
                inputs = (stage, x, y, gap, otf, sigma, level, observed, variance, pieces)
                stacked = self._stack_fused(*inputs, Room(stacked)) if fused else self._stack(*inputs)
            x = x + self._correction(unet, stacked, memories, pieces)
            estimates.append(x)
        return estimates

    def _may_fuse(self, y: torch.Tensor, *others: torch.Tensor) -> bool:
        graph = torch.is_grad_enabled() and any(t.requires_grad for t in (y, *others))
        single = y.dtype == self.extract.weight.dtype == torch.float32
        return single and not graph and may_fuse(y, self)

    def _stack(
        self,
        stage: int,
        x: torch.Tensor,
        y: torch.Tensor,
        gap: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        level: torch.Tensor,
        observed: torch.Tensor,
        variance: torch.Tensor | None,
        pieces: list[Piece],
    ) -> torch.Tensor:
        """What a stage's U-Net is shown."""
        wiener = self.residual_wieners[stage]
        assert isinstance(wiener, FeatureWiener)
        constant = torch.full((y.shape[0], wiener.factor.numel()), CONSTANT_VARIANCE, device=y.device)
        steps = wiener(torch.fft.rfft2(gap), constant, otf, sigma, y.shape[-1])
        # The steps and gaps are some hundredths high; the net's stem expects inputs of order one.
        inputs = [x - 0.5, 5 * (y - x), 10 * steps, level, observed]
        if stage == 0:
            inputs.append(self._features(y, otf, sigma, variance, pieces))
        return torch.cat(inputs, dim=1)

    def _stack_fused(
        self,
        stage: int,
        x: torch.Tensor,
        y: torch.Tensor,
        gap: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        level: torch.Tensor,
        observed: torch.Tensor,
        variance: torch.Tensor | None,
        pieces: list[Piece],
        room: Room,
    ) -> torch.Tensor:
        """The same on native ops, each plane written where it belongs: at most one spectrum is kept for each thread."""
        wiener = self.residual_wieners[stage]
        assert isinstance(wiener, FeatureWiener)
        size = (y.shape[-2], y.shape[-1])
        log_frequency = torch.log(frequency_squared(size, y.device) + 0.02)
        steps = wiener.factor.numel()
        features = self.config.features if stage == 0 else 0
        stacked = room.take((y.shape[0], 8 + steps + features, *size), y)
        torch.sub(x, 0.5, out=stacked[:, :3])
        torch.sub(y, x, out=stacked[:, 3:6]).mul_(5)
        wiener.fused(gap, otf, sigma, log_frequency, 10.0, stacked[:, 6 : 6 + steps])
        stacked[:, 6 + steps : 7 + steps] = level
        stacked[:, 7 + steps : 8 + steps] = observed
        if features:
            last = stacked[:, 8 + steps :]
            around = F.pad(y - 0.5, (2, 2, 2, 2), mode="circular")
            mapped = ops.patch_conv(around, self.extract.weight, self.extract.bias, out=last)
            polished = in_pieces(lambda part, _: self.polish.fused(part), mapped, pieces)
            self.wiener.fused(polished, otf, sigma, log_frequency, 1.0, last, variance)
        return stacked

    def _features(
        self,
        y: torch.Tensor,
        otf: torch.Tensor,
        sigma: torch.Tensor,
        variance: torch.Tensor | None,
        pieces: list[Piece],
    ) -> torch.Tensor:
        mapped = in_pieces(lambda part, _: self.polish(part), self.extract(y - 0.5), pieces)
        own = mapped.var(dim=(-2, -1)) if variance is None else variance
        return self.wiener(torch.fft.rfft2(mapped), own, otf, sigma, y.shape[-1])

    def _correction(
        self, unet: nn.Module, x: torch.Tensor, memories: list[torch.Tensor | None], pieces: list[Piece]
    ) -> torch.Tensor:
        """Run a U-Net on each piece, whose memory becomes that of this run."""

        def refined(part: torch.Tensor, number: int) -> torch.Tensor:
            correction, memories[number] = self._refine(unet, part, memories[number])
            return correction

        assert isinstance(unet, UNet)
        return in_pieces(refined, x, pieces, unet.stride)

    @staticmethod
    def _refine(unet: nn.Module, x: torch.Tensor, memory: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a U-Net, wrapping the domain around to a multiple of its stride."""
        height, width = x.shape[-2:]
        assert isinstance(unet, UNet)
        stride = unet.stride
        bottom, right = -height % stride, -width % stride
        if (bottom or right) and may_fuse(x, unet) and bottom <= height and right <= width:
            x = F.pad(x, (0, right, 0, bottom), mode="circular")
        elif bottom or right:
            rows = torch.arange(height + bottom, device=x.device) % height
            columns = torch.arange(width + right, device=x.device) % width
            x = x[..., rows[:, None], columns]
        if may_fuse(x, unet):
            correction, memory = unet(x, memory, room=x)
        else:
            correction, memory = unet(x.contiguous(memory_format=torch.channels_last), memory)
        return correction[..., :height, :width], memory


def frequency_squared(shape: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Squared angular frequency, in radians a pixel, of every bin of ``rfft2``.

    Parameters
    ----------
    shape : (int, int)
        Size of the domain (H, W).
    device : torch.device
        Where the result lives.

    Returns
    -------
    Tensor of float32, shape (H, W // 2 + 1)
        Between 0 and 2 pi².
    """
    rows = torch.fft.fftfreq(shape[0], device=device) * (2 * torch.pi)
    columns = torch.fft.rfftfreq(shape[1], device=device) * (2 * torch.pi)
    return rows[:, None] ** 2 + columns**2
