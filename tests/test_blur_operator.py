"""The blur operator: equal to its definition, and its adjoint is its adjoint."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from imgrestore import Psf
from imgrestore.ops.blur_operator import BlurOperator, as_psf, fast_size

BOUNDARIES = ["unknown", "zero", "reflect", "periodic"]
# frame, PSF's shape, centre
CASES = [
    ((12, 14), (3, 3), None),
    ((11, 13), (4, 5), None),
    ((11, 12), (5, 2), (0, 1)),
    ((9, 10), (9, 10), None),
    ((9, 10), (9, 10), (8, 0)),
    ((7, 1), (3, 1), None),
    ((1, 1), (1, 1), None),
    ((5, 6, 7), (3, 2, 4), None),
    ((5, 6, 7), (5, 6, 7), (0, 5, 3)),
    ((1, 6, 7), (1, 3, 3), None),
]


def random(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def operator(frame, support, boundary, centre=None, seed=0):
    psf = Psf(np.random.default_rng(seed).random(support), centre)
    return psf, BlurOperator(psf, frame, boundary, random(1))


def assert_adjoint(forward, backward, x, y):
    """<A x, y> equals <x, A^T y>."""
    left, right = forward(x), backward(y)
    assert left.shape == y.shape
    assert right.shape == x.shape
    assert (left * y).sum().item() == pytest.approx((x * right).sum().item(), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("frame", "support", "centre"), CASES, ids=str)
def test_every_map_has_its_adjoint(frame, support, centre, boundary):
    _, blur = operator(frame, support, boundary, centre)
    scene, picture = random(2, 3, *blur.scene_shape), random(2, 3, *frame, seed=1)
    domain, other = random(2, 3, *blur.domain, seed=2), random(2, 3, *blur.domain, seed=3)
    assert_adjoint(blur.apply, blur.adjoint, scene, picture)
    assert_adjoint(blur.spread, blur.spread_adjoint, domain, other)
    assert_adjoint(blur.crop, blur.pad, domain, picture)
    assert_adjoint(blur.extend, blur.fold, picture, domain)
    assert_adjoint(blur.to_domain, blur.from_domain, scene, domain)


@given(st.data(), st.sampled_from(BOUNDARIES))
def test_the_adjoint_holds_for_any_sizes(data, boundary):
    frame = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    support = tuple(data.draw(st.integers(1, n)) for n in frame)
    centre = tuple(data.draw(st.integers(0, k - 1)) for k in support)
    _, blur = operator(frame, support, boundary, centre)
    assert_adjoint(blur.apply, blur.adjoint, random(1, 1, *blur.scene_shape), random(1, 1, *frame, seed=1))


@pytest.mark.parametrize(("boundary", "mode"), [("zero", "constant"), ("reflect", "reflect"), ("periodic", "wrap")])
@pytest.mark.parametrize(("frame", "support", "centre"), CASES, ids=str)
def test_apply_is_the_convolution_of_scipy(frame, support, centre, boundary, mode):
    psf, blur = operator(frame, support, boundary, centre)
    picture = random(*frame)
    # scipy.ndimage takes the middle of an even kernel one pixel before ours is.
    origin = [c - k // 2 for c, k in zip(psf.centre, support, strict=True)]
    wanted = ndimage.convolve(picture.numpy(), psf.array, mode=mode, origin=origin)
    assert np.allclose(blur.apply(picture[None, None])[0, 0], wanted, atol=1e-12)


@pytest.mark.parametrize("support", [(3, 5), (5, 5)])
def test_zero_boundary_is_the_same_convolution_of_scipy(support):
    psf, blur = operator((12, 13), support, "zero")
    picture = random(12, 13)
    wanted = signal.convolve(picture.numpy(), psf.array, mode="same")
    assert np.allclose(blur.apply(picture[None, None])[0, 0], wanted, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("support", [(4, 3), (3, 4)])
def test_inside_all_boundaries_are_the_valid_convolution(support, boundary):
    psf, blur = operator((16, 17), support, boundary)
    picture = random(16, 17)
    seen = blur.observe(blur.extend(picture[None, None]))[0, 0].numpy()
    (top, left), (below, right) = [k - 1 - c for k, c in zip(support, psf.centre, strict=True)], psf.centre
    inside = seen[top : 16 - below, left : 17 - right]
    assert np.allclose(inside, signal.convolve(picture.numpy(), psf.array, mode="valid"), atol=1e-12)


@pytest.mark.parametrize("support", [(3, 3), (4, 6)])
def test_the_unknown_scene_is_seen_through_a_valid_convolution(support):
    psf, blur = operator((10, 11), support, "unknown")
    scene = random(1, 1, *blur.scene_shape)
    whole = scene[0, 0, : 10 + support[0] - 1, : 11 + support[1] - 1].numpy()
    assert np.allclose(blur.apply(scene)[0, 0], signal.convolve(whole, psf.array, mode="valid"), atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("frame", "support", "centre"), CASES, ids=str)
def test_project_is_an_orthogonal_projection_on_what_the_boundary_allows(frame, support, centre, boundary):
    _, blur = operator(frame, support, boundary, centre)
    domain, other = random(1, 1, *blur.domain), random(1, 1, *blur.domain, seed=1)
    held = blur.project(domain)
    assert torch.allclose(blur.project(held), held, atol=1e-12)
    assert_adjoint(blur.project, blur.project, domain, other)
    allowed = blur.to_domain(random(1, 1, *blur.scene_shape, seed=2))
    assert torch.allclose(blur.project(allowed), allowed, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("frame", "support", "centre"), CASES, ids=str)
def test_a_constant_scene_gives_the_same_constant_picture(frame, support, centre, boundary):
    _, blur = operator(frame, support, boundary, centre)
    seen = blur.observe(blur.extend(torch.full((1, 1, *frame), 3.0, dtype=torch.float64)))
    assert torch.allclose(seen, torch.full_like(seen, 3.0))


def test_the_flipped_psf_blurs_as_the_adjoint():
    psf = Psf(np.random.default_rng(0).random((4, 5)))
    picture = random(1, 1, 12, 13)
    for boundary in ("zero", "periodic"):
        forward, flipped = (BlurOperator(p, (12, 13), boundary, picture) for p in (psf, psf.flip()))
        assert torch.allclose(flipped.apply(picture), forward.adjoint(picture), atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_each_picture_of_a_batch_may_have_its_own_psf(boundary):
    psfs = torch.rand(3, 4, 5, dtype=torch.float64)
    psfs = psfs / psfs.sum(dim=(1, 2), keepdim=True)
    blur = BlurOperator(psfs, (10, 12), boundary, psfs)
    scene = random(3, 2, *blur.scene_shape)
    seen = blur.apply(scene)
    for i, psf in enumerate(psfs):
        alone = BlurOperator(Psf(psf), (10, 12), boundary, psfs)
        assert torch.allclose(seen[i : i + 1], alone.apply(scene[i : i + 1]), atol=1e-12)
    assert_adjoint(blur.apply, blur.adjoint, scene, random(3, 2, 10, 12, seed=1))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_run_to_scene_and_psf(boundary):
    psf = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    frame = (5, 6)
    shape = BlurOperator(psf.detach(), frame, boundary, psf).scene_shape
    scene = random(1, 2, *shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, p: BlurOperator(p, frame, boundary, s).apply(s), (scene, psf))
    assert torch.autograd.gradcheck(
        lambda s, p: BlurOperator(p, frame, boundary, s).adjoint(s.sum() * p[:1, :1].expand(1, 1, *frame)), (scene, psf)
    )


@pytest.mark.parametrize("boundary", ["unknown", "zero", "reflect"])
def test_domains_hold_frame_and_support_at_sizes_the_fft_is_fast_at(boundary):
    _, blur = operator((23, 29), (5, 6), boundary)
    for d, n, k in zip(blur.domain, (23, 29), (5, 6), strict=True):
        assert d == fast_size(n + k - 1) >= n + k - 1


@given(st.integers(1, 5000))
def test_fast_sizes_are_even_and_smooth(size):
    fast = fast_size(size)
    assert fast >= size
    rest = fast
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    assert (rest, fast % 2) == (1, 0)


@pytest.mark.parametrize(
    ("frame", "support"), [((4, 9), (5, 5)), ((9, 4), (5, 5)), ((1, 1), (3, 3)), ((3, 9, 9), (5, 5, 5))]
)
def test_a_psf_larger_than_the_picture_is_refused(frame, support):
    with pytest.raises(ValueError, match="psf is larger than the picture"):
        operator(frame, support, "unknown")


@pytest.mark.parametrize("boundary", ["wrap", "", None])
def test_boundaries_are_named(boundary):
    with pytest.raises(ValueError, match=r"boundary is .* expected one of unknown, zero, reflect, periodic"):
        operator((9, 9), (3, 3), boundary)


def test_words_arrays_and_psfs_are_psfs():
    psf = Psf.disk(2)
    assert as_psf(psf) is psf
    assert np.array_equal(as_psf("disk:2").array, psf.array)
    assert np.allclose(as_psf(torch.tensor(psf.array)).array, psf.array)
