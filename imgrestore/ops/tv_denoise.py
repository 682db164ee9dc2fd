"""Total-variation denoising."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from imgrestore import _native

_CHECK = 8  # iterations from one look at the stopping rule to the next, here and in the kernel
_SECONDS = 0.2  # how long the native op may run before Python looks at the keyboard
_QUICK = 1 << 25  # updates of a pixel that take less than that on any processor
_QUICK_ON_CUDA = 1 << 30  # and on any GPU


def tv_denoise(
    image: Tensor,
    weight: float,
    *,
    num_iter: int = 200,
    tol: float = 2e-4,
    channels: bool = False,
    ndim: int = 2,
    accelerate: bool = False,
    progress: Callable[[float], object] | None = None,
) -> Tensor:
    """Denoise by total variation: minimise ``|u - image|^2 / 2 + weight * TV(u)`` over ``u``.

    TV is the isotropic one, the sum of the lengths of the gradients, with forward differences and nothing beyond the
    frame. With ``accelerate=False`` the iterates are those of `skimage.restoration.denoise_tv_chambolle`. Where the
    native library is loaded, float32 pictures on the CPU and on CUDA devices are denoised by it; all else runs on
    `tv_denoise_reference`. On a CUDA device nothing waits for the result, unless `progress` is to be called.

    Parameters
    ----------
    image : Tensor, shape (..., H, W), or (..., D, H, W) with ``ndim=3``; with ``channels``, C comes before H or D
        float32 or float64, any strides, any device, any range. Leading dimensions are a batch, each picture by itself.
    weight : float
        Positive, in the units of the image. The larger, the smoother.
    num_iter : int
        Most iterations. The first is the image itself, as in scikit-image: 1 changes nothing.
    tol : float
        Stop a picture when the energy of scikit-image, ``sum((u - image)^2) + weight * TV(u)``, changes by less than
        this part of its first value from one iteration to the next. Every eighth iteration is judged. 0 makes them all.
    channels : bool
        Whether the channels share their edges: the length of the gradient is taken over all channels together. Else
        each is a picture of its own.
    ndim : {2, 3}
        Pictures or volumes.
    accelerate : bool
        Take the fast gradient projection of Beck and Teboulle in place of Chambolle's iteration. It has the same limit
        and is there sooner: 100 iterations do for 250, 200 for 1000. Set `tol` lower too, or it stops as far off.
    progress : callable, optional
        Called with the fraction done, from 0 to 1, a few times a second; what it raises stops the work.

    Returns
    -------
    Tensor
        Of the image's shape and dtype. Gradients run to `image`, through the iterations as they were made.

    Raises
    ------
    TypeError
        When `image` is not a float32 or float64 tensor, or another argument not of its type.
    ValueError
        When `image` has too few dimensions or another argument is out of its range.

    References
    ----------
    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 60, 1992.
    Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging and Vision 20, 2004.
    Blomgren and Chan, "Color TV: total variation methods for restoration of vector-valued images", IEEE Trans. Image
    Processing 7, 1998; Bresson and Chan, "Fast dual minimization of the vectorial total variation norm", Inverse
    Problems and Imaging 2, 2008.
    Beck and Teboulle, "Fast gradient-based algorithms for constrained total variation image denoising and deblurring
    problems", IEEE Trans. Image Processing 18, 2009.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import tv_denoise
    >>> noisy = torch.ones(32, 32) + 0.1 * torch.randn(32, 32)
    >>> bool(tv_denoise(noisy, 0.2).std() < 0.02)
    True
    """
    _check(image, weight, num_iter, tol, channels, ndim, progress)
    if image.dtype == torch.float32 and image.numel() and _kernels_take(image, ndim):
        native = _native.op("tv_denoise", _register)
        if native is not None:
            items = _items(image, channels, ndim)
            out = _run(native, items, float(weight), ndim, accelerate, num_iter - 1, float(tol), progress)
            return out.reshape(image.shape)
    return tv_denoise_reference(
        image,
        weight,
        num_iter=num_iter,
        tol=tol,
        channels=channels,
        ndim=ndim,
        accelerate=accelerate,
        progress=progress,
    )


def tv_denoise_reference(
    image: Tensor,
    weight: float,
    *,
    num_iter: int = 200,
    tol: float = 2e-4,
    channels: bool = False,
    ndim: int = 2,
    accelerate: bool = False,
    progress: Callable[[float], object] | None = None,
) -> Tensor:
    """Compute `tv_denoise` in plain torch, on any device: the twin that the kernel is held to.

    Parameters
    ----------
    image, weight, num_iter, tol, channels, ndim, accelerate, progress
        As in `tv_denoise`.

    Returns
    -------
    Tensor
        As in `tv_denoise`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import tv_denoise_reference
    >>> tv_denoise_reference(torch.eye(5), 0.1, num_iter=20).shape
    torch.Size([5, 5])
    """
    if not image.numel():
        return image.clone()
    u = _items(image, channels, ndim)
    dual = _zero(u, ndim, accelerate)
    running = torch.ones((len(u), *[1] * (dual.dim() - 1)), dtype=torch.bool, device=u.device)
    concrete = _native.takes(image) and not image.is_meta  # else no value may decide what is done
    energies: list[Tensor] = []
    momenta = _momenta(0, num_iter - 1)
    for done in range(num_iter - 1):
        after_check = done and done % _CHECK == 0
        if tol and after_check:
            running = running & ~((energies[-1] - energies[-2]).abs() < tol * energies[0]).view_as(running)
            if concrete and not running.any():
                break
        if progress is not None and after_check:
            progress(done / num_iter)
        if tol:
            energies.append(_energy(u, dual, weight, ndim))
        dual = torch.where(running, _update(u, dual, weight, ndim, accelerate, momenta[done]), dual)
    if progress is not None:
        progress(1.0)
    return (u + _divergence(dual[:, -ndim:], ndim)).reshape(image.shape)


def _kernels_take(image: Tensor, ndim: int) -> bool:
    """Whether the native op may be given an image: on CUDA devices there is a limit to blocks of 4 x 32 pixels."""
    if not _native.takes(image):
        return False
    rows, width = math.prod(image.shape[-ndim:-1]), image.shape[-1]
    pictures = math.prod(image.shape[:-ndim])
    few = width < 2**28 - 1 and rows < 2**31 - 65 and pictures * -(-width // 32) * -(-rows // 4) < 2**31
    return few or not _native.on_cuda(image)


def _items(image: Tensor, channels: bool, ndim: int) -> Tensor:
    """Shape (pictures, channels, *axes)."""
    coupled = image.shape[-ndim - 1] if channels else 1
    return image.reshape(-1, coupled, *image.shape[-ndim:])


# The dual has shape (pictures, parts, channels, *axes); the parts are the axes, and after them, if accelerated, the
# axes of the iterate before its extrapolation.


def _zero(u: Tensor, ndim: int, accelerate: bool) -> Tensor:
    parts = 2 * ndim if accelerate else ndim
    return u.new_zeros(len(u), parts, *u.shape[1:])


def _momenta(first: int, count: int) -> list[float]:
    t, momenta = 1.0, []
    for _ in range(first + count):
        after = (1 + math.sqrt(1 + 4 * t * t)) / 2
        momenta.append((t - 1) / after)
        t = after
    return momenta[first:]


def _gradient(u: Tensor, ndim: int) -> Tensor:
    dims = range(-ndim, 0)
    return torch.stack([torch.diff(u, dim=d, append=u.narrow(d, u.shape[d] - 1, 1)) for d in dims], 1)


def _divergence(p: Tensor, ndim: int) -> Tensor:
    parts = zip(range(-ndim, 0), p.unbind(1), strict=True)
    ends = [torch.diff(q, dim=d, prepend=torch.zeros_like(q.narrow(d, 0, 1))) for d, q in parts]
    return -torch.stack(ends).sum(0)


def _energy(u: Tensor, dual: Tensor, weight: float, ndim: int) -> Tensor:
    with torch.no_grad():
        d = _divergence(dual[:, :ndim], ndim)
        lengths = torch.linalg.vector_norm(_gradient(u + d, ndim), dim=(1, 2))
        return (d * d).flatten(1).sum(1) + weight * lengths.flatten(1).sum(1)


def _update(u: Tensor, dual: Tensor, weight: float, ndim: int, accelerate: bool, momentum: float) -> Tensor:
    p = dual[:, :ndim]
    gradient = _gradient(u + _divergence(p, ndim), ndim)
    if not accelerate:
        tau = 1 / (2 * ndim)
        length = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
        return (p - tau * gradient) / (1 + tau / weight * length)
    moved = p - gradient / (4 * ndim)
    length = torch.linalg.vector_norm(moved, dim=(1, 2), keepdim=True)
    moved = moved * (weight / length.clamp_min(weight))
    return torch.cat([moved + momentum * (moved - dual[:, ndim:]), moved], 1)


def _check(image: Any, weight: Any, num_iter: Any, tol: Any, channels: bool, ndim: Any, progress: Any) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"image: got {type(image).__name__}, expected a torch.Tensor")
    if image.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"image: got dtype {image.dtype}, expected torch.float32 or torch.float64")
    if ndim not in (2, 3):
        raise ValueError(f"ndim: got {ndim!r}, expected 2 or 3")
    if image.dim() < ndim + bool(channels):
        wanted = f"at least {ndim + bool(channels)} dimensions"
        raise ValueError(f"image: got shape {tuple(image.shape)}, expected {wanted}")
    for name, value in (("weight", weight), ("tol", tol)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a float")
    if not 0 < weight < math.inf:
        raise ValueError(f"weight: got {weight!r}, expected a positive number")
    if not 0 <= tol < math.inf:
        raise ValueError(f"tol: got {tol!r}, expected 0 or a positive number")
    if isinstance(num_iter, bool) or not isinstance(num_iter, int):
        raise TypeError(f"num_iter: got {type(num_iter).__name__}, expected an int")
    if num_iter < 1:
        raise ValueError(f"num_iter: got {num_iter}, expected at least 1")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: got {type(progress).__name__}, expected a callable or None")


def _run(
    native: Any,
    items: Tensor,
    weight: float,
    ndim: int,
    accelerate: bool,
    updates: int,
    tol: float,
    progress: Callable[[float], object] | None,
) -> Tensor:
    """All pictures: many at a time where they are small, in several calls where one is large."""
    if progress is None and _native.on_cuda(items):  # one call, which can be captured in a CUDA graph
        picture: Tensor = native(items, None, weight, ndim, accelerate, 0, updates, tol, 0.0, False)[0]
        return picture
    each = items[0].numel() * max(updates, 1)
    together = max(1, min(len(items), _quick(items) // each))
    pictures = []
    for first in range(0, len(items), together):
        group = items[first : first + together]
        for denoised, done in _chunks(native, group, weight, ndim, accelerate, updates, tol):
            picture = denoised
            if progress is not None:
                progress((first + done * len(group)) / len(items))
        pictures.append(picture)
    return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


def _quick(items: Tensor) -> int:
    return _QUICK_ON_CUDA if _native.on_cuda(items) else _QUICK


def _chunks(
    native: Any, group: Tensor, weight: float, ndim: int, accelerate: bool, updates: int, tol: float
) -> Iterator[tuple[Tensor, float]]:
    """Pictures and the fraction done, chunk by chunk: the first is small, and shows how large the others may be."""
    dual, done, energy = None, 0, 0.0
    # Several pictures are few enough to need one chunk: each stops by itself, which the next chunk would not know.
    chunk = updates if len(group) > 1 else max(_CHECK, _quick(group) // group.numel() // _CHECK * _CHECK)
    while True:
        count = min(chunk, updates - done)
        last = done + count == updates
        start = time.perf_counter()
        picture, dual, outcome = native(group, dual, weight, ndim, accelerate, done, count, tol, energy, not last)
        _, energy, stopped = outcome[0].tolist()
        seconds = time.perf_counter() - start  # on a GPU, the result is there only now
        done += count
        if last or stopped:
            yield picture, 1.0
            return
        yield picture, done / updates
        chunk = max(_CHECK, int(count * min(_SECONDS / max(seconds, 1e-9), 1e6)) // _CHECK * _CHECK)


def _register() -> None:
    torch.library.register_fake("imgrestore::tv_denoise", _fake)
    torch.library.register_autograd("imgrestore::tv_denoise", _backward, setup_context=_setup_context)


def _fake(
    image: Tensor,
    dual: Tensor | None,
    weight: float,
    ndim: int,
    accelerate: bool,
    done: int,
    count: int,
    tol: float,
    first_energy: float,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    pictures = image.shape[0]
    parts = 2 * ndim if accelerate else ndim
    picture = image.new_empty(image.shape)
    kept = image.new_empty((pictures if keep else 0, parts, *image.shape[1:]))
    return picture, kept, image.new_empty((pictures, 3), dtype=torch.float64)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    image, dual, weight, ndim, accelerate, done, count, tol = inputs[:8]
    ctx.save_for_backward(image, dual, output[2])
    ctx.count = None if tol else count
    ctx.settings = weight, ndim, accelerate, done
    ctx.mark_non_differentiable(output[2])


def _backward(ctx: Any, picture_grad: Tensor, dual_grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    # By the twin, from where the chunk began: each iteration needs what it was given, and a kernel that stored it all,
    # or computed it again, would gain little on torch.
    image, dual, outcomes = ctx.saved_tensors
    image_grads, dual_grads = [], []
    counts = outcomes[:, 0].tolist() if ctx.count is None else [ctx.count] * len(image)
    for i, updates in enumerate(counts):
        with torch.enable_grad():
            u = image[i : i + 1]
            p = _zero(u, ctx.settings[1], ctx.settings[2]) if dual is None else dual[i : i + 1]
            if not ctx.needs_input_grad[0]:
                u = u.detach().requires_grad_()
            if dual is None or not ctx.needs_input_grad[1]:
                p = p.detach().requires_grad_()
            results = _twin_chunk(u, p, int(updates), *ctx.settings)
            grads = (picture_grad[i : i + 1], dual_grad[i : i + 1])
        kept = len(dual_grad) > 0
        grad = torch.autograd.grad(
            results[: 1 + kept], (u, p), grads[: 1 + kept], create_graph=torch.is_grad_enabled(), allow_unused=True
        )
        image_grads.append(torch.zeros_like(u) if grad[0] is None else grad[0])
        dual_grads.append(torch.zeros_like(p) if grad[1] is None else grad[1])
    wanted = torch.cat(dual_grads) if dual is not None and ctx.needs_input_grad[1] else None
    return torch.cat(image_grads), wanted, *[None] * 8


def _twin_chunk(
    u: Tensor, dual: Tensor, updates: int, weight: float, ndim: int, accelerate: bool, done: int
) -> tuple[Tensor, Tensor]:
    momenta = _momenta(done, updates)

    def some(u: Tensor, dual: Tensor, first: int, last: int) -> Tensor:
        for momentum in momenta[first:last]:
            dual = _update(u, dual, weight, ndim, accelerate, momentum)
        return dual

    step = max(1, math.isqrt(updates))  # only every so many iterations are kept, the others are made once more
    for first in range(0, updates, step):
        dual = checkpoint(some, u, dual, first, first + step, use_reentrant=False, preserve_rng_state=False)
    return u + _divergence(dual[:, -ndim:], ndim), dual
