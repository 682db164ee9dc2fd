"""The blur as a linear operator, with the scene beyond the frame treated as one says."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any, Literal, get_args

import torch

from imgrestore.ops.fft_filter import fft_filter
from imgrestore.psf import Psf

__all__ = ["BlurOperator", "Boundary", "as_psf", "fast_size"]

Boundary = Literal["unknown", "zero", "reflect", "periodic"]


def as_psf(psf: Any) -> Psf:
    """A `Psf` from a Psf, an array, a tensor, or words such as ``"gaussian:2"``."""
    if isinstance(psf, Psf):
        return psf
    return Psf.parse(os.fspath(psf)) if isinstance(psf, (str, os.PathLike)) else Psf(psf)


def fast_size(size: int) -> int:
    """The smallest even 2^a 3^b 5^c that is at least `size`: what the FFT is fast at."""
    size += size % 2
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2


class BlurOperator:
    """Convolution with a PSF, observed inside a frame, and its adjoint.

    The scene lives on a periodic domain that is larger than the frame by the PSF's support, so that no wrap-around
    reaches the frame. What lies outside the frame is

    - "unknown": free, to be estimated with the rest (the scene is all that the frame sees: `reach`),
    - "zero": dark,
    - "reflect": the mirrored frame, its edge pixels repeated, as in `scipy.ndimage`,
    - "periodic": the opposite side of the frame.

    Parameters
    ----------
    psf : Psf, or torch.Tensor of shape (kh, kw) or (N, kh, kw) or with a third axis of depth
        A tensor keeps its gradient; its centre is ``size // 2``, and it must sum to 1.
    frame : tuple of int
        Size of the picture on each axis of space.
    boundary : {"unknown", "zero", "reflect", "periodic"}
    like : torch.Tensor
        Gives dtype and device.

    Attributes
    ----------
    domain : tuple of int
        Size of the periodic domain.
    psf, kernel : Psf or torch.Tensor, and torch.Tensor
        The PSF as given, and its values.
    centre : tuple of int
        The place in it that stands for no shift.
    reach : tuple of int
        Size of what the frame sees, from `before` the frame on.
    """

    def __init__(
        self, psf: Psf | torch.Tensor, frame: tuple[int, ...], boundary: Boundary, like: torch.Tensor
    ) -> None:
        if boundary not in get_args(Boundary):
            raise ValueError(f"boundary is {boundary!r}; expected one of {', '.join(get_args(Boundary))}")
        space = len(frame)
        if isinstance(psf, Psf):
            values = torch.tensor(psf.array, dtype=like.dtype, device=like.device)
            centre = psf.centre
        else:
            values = psf.to(like)
            centre = tuple(size // 2 for size in psf.shape[-space:])
        support = tuple(values.shape[-space:])
        if any(k > n for k, n in zip(support, frame, strict=True)):
            raise ValueError(f"psf is larger than the picture: {support} against {frame} pixels")
        self.frame, self.boundary, self.space = frame, boundary, space
        self.psf, self.kernel, self.centre = psf, values, centre
        # y[i] needs x[i + centre - j] for every j of the support: this many pixels before and after the frame.
        self.before = tuple(k - 1 - c for k, c in zip(support, centre, strict=True))
        if boundary == "periodic":
            self.before, self.domain, self.reach = (0,) * space, frame, frame
        else:
            self.reach = tuple(n + k - 1 for n, k in zip(frame, support, strict=True))
            self.domain = tuple(map(fast_size, self.reach))
        self.window = tuple(slice(b, b + n) for b, n in zip(self.before, frame, strict=True))
        after = (0,) * space if boundary == "periodic" else centre
        self._mirror = [
            _mirror_index(n, b, a, d, like.device)
            for n, b, a, d in zip(frame, self.before, after, self.domain, strict=True)
        ]

    @cached_property
    def otf(self) -> torch.Tensor:
        """The PSF's half spectrum on the domain; broadcasts over (N, C, *space)."""
        return _otf(self.kernel, self.centre, self.domain)

    @cached_property
    def otf_adjoint(self) -> torch.Tensor:
        """The conjugate of `otf`."""
        return self.otf.conj().resolve_conj()

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of space, counted from the end."""
        return tuple(range(-self.space, 0))

    def crop(self, scene: torch.Tensor) -> torch.Tensor:
        """The frame's part of a domain."""
        index: tuple[Any, ...] = (..., *self.window)
        return scene[index]

    def framed(self, scene: torch.Tensor) -> torch.Tensor:
        """The frame's part of a scene or a domain."""
        return scene if tuple(scene.shape[-self.space :]) == self.frame else self.crop(scene)

    def pad(self, picture: torch.Tensor) -> torch.Tensor:
        """The frame inside a dark domain: adjoint of `crop`."""
        sides: list[int] = []
        for b, n, d in zip(self.before[::-1], self.frame[::-1], self.domain[::-1], strict=True):
            sides += [b, d - b - n]
        return torch.nn.functional.pad(picture, sides)

    def extend(self, picture: torch.Tensor) -> torch.Tensor:
        """Continue a picture over the domain by mirroring: where a search for the scene may begin."""
        for axis, index in zip(self.axes, self._mirror, strict=True):
            picture = picture.index_select(axis, index)
        return picture

    def fold(self, scene: torch.Tensor) -> torch.Tensor:
        """Adjoint of `extend`."""
        for axis, index, n in zip(self.axes, self._mirror, self.frame, strict=True):
            shape = list(scene.shape)
            shape[axis] = n
            scene = scene.new_zeros(shape).index_add(axis, index, scene)
        return scene

    def forward_fft(self, domain: torch.Tensor) -> torch.Tensor:
        """Half spectrum of a domain."""
        return torch.fft.rfftn(domain, dim=self.axes)

    def inverse_fft(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Domain of a half spectrum."""
        return torch.fft.irfftn(spectrum, s=self.domain, dim=self.axes)

    def gradient_power(self, like: torch.Tensor) -> torch.Tensor:
        """Squared response of the gradient (forward differences on every axis) on the half spectrum."""
        total = like.new_zeros(())
        for axis, size in enumerate(self.domain):
            count = size // 2 + 1 if axis == self.space - 1 else size
            angle = torch.arange(count, dtype=like.dtype, device=like.device) * (torch.pi / size)
            shape = [1] * self.space
            shape[axis] = count
            total = total + (2 * torch.sin(angle)).square().reshape(shape)
        return total

    def spread(self, scene: torch.Tensor) -> torch.Tensor:
        """Blur a domain, periodically."""
        return fft_filter(scene, self.otf, ndim=self.space)

    def spread_adjoint(self, scene: torch.Tensor) -> torch.Tensor:
        """Adjoint of `spread`."""
        return fft_filter(scene, self.otf_adjoint, ndim=self.space)

    def apply(self, scene: torch.Tensor) -> torch.Tensor:
        """Scene to observed frame.

        Parameters
        ----------
        scene : torch.Tensor, shape (N, C, *scene_shape)

        Returns
        -------
        torch.Tensor, shape (N, C, *frame)
        """
        return self.crop(self.spread(self.to_domain(scene)))

    def adjoint(self, picture: torch.Tensor) -> torch.Tensor:
        """Observed frame to scene: the transpose of `apply`."""
        return self.from_domain(self.spread_adjoint(self.pad(picture)))

    def observe(self, scene: torch.Tensor) -> torch.Tensor:
        """What the frame shows of a scene or of a domain."""
        if tuple(scene.shape[-self.space :]) == self.domain:
            return self.crop(self.spread(scene))
        return self.apply(scene)

    @property
    def scene_shape(self) -> tuple[int, ...]:
        """All that the frame sees where the outside is unknown, else the frame."""
        return self.reach if self.boundary == "unknown" else self.frame

    def to_domain(self, scene: torch.Tensor) -> torch.Tensor:
        """Scene to domain."""
        if self.boundary == "zero":
            return self.pad(scene)
        if self.boundary == "unknown":
            sides: list[int] = []
            for n, d in zip(self.reach[::-1], self.domain[::-1], strict=True):
                sides += [0, d - n]
            return torch.nn.functional.pad(scene, sides)
        return self.extend(scene) if self.boundary == "reflect" else scene

    def from_domain(self, domain: torch.Tensor) -> torch.Tensor:
        """Adjoint of `to_domain`."""
        if self.boundary == "zero":
            return self.crop(domain)
        if self.boundary == "unknown":
            seen: tuple[Any, ...] = (..., *(slice(n) for n in self.reach))
            return domain[seen]
        return self.fold(domain) if self.boundary == "reflect" else domain

    def project(self, domain: torch.Tensor) -> torch.Tensor:
        """The nearest domain that keeps the boundary's promise: dark outside, or mirrored."""
        if self.boundary == "zero":
            return self.pad(self.crop(domain))
        if self.boundary == "reflect":
            count = self.fold(torch.ones_like(domain[:1, :1]))
            return self.extend(self.fold(domain) / count)
        return domain


def _otf(values: torch.Tensor, centre: tuple[int, ...], domain: tuple[int, ...]) -> torch.Tensor:
    """Half spectrum with the centre at the origin: (*half) or (N, 1, *half)."""
    space = len(domain)
    sides: list[int] = []
    for k, d in zip(values.shape[-space:][::-1], domain[::-1], strict=True):
        sides += [0, d - k]
    axes = tuple(range(-space, 0))
    moved = torch.roll(torch.nn.functional.pad(values, sides), [-c for c in centre], axes)
    otf = torch.fft.rfftn(moved, dim=axes)
    return otf if otf.ndim == space else otf.unsqueeze(1)


def _mirror_index(n: int, before: int, needed: int, domain: int, device: torch.device) -> torch.Tensor:
    """For each place of the domain the place of the frame that it mirrors.

    Of the places after the frame the first `needed` mirror its end. The domain is periodic, so the rest is split
    between the frame's end and its start, and no jump arises.
    """
    position = torch.arange(domain, device=device) - before
    spare = domain - before - n - needed
    position = torch.where(position >= n + needed + spare // 2, position - domain, position)
    folded = torch.remainder(position, 2 * n)
    return torch.where(folded < n, folded, 2 * n - 1 - folded)
