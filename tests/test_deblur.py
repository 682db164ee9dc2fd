"""`deblur`: what goes in comes out in the same form, sharper, and with an account of what was done."""

import numpy as np
import pytest
import torch
from conftest import observe, psnr, same_but_for_rounding
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from imgrestore import Psf, Restoration, deblur

DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64, ">f4", ">u2"]
METHODS = ["wiener", "rl", "tv", "hyperlaplacian", "auto"]
by_method = pytest.mark.parametrize("method", METHODS)


@pytest.mark.parametrize(
    ("method", "dtype", "channels"),
    [("wiener", d, c) for d in DTYPES for c in (None, 1, 2, 3, 4)]
    + [(m, d, c) for m in METHODS[1:] for d, c in ((np.uint8, 4), (np.uint16, None), (np.float32, 3), (">f4", 2))],
    ids=str,
)
def test_type_shape_dtype_and_range_are_those_of_the_picture(case, method, dtype, channels):
    sharp, observed = case
    peak = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0
    image = (observed.clip(0, 1) * peak).astype(dtype)
    if channels:
        image = np.stack([image] * channels, -1)
    before = image.copy()
    result = deblur(image, "disk:2", method=method)
    assert type(result) is np.ndarray
    assert (result.dtype, result.shape) == (image.dtype, image.shape)
    colours = slice(None) if channels in (None, 1, 3) else slice(0, channels - 1)
    one = result if channels is None else result[..., colours].mean(-1)
    assert psnr(one / peak, sharp) > psnr(observed, sharp) - 0.1
    if channels in (2, 4):
        assert np.array_equal(result[..., -1], image[..., -1])
    assert np.array_equal(image, before)


@by_method
def test_a_picture_of_8_bits_is_one_in_floating_point_too(case, method):
    image = (255 * case[1].clip(0, 1)).astype(np.uint8)
    as_float = deblur(image / 255, Psf.disk(2), method=method)
    assert np.abs(255 * as_float.clip(0, 1) - deblur(image, Psf.disk(2), method=method)).max() < 0.51


@by_method
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(24, 25), (1, 24, 25), (3, 24, 25), (2, 5, 24, 25)])
def test_tensors_come_back_as_tensors(case, method, dtype, shape):
    observed = torch.from_numpy(case[1][:24, :25].clip(0, 1))
    image = (observed * (1 if dtype.is_floating_point else 255)).to(dtype).expand(shape)
    result = deblur(image, "disk:2", method=method)
    assert (type(result), result.dtype, result.shape) == (torch.Tensor, dtype, image.shape)
    assert result.double().isfinite().all()


@by_method
@pytest.mark.parametrize("low", [0.0, -0.3])
def test_values_outside_0_to_1_are_kept(case, method, low):
    sharp, observed = case
    counts = (observed + low) * 60000
    result = deblur(counts, "disk:2", method=method)
    assert psnr(result / 60000 - max(low, 0), (sharp + low).clip(0 if method == "rl" else None)) > 25
    assert result.max() > 0.9 * 60000 * (sharp.max() + low)
    if low and method != "rl":
        assert result.min() < -5000


@by_method
@pytest.mark.parametrize("exponent", [-9, -3, 4])
def test_a_scaled_picture_gives_the_scaled_result(case, method, exponent):
    factor, observed = 10.0**exponent, np.abs(case[1])
    one, scaled = (deblur(observed * k, "disk:2", method=method) for k in (1, factor))
    assert same_but_for_rounding(scaled / factor, one, method)


@pytest.mark.parametrize("kind", ["array", "tensor"])
@by_method
def test_stacks_go_with_a_psf_of_three_axes(method, kind):
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter((rng.random((12, 28, 28)) > 0.985) * 9e4, 0.7)
    psf = Psf.gaussian((1, 1.5, 1.5)).trimmed(1e-2)
    observed = (ndimage.convolve(scene, psf.array, mode="reflect") + rng.normal(0, 10, scene.shape)).astype(np.float32)
    result = deblur(observed if kind == "array" else torch.from_numpy(observed)[None], psf, method=method)
    assert (result.dtype, result.shape) == (
        (observed.dtype, observed.shape) if kind == "array" else (torch.float32, (1, 12, 28, 28))
    )
    inside = (slice(3, -3), slice(4, -4), slice(4, -4))
    found = np.asarray(result).reshape(scene.shape)
    assert psnr(found[inside], scene[inside]) > psnr(observed[inside], scene[inside]) + 1


@by_method
def test_channel_axis_says_where_the_channels_are(case, method):
    image = np.stack([case[1][:24, :25] * k for k in (1, 0.5, 2, 0.1, 0.7)])
    last = np.moveaxis(image, 0, -1)
    wanted = deblur(image, "disk:2", method=method, channel_axis=0)
    assert np.array_equal(deblur(last, "disk:2", method=method, channel_axis=-1), np.moveaxis(wanted, 0, -1))
    alone = deblur(image[2], "disk:2", method=method)
    assert np.abs(deblur(image, "disk:2", method=method, channel_axis=None)[2] - alone).max() < 1e-5


@by_method
@pytest.mark.parametrize("psf", [Psf.gaussian(1.5), Psf.motion(9, 30)], ids=["gaussian", "motion"])
@pytest.mark.parametrize("name", ["man", "buildings"])
def test_the_result_is_sharper(photographs, name, psf, method):
    sharp, observed = observe(photographs[name], psf)
    assert psnr(deblur(observed, psf, method=method), sharp) > psnr(observed, sharp) + (1 if method == "rl" else 1.5)


def test_pictures_get_total_variation_and_stacks_richardson_lucy(case):
    observed = case[1]
    unrefined = deblur(observed, "disk:2", refine=False)
    assert np.array_equal(unrefined, deblur(observed, "disk:2", method="tv"))
    stack, psf = np.abs(observed.reshape(3, 16, 48)), Psf.gaussian(0.5, ndim=3).trimmed(1e-2)
    assert np.array_equal(deblur(stack, psf), deblur(stack, psf, method="rl"))


@pytest.mark.parametrize(
    "psf", ["disk:2", Psf.disk(2), Psf.disk(2).array * 7, torch.tensor(Psf.disk(2).array)], ids=type
)
def test_the_psf_may_be_words_an_array_or_a_tensor_of_any_sum(case, psf):
    assert np.allclose(deblur(case[1], psf), deblur(case[1], "disk:2"), atol=1e-6)


# Do no harm


@by_method
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">f4"], ids=str)
@pytest.mark.parametrize("channels", [None, 4])
def test_a_point_psf_gives_the_picture_back_bit_for_bit(method, dtype, channels):
    image = (np.random.default_rng(0).random((9, 10, channels) if channels else (9, 10)) * 200).astype(dtype)
    result = deblur(image, np.eye(3)[1:2], method=method, details=True)
    assert result.image.dtype == image.dtype
    assert np.array_equal(result.image, image)
    assert not np.shares_memory(result.image, image)
    assert result.notes == ("nothing to deblur: the PSF is a single point",)
    assert np.allclose(result.recompose(), image[..., :3] if channels else image, rtol=1e-6)


@by_method
@pytest.mark.parametrize("value", [0, 7])
@pytest.mark.parametrize(
    "kind", [lambda v: np.full((20, 21), v, np.uint16), lambda v: torch.full((2, 1, 20, 21), v + 0.1)]
)
def test_a_constant_picture_comes_back_as_it_is(method, value, kind):
    image = kind(value)
    result = deblur(image, "disk:3", method=method, details=True)
    assert type(result.image) is type(image)
    assert bool((result.image == image).all())
    assert result.notes == ("nothing to deblur: the picture is constant",)


@by_method
def test_one_constant_picture_of_a_batch_stays_constant(method):
    batch = torch.rand(2, 1, 24, 25, generator=torch.Generator().manual_seed(0))
    batch[0] = 7
    assert (deblur(batch, "disk:2", method=method)[0] - 7).abs().max() < 1e-3


def test_a_point_beside_the_centre_moves_the_picture():
    sharp = ndimage.gaussian_filter(np.random.default_rng(0).random((32, 32)), 2)
    psf = Psf(np.eye(1, 5, 4))
    observed = ndimage.convolve(sharp, psf.array, mode="wrap")
    result = deblur(observed, psf, method="wiener", boundary="periodic", noise=1e-4)
    assert np.abs(result - sharp).max() < 0.1 * np.abs(observed - sharp).max()


# Details


@by_method
@pytest.mark.parametrize("boundary", ["unknown", "zero", "reflect", "periodic"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64], ids=str)
def test_the_layers_recompose_the_picture(case, method, boundary, dtype):
    peak = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1000.0
    image = (case[1][:24, :25].clip(0, 1) * peak).astype(dtype)
    result = deblur(image, "disk:2", method=method, boundary=boundary, details=True)
    assert list(result.layers)[:2] == ["reblurred", "residual"]
    assert all(layer.dtype.kind == "f" for layer in result.layers.values())
    assert np.abs(result.recompose() - image.astype(np.float64)).max() < 1e-5 * peak


@by_method
@pytest.mark.parametrize("boundary", ["zero", "reflect", "periodic"])
def test_the_reblurred_layer_is_the_result_through_the_psf(case, method, boundary):
    mode = {"zero": "constant", "reflect": "reflect", "periodic": "wrap"}[boundary]
    result = deblur(case[1], "disk:2", method=method, boundary=boundary, details=True)
    wanted = ndimage.convolve(result.image, Psf.disk(2).array, mode=mode)
    assert np.abs(result.layers["reblurred"] - wanted).max() < 1e-4


@by_method
def test_inside_the_reblurred_layer_is_the_result_through_the_psf_whatever_lies_outside(case, method):
    result = deblur(case[1], "disk:2", method=method, details=True)
    wanted = signal.convolve(result.image, Psf.disk(2).array, mode="valid")
    assert np.abs(result.layers["reblurred"][2:-2, 2:-2] - wanted).max() < 1e-4


def test_details_tell_what_was_done(case):
    result = deblur(case[1], "disk:2", details=True)
    assert isinstance(result, Restoration)
    assert np.array_equal(result.image, deblur(case[1], "disk:2"))
    assert np.array_equal(result.psf.array, Psf.disk(2).array)
    assert result.mask.shape == case[1].shape
    assert result.mask.dtype == bool
    assert not result.mask.any()
    assert result.confidence.shape == case[1].shape
    assert result.confidence.dtype == np.float32
    assert 0.5 < result.confidence.min() <= result.confidence.max() <= 1
    assert result.notes[:2] == ("method tv", "refined by the net")
    assert len(result.notes) == 3


@pytest.mark.parametrize(("dtype", "units"), [(np.uint8, 255), (np.float64, 1)])
def test_a_given_noise_is_noted_in_the_units_of_the_picture(case, dtype, units):
    image = (case[1].clip(0, 1) * units).astype(dtype)
    notes = deblur(image, "disk:2", noise=0.02 * units, details=True).notes
    assert notes[-1] == f"noise {0.02 * units:.4g} in the picture's units"


@pytest.mark.parametrize(("true", "wrong"), [("gaussian:1", "gaussian:3"), ("disk:1", "gaussian:2.5")])
def test_a_wrong_psf_is_noted(photographs, true, wrong):
    _, observed = observe(photographs["man"], Psf.parse(true), 64, 0.005)

    def doubted(psf):
        return any("the PSF explains the picture to" in note for note in deblur(observed, psf, details=True).notes)

    assert doubted(wrong)
    assert not doubted(true)


def test_a_wrong_psf_lowers_the_confidence(photographs):
    _, observed = observe(photographs["man"], Psf.gaussian(1), 64, 0.005)
    right, wrong = (deblur(observed, p, details=True).confidence.mean() for p in ("gaussian:1", "gaussian:3"))
    assert wrong < 0.5 < right


# Damaged and saturated pixels


@by_method
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_damaged_pixels_are_filled_and_marked(case, method, kind):
    sharp, observed = case
    hole = np.zeros(observed.shape, bool)
    hole[20:23, 30:34] = hole[5, 5] = True
    mask = ~hole
    damaged = np.where(hole, np.nan, observed)
    mask[40, 40] = False
    result = deblur(kind(damaged), "disk:2", method=method, mask=kind(mask), details=True)
    assert np.array_equal(np.asarray(result.mask), ~mask)
    image = np.asarray(result.image)
    assert np.isfinite(image).all()
    assert psnr(image[hole], sharp[hole]) > 15
    assert any("14 saturated, NaN or masked values were left out" in note for note in result.notes)
    whole = result.recompose()
    assert np.allclose(np.asarray(whole)[~hole], observed[~hole], atol=1e-5)


@by_method
def test_damaged_pixels_do_not_spread(case, method):
    observed = case[1]
    hole = np.zeros(observed.shape, bool)
    hole[20:23, 30:34] = hole[45:, :3] = True
    far = ~ndimage.binary_dilation(hole, iterations=6)
    whole = deblur(observed, "disk:2", method=method, noise=0.01)
    for damaged in (np.where(hole, np.nan, observed), np.where(hole, 1e6, observed)):
        result = deblur(damaged, "disk:2", method=method, noise=0.01, mask=~hole)
        assert np.sqrt(np.mean((result - whole)[far] ** 2)) < 0.01
        assert np.abs(result - whole)[far].max() < 0.1


@pytest.mark.parametrize("method", ["rl", "tv", "hyperlaplacian"])
def test_a_clipped_star_comes_out_brighter_than_the_clip_and_without_a_dark_ring(method):
    rows, columns = np.indices((64, 64)) - 32
    radius = np.hypot(rows, columns)
    scene = np.full((64, 64), 20.0)
    scene[32, 32] = 20000
    seen = ndimage.convolve(scene, Psf.gaussian(2).array, mode="nearest")
    clipped = np.minimum(seen + np.random.default_rng(0).normal(0, 0.5, seen.shape), 300)
    assert 12 < (clipped == 300).sum() < 60
    result = deblur(clipped, "gaussian:2", method=method, details=True)
    assert result.image.max() > 2 * 300
    assert result.image[(radius > 3) & (radius < 12)].min() > -0.05 * 300
    assert np.array_equal(result.mask, clipped == 300)
    # Taken for data, the plateau would stand for too little light.
    blind = deblur(np.where(clipped == 300, 300 - 1e-3 * radius, clipped), "gaussian:2", method=method)
    seen, unseen = ((image - 20)[radius < 8].sum() for image in (result.image, blind))
    assert abs(seen - 19980) < 0.7 * abs(unseen - 19980)


@pytest.mark.parametrize("method", METHODS)
def test_one_channel_without_a_number_leaves_the_others_alone(case, method):
    image = np.stack([case[1]] * 3, -1)
    image[..., 1] = np.nan
    result = deblur(image, "disk:2", method=method)
    assert np.isfinite(result[..., [0, 2]]).all()
    assert psnr(result[..., 0], case[0]) > psnr(case[1], case[0]) - 0.1


# Small, thin, large


@by_method
@pytest.mark.parametrize(
    ("shape", "support"), [((40, 1), (5, 1)), ((1, 40), (1, 5)), ((2, 2), (2, 2)), ((1, 9, 9), (1, 3, 3))]
)
def test_thin_pictures_are_taken(method, shape, support):
    image = np.random.default_rng(0).random(shape)
    for boundary in ("unknown", "zero", "reflect", "periodic"):
        result = deblur(image, np.ones(support), method=method, boundary=boundary)
        assert result.shape == shape
        assert np.isfinite(result).all()


@by_method
@settings(max_examples=8)
@given(st.data())
def test_pictures_of_any_size_and_content_stay_finite(method, data):
    shape = data.draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    support = tuple(data.draw(st.integers(1, n)) for n in shape)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    image = rng.choice(
        [0.0, 1.0, -5.0, 1e4, np.nan],
        shape,
        p=data.draw(st.sampled_from([(0.3, 0.4, 0.1, 0.1, 0.1), (0.9, 0.1, 0, 0, 0)])),
    )
    image[0, 0] = 0.5
    result = deblur(image, rng.random(support) + 1e-3, method=method, details=True)
    assert result.image.shape == shape
    if "nothing to deblur" in result.notes[0]:
        assert np.array_equal(result.image, image, equal_nan=True)
    else:
        assert np.isfinite(result.image).all()


# Gradients


@by_method
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_run_from_the_result_to_picture_and_psf(case, method, channels):
    image = torch.from_numpy(case[1][:24, :25]).float().expand(2, channels, 24, 25).clone().requires_grad_()
    psf = torch.tensor(Psf.disk(2).array).float().requires_grad_()
    deblur(image, psf, method=method).square().sum().backward()
    for gradient in (image.grad, psf.grad):
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 1e-3


@by_method
def test_gradients_keep_the_scale(case, method):
    image = torch.from_numpy(np.abs(case[1][None, :24, :25])).requires_grad_()
    result = deblur(image, "disk:2", method=method)
    ((gradient),) = torch.autograd.grad(result.sum(), image)
    # A result that scales with its picture has this sum (Euler); estimates and restarts are held fixed.
    assert (gradient * image).sum().item() == pytest.approx(result.sum().item(), rel=0.02)
