"""Richardson-Lucy: the most likely scene behind a blurred picture of counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._richardson_lucy_twin import TINY, Momentum, curvature
from imgrestore.ops.blur_operator import BlurOperator

# Where the frame sees less than this part of a scene's pixel, nothing can be said of it (Bertero & Boccacci 2005).
LEAST_SEEN = 1e-2
ROUNDING = 8
STEEPEST = 0.9

# The native op is called for about this long at a time, so that an interrupt is answered and progress is told.
SECONDS = 0.1
OUTSIDE = {"unknown": 0, "zero": 0, "reflect": 1, "periodic": 2}


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

    The search begins at the mean light of each plane. float32 planes on the CPU run in the native library, fused with
    the blur's Fourier transforms; all else, and whatever needs gradients, in `richardson_lucy_reference`.

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
        if isinstance(value, Tensor) and torch.broadcast_shapes(value.shape, levels) != levels:
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
    plain = observed.dtype == torch.float32 and observed.device.type == "cpu" and observed.numel() and not grad
    if plain and blur.kernel.ndim == blur.space and _native.takes(*tensors):
        native = _native.op("richardson_lucy_run", _register)
        if native is not None:
            return _run(native, observed, blur, num_iter, **options)
    return richardson_lucy_reference(observed, blur, num_iter, **options)


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
) -> tuple[Tensor, int]:
    """Compute `richardson_lucy` in plain torch, on any device, with gradients: the twin that the kernel is held to.

    Parameters
    ----------
    observed, blur, num_iter, accelerate, background, tv_weight, sigma, valid, saturated, progress
        As in `richardson_lucy`.

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
    observed = observed.clamp_min(0)
    start_of = _begin(observed, blur, background, valid)
    known = None if valid is None else valid.to(observed.dtype)
    space = tuple(range(2, observed.ndim))
    active = observed.new_ones(observed.shape[:2] + (1,) * len(space))
    windows = _windows(blur, observed)
    window = torch.ones_like(observed[0, 0])
    for line in windows:
        window = window * line
    weight = _window_weight(window, known, space)
    inverse = start_of.inverse_share

    def ratio(scene: Tensor) -> tuple[Tensor, Tensor]:
        expected = blur.apply(scene) + background
        quotient = observed / torch.maximum(expected, start_of.tiny)
        if saturated is not None:
            quotient = torch.where(saturated, quotient.clamp_min(1), quotient)
        return (quotient if known is None else quotient * known), expected

    scene = start_of.light.expand(*observed.shape[:2], *blur.scene_shape)
    momentum = Momentum() if accelerate else None
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
            new = new / (1 - tv_weight * curvature(start, tv_weight, start_of.light)).clamp_min(1 - STEEPEST)
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
    return scene, done


@dataclass(frozen=True)
class _Start:
    """Where the search begins: the mean light, what keeps its quotients finite, and 1 / the light seen of each place.

    `inverse_share` is 0 where next to nothing is seen, and None where everything is.
    """

    light: Tensor
    tiny: Tensor
    inverse_share: Tensor | None


def _begin(
    observed: Tensor, blur: BlurOperator, background: Tensor | float, valid: Tensor | None, share: Tensor | None = None
) -> _Start:
    space = tuple(range(2, observed.ndim))
    known = None if valid is None else valid.to(observed.dtype)
    # The mean light: a fixed number would be dark for counts and bright for radiances.
    count = known.sum(dim=space, keepdim=True) if known is not None else float(observed[0, 0].numel())
    light = observed if known is None else observed * known
    # An expectation below this is rounding of the transforms, whose sign and size mean nothing.
    precision = torch.finfo(light.dtype)
    tiny = (ROUNDING * precision.eps * light.detach().amax(dim=space, keepdim=True)).clamp_min(precision.tiny)
    light = (light.sum(dim=space, keepdim=True) / count).nan_to_num(0.0)
    light = torch.maximum(light - background, LEAST_SEEN * light)
    # A dark outside is known, not unseen, so that no light is missing there.
    if known is None and blur.boundary in ("zero", "periodic"):
        return _Start(light, tiny, None)
    if share is None and known is not None and blur.boundary == "zero":
        share = 1 - blur.adjoint(1 - known)
    elif share is None:
        share = blur.adjoint(torch.ones_like(observed[:1, :1]) if known is None else known)
    reached = share > LEAST_SEEN * share.amax(dim=space, keepdim=True)
    return _Start(light, tiny, torch.where(reached, 1 / share.clamp_min(LEAST_SEEN), 0.0))


def _windows(blur: BlurOperator, like: Tensor) -> list[Tensor]:
    """The weight of residuals along each axis, shaped to broadcast: Hann's window squared."""
    lines = []
    for axis, size in enumerate(blur.frame):
        shape = [1] * blur.space
        shape[axis] = size
        line = torch.hann_window(size + 2, periodic=False, dtype=like.dtype, device=like.device)[1:-1]
        lines.append(line.square().reshape(shape))
    return lines


def _window_weight(window: Tensor, known: Tensor | None, space: tuple[int, ...]) -> Tensor:
    weight = window.sum() if known is None else (window * known).sum(dim=space, keepdim=True)
    return weight.clamp_min(torch.finfo(weight.dtype).tiny)


# ---- the native op: tensors made ready for it, and the calls


def _run(
    native: Any,
    observed: Tensor,
    blur: BlurOperator,
    num_iter: int,
    *,
    accelerate: bool,
    background: Tensor | float,
    tv_weight: float,
    sigma: Tensor | None,
    valid: Tensor | None,
    saturated: Tensor | None,
    progress: Callable[[float], None] | None,
) -> tuple[Tensor, int]:
    observed = observed.detach()
    planes, pictures = observed.shape[:2], observed.shape[0] * observed.shape[1]
    light = observed if bool(observed.amin() >= 0) else observed.clamp_min(0)
    begin = _begin(light, blur, background, valid, _narrow_share(blur, observed) if valid is None else None)
    frame, scene_shape, size = (_deep(s) for s in (blur.frame, blur.scene_shape, blur.kernel.shape))
    kernel = blur.kernel.detach().reshape(size)
    before = [k - 1 - c for k, c in zip(size, (0,) * (3 - blur.space) + tuple(blur.centre), strict=True)]
    light = begin.light.reshape(pictures)
    empty = torch.ops.imgrestore.large_empty
    scene = empty([pictures, *scene_shape]).copy_(light.reshape(-1, 1, 1, 1))
    previous = empty(list(scene.shape)).copy_(scene) if accelerate else None
    change = empty(list(scene.shape)).zero_() if accelerate else None
    ratio = empty([pictures, *frame])
    outside, unknown = OUTSIDE[blur.boundary], blur.boundary == "unknown"
    spread = None
    if blur.boundary == "reflect":
        spread = empty([pictures, *(n + k - 1 for n, k in zip(frame, size, strict=True))])
    share = begin.inverse_share
    if share is not None:
        if share.shape[:2].numel() > 1:
            share = share.expand(*planes, *share.shape[2:])
        share = share.reshape(-1, *_deep(share.shape[2:])).contiguous()

    window = weight = None
    if sigma is not None:
        lines = _windows(blur, observed)
        window = torch.cat([observed.new_ones(3 - blur.space), *(line.flatten() for line in lines)])
        whole = lines[0] * lines[1] if blur.space == 2 else lines[0] * lines[1] * lines[2]
        known = None if valid is None else valid.to(observed.dtype)
        weight = _window_weight(whole, known, tuple(range(2, observed.ndim)))
    state = observed.new_zeros((pictures, 6), dtype=torch.float64)
    for column, value in ((1, background), (2, begin.tiny), (3, begin.light.clamp_min(TINY)), (4, sigma)):
        if value is not None:
            state[:, column] = _each(value, observed)
    if weight is not None:
        state[:, 4] *= _each(weight, observed).sqrt()
    state[:, 5] = 1

    units = torch.ops.imgrestore.richardson_lucy_units(
        [pictures, *frame], list(size), outside, unknown, tv_weight > 0
    )
    sums = observed.new_empty(4 * units, dtype=torch.float64)
    tensors = (
        observed.reshape(pictures, *frame).contiguous(),
        _status(valid, saturated, observed, frame),
        scene,
        previous,
        change,
        ratio,
        empty(list(scene.shape)) if tv_weight else None,
        spread,
        share,
        window,
        kernel,
        state,
        sums,
    )
    total, position, done = units * num_iter, 0, 0
    step = max(1, min(units, units * 4_000_000 // scene.numel()))
    while position < total:
        end, started = min(position + step, total), time.perf_counter()
        done = native(*tensors, before, outside, unknown, float(tv_weight), position, end)
        position = end
        step = max(1, min(2 * step, int(step * SECONDS / max(time.perf_counter() - started, 1e-6))))
        if progress is not None:
            progress(position / total)
        if sigma is not None and not bool(state[:, 5].any()):
            break
    newest = previous if previous is not None and done % 2 else scene
    return newest.reshape(*planes, *blur.scene_shape), done


def _narrow_share(blur: BlurOperator, like: Tensor) -> Tensor | None:
    """The part of each place's light that the frame sees, with the rows away from the rim, all alike, kept once."""
    if blur.boundary != "unknown":
        return None
    support = blur.kernel.shape
    frame = tuple(min(n, k) for n, k in zip(blur.frame[:-1], support[:-1], strict=True)) + blur.frame[-1:]
    small = BlurOperator(blur.psf, frame, "unknown", like)
    return small.adjoint(like.new_ones((1, 1, *frame)))


def _deep(size: Any) -> tuple[int, ...]:
    return (1,) * (3 - len(size)) + tuple(size)


def _each(value: Any, observed: Tensor) -> Tensor:
    """A number for each plane, in float64."""
    shape = observed.shape[:2] + (1,) * (observed.ndim - 2)
    return torch.as_tensor(value, dtype=torch.float64, device=observed.device).detach().expand(shape).reshape(-1)


def _status(
    valid: Tensor | None, saturated: Tensor | None, observed: Tensor, frame: tuple[int, ...]
) -> Tensor | None:
    """0 for pixels to leave out, 1 for those to fit, 2 for lower bounds."""
    if valid is None and saturated is None:
        return None
    status = torch.ones_like(observed) if valid is None else valid.expand(observed.shape).to(observed.dtype)
    if saturated is not None:
        status = torch.where(saturated & (status > 0), 2.0, status)
    return status.reshape(-1, *frame).contiguous()


def _register() -> None:
    def run(observed: Tensor, *rest: Any) -> int:
        return 0

    torch.library.register_fake("imgrestore::richardson_lucy_run", run)
