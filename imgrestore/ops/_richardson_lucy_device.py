"""Richardson-Lucy on a CUDA device: tensors made ready for the op, and the calls of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imgrestore.ops._fft_device import covered
from imgrestore.ops._richardson_lucy_start import deep, inverse_share, joined_windows, mean_light, status_of
from imgrestore.ops.blur_operator import BlurOperator

# How many calls of the op there are where progress is to be told: after each the device is waited for.
CALLS = 20


def covers(observed: Tensor, blur: BlurOperator) -> bool:
    """Whether the kernels take pictures and a domain of these sizes: whole, or, with a small PSF, in tiles."""
    return covered(math.prod(observed.shape[:2]), blur.domain) or _in_tiles(blur)


def _in_tiles(blur: BlurOperator) -> bool:
    """Whether a flat PSF leaves half of a tile of 64 x 64 or of 64 x 128 points."""
    if blur.space != 2 or blur.boundary == "reflect":
        return False
    rows, columns = (max(65 - blur.kernel.shape[0], 0), max(129 - blur.kernel.shape[1], 0))
    return 2 * rows * columns >= 64 * 128 or 2 * rows * max(columns - 64, 0) >= 64 * 64


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
) -> tuple[Tensor, int]:
    """The scene and the number of steps, as `imgrestore.ops.richardson_lucy` has them.

    Nothing waits for the device but the number of steps where `sigma` may end the search, and `progress`.
    """
    observed = observed.detach()
    lead = observed.shape[:2]
    pictures, levels = math.prod(lead), lead + (1,) * blur.space
    frame, shape, domain = (deep(s) for s in (blur.frame, blur.scene_shape, blur.domain))
    known = None if valid is None else valid.to(observed.dtype)
    seen = observed.clamp_min(0) if valid is None else torch.where(valid, observed.clamp_min(0), 0.0)
    space = tuple(range(2, observed.ndim))
    count: Any = float(observed[0, 0].numel()) if known is None else known.sum(dim=space, keepdim=True)
    light, tiny = mean_light(seen.amax(dim=space, keepdim=True), seen.sum(dim=space, keepdim=True), count, background)
    window, weight = joined_windows(blur, observed, known) if sigma is not None else (None, 1.0)
    numbers = [background, tiny, light, 0.0 if sigma is None else sigma, weight]
    table = torch.stack([_number(n, observed).expand(levels).flatten() for n in numbers], 1)
    share = inverse_share(observed, blur, known)
    if share is not None:
        share = share.expand(*(lead if share.shape[:2].numel() > 1 else (1, 1)), *share.shape[2:])
        share = share.reshape(-1, *shape).contiguous()
    scene = light.expand(*lead, *blur.scene_shape).reshape(pictures, *shape).contiguous()
    previous = scene.clone() if accelerate else None
    change = torch.zeros_like(scene) if accelerate else None
    state = observed.new_zeros(pictures, 2)
    state[:, 1] = 1
    steps = torch.zeros(1, dtype=torch.int32, device=observed.device)
    centre, before = deep(blur.centre, 0), deep(blur.before, 0)
    kernel = blur.kernel.detach().reshape(deep(blur.kernel.shape)).contiguous()
    origin = before if blur.boundary == "zero" else (0, 0, 0)
    # Half of what the domain has to spare mirrors the frame's end, the rest its beginning.
    wrap = [n + c + (d - b - n - c) // 2 for n, c, d, b in zip(frame, centre, domain, before, strict=True)]
    status = status_of(known, saturated, observed)
    status = None if status is None else status.to(torch.uint8).contiguous()
    tensors = (observed.reshape(pictures, *frame).contiguous(), status, table, share, window, kernel)
    places = (
        list(domain),
        list(centre),
        list(before),
        list(origin),
        wrap,
        blur.boundary == "reflect",
        blur.boundary == "periodic",
        float(tv_weight),
    )
    each = max(1, num_iter if progress is None else -(-num_iter // CALLS))
    made = 0
    while made < num_iter:
        begin, made = made, min(made + each, num_iter)
        native(*tensors, scene, previous, change, state, steps, *places, begin, made)
        if progress is not None:
            working = bool(state[:, 1].any())  # waits for the device
            progress(made / num_iter)
            if not working:
                break
    newest = previous if previous is not None and made % 2 else scene
    return newest.reshape(*lead, *blur.scene_shape), num_iter if sigma is None else int(steps)


def _number(value: Tensor | float, like: Tensor) -> Tensor:
    """On the device, without a copy from the host, which no graph could capture."""
    return value.to(like) if isinstance(value, Tensor) else like.new_full((), value)
