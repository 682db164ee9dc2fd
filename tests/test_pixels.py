"""Arrays of every layout and dtype become planes, and come back as they were."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imgrestore.pixels import has_eight_bits, not_negative, saturated_pixels, to_mask, to_planes

DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64, ">u2", ">f4", ">f8"]
TENSOR_DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64]
# shape, space, channel_axis, shape of the planes
LAYOUTS = [
    ((5, 6), 2, "auto", (1, 1, 5, 6)),
    ((5, 6, 1), 2, "auto", (1, 1, 5, 6)),
    ((5, 6, 2), 2, "auto", (1, 1, 5, 6)),
    ((5, 6, 3), 2, "auto", (1, 3, 5, 6)),
    ((5, 6, 4), 2, "auto", (1, 3, 5, 6)),
    ((5, 6, 4), 2, -1, (1, 4, 5, 6)),
    ((5, 6, 7), 2, -1, (1, 7, 5, 6)),
    ((7, 5, 6), 2, 0, (1, 7, 5, 6)),
    ((5, 7, 6), 2, 1, (1, 7, 5, 6)),
    ((7, 5, 6), 2, None, (7, 1, 5, 6)),
    ((5, 6, 3), 2, None, (5, 1, 6, 3)),
    ((2, 5, 6, 3), 2, -1, (2, 3, 5, 6)),
    ((3, 2, 5, 6), 2, 0, (2, 3, 5, 6)),
    ((2, 8, 5, 6, 3), 2, -1, (16, 3, 5, 6)),
    ((4, 5, 6), 3, "auto", (1, 1, 4, 5, 6)),
    ((4, 5, 6, 3), 3, "auto", (1, 3, 4, 5, 6)),
    ((4, 5, 6, 4), 3, "auto", (1, 3, 4, 5, 6)),
    ((4, 5, 6, 9), 3, -1, (1, 9, 4, 5, 6)),
    ((2, 4, 5, 6), 3, None, (2, 1, 4, 5, 6)),
]
TENSOR_LAYOUTS = [
    ((5, 6), 2, "auto", (1, 1, 5, 6)),
    ((3, 5, 6), 2, "auto", (1, 3, 5, 6)),
    ((9, 5, 6), 2, "auto", (1, 9, 5, 6)),
    ((2, 3, 5, 6), 2, "auto", (2, 3, 5, 6)),
    ((2, 5, 6), 2, None, (2, 1, 5, 6)),
    ((2, 5, 6, 3), 2, -1, (2, 3, 5, 6)),
    ((4, 5, 6), 3, "auto", (1, 1, 4, 5, 6)),
    ((2, 3, 4, 5, 6), 3, "auto", (2, 3, 4, 5, 6)),
]


def picture(shape, dtype, seed=0):
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind == "u":
        return rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    return (rng.random(shape) * 4 - 1).astype(dtype)


def assert_same(result, image):
    assert type(result) is type(image)
    assert result.dtype == image.dtype
    assert result.shape == image.shape
    if isinstance(image, torch.Tensor):
        result, image = (t.double().numpy() for t in (result, image))
    assert np.array_equal(result, image, equal_nan=result.dtype.kind == "f")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "space", "axis", "planes_shape"), LAYOUTS)
def test_arrays_come_back_exactly(shape, space, axis, planes_shape, dtype):
    image = picture(shape, dtype)
    planes = to_planes(image, space, axis)
    assert tuple(planes.data.shape) == planes_shape
    assert planes.good.shape == planes.data.shape
    assert_same(planes.back(planes.data), image)


@pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "space", "axis", "planes_shape"), TENSOR_LAYOUTS)
def test_tensors_come_back_exactly(shape, space, axis, planes_shape, dtype):
    image = torch.from_numpy(picture(shape, np.float32) * (1 if dtype.is_floating_point else 60)).abs().to(dtype)
    planes = to_planes(image, space, axis)
    assert tuple(planes.data.shape) == planes_shape
    assert_same(planes.back(planes.data), image)


def test_channels_and_batches_stand_in_their_order():
    image = picture((2, 5, 6, 3), np.float32)
    planes = to_planes(image, channel_axis=-1).data
    assert np.array_equal(planes[1, 2].numpy(), image[1, :, :, 2])
    alpha = picture((5, 6, 4), np.float32)
    assert np.array_equal(to_planes(alpha).data[0].numpy(), alpha[..., :3].transpose(2, 0, 1))


@given(st.permutations(range(4)), st.tuples(*[st.integers(1, 5)] * 4), st.integers(-4, 3))
def test_any_order_of_axes_comes_back(order, shape, axis):
    image = picture(shape, np.float64).transpose(order)
    planes = to_planes(image, channel_axis=axis)
    assert planes.data.shape[1] == image.shape[axis]
    assert_same(planes.back(planes.data), image)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float32])
def test_alpha_stays_bit_for_bit_while_the_rest_changes(channels, dtype):
    image = picture((5, 6, channels), dtype)
    planes = to_planes(image)
    result = planes.back(planes.data * 0)
    assert result.dtype == image.dtype
    assert np.array_equal(result[..., -1], image[..., -1])
    assert not result[..., :-1].any()


def test_nan_alpha_is_kept():
    image = picture((5, 6, 4), np.float32)
    image[2, 2, 3] = np.nan
    planes = to_planes(image)
    assert planes.good.all()
    assert_same(planes.back(planes.data), image)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::2, 1::3],
        lambda a: a[::-1, ::-1],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[:1], (7, a.shape[1])),
        lambda a: np.rec.fromarrays([a, a.astype(np.uint8)], names="x,y")["x"],
    ],
    ids=["strided", "negative", "transposed", "broadcast", "field"],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, ">f4"], ids=str)
def test_views_are_read_right(view, dtype):
    image = view(picture((9, 12), dtype))
    planes = to_planes(image)
    assert_same(planes.back(planes.data), np.ascontiguousarray(image).view(np.ndarray))


def test_read_only_arrays_are_read_and_left_alone():
    image = picture((5, 6), np.float32)
    image.setflags(write=False)
    planes = to_planes(image)
    planes.data.add_(1)
    assert np.array_equal(image, picture((5, 6), np.float32))


def test_integers_are_taken_for_0_to_1_and_floats_as_they_are():
    assert to_planes(np.array([[0, 255]], np.uint8)).data.flatten().tolist() == [0.0, 1.0]
    assert to_planes(np.array([[0, 65535]], np.uint16)).data.flatten().tolist() == [0.0, 1.0]
    assert to_planes(np.array([[-3.0, 60000.0]])).data.flatten().tolist() == [-3.0, 60000.0]


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [(np.uint8, torch.float32), (np.float16, torch.float32), (np.float32, torch.float32), (">f8", torch.float64)],
    ids=str,
)
def test_planes_are_single_precision_unless_the_picture_is_double(dtype, wanted):
    assert to_planes(picture((5, 6), dtype)).data.dtype == wanted
    assert to_planes(picture((5, 6), dtype), dtype=torch.float64).data.dtype == torch.float64


def test_integers_are_rounded_and_held_in_their_range():
    planes = to_planes(np.zeros((1, 4), np.uint8))
    values = torch.tensor([-0.5, 100.4 / 255, 100.6 / 255, 2.0]).reshape(1, 1, 1, 4)
    assert planes.back(values).tolist() == [[0, 100, 101, 255]]
    assert planes.back(values, as_float=True)[0].tolist() == pytest.approx([-127.5, 100.4, 100.6, 510.0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32], ids=str)
def test_layers_of_small_types_are_single_precision(dtype):
    for image in (picture((5, 6), dtype), torch.from_numpy(picture((5, 6), dtype))):
        planes = to_planes(image)
        layer = planes.back(planes.data / 3, as_float=True)
        assert str(layer.dtype).endswith("float32")
        assert type(layer) is type(image)
        assert np.allclose(np.asarray(layer) * 3, np.asarray(image).astype(np.float64), rtol=1e-5)


def test_layers_have_no_alpha():
    planes = to_planes(picture((5, 6, 4), np.uint8))
    assert planes.back(planes.data, as_float=True).shape == (5, 6, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_pixels_that_are_no_number_are_marked_and_come_back(bad, kind):
    values = picture((5, 6), np.float32)
    values[2, 3] = bad
    image = kind(values)
    planes = to_planes(image)
    assert planes.data[0, 0, 2, 3] == 0
    assert (~planes.good).nonzero().tolist() == [[0, 0, 2, 3]]
    assert_same(planes.back(planes.data), image)
    assert planes.back(planes.data, keep_bad=False)[2, 3] == 0


def test_gradients_run_through_planes_and_back_past_nan():
    image = torch.rand(3, 5, 6, dtype=torch.float64)
    image[0, 2, 2] = torch.nan
    image.requires_grad_()
    planes = to_planes(image)
    planes.back(planes.data * 2, keep_bad=False).sum().backward()
    wanted = torch.full_like(image, 2.0)
    wanted[0, 2, 2] = 0
    assert torch.equal(image.grad, wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_saturated_at_the_largest_value(dtype):
    image = np.zeros((6, 6), dtype)
    image[2, 3] = np.iinfo(dtype).max
    image[2, 4] = np.iinfo(dtype).max - 1
    assert saturated_pixels(to_planes(image)).nonzero().tolist() == [[0, 0, 2, 3]]


def test_eight_bits_are_seen_in_the_values_of_any_type():
    file = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    for image in (file, file / 255, (file / 255).astype(np.float32), file.astype(np.uint16) * 257):
        assert has_eight_bits(to_planes(image).data)
    holed = file / 255
    holed[3, 4] = np.nan
    assert has_eight_bits(to_planes(holed).data)
    finer = np.random.default_rng(0).random((40, 50))
    for image in (finer, file.astype(np.float32), -(file / 255), (65535 * finer).astype(np.uint16)):
        assert not has_eight_bits(to_planes(image).data)


def test_a_faint_star_on_black_is_no_picture_of_8_bits():
    sky = np.zeros((400, 400), np.uint16)
    sky[123, 45] = 1000
    assert not has_eight_bits(to_planes(sky).data)


def test_floats_are_saturated_where_the_largest_value_is_repeated():
    image = picture((40, 40), np.float32)
    image[image > 2.7] = 2.7
    found = saturated_pixels(to_planes(image))[0, 0].numpy()
    assert found.sum() > 50
    assert np.array_equal(found, image == np.float32(2.7))


def test_a_few_equal_largest_values_are_chance():
    image = picture((40, 40), np.float32)
    image[:2, :3] = 9
    assert not saturated_pixels(to_planes(image)).any()


@pytest.mark.parametrize("value", [0.0, 1.0, -7.0])
def test_a_constant_picture_of_floats_is_not_saturated(value):
    assert not saturated_pixels(to_planes(np.full((20, 20), value))).any()


def test_saturation_is_told_channel_by_channel():
    image = picture((20, 20, 3), np.float32)
    image[:5, :5, 1] = 10
    assert saturated_pixels(to_planes(image)).sum(dim=(0, 2, 3)).tolist() == [0, 25, 0]


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 4)], ids=["space", "picture"])
def test_masks_fit_the_space_or_the_picture(shape, kind):
    planes = to_planes(picture((5, 6, 4), np.uint8))
    mask = np.ones(shape, bool)
    mask[1, 2] = False
    found = to_mask(kind(mask), planes)
    assert found.dtype == torch.bool
    assert found.shape == planes.data.shape
    assert (~found).nonzero().tolist() == [[0, c, 1, 2] for c in range(3)]
    assert np.array_equal(
        planes.back_mask(found), np.repeat(mask[:, :, None], 4, 2)[..., :3].reshape(5, 6, -1)[..., :3]
    )


def test_masks_may_be_lists_and_views():
    planes = to_planes(picture((2, 3), np.float32))
    assert to_mask([[True, False, True], [True, True, True]], planes).sum() == 5
    view = np.broadcast_to(np.array([True, False, True]), (2, 3))[::-1]
    assert to_mask(view, planes).sum() == 4


@pytest.mark.parametrize("mask", [np.ones((5, 6), np.uint8), np.ones((5, 6)), "all", [[1, 0]], None])
def test_masks_are_booleans(mask):
    with pytest.raises(TypeError, match=r"mask has dtype .*; expected bool"):
        to_mask(mask, to_planes(picture((5, 6), np.uint8)))


@pytest.mark.parametrize("shape", [(6, 5), (5, 6, 1), (5,), (0, 6), (5, 6, 3)])
def test_masks_have_the_shape_of_the_picture(shape):
    with pytest.raises(ValueError, match=r"mask has shape .*; expected \(5, 6\)$"):
        to_mask(np.ones(shape, bool), to_planes(picture((5, 6), np.uint8)))


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.ones((5, 6), np.int32), TypeError, "image has dtype int32; expected uint8, uint16 or real floating point"),
        (np.ones((5, 6), np.int64), TypeError, "image has dtype int64"),
        (np.ones((5, 6), bool), TypeError, "image has dtype bool"),
        (np.ones((5, 6), complex), TypeError, "image has dtype complex128"),
        (np.full((5, 6), None), TypeError, "image has dtype object"),
        (np.full((5, 6), "a"), TypeError, "image has dtype str"),
        (torch.ones(5, 6, dtype=torch.int16), TypeError, "image has dtype int16"),
        (torch.ones(5, 6, dtype=torch.complex64), TypeError, "image has dtype complex64"),
        ([[1.0, 2.0]], TypeError, "image is a list; expected a NumPy array or a torch tensor"),
        ("cat.png", TypeError, "image is a str"),
        (None, TypeError, "image is a NoneType"),
        (np.ma.masked_array(np.ones((5, 6))), TypeError, "image is a masked array; pass its data and mask="),
        (np.ones((0, 6)), ValueError, r"image is empty \(shape \(0, 6\)\)"),
        (torch.ones(3, 0, 6), ValueError, r"image is empty"),
        (np.full((5, 6), np.nan), ValueError, "image has no finite pixel"),
        (np.full((5, 6), np.inf, np.float32), ValueError, "image has no finite pixel"),
        (np.ones(6), ValueError, r"image has shape \(6,\); expected at least 2 axes"),
        (np.array(3.0), ValueError, r"image has shape \(\)"),
        (np.ones((5, 6, 7)), ValueError, r"image has shape \(5, 6, 7\).*say channel_axis"),
        (np.ones((2, 5, 6, 3)), ValueError, "which can be read in several ways"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_in_so_many_words(image, error, message):
    with pytest.raises(error, match=message):
        to_planes(image)


@pytest.mark.parametrize("axis", [3, -4, 1.0, "last"])
def test_channel_axis_is_one_of_the_axes(axis):
    with pytest.raises(ValueError, match=r"channel_axis is .*; expected an axis of image, whose shape is \(5, 6, 3\)"):
        to_planes(np.ones((5, 6, 3)), channel_axis=axis)


def test_a_picture_without_channels_has_no_channel_axis():
    with pytest.raises(ValueError, match="channel_axis is -1"):
        to_planes(np.ones((5, 6)), channel_axis=-1)


def test_errors_call_the_picture_as_they_are_told():
    with pytest.raises(TypeError, match="truth is a list"):
        to_planes([1], name="truth")


@pytest.mark.parametrize("value", [0, 3, 2.5, np.float32(1), np.int64(2)])
def test_settings_may_be_any_real_number(value):
    assert not_negative(value, "noise") == value


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True, [1.0], 1j])
def test_settings_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"noise is .*; expected a number that is 0 or more"):
        not_negative(value, "noise")
