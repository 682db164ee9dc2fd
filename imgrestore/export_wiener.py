"""The deblurring net on real numbers alone: its Fourier transforms as products with matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imgrestore.nets.deep_wiener import DeepWiener, FeatureWiener

__all__ = ["Dft", "RealWiener"]

# Stands for the variance where that of the planes does not enter.
CONSTANT_VARIANCE = 0.02


class RealWiener(nn.Module):
    """A `DeepWiener` without complex numbers: its Fourier transforms are products with matrices of cosines and sines.

    The products are exact, every runtime has them, and they take any size. Exported transforms do neither at present:
    PyTorch cannot translate all of them to ONNX, and what it translates has shapes that ONNX Runtime refuses.

    Parameters
    ----------
    net : DeepWiener
        Whose layers it uses.
    """

    def __init__(self, net: DeepWiener) -> None:
        super().__init__()
        self.net = net

    def forward(self, y: Tensor, x0: Tensor, otf: Tensor, sigma: Tensor, mask: Tensor) -> tuple[Tensor]:
        """As `DeepWiener.forward`, `otf` with a last axis of 2; H and W are multiples of the stride."""
        net, memory, x = self.net, None, x0
        dft = Dft(y)
        blur = otf[..., 0], otf[..., 1]
        level = (0.5 * torch.log10(sigma + 1e-3) + 1)[:, None, None, None].expand_as(mask)
        for stage, unet in enumerate(net.unets):
            blurred = dft.inverse(_product(dft.forward(x), blur))
            gap = (y - blurred) * mask
            if stage:
                y = blurred + gap
            filters = net.residual_wieners[stage]
            assert isinstance(filters, FeatureWiener)
            even = torch.full_like(sigma, CONSTANT_VARIANCE)[:, None].expand(-1, filters.factor.shape[0])
            steps = _wiener(filters, dft, gap, even, blur, sigma)
            inputs = [x - 0.5, 5 * (y - x), 10 * steps, level, mask]
            if stage == 0:
                mapped = net.polish(net.extract(y - 0.5))
                inputs.append(_wiener(net.wiener, dft, mapped, mapped.var(dim=(-2, -1)), blur, sigma))
            correction, memory = unet(torch.cat(inputs, dim=1), memory)
            x = x + correction
        return (x,)


class Dft:
    """Two-dimensional Fourier transforms of real planes whose width is even, as products with matrices.

    A spectrum is its real and its imaginary part, each (..., H, W / 2 + 1), as of ``torch.fft.rfft2``.

    Parameters
    ----------
    planes : Tensor, shape (..., H, W)
        What has the size that is transformed.
    """

    def __init__(self, planes: Tensor) -> None:
        rows, columns = (torch.arange(size) for size in planes.shape[-2:])
        # As tensors: PyTorch's exporter has no numbers that depend on the size.
        height, width = (torch.full((), size) for size in planes.shape[-2:])
        half = columns[: planes.shape[-1] // 2 + 1]
        self.row_cos, self.row_sin = _waves(rows[:, None] * rows, height)
        self.cos, self.sin = _waves(columns[:, None] * half, width)
        # Frequencies and their mirror images, of which rfft2 keeps one.
        single = (half == 0) | (2 * half == width)
        self.weight = torch.where(single, 1.0, 2.0) / (height * width)
        down = torch.where(2 * rows < height, rows, rows - height) * (2 * torch.pi) / height
        right = half * (2 * torch.pi) / width
        self.frequency_squared = down[:, None] ** 2 + right**2

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """``rfft2`` of planes (..., H, W)."""
        real, imaginary = planes @ self.cos, -(planes @ self.sin)
        return (
            self.row_cos @ real + self.row_sin @ imaginary,
            self.row_cos @ imaginary - self.row_sin @ real,
        )

    def inverse(self, spectrum: tuple[Tensor, Tensor]) -> Tensor:
        """``irfft2`` of a spectrum."""
        real, imaginary = spectrum
        across = (self.row_cos @ real - self.row_sin @ imaginary) * self.weight
        along = (self.row_cos @ imaginary + self.row_sin @ real) * self.weight
        return across @ self.cos.T - along @ self.sin.T


def _waves(steps: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of whole numbers of steps, of which `size` make a full turn."""
    angle = (steps % size) * (2 * torch.pi) / size
    return angle.cos(), angle.sin()


def _product(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return one[0] * other[0] - one[1] * other[1], one[0] * other[1] + one[1] * other[0]


def _wiener(
    filters: FeatureWiener, dft: Dft, planes: Tensor, variance: Tensor, blur: tuple[Tensor, Tensor], sigma: Tensor
) -> Tensor:
    """`FeatureWiener.forward` on planes: every plane is deconvolved with its share of the ratios."""
    ratio = filters.ratio(sigma, variance, dft.frequency_squared)
    weight = 1 / (blur[0].square() + blur[1].square() + ratio)
    real, imaginary = dft.forward(planes)
    repeats = filters.factor.shape[0] // planes.shape[1]
    if repeats > 1:
        real, imaginary = (part.repeat_interleave(repeats, dim=1) for part in (real, imaginary))
    real, imaginary = _product((real, imaginary), (blur[0], -blur[1]))
    return dft.inverse((real * weight, imaginary * weight))
