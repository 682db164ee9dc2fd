"""The course that Richardson-Lucy takes on a whole plane, and the same course on a part of it.

Where the search begins, how far each step is extrapolated, and when it ends are numbers of the whole plane. With these
given, a pixel of the result depends on its surroundings alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imgrestore import _native
from imgrestore.ops.blur_operator import BlurOperator
from imgrestore.ops.richardson_lucy import native_run, richardson_lucy_reference

__all__ = ["Course", "find_course", "follow_course"]


@dataclass(frozen=True)
class Course:
    """What Richardson-Lucy does to one plane as a whole.

    Attributes
    ----------
    light : float
        Where the search begins.
    tiny : float
        The least expectation that data are divided by.
    factors : tuple of float
        By how much of the last change the estimate is extrapolated after each step; as many as there are steps.
    held : bool
        Whether the noise ended the steps: then the result is the last estimate, extrapolated.
    """

    light: float
    tiny: float
    factors: tuple[float, ...]
    held: bool


def find_course(
    observed: Tensor,
    blur: BlurOperator,
    num_iter: int,
    *,
    background: float = 0.0,
    tv_weight: float = 0.0,
    sigma: Tensor | None = None,
    valid: Tensor | None = None,
    saturated: Tensor | None = None,
) -> tuple[Tensor, Course]:
    """Run accelerated Richardson-Lucy on one plane and tell what it did.

    Parameters
    ----------
    observed : Tensor, shape (1, 1, H, W)
    blur, num_iter, background, tv_weight, sigma, valid, saturated
        As in `imgrestore.ops.richardson_lucy`.

    Returns
    -------
    scene : Tensor, shape (1, 1) and `blur.scene_shape`
    course : Course
    """
    told: list[float] = []
    options: dict[str, Any] = {
        "background": background,
        "tv_weight": tv_weight,
        "sigma": sigma,
        "valid": valid,
        "saturated": saturated,
    }
    scene, done = _run(observed, blur, num_iter, told=told, **options)
    light, tiny, *factors = told
    return scene, Course(light, tiny, tuple(factors[:done]), done < num_iter)


def follow_course(
    observed: Tensor,
    blur: BlurOperator,
    course: Course,
    *,
    background: float = 0.0,
    tv_weight: float = 0.0,
    valid: Tensor | None = None,
    saturated: Tensor | None = None,
) -> Tensor:
    """Take the steps that another plane took: the scene, shape (1, 1) and ``blur.scene_shape``.

    Parameters
    ----------
    observed : Tensor, shape (1, 1, H, W)
        A part of the plane that the course was found on.
    blur, background, tv_weight, valid, saturated
        As in `imgrestore.ops.richardson_lucy`.
    course : Course

    Returns
    -------
    Tensor
    """
    scene, _ = _run(
        observed,
        blur,
        len(course.factors),
        course=course,
        background=background,
        tv_weight=tv_weight,
        sigma=None,
        valid=valid,
        saturated=saturated,
    )
    return scene


@torch.no_grad()
def _run(observed: Tensor, blur: BlurOperator, num_iter: int, **options: Any) -> tuple[Tensor, int]:
    options |= {"accelerate": True, "progress": None}
    single = observed.dtype == blur.kernel.dtype == torch.float32 and blur.kernel.ndim == blur.space
    if single and observed.device.type == "cpu" and _native.takes(observed, blur.kernel):
        found = native_run(observed, blur, num_iter, **options)
        if found is not None:
            return found
    return richardson_lucy_reference(observed, blur, num_iter, **options)
