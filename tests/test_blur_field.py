"""The blur by a field of PSFs: equal to its definition pixel by pixel, and its adjoint is its adjoint."""

import numpy as np
import pytest
import torch

from imgrestore import Psf, PsfField
from imgrestore.ops import BlurField, BlurOperator

BOUNDARIES = ["unknown", "zero", "reflect", "periodic"]
# frame, grid, PSFs' shape
CASES = [
    ((12, 14), (2, 2), (3, 5)),
    ((23, 17), (3, 1), (4, 3)),
    ((9, 31), (1, 5), (5, 2)),
    ((10, 11), (4, 6), (9, 10)),
    ((7, 8), (1, 1), (3, 3)),
]
NUMPY_PADDING = {"zero": "constant", "reflect": "symmetric", "periodic": "wrap"}


def random(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def field_of(grid, shape, seed=0):
    return PsfField(np.random.default_rng(seed).random((*grid, *shape)))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("frame", "grid", "shape"), CASES, ids=str)
def test_every_map_has_its_adjoint(frame, grid, shape, boundary):
    values = torch.rand(*grid, *shape, dtype=torch.float64)  # of even size, too
    blur = BlurField(values, frame, boundary, random(1))
    for forward, backward, x, y in (
        (blur.apply, blur.adjoint, random(2, 3, *blur.scene_shape), random(2, 3, *frame, seed=1)),
        (blur.spread, blur.spread_adjoint, random(2, 3, *blur.domain), random(2, 3, *blur.domain, seed=1)),
    ):
        left, right = (forward(x) * y).sum().item(), (x * backward(y)).sum().item()
        assert left == pytest.approx(right, rel=1e-10)


@pytest.mark.parametrize("boundary", ["zero", "reflect", "periodic"])
@pytest.mark.parametrize(("frame", "grid", "shape"), CASES, ids=str)
def test_each_pixel_sees_the_scene_through_its_own_psf(frame, grid, shape, boundary):
    field = field_of(grid, (shape[0] // 2 * 2 - 1, shape[1] // 2 * 2 - 1))
    scene = random(*frame)
    seen = BlurField(field, frame, boundary, scene).apply(scene[None, None])[0, 0].numpy()
    around = np.pad(scene.numpy(), [(r, r) for r in field.centre], mode=NUMPY_PADDING[boundary])
    wanted = np.empty(frame)
    for row, column in np.ndindex(*frame):
        near = around[row : row + field.shape[0], column : column + field.shape[1]]
        wanted[row, column] = (field.at(row, column, frame).flip().array * near).sum()
    assert np.allclose(seen, wanted, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_equal_psfs_blur_as_the_one(boundary):
    psf = Psf(np.random.default_rng(0).random((5, 4)), (1, 3))
    field = PsfField([[psf] * 3] * 2)
    blur = BlurField(field, (19, 26), boundary, random(1))
    one = BlurOperator(field[0, 0], (19, 26), boundary, random(1))
    assert (blur.domain, blur.before, blur.reach, blur.window) == (one.domain, one.before, one.reach, one.window)
    scene = random(2, 3, *one.scene_shape)
    assert torch.allclose(blur.apply(scene), one.apply(scene), atol=1e-12)
    assert torch.allclose(blur.observe(one.to_domain(scene)), one.apply(scene), atol=1e-12)
    with pytest.raises(NotImplementedError, match="no single transfer function"):
        _ = blur.otf


def test_a_constant_scene_gives_the_same_constant_picture():
    blur = BlurField(field_of((3, 4), (5, 7)), (40, 50), "unknown", torch.zeros(1))
    seen = blur.apply(torch.full((1, 1, *blur.scene_shape), 3.0))
    assert torch.allclose(seen, torch.full_like(seen, 3.0), atol=1e-5)


@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
def test_gradients_run_to_scene_and_psfs(boundary):
    psfs = torch.rand(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    shape = BlurField(psfs.detach(), (5, 6), boundary, psfs).scene_shape
    scene = random(1, 2, *shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, p: BlurField(p, (5, 6), boundary, s).apply(s), (scene, psfs))


def test_what_is_no_field_or_too_large_is_refused():
    with pytest.raises(ValueError, match="psf is larger than the picture"):
        BlurField(field_of((2, 2), (5, 5)), (4, 9), "unknown", random(1))
    with pytest.raises(ValueError, match=r"expected \(rows, columns, kh, kw\)"):
        BlurField(torch.ones(3, 3), (9, 9), "unknown", random(1))
    with pytest.raises(ValueError, match="expected height and width"):
        BlurField(field_of((2, 2), (3, 3)), (9, 9, 9), "unknown", random(1))
