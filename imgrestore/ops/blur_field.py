"""Blur that changes over the picture, as a linear operator: everywhere the mixture of the PSFs of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from imgrestore.ops._blur_field_device import blur_field, covers
from imgrestore.ops.blur_operator import BlurOperator, Boundary, fast_size
from imgrestore.ops.fft_filter import fft_filter
from imgrestore.psf_field import PsfField, share_of_windows

__all__ = ["BlurField"]


class BlurField(BlurOperator):
    """Blur by a field of PSFs, observed inside a frame, and its adjoint.

    The picture is ``y = sum_w m_w * (k_w (x) x)``: every PSF of the grid blurs the scene, and at each pixel the results
    are mixed by bilinear weights that sum to 1 (Nagy & O'Leary 1998). So a pixel sees the scene through the PSF
    `PsfField.at` it. Each PSF is computed on its part of the domain only; what falls outside its weights is never made.
    float32 on CUDA devices is blurred tap by tap where no PSF has more than 31 pixels along an axis and no gradient of
    the PSFs is asked for; everything else goes through the Fourier domain.

    All maps and attributes are those of `BlurOperator`, but `otf` and `otf_adjoint`: no single filter does this.

    Parameters
    ----------
    field : PsfField, or torch.Tensor of shape (rows, columns, kh, kw)
        A tensor keeps its gradient; its centres are ``size // 2``, and each PSF must sum to 1.
    frame : tuple of int
        Height and width of the picture.
    boundary : {"unknown", "zero", "reflect", "periodic"}
        What the scene does beyond the frame. The PSFs are there as at the rim.
    like : torch.Tensor
        Gives dtype and device.

    References
    ----------
    Nagy & O'Leary, "Restoring images degraded by spatially variant blur" (1998).

    Examples
    --------
    >>> import torch
    >>> from imgrestore import PsfField
    >>> from imgrestore.ops import BlurField
    >>> blur = BlurField(PsfField([["disk:1", "disk:3"]]), (40, 60), "reflect", torch.zeros(1))
    >>> blur.apply(torch.ones(1, 1, 40, 60)).shape
    torch.Size([1, 1, 40, 60])
    """

    def __init__(self, field: PsfField | Tensor, frame: tuple[int, ...], boundary: Boundary, like: Tensor) -> None:
        if len(frame) != 2:
            raise ValueError(f"frame is {frame}; expected height and width for a field of PSFs")
        values = torch.tensor(field.array) if isinstance(field, PsfField) else field
        if values.ndim != 4:
            raise ValueError(f"field has shape {tuple(values.shape)}; expected (rows, columns, kh, kw)")
        values = values.to(like)
        super().__init__(values[0, 0], frame, boundary, like)
        self.kernel = values
        self._down, self._right = (
            _axis_windows(count, size, before, length, support, like)
            for count, size, before, length, support in zip(
                values.shape[:2], frame, self.before, self.domain, values.shape[2:], strict=True
            )
        )

    @cached_property
    def otf(self) -> Tensor:
        """Not to be had: raises NotImplementedError."""
        raise NotImplementedError("a field of PSFs has no single transfer function")

    @cached_property
    def _transfers(self) -> Tensor:
        """The half spectra of the PSFs, their first corners at 0: (rows, columns, ...)."""
        return torch.fft.rfft2(self.kernel, s=(self._down.size, self._right.size))

    def spread(self, scene: Tensor) -> Tensor:
        """Blur a domain, periodically."""
        down, right = self._down, self._right
        if covers(scene, self.kernel):
            return blur_field(scene, self.kernel, down.share, right.share, adjoint=False)
        spread = torch.zeros_like(scene)
        for i, rows in enumerate(down.seen):
            parts = scene[..., rows, :][..., right.seen].movedim(-2, -3)
            blurred = fft_filter(parts.contiguous(), self._transfers[i])[..., down.inner, right.inner]
            weighted = (blurred * down.weight[i][:, None] * right.weight[:, None]).movedim(-3, -2)
            strip = scene.new_zeros(*weighted.shape[:-2], scene.shape[-1])
            strip = strip.index_add(-1, right.made.flatten(), weighted.flatten(-2))
            spread = spread.index_add(-2, down.made[i], strip)
        return spread

    def spread_adjoint(self, scene: Tensor) -> Tensor:
        """Adjoint of `spread`."""
        down, right = self._down, self._right
        if covers(scene, self.kernel):
            return blur_field(scene, self.kernel, down.share, right.share, adjoint=True)
        back = torch.zeros_like(scene)
        for i, rows in enumerate(down.seen):
            parts = scene[..., down.made[i], :][..., right.made].movedim(-2, -3)
            weighted = parts * down.weight[i][:, None] * right.weight[:, None]
            sides = [right.before, right.size - right.before - weighted.shape[-1]]
            sides += [down.before, down.size - down.before - weighted.shape[-2]]
            wide = torch.nn.functional.pad(weighted, sides)
            blurred = fft_filter(wide, self._transfers[i].conj().resolve_conj()).movedim(-3, -2)
            strip = scene.new_zeros(*blurred.shape[:-2], scene.shape[-1])
            strip = strip.index_add(-1, right.seen.flatten(), blurred.flatten(-2))
            back = back.index_add(-2, rows, strip)
        return back


@dataclass(frozen=True)
class _Windows:
    """How one axis of the domain is cut into windows that overlap.

    Attributes
    ----------
    made : Tensor, shape (windows, n)
        The places where each window takes part.
    weight : Tensor, shape (windows, n)
        How much.
    share : Tensor, shape (windows, domain)
        How much at every place of the domain.
    seen : Tensor, shape (windows, size)
        The places that it sees through its PSF, and more, up to a size that the FFT is fast at.
    before : int
        Where among these begins what it makes, as the first corner of a PSF stands at 0 of its transform.
    """

    made: Tensor
    weight: Tensor
    share: Tensor
    seen: Tensor
    before: int

    @property
    def size(self) -> int:
        return self.seen.shape[1]

    @property
    def inner(self) -> slice:
        return slice(self.before, self.before + self.made.shape[1])


def _axis_windows(count: int, size: int, before: int, domain: int, support: int, like: Tensor) -> _Windows:
    """Windows of one axis: `size` pixels of the frame, `before` in a periodic domain."""
    places = (torch.arange(domain, dtype=torch.float64) - before + 0.5) / size
    share = torch.from_numpy(share_of_windows(count, places.numpy()))
    first = (share > 0).double().argmax(dim=1)
    length = int((share > 0).sum(dim=1).max())
    made = first[:, None] + torch.arange(length)
    inside = made < domain
    made = made.remainder(domain)
    weight = share.gather(1, made) * inside
    reach = torch.arange(fast_size(length + support - 1))
    # Not `before`, which is 0 where the domain is the frame.
    seen = (first[:, None] - (support - 1 - support // 2) + reach).remainder(domain)
    return _Windows(made.to(like.device), weight.to(like), share.to(like), seen.to(like.device), support - 1)
