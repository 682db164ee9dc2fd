"""Richardson-Lucy in the native library: tensors made ready for the op, and the calls of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from imgrestore.ops._richardson_lucy_start import deep, inverse_share, joined_windows, mean_light, status_of
from imgrestore.ops._richardson_lucy_twin import TINY
from imgrestore.ops.blur_operator import BlurOperator

if TYPE_CHECKING:
    from imgrestore.ops._richardson_lucy_course import Course

# The op is called for about this long at a time, so that an interrupt is answered and progress is told.
SECONDS = 0.1
FIRST_PIXELS = 4_000_000
OUTSIDE = {"unknown": 0, "zero": 0, "reflect": 1, "periodic": 2}


def run(
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
    course: Course | None = None,
    told: list[float] | None = None,
) -> tuple[Tensor, int]:
    """The scene and the number of steps, as `imgrestore.ops.richardson_lucy` has them.

    `course` and `told` are those of `imgrestore.ops.richardson_lucy_reference`.
    """
    observed = observed.detach()
    pictures = observed.shape[0] * observed.shape[1]
    frame, scene_shape, size = (deep(s) for s in (blur.frame, blur.scene_shape, blur.kernel.shape))
    known = None if valid is None else valid.to(observed.dtype)
    strips, status = _to_strips(observed), status_of(known, saturated, observed)
    status = None if status is None else _to_strips(status)
    light, tiny = _start(strips, status, background, observed)
    if course is not None:
        light, tiny = torch.full_like(light, course.light), torch.full_like(tiny, course.tiny)
    if told is not None:
        told += [float(light), float(tiny)]
    empty, lanes = torch.ops.imgrestore.large_empty, strips.shape[-1]
    depth, height, width = scene_shape
    scene_strips = [pictures, depth, -(-width // lanes), height, lanes]
    scene = empty(scene_strips).copy_(light.reshape(-1, 1, 1, 1, 1))
    previous = empty(scene_strips).copy_(scene) if accelerate else None
    change = empty(scene_strips).zero_() if accelerate else None
    ratio = empty(list(strips.shape))
    damped = empty(scene_strips) if tv_weight else None
    spread = None
    if blur.boundary == "reflect":
        spread = empty([pictures, *(n + k - 1 for n, k in zip(frame, size, strict=True))])
    window, weight = joined_windows(blur, observed, known) if sigma is not None else (None, None)
    state = _state(observed, background, tiny, light, sigma, weight)
    kernel = blur.kernel.detach().reshape(size)
    before = [k - 1 - c for k, c in zip(size, (0,) * (3 - blur.space) + tuple(blur.centre), strict=True)]
    shape, outside, unknown = [pictures, *frame], OUTSIDE[blur.boundary], blur.boundary == "unknown"
    units = torch.ops.imgrestore.richardson_lucy_units(shape, list(size), before, outside, unknown, tv_weight > 0)
    sums = observed.new_empty(4 * units, dtype=torch.float64)
    share = _share(blur, observed, known)
    tensors = (strips, status, scene, previous, change, ratio, damped, spread, share, window, kernel, state, sums)
    total, position, done = units * num_iter, 0, 0
    stepwise = course is not None or told is not None
    step = units if stepwise else max(1, min(units, units * FIRST_PIXELS // scene.numel()))
    while position < total:
        end, started = min(position + step, total), time.perf_counter()
        done = native(*tensors, shape, before, outside, unknown, float(tv_weight), position, end)
        position = end
        if not stepwise:
            step = max(1, min(2 * step, int(step * SECONDS / max(time.perf_counter() - started, 1e-6))))
        if told is not None:
            told.append(float(state[0, 0]))
        if course is not None:
            state[:, 0] = course.factors[position // units - 1]
        if progress is not None:
            progress(position / total)
        if sigma is not None and not bool(state[:, 5].any()):
            break
    newest = previous if previous is not None and done % 2 else scene
    if course is not None and course.held and previous is not None and done:
        other = scene if done % 2 else previous
        newest = (newest + (newest - other) * course.factors[-1]).clamp_min_(0)
    del tensors, strips, ratio, change, damped, spread  # before the result takes memory of its own
    result = torch.ops.imgrestore.from_strips(newest, width)
    return result.reshape(*observed.shape[:2], *blur.scene_shape), done


def _to_strips(planes: Tensor) -> Tensor:
    strips: Tensor = torch.ops.imgrestore.to_strips(planes if planes.ndim == 5 else planes.unsqueeze(2))
    return strips


def _start(
    strips: Tensor, status: Tensor | None, background: Tensor | float, observed: Tensor
) -> tuple[Tensor, Tensor]:
    lights = torch.ops.imgrestore.light_of_strips(strips, status, observed.shape[-1]).to(observed.dtype)
    levels = observed.shape[:2] + (1,) * (observed.ndim - 2)
    largest, total, count = (lights[:, i].reshape(levels) for i in range(3))
    return mean_light(largest, total, count, background)


def _share(blur: BlurOperator, observed: Tensor, known: Tensor | None) -> Tensor | None:
    narrow = None
    if known is None and blur.boundary == "unknown":
        # Away from the rim the rows are all alike, and are kept once.
        support = blur.kernel.shape
        frame = tuple(min(n, k) for n, k in zip(blur.frame[:-1], support[:-1], strict=True)) + blur.frame[-1:]
        small = BlurOperator(blur.psf, frame, "unknown", observed)
        narrow = small.adjoint(observed.new_ones((1, 1, *frame)))
    share = inverse_share(observed, blur, known, narrow)
    if share is None:
        return None
    if share.shape[:2].numel() > 1:
        share = share.expand(*observed.shape[:2], *share.shape[2:])
    return share.reshape(-1, *deep(share.shape[2:])).contiguous()


def _state(
    observed: Tensor,
    background: Tensor | float,
    tiny: Tensor,
    light: Tensor,
    sigma: Tensor | None,
    weight: Tensor | None,
) -> Tensor:
    """A row for each picture: momentum, background, tiny, light, the residual's bound, and 1 while it is worked on."""
    levels = observed.shape[:2] + (1,) * (observed.ndim - 2)

    def each(value: Any) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64, device=observed.device).detach().expand(levels).reshape(-1)

    bound = each(0.0) if sigma is None or weight is None else each(sigma) * each(weight).sqrt()
    columns = (each(0.0), each(background), each(tiny), each(light.clamp_min(TINY)), bound, each(1.0))
    return torch.stack(columns, dim=1).contiguous()
