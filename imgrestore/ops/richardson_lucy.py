"""Richardson-Lucy: the most likely scene behind a blurred picture of counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops import _richardson_lucy_device
from imgrestore.ops._richardson_lucy_native import run
from imgrestore.ops._richardson_lucy_start import inverse_share, mean_light, window_lines, window_weight
from imgrestore.ops._richardson_lucy_twin import Momentum, curvature
from imgrestore.ops._shapes import broadcasts_to
from imgrestore.ops.blur_operator import BlurOperator

if TYPE_CHECKING:
    from imgrestore.ops._richardson_lucy_course import Course

STEEPEST = 0.9


def richardson_lucy(
    observed: Tensor,
    blur: BlurOperator,
    num_iter: int,
    *,
    accelerate: bool = True,
    background: Tensor | float = 0.0,
    tv_weight: float = 0.0,
    sigma: Tensor | None = None,
    valid: Tensor | None = None,
    saturated: Tensor | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Tensor, int]:
    """Run Richardson-Lucy's iteration: ``x <- x / H^T 1 * H^T (y / (H x + background))``.

    The search begins at the mean light of each plane. float32 planes run in the native library, on the CPU and on CUDA
    devices (there in domains of at most 7680 pixels an axis, or of any size with a small PSF), fused with the blur's
    Fourier transforms; all else, and whatever needs gradients, in `richardson_lucy_reference`.

    Parameters
    ----------
    observed : Tensor, shape (N, C, [D,] H, W)
        Counts or light, 2-D or 3-D. Values below 0 are taken for 0.
    blur : BlurOperator
        The blur and its boundary; of `observed`'s dtype and device.
    num_iter : int
        Number of steps, 0 or more.
    accelerate : bool
        Biggs & Andrews's extrapolation of first order.
    background : float or Tensor that broadcasts over (N, C, 1, ...)
        Light that was added after the blur, in the units of `observed`; not part of the result.
    tv_weight : float
        Dey's weight of total variation, from 0 (none) to below 1.
    sigma : Tensor that broadcasts over (N, C, 1, ...), optional
        Planes whose residual, under a Hann window, has come down to this standard deviation are left as they are.
    valid, saturated : Tensor of bool, shape of `observed`, optional
        Pixels to fit, and pixels whose value is only a lower bound.
    progress : callable, optional
        Called now and then with the part that is done, from 0 to 1.

    Returns
    -------
    scene : Tensor, shape (N, C) and `blur.scene_shape`
    done : int
        The number of steps that were run.

    Raises
    ------
    ValueError
        When `observed` has not the blur's frame, or another argument is not as described.

    References
    ----------
    Richardson, "Bayesian-based iterative method of image restoration" (1972); Lucy, "An iterative technique for the
    rectification of observed distributions" (1974); Biggs & Andrews, "Acceleration of iterative image restoration
    algorithms" (1997); Dey et al., "Richardson-Lucy algorithm with total variation regularization for 3D confocal
    microscope deconvolution" (2006).

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import BlurOperator, richardson_lucy
    >>> from imgrestore.psf import Psf
    >>> picture = torch.ones(1, 1, 16, 16)
    >>> scene, done = richardson_lucy(picture, BlurOperator(Psf.gaussian(1), (16, 16), "zero", picture), 5)
    >>> scene.shape, done
    (torch.Size([1, 1, 16, 16]), 5)
    """
    if tuple(observed.shape[2:]) != blur.frame:
        raise ValueError(f"observed: got shape {tuple(observed.shape)}, expected (N, C) and the frame {blur.frame}")
    if not observed.is_floating_point():
        raise TypeError(f"observed: got dtype {observed.dtype}, expected floating point")
    if not isinstance(num_iter, int) or num_iter < 0:
        raise ValueError(f"num_iter: got {num_iter!r}, expected a whole number, 0 or more")
    if not 0 <= tv_weight < 1:
        raise ValueError(f"tv_weight: got {tv_weight!r}, expected 0 or more, and below 1")
    levels = observed.shape[:2] + (1,) * (observed.ndim - 2)
    for name, value in (("background", background), ("sigma", sigma)):
        if isinstance(value, Tensor) and not broadcasts_to(value.shape, levels):
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, expected it to broadcast over {tuple(levels)}")
    options: dict[str, Any] = {
        "accelerate": accelerate,
        "background": background,
        "tv_weight": tv_weight,
        "sigma": sigma,
        "valid": valid,
        "saturated": saturated,
        "progress": progress,
    }
    tensors = [t for t in (observed, blur.kernel, background, sigma) if isinstance(t, Tensor)]
    grad = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    # A kernel that lies elsewhere is for torch to complain of.
    alike = blur.kernel.device == observed.device and blur.kernel.dtype == observed.dtype == torch.float32
    plain = alike and observed.numel() and not grad and blur.kernel.ndim == blur.space
    if plain and _native.on_cuda(observed):
        if _richardson_lucy_device.covers(observed, blur) and _native.takes(*tensors):
            native = _native.op("richardson_lucy_device", _register_device)
            if native is not None:
                return _richardson_lucy_device.run(native, observed, blur, num_iter, **options)
    elif plain and _native.takes(*tensors):
        found = native_run(observed, blur, num_iter, **options)
        if found is not None:
            return found
    return richardson_lucy_reference(observed, blur, num_iter, **options)


def native_run(observed: Tensor, blur: BlurOperator, num_iter: int, **options: Any) -> tuple[Tensor, int] | None:
    """What the native library makes of float32 planes on the CPU, or None where there is none."""
    native = _native.op("richardson_lucy_run", _register)
    return None if native is None else run(native, observed, blur, num_iter, **options)


def richardson_lucy_reference(
    observed: Tensor,
    blur: BlurOperator,
    num_iter: int,
    *,
    accelerate: bool = True,
    background: Tensor | float = 0.0,
    tv_weight: float = 0.0,
    sigma: Tensor | None = None,
    valid: Tensor | None = None,
    saturated: Tensor | None = None,
    progress: Callable[[float], None] | None = None,
    course: Course | None = None,
    told: list[float] | None = None,
) -> tuple[Tensor, int]:
    """Compute `richardson_lucy` in plain torch, on any device, with gradients: the twin that the kernel is held to.

    Parameters
    ----------
    observed, blur, num_iter, accelerate, background, tv_weight, sigma, valid, saturated, progress
        As in `richardson_lucy`.
    course : Course, optional
        What is done as on another plane, of a single one; see `imgrestore.ops._richardson_lucy_course`.
    told : list, optional
        Gets what makes the course of a single plane: where it begins, the least expectation, and each step's factor.

    Returns
    -------
    scene, done
        As in `richardson_lucy`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import BlurOperator, richardson_lucy_reference
    >>> from imgrestore.psf import Psf
    >>> picture = torch.ones(1, 1, 9, 9, dtype=torch.float64)
    >>> blur = BlurOperator(Psf.gaussian(1), (9, 9), "periodic", picture)
    >>> bool(richardson_lucy_reference(picture, blur, 3)[0].allclose(picture))
    True
    """
    if not observed.numel():
        return observed.new_empty((*observed.shape[:2], *blur.scene_shape)), 0
    observed = observed.clamp_min(0) if valid is None else torch.where(valid, observed.clamp_min(0), 0.0)
    known = None if valid is None else valid.to(observed.dtype)
    space = tuple(range(2, observed.ndim))
    count = float(observed[0, 0].numel()) if known is None else known.sum(dim=space, keepdim=True)
    largest, total = observed.amax(dim=space, keepdim=True), observed.sum(dim=space, keepdim=True)
    light, tiny = mean_light(largest, total, count, background)
    if course is not None:
        light, tiny = torch.full_like(light, course.light), torch.full_like(tiny, course.tiny)
    if told is not None:
        told += [float(light), float(tiny)]
    inverse = inverse_share(observed, blur, known)
    active = observed.new_ones(observed.shape[:2] + (1,) * len(space))
    windows = window_lines(blur, observed)
    window = torch.ones_like(observed[0, 0])
    for line in windows:
        window = window * line
    weight = window_weight(window, known, space)

    def ratio(scene: Tensor) -> tuple[Tensor, Tensor]:
        expected = blur.apply(scene) + background
        quotient = observed / torch.maximum(expected, tiny)
        if saturated is not None:
            quotient = torch.where(saturated, quotient.clamp_min(1), quotient)
        return (quotient if known is None else quotient * known), expected

    scene = light.expand(*observed.shape[:2], *blur.scene_shape)
    momentum = Momentum(None if course is None else course.factors, told) if accelerate else None
    done = 0
    for done in range(1, num_iter + 1):
        start = scene if momentum is None else momentum.ahead(scene)
        quotient, expected = ratio(start)
        if sigma is not None:
            residual = (observed - expected) if known is None else (observed - expected) * known
            if saturated is not None:
                residual = torch.where(saturated, residual.clamp_min(0), residual)
            level = ((residual.detach().square() * window).sum(dim=space, keepdim=True) / weight).sqrt()
            # The first estimate is flat; it has no residual to speak of on a flat picture.
            active = active * (level > sigma) if done > 1 else active
            if not bool(active.any()):
                done -= 1
                scene = start
                break
        new = start * blur.adjoint(quotient)
        if tv_weight:
            new = new / (1 - tv_weight * curvature(start, tv_weight, light)).clamp_min(1 - STEEPEST)
        if inverse is not None:
            new = torch.where(inverse > 0, (new * inverse).clamp_min(0), start)
        else:
            new = new.clamp_min(0)
        if sigma is not None:
            new = torch.where(active > 0, new, start)
        if momentum is not None:
            momentum.learn(scene, start, new)
        scene = new
        if progress is not None:
            progress(done / num_iter)
    if course is not None and course.held and momentum is not None:
        scene = momentum.ahead(scene)
    return scene, done


def _register() -> None:
    def run(observed: Tensor, *rest: Any) -> int:
        return 0

    torch.library.register_fake("imgrestore::richardson_lucy_run", run)


def _register_device() -> None:
    def run(observed: Tensor, *rest: Any) -> None:
        return None

    torch.library.register_fake("imgrestore::richardson_lucy_device", run)
