"""The bilateral filter, and the joint one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops._boundary import (
    BOUNDARIES,
    check_boundary,
    check_guide,
    check_image,
    check_leading,
    check_positive,
    check_radius,
    extend,
    kernels_take,
    twin_gradients,
)
from imgrestore.ops._shapes import broadcast_shapes

_BOUNDARIES = BOUNDARIES[:5]


def bilateral(
    image: Tensor,
    sigma_space: float,
    sigma_range: float,
    *,
    guide: Tensor | None = None,
    radius: int | None = None,
    boundary: str = "reflect",
    channels: bool = False,
) -> Tensor:
    """Average each pixel with those near it that are like it (Tomasi & Manduchi 1998).

    Neighbours within a disk weigh ``exp(-distance^2 / (2 sigma_space^2) - difference^2 / (2 sigma_range^2))``. With a
    `guide` the difference is that of the guide's pixels, and the filter the joint one (Petschnigg et al. 2004).
    Gradients run to the image and to the guide. Where the native libraries are loaded they filter float32 on the CPU
    and on CUDA devices (there with up to 8 leading dimensions); everything else runs on `bilateral_reference`.

    Parameters
    ----------
    image : Tensor, shape (..., H, W), or (..., C, H, W) with ``channels=True``
        float32 or float64, any strides, any device.
    sigma_space : float
        In pixels.
    sigma_range : float
        In the units of the image, or of the guide.
    guide : Tensor, shape (..., H, W), or (..., D, H, W) with ``channels=True``, optional
        Of the image's dtype. Leading dimensions broadcast with those of `image`.
    radius : int, optional
        Of the disk, in pixels; OpenCV's d is 2 radius + 1. By default 1.5 sigma_space, rounded, and at least 1, as
        there.
    boundary : {"reflect", "nearest", "mirror", "wrap", "zero"}
        How the image goes on past its edge, as in `separable`; "mirror" is OpenCV's choice here.
    channels : bool
        All channels of a pixel have one weight, from the squares of their differences added up (OpenCV adds up the
        differences). Otherwise every plane is filtered by itself.

    Returns
    -------
    Tensor
        Of the broadcast shape and the image's dtype.

    Raises
    ------
    TypeError
        When `image` or `guide` is not a float32 or float64 tensor, or they are not of one dtype.
    ValueError
        When shapes or devices do not go together, or another argument is not as described.

    References
    ----------
    C. Tomasi, R. Manduchi, "Bilateral filtering for gray and color images", ICCV 1998.
    G. Petschnigg et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import bilateral
    >>> step = (torch.arange(32) >= 16).float().expand(32, 32)
    >>> bool((bilateral(step, 2.0, 0.1) - step).abs().max() < 1e-6)
    True
    """
    boundary_number, radius = _check(image, sigma_space, sigma_range, guide, radius, boundary, channels)
    native_kind = image.dtype == torch.float32 and image.shape[-3 if channels else -1]
    if native_kind and kernels_take(*((image,) if guide is None else (image, guide))):
        native = _native.op("bilateral", _register)
        if native is not None:
            reference = image if guide is None else guide
            return native(image, reference, sigma_space, sigma_range, radius, boundary_number, channels)
    return bilateral_reference(
        image, sigma_space, sigma_range, guide=guide, radius=radius, boundary=boundary, channels=channels
    )


def bilateral_reference(
    image: Tensor,
    sigma_space: float,
    sigma_range: float,
    *,
    guide: Tensor | None = None,
    radius: int | None = None,
    boundary: str = "reflect",
    channels: bool = False,
) -> Tensor:
    """Compute `bilateral` in plain torch, on any device: the twin that the kernels are held to.

    Parameters
    ----------
    image, sigma_space, sigma_range, guide, radius, boundary, channels
        As in `bilateral`.

    Returns
    -------
    Tensor
        As in `bilateral`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.ops import bilateral_reference
    >>> bilateral_reference(torch.rand(3, 8, 8), 1.0, 0.2, channels=True).shape
    torch.Size([3, 8, 8])
    """
    guide = image if guide is None else guide
    r = _default_radius(sigma_space) if radius is None else radius
    height, width = image.shape[-2:]

    def longer(x: Tensor) -> Tensor:
        return extend(extend(x, r, r, boundary, -2), r, r, boundary, -1)

    def at(x: Tensor, dy: int, dx: int) -> Tensor:
        return x[..., r + dy : r + dy + height, r + dx : r + dx + width]

    images, guides = longer(image), longer(guide)
    total: Tensor | None = None
    weights: Tensor | None = None
    for dy in range(-r, r + 1):
        for dx in range(-r, r + 1):
            if dy * dy + dx * dx > r * r:
                continue
            square = (at(guides, dy, dx) - guide) ** 2
            if channels:
                square = square.sum(-3, keepdim=True)
            exponent = square / (2 * sigma_range**2) + (dy * dy + dx * dx) / (2 * sigma_space**2)
            # A pixel is always like itself, even where it is infinite.
            weight = torch.exp(-exponent) if dy or dx else torch.ones_like(exponent)
            term = weight * at(images, dy, dx)
            total = term if total is None else total + term
            weights = weight if weights is None else weights + weight
    assert total is not None
    assert weights is not None
    return total / weights


def _default_radius(sigma_space: float) -> int:
    return max(1, round(1.5 * sigma_space))


def _check(
    image: Tensor,
    sigma_space: float,
    sigma_range: float,
    guide: Tensor | None,
    radius: int | None,
    boundary: str,
    channels: bool,
) -> tuple[int, int]:
    skip = 3 if channels else 2
    check_image("image", image, skip)
    check_positive("sigma_space", sigma_space)
    check_positive("sigma_range", sigma_range)
    if guide is not None:
        check_guide(guide, image, skip)
        check_leading(guide.shape[:-skip], image.shape[:-skip])
        if channels and guide.shape[-3] == 0:
            raise ValueError(f"guide: got shape {tuple(guide.shape)}, expected at least one channel")
    radius = check_radius(_default_radius(sigma_space) if radius is None else radius, largest=4096)
    return check_boundary(boundary, _BOUNDARIES), radius


def _register() -> None:
    torch.library.register_fake("imgrestore::bilateral", _fake)
    torch.library.register_autograd("imgrestore::bilateral", _backward, setup_context=_setup_context)


def _fake(
    image: Tensor, guide: Tensor, sigma_space: float, sigma_range: float, radius: int, boundary: int, channels: bool
) -> Tensor:
    skip = 3 if channels else 2
    leading = broadcast_shapes(image.shape[:-skip], guide.shape[:-skip])
    return image.new_empty((*leading, *image.shape[-skip:]))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    image, guide, ctx.sigma_space, ctx.sigma_range, ctx.radius, boundary, ctx.channels = inputs
    ctx.boundary = BOUNDARIES[boundary]
    ctx.save_for_backward(image, guide)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    # Each weight depends on two pixels of the guide and tells in a quotient: the way back is left to the twin.
    def twin(image: Tensor, guide: Tensor) -> Tensor:
        return bilateral_reference(
            image,
            ctx.sigma_space,
            ctx.sigma_range,
            guide=guide,
            radius=ctx.radius,
            boundary=ctx.boundary,
            channels=ctx.channels,
        )

    image_grad, guide_grad = twin_gradients(twin, ctx.saved_tensors, ctx.needs_input_grad[:2], grad)
    return image_grad, guide_grad, None, None, None, None, None
