"""The classical methods: equal to their definitions, better than the blurred picture, and true to their promises."""

import numpy as np
import pytest
import torch
from conftest import observe, psnr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal
from skimage import restoration

from imgrestore import Psf
from imgrestore.classical import admm, hyper_laplacian, richardson_lucy, total_variation, wiener
from imgrestore.classical.admm import filled, sparse_gradients
from imgrestore.ops.blur_operator import BlurOperator

METHODS = [wiener, richardson_lucy, total_variation, hyper_laplacian]
SPARSE = [total_variation, hyper_laplacian]
BOUNDARIES = ["unknown", "zero", "reflect", "periodic"]
PSFS = [Psf.gaussian(1.5), Psf.disk(3), Psf.motion(9, 30)]
FEW = {
    wiener: {},
    richardson_lucy: {"num_iter": 12},
    total_variation: {"num_iter": 8},
    hyper_laplacian: {"num_iter": 8},
}

by_name = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.__name__)


@pytest.fixture(scope="module")
def case(photographs):
    """A sharp and an observed picture, 48 x 48, blurred by a disk."""
    return observe(photographs["man"], Psf.disk(2), 48)


def likelihood(scene, observed, psf):
    """Of Poisson counts under a periodic boundary, but for a constant."""
    expected = ndimage.convolve(scene, psf.array, mode="wrap") + 1e-12
    return (observed * np.log(expected) - expected).sum()


# Richardson-Lucy


@pytest.mark.parametrize("shape", [(24, 31), (9, 12, 11)])
@pytest.mark.parametrize("num_iter", [1, 10, 30])
def test_richardson_lucy_is_that_of_scikit_image(shape, num_iter):
    rng = np.random.default_rng(0)
    psf = rng.random((5, 3) if len(shape) == 2 else (3, 5, 3))
    observed = rng.random(shape)
    wanted = restoration.richardson_lucy(observed, psf / psf.sum(), num_iter, clip=False)
    found = richardson_lucy(observed, psf, num_iter, boundary="zero", accelerate=False)
    assert np.abs(found - wanted).max() < 1e-5 * wanted.max()


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("accelerate", [True, False])
def test_richardson_lucy_is_positive(case, boundary, accelerate):
    observed = case[1] - 0.1  # below 0 here and there
    result = richardson_lucy(observed, "disk:2", 20, boundary=boundary, accelerate=accelerate)
    assert observed.min() < 0 <= result.min()


@pytest.mark.parametrize("accelerate", [True, False])
def test_richardson_lucy_keeps_all_light_under_a_periodic_boundary(accelerate):
    observed = np.random.default_rng(0).random((32, 33)) * 1000
    result = richardson_lucy(observed, "motion:7:20", 15, boundary="periodic", accelerate=accelerate)
    assert result.sum() == pytest.approx(observed.sum(), rel=1e-9)


@pytest.mark.parametrize("boundary", ["unknown", "zero", "reflect"])
def test_richardson_lucy_keeps_the_light_of_a_star(boundary):
    observed = np.zeros((48, 48))
    observed[24, 20] = 5000.0
    observed = signal.convolve(observed, Psf.gaussian(1.5).array, mode="same") + 2
    result = richardson_lucy(observed, "gaussian:1.5", 50, boundary=boundary, background=2)
    assert result[20:29, 16:25].sum() == pytest.approx(5000, rel=0.01)


def test_acceleration_reaches_the_likelihood_of_many_plain_steps():
    psf = Psf.gaussian(2)
    scene = np.random.default_rng(0).random((48, 48)) ** 8 * 1000
    observed = np.random.default_rng(1).poisson(ndimage.convolve(scene, psf.array, mode="wrap")).astype(float)

    def reached(num_iter, accelerate):
        result = richardson_lucy(observed, psf, num_iter, boundary="periodic", accelerate=accelerate)
        return likelihood(result, observed, psf)

    few, many, accelerated = reached(22, False), reached(100, False), reached(22, True)
    assert many - accelerated < 0.03 * (many - few)


def test_plain_steps_never_lower_the_likelihood():
    psf, observed = Psf.disk(2), np.random.default_rng(0).random((32, 32))
    results = [richardson_lucy(observed, psf, n, boundary="periodic", accelerate=False) for n in range(1, 9)]
    values = [likelihood(r, observed, psf) for r in results]
    assert values == sorted(values)


def variation(picture):
    return np.abs(np.diff(picture, axis=0)).sum() + np.abs(np.diff(picture, axis=1)).sum()


def test_the_tv_weight_lowers_total_variation(case):
    values = [variation(richardson_lucy(case[1], "disk:2", 40, tv_weight=w)) for w in (0, 0.005, 0.03)]
    assert values[0] > 2 * values[1] > 2 * values[2]


def test_the_tv_weight_helps_against_noise(case):
    sharp, observed = case
    plain, smooth = (richardson_lucy(observed, "disk:2", 50, tv_weight=w) for w in (0, 0.01))
    assert psnr(smooth, sharp) > psnr(plain, sharp) + 5


def test_the_background_is_taken_off():
    scene = np.zeros((32, 32))
    scene[10, 12] = scene[20, 22] = 900.0
    observed = ndimage.convolve(scene, Psf.gaussian(1).array, mode="wrap") + 50
    result = richardson_lucy(observed, "gaussian:1", 100, boundary="periodic", background=50)
    assert result.sum() == pytest.approx(1800, rel=0.02)
    assert np.median(result) < 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_background_is_in_the_units_of_the_picture(dtype):
    observed = np.random.default_rng(0).integers(60, 200, (24, 24)).astype(dtype)
    wanted = richardson_lucy(observed.astype(np.float32), "disk:2", 5, background=50.0)
    assert np.abs(richardson_lucy(observed, "disk:2", 5, background=50).astype(float) - wanted).max() <= 0.51


def test_the_discrepancy_stops_before_noise_is_amplified(case):
    sharp, observed = case
    stopped, noisy = (richardson_lucy(observed, "disk:2", 200, stop=s) for s in ("discrepancy", None))
    assert psnr(stopped, sharp) > psnr(noisy, sharp) + 3
    assert np.array_equal(stopped, richardson_lucy(observed, "disk:2", 500, stop="discrepancy"))


@pytest.mark.parametrize("level", [0.018, 0.013])
@pytest.mark.parametrize("accelerate", [True, False])
def test_it_stops_at_the_first_residual_at_the_level_given(case, level, accelerate):
    def blur(scene):
        return ndimage.convolve(scene, Psf.disk(2).array, mode="wrap")

    def residual(scene):
        # Weighed like the spectrum that the noise is read from: the middle of the frame counts most.
        return np.sqrt(np.average((observed - blur(scene)) ** 2, weights=np.outer(window, window)))

    window = np.hanning(50)[1:-1] ** 2
    observed = blur(case[0]) + np.random.default_rng(0).normal(0, 0.01, case[0].shape)
    options = {"boundary": "periodic", "accelerate": accelerate}
    stopped = richardson_lucy(observed, "disk:2", 40, stop=level, **options)
    short = richardson_lucy(observed, "disk:2", 1, **options)
    assert residual(stopped) <= level * (1 + 1e-6) < residual(short)
    if not accelerate:
        steps = (richardson_lucy(observed, "disk:2", n, **options) for n in range(1, 41))
        first = next(s for s in steps if residual(s) <= level)
        assert np.allclose(stopped, first, rtol=0, atol=1e-9)


def test_no_steps_give_even_light():
    result = richardson_lucy(np.random.default_rng(0).random((9, 9)), "disk:1", 0)
    assert np.ptp(result) == 0


def test_without_light_there_is_none():
    assert not richardson_lucy(np.zeros((16, 16)), "disk:2").any()


# Wiener


def test_wiener_is_the_closed_form_under_a_periodic_boundary():
    observed, psf, balance = np.random.default_rng(0).random((20, 23)), Psf([[1, 2, 3], [0, 1, 1]]), 0.03
    kernel = np.zeros(observed.shape)
    kernel[:2, :3] = psf.array
    response = np.fft.fft2(np.roll(kernel, (-1, -1), (0, 1)))
    gradient = sum(
        4 * np.sin(np.pi * f) ** 2 for f in np.meshgrid(np.fft.fftfreq(20), np.fft.fftfreq(23), indexing="ij")
    )
    spectrum = np.conj(response) * np.fft.fft2(observed) / (np.abs(response) ** 2 + balance * gradient)
    assert np.allclose(wiener(observed, psf, balance, boundary="periodic"), np.fft.ifft2(spectrum).real, atol=1e-12)


def test_wiener_with_a_mask_minimises_what_it_says():
    rng = np.random.default_rng(0)
    observed, psf, balance, mask = rng.random((12, 13)), Psf(rng.random((3, 3))), 0.2, rng.random((12, 13)) > 0.1

    def cost(scene):
        residual = (ndimage.convolve(scene, psf.array, mode="wrap") - observed)[mask]
        slopes = [np.roll(scene, -1, axis) - scene for axis in (0, 1)]
        return (residual**2).sum() + balance * sum((s**2).sum() for s in slopes)

    best = cost(wiener(observed, psf, balance, boundary="periodic", mask=mask))
    rows = [np.eye(1, 156, i).reshape(12, 13) for i in range(156)]
    blur = np.stack([ndimage.convolve(r, psf.array, mode="wrap").ravel() for r in rows], 1)[mask.ravel()]
    slopes = [np.stack([(np.roll(r, -1, a) - r).ravel() for r in rows], 1) for a in (0, 1)]
    exact = np.linalg.solve(blur.T @ blur + balance * sum(s.T @ s for s in slopes), blur.T @ observed[mask])
    assert cost(exact.reshape(12, 13)) <= best <= 1.01 * cost(exact.reshape(12, 13))


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
@pytest.mark.parametrize("name", ["man", "buildings"])
def test_the_estimated_balance_is_within_a_decibel_of_the_best(photographs, name, noise):
    sharp, observed = observe(photographs[name], Psf.disk(3), 64, noise)
    best = max(psnr(wiener(observed, "disk:3", b), sharp) for b in np.logspace(-4, 1, 11))
    assert psnr(wiener(observed, "disk:3"), sharp) > best - 1


# All of them


@by_name
@pytest.mark.parametrize("psf", PSFS, ids=["gaussian", "disk", "motion"])
@pytest.mark.parametrize("name", ["man", "buildings"])
def test_the_result_is_better_than_the_blurred_picture(photographs, name, psf, method):
    sharp, observed = observe(photographs[name], psf)
    options = {"tv_weight": 0.005} if method is richardson_lucy else {}
    assert psnr(method(observed, psf, **options), sharp) > psnr(observed, sharp) + 1.5


@by_name
@pytest.mark.parametrize("psf", PSFS, ids=["gaussian", "disk", "motion"])
@pytest.mark.parametrize("other", ["zero", "periodic"])
def test_near_the_frame_the_unknown_boundary_wins(photographs, psf, method, other):
    sharp, observed = observe(photographs["buildings"], psf)
    options = {"stop": "discrepancy"} if method is richardson_lucy else {}
    rim = np.ones(sharp.shape, bool)
    rim[10:-10, 10:-10] = False
    unknown, known = (method(observed, psf, boundary=b, **options)[rim] for b in ("unknown", other))
    assert psnr(unknown, sharp[rim]) > psnr(known, sharp[rim]) + 2


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
def test_a_larger_weight_smooths_more(case, method):
    values = [variation(method(case[1], "disk:2", w)) for w in (1e-5, 1e-3, 1e-1)]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("method", [wiener, *SPARSE], ids=lambda m: m.__name__)
def test_more_noise_smooths_more(case, method):
    values = [variation(method(case[1], "disk:2", noise=s)) for s in (0.001, 0.01, 0.1)]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("method", [wiener, *SPARSE], ids=lambda m: m.__name__)
def test_noise_is_in_the_units_of_the_picture(case, method):
    observed = (case[1] * 50000).round().clip(0, 65535).astype(np.uint16)
    wanted = method(observed.astype(np.float32), "disk:2", noise=500)
    # A prior that is not convex may decide otherwise at a few pixels when a last digit differs.
    assert np.quantile(np.abs(method(observed, "disk:2", noise=500) - wanted.clip(0, 65535)), 0.97) < 60


@pytest.mark.parametrize(("method", "unit"), [(total_variation, 65535), (hyper_laplacian, 1), (wiener, 1)])
def test_weights_mean_the_same_for_integers_and_floats(case, method, unit):
    observed = (case[1] * 50000).round().clip(0, 65535).astype(np.uint16)
    wanted = method(observed / 65535, "disk:2", 0.003)
    assert np.abs(method(observed, "disk:2", 0.003 * unit) / 65535 - wanted.clip(0, 1)).max() < 1e-3


@by_name
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_stacks_are_restored_in_three_dimensions(method, boundary):
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter((rng.random((10, 24, 24)) > 0.98) * 900.0, 0.7)
    psf = Psf.gaussian((1, 1.5, 1.5)).trimmed(1e-2)
    mode = {"zero": "constant", "reflect": "reflect"}.get(boundary, "wrap")
    observed = ndimage.convolve(scene, psf.array, mode=mode) + rng.normal(0, 0.3, scene.shape)
    result = method(observed, psf, boundary=boundary, **({"num_iter": 20} if method is richardson_lucy else {}))
    inside = (slice(3, -3), slice(5, -5), slice(5, -5))
    assert result.shape == scene.shape
    assert psnr(result[inside], scene[inside]) > psnr(observed[inside], scene[inside]) + 1


@by_name
@pytest.mark.parametrize("kind", ["nan", "inf", "masked"])
def test_damaged_pixels_do_not_spread(case, method, kind):
    sharp, observed = case
    options = {"stop": 0.01} if method is richardson_lucy else {"noise": 0.01}
    whole = method(observed, "disk:2", **options)
    hole = np.zeros(observed.shape, bool)
    hole[20:23, 30:34] = hole[5, 5] = hole[40, :2] = True
    damaged = np.where(hole, {"nan": np.nan, "inf": np.inf, "masked": 1e6}[kind], observed)
    result = method(damaged, "disk:2", mask=~hole if kind == "masked" else None, **options)
    far = ~ndimage.binary_dilation(hole, iterations=6)
    assert np.abs(result - whole)[far].max() < 0.1
    assert np.sqrt(np.mean((result - whole)[far] ** 2)) < 0.01
    assert psnr(result[~hole], sharp[~hole]) > psnr(whole[~hole], sharp[~hole]) - 0.5
    if kind == "masked":
        assert psnr(result[hole], sharp[hole]) > 15


@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_holes_are_filled_within_the_range_of_what_is_good(seed, part):
    rng = np.random.default_rng(seed)
    valid = torch.from_numpy(rng.random((2, 1, 9, 12)) > part)
    values = torch.from_numpy(rng.random((2, 1, 9, 12)))
    for one, good in zip(filled(torch.where(valid, values, 1e30), valid), valid, strict=True):
        assert one.isfinite().all()
        if good.any():
            low, high = one[good].min(), one[good].max()
            assert low - 1e-9 <= one.min()
            assert one.max() <= high + 1e-9
    assert torch.equal(filled(values, valid)[valid], values[valid])


@by_name
def test_a_few_bright_points_on_even_ground_stay_finite(method):
    observed = np.zeros((96, 96), np.float32)
    observed[40, 50:52] = 1000, 500
    result = method(observed, "gaussian:0.6")
    assert np.isfinite(result).all()
    assert result.sum() == pytest.approx(1500, rel=0.02)


@by_name
def test_the_psf_may_be_as_large_as_the_picture(method):
    observed = np.random.default_rng(0).random((15, 14))
    result = method(observed, np.ones((15, 14)))
    assert np.isfinite(result).all()


@by_name
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    ("shape", "support"), [((40, 1), (5, 1)), ((1, 40), (1, 5)), ((1, 1), (1, 1)), ((2, 3), (2, 3))]
)
def test_tiny_and_thin_pictures_are_taken(method, boundary, shape, support):
    image = np.random.default_rng(0).random(shape)
    result = method(image, np.ones(support), boundary=boundary)
    assert result.shape == shape
    assert np.isfinite(result).all()


# Equivariance


@by_name
@settings(max_examples=5)
@given(st.floats(-3, 4), st.sampled_from(BOUNDARIES))
def test_a_scaled_picture_gives_the_scaled_result(case, method, exponent, boundary):
    factor, observed = 10.0**exponent, np.abs(case[1][:32, :32])
    one, scaled = (method(observed * k, "disk:2", boundary=boundary, **FEW[method]) for k in (1, factor))
    assert np.abs(scaled / factor - one).max() < 1e-6


@pytest.mark.parametrize("exponent", [-12, 12])
@by_name
def test_even_extreme_units_change_nothing(case, method, exponent):
    factor, observed = 10.0**exponent, np.abs(case[1][:32, :32])
    one, scaled = (method(observed * k, "disk:2", **FEW[method]) for k in (1, factor))
    assert np.abs(scaled / factor - one).max() < 1e-6


@pytest.mark.parametrize("method", [wiener, *SPARSE], ids=lambda m: m.__name__)
@pytest.mark.parametrize("boundary", ["unknown", "reflect", "periodic"])
@settings(max_examples=5)
@given(st.floats(-100, 100))
def test_an_even_offset_passes_through(case, method, boundary, offset):
    observed = case[1][:32, :32]
    one, raised = (method(observed + k, "disk:2", boundary=boundary, noise=0.01, **FEW[method]) for k in (0, offset))
    assert np.abs(raised - offset - one).max() < 1e-6


@by_name
@settings(max_examples=4)
@given(st.integers(-16, 16), st.integers(-16, 16))
def test_a_shifted_picture_gives_the_shifted_result(case, method, down, right):
    # Estimates of noise and balance know where the frame is.
    options = {wiener: {"balance": 0.01}, richardson_lucy: {"num_iter": 12}}.get(method, {"noise": 0.01, "num_iter": 8})
    observed = np.abs(case[1][:30, :32])
    one, moved = (
        method(np.roll(observed, by, (0, 1)), "motion:5:20", boundary="periodic", **options)
        for by in ((0, 0), (down, right))
    )
    assert np.abs(moved - np.roll(one, (down, right), (0, 1))).max() < 1e-6


@by_name
def test_away_from_the_frame_a_crop_gives_the_crop(photographs, method):
    _, observed = observe(photographs["man"], Psf.disk(2), 88)
    options = {wiener: {"balance": 0.01}, richardson_lucy: {"num_iter": 10, "accelerate": False}}.get(
        method, {"weight": 0.002}
    )
    whole, part = method(observed, "disk:2", **options), method(observed[5:75, 3:80], "disk:2", **options)
    inside = (slice(20, -20), slice(20, -20))
    error = part[inside] - whole[5:75, 3:80][inside]
    assert np.sqrt(np.mean(error**2)) < (0.02 if method is hyper_laplacian else 2e-3)


@by_name
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_mirrored_picture_gives_the_mirrored_result(case, method, axis, boundary):
    observed, psf = np.abs(case[1][:30, :33]), Psf.motion(5, 20)
    one = method(observed, psf, boundary=boundary, **FEW[method])
    other = method(np.flip(observed, axis), Psf(np.flip(psf.array, axis)), boundary=boundary, **FEW[method])
    # Forward differences are not quite those of the mirrored scene, and the domain's spare rim is on one side.
    tolerance = 0.02 if method in SPARSE or boundary in ("unknown", "reflect") else 1e-4
    assert np.sqrt(np.mean((np.flip(other, axis) - one) ** 2)) < tolerance


@by_name
@settings(max_examples=4)
@given(st.permutations(range(5)))
def test_permuted_channels_give_permuted_results(method, order):
    observed = np.random.default_rng(0).random((16, 17, 5)) * [1, 2, 3, 0.1, 50]
    one = method(observed, "disk:1.5", channel_axis=-1, boundary="reflect", **FEW[method])
    other = method(observed[..., order], "disk:1.5", channel_axis=-1, boundary="reflect", **FEW[method])
    if method is wiener:  # one balance serves all channels
        assert np.allclose(other, one[..., order], rtol=1e-6, atol=1e-6)
    else:
        assert np.allclose(other, one[..., order], rtol=0, atol=1e-9)


@by_name
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_of_a_batch_is_restored_as_if_alone(method, boundary, channels):
    batch = torch.rand(3, channels, 20, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = batch * torch.tensor([1.0, 1e4, 1e-3])[:, None, None, None]
    batch[2] = batch[2].mean()
    options = {"num_iter": 30, "stop": "discrepancy", "tv_weight": 0.01} if method is richardson_lucy else {}
    together = method(batch, "disk:1.5", boundary=boundary, **options)
    for one, picture in zip(together, batch, strict=True):
        alone = method(picture, "disk:1.5", boundary=boundary, **options)
        assert (one - alone).abs().max() < 1e-9 * picture.abs().max()


@by_name
def test_one_empty_picture_leaves_the_others_of_a_batch_alone(method):
    batch = torch.rand(2, 1, 20, 21, generator=torch.Generator().manual_seed(0))
    batch[1] = torch.nan
    result = method(batch, "disk:1.5")
    # A batch with bad pixels is weighed pixel by pixel, which rounds otherwise, and steps that extrapolate amplify it.
    assert torch.allclose(result[:1], method(batch[:1], "disk:1.5"), atol=1e-4)


@by_name
def test_the_same_call_gives_the_same_result_and_leaves_its_arguments_alone(case, method):
    observed, psf = case[1].copy(), np.ones((3, 3))
    first = method(observed, psf, **FEW[method])
    assert np.array_equal(method(observed, psf, **FEW[method]), first)
    assert np.array_equal(observed, case[1])
    assert np.array_equal(psf, np.ones((3, 3)))
    assert not np.shares_memory(first, observed)


# Gradients


def pair(shape=(7, 8), support=(3, 4)):
    generator = torch.Generator().manual_seed(0)
    image, psf = (torch.rand(s, generator=generator, dtype=torch.float64) + 0.2 for s in (shape, support))
    return image.requires_grad_(), psf.requires_grad_()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_wiener_are_right(boundary):
    assert torch.autograd.gradcheck(lambda i, p: wiener(i, p, 0.05, boundary=boundary), pair(), atol=1e-6)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("options", [{}, {"tv_weight": 0.02, "background": 0.1}], ids=["plain", "tv"])
def test_gradients_of_richardson_lucy_are_right(boundary, options):
    def run(image, psf):
        return richardson_lucy(image, psf, 3, boundary=boundary, accelerate=False, **options)

    assert torch.autograd.gradcheck(run, pair(), atol=1e-6)


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_sparse_methods_towards_the_psf_are_right(boundary, method):
    image, psf = pair()

    def run(psf):
        return method(image.detach(), psf, 0.02, boundary=boundary, num_iter=3)

    assert torch.autograd.gradcheck(run, psf, atol=1e-5)


@pytest.mark.parametrize("prior", ["tv", "hyper_laplacian"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_the_sparse_solver_are_right(boundary, prior):
    image, psf = pair()
    weight = torch.tensor(0.02, dtype=torch.float64)

    def run(image, psf):
        blur = BlurOperator(psf / psf.sum(), tuple(image.shape), boundary, image)
        return sparse_gradients(image[None, None], blur, weight, prior=prior, num_iter=3).scene

    assert torch.autograd.gradcheck(run, (image, psf), atol=1e-5)


@by_name
def test_gradients_past_holes_and_flat_ground_are_finite(method):
    image = torch.full((12, 13), 0.5)
    image[5, 6], image[2, 2] = 2, torch.nan
    image.requires_grad_()
    psf = torch.rand(3, 3).requires_grad_()
    method(image, psf).nan_to_num().square().sum().backward()
    assert image.grad.isfinite().all()
    assert psf.grad.isfinite().all()
    assert image.grad[5, 6] != 0


# Progress and native code


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
@pytest.mark.parametrize("channels", [1, 5])
def test_progress_goes_up_to_one(method, channels):
    seen = []
    method(np.random.default_rng(0).random((20, 21, channels)), "disk:1.5", progress=seen.append, channel_axis=-1)
    assert seen == sorted(set(seen))
    assert seen[-1] == 1.0
    assert all(0 < part <= 1 for part in seen)


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
def test_progress_of_a_large_picture_is_told_between_calls(method, monkeypatch):
    monkeypatch.setattr(admm, "VALUES_AT_ONCE", 1)
    seen = []
    method(np.random.default_rng(0).random((20, 21), np.float32), "disk:1.5", num_iter=4, progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("method", SPARSE, ids=lambda m: m.__name__)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_float32_pictures_are_restored_as_float64_ones(photographs, method, boundary):
    sharp, observed = observe(photographs["man"], Psf.disk(2), 60)
    colour = np.stack([observed, observed[::-1], 1 - observed], axis=-1)
    mask = np.random.default_rng(0).random(sharp.shape) > 0.05
    for picture in (observed, colour):
        one, other = (
            method(picture.astype(kind), "disk:2", boundary=boundary, noise=0.01, mask=mask, num_iter=10)
            for kind in (np.float32, np.float64)
        )
        assert np.abs(one - other).max() < (1e-4 if method is total_variation else 0.1)
        assert np.sqrt(np.mean((one - other) ** 2)) < (1e-5 if method is total_variation else 1e-3)


# Bad settings


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (wiener, {"balance": -1}, "balance is -1"),
        (wiener, {"balance": np.nan}, "balance is nan"),
        (wiener, {"balance": "much"}, "balance is 'much'"),
        (wiener, {"noise": -1}, "noise is -1"),
        (wiener, {"noise": "a"}, "noise is 'a'"),
        (richardson_lucy, {"num_iter": -1}, "num_iter is -1"),
        (richardson_lucy, {"num_iter": 2.5}, "num_iter is 2.5"),
        (richardson_lucy, {"background": -1}, "background is -1"),
        (richardson_lucy, {"background": "dark"}, "background is 'dark'"),
        (richardson_lucy, {"tv_weight": 1}, "tv_weight is 1; expected a number from 0 to below 1"),
        (richardson_lucy, {"tv_weight": None}, "tv_weight is None"),
        (richardson_lucy, {"stop": "soon"}, "stop is 'soon'; expected 'discrepancy', a noise level or None"),
        (richardson_lucy, {"stop": -0.1}, "stop is -0.1"),
        (richardson_lucy, {"stop": [1]}, r"stop is \[1\]"),
        (total_variation, {"weight": -1}, "weight is -1"),
        (hyper_laplacian, {"weight": np.inf}, "weight is inf"),
        (total_variation, {"num_iter": 0}, "num_iter is 0; expected a whole number above 0"),
        (hyper_laplacian, {"noise": np.nan}, "noise is nan"),
        *[(m, {"boundary": "wrap"}, "boundary is 'wrap'") for m in METHODS],
        *[(m, {"mask": np.zeros((16, 16), bool)}, "mask leaves no pixel to fit") for m in METHODS],
        *[(m, {"channel_axis": 5}, "channel_axis is 5") for m in METHODS],
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_by_name(method, options, message):
    with pytest.raises(ValueError, match=message):
        method(np.ones((16, 16)), "disk:2", **options)


@by_name
def test_without_a_psf_the_message_speaks_of_it(method):
    with pytest.raises(TypeError, match="psf has dtype object"):
        method(np.ones((16, 16)), None)
