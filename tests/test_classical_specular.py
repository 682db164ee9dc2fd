"""What finds highlights, on pictures of which everything is known."""

import numpy as np
import pytest
import torch
from specular_cases import GREEN, body, bump, coded, error

from imgrestore.classical import separate_highlights
from imgrestore.classical.specular import estimate_highlights, lamp_colour
from imgrestore.classical.specular_fill import membrane
from imgrestore.classical.specular_lift import SIDE
from imgrestore.light import decode, encode


@pytest.mark.parametrize("transfer", ["linear", "srgb"])
@pytest.mark.parametrize("colour", [GREEN, (0.6, 0.25, 0.1), (0.1, 0.15, 0.5)])
def test_a_highlight_goes_and_the_body_stays(transfer, colour):
    clean, shine = body(colour), bump()
    if transfer == "srgb":
        truth, observed = coded(clean), coded(clean + shine)
    else:
        truth, observed = clean, np.minimum(clean + shine, 1)
    diffuse, specular = separate_highlights(observed, transfer=transfer)
    assert error(diffuse, truth) < 0.25 * error(observed, truth)
    assert np.abs(diffuse + specular - observed).max() < 1e-6
    assert specular.min() >= 0
    # Far from the highlight nothing is touched.
    assert not specular[:20].any()


def test_how_values_are_coded_is_found():
    dark, shine = 0.5 * body(), 0.5 * bump()
    linear = separate_highlights(dark + shine)[0]
    assert error(linear, dark) < 0.25 * error(dark + shine, dark)
    diffuse = separate_highlights(coded(body() + bump()))[0]
    assert error(diffuse, coded(body())) < 0.25 * error(coded(body() + bump()), coded(body()))


def test_clipped_cores_are_filled_from_the_body():
    clean = body((0.5, 0.2, 0.08))
    observed = np.minimum(clean + bump(peak=2.5), 1)
    assert (observed.min(axis=2) == 1).sum() > 50
    diffuse = separate_highlights(observed, transfer="linear")[0]
    core = observed.min(axis=2) == 1
    assert np.abs(diffuse[core] - clean[core]).max() < 0.12


@pytest.mark.parametrize(
    "paint", [(0.75, 0.75, 0.75), (0.9, 0.9, 0.9), (0.5, 0.5, 0.5)], ids=["white", "bright", "gray"]
)
@pytest.mark.parametrize("transfer", ["linear", "srgb"])
def test_white_and_gray_things_on_a_coloured_body_stay(paint, transfer):
    light = body()
    light[50:58, 40:80] = paint
    light[80:100, 60:66] = paint
    picture = coded(light) if transfer == "srgb" else light
    assert np.array_equal(separate_highlights(picture, transfer=transfer)[0], picture)


def test_white_balls_keep_their_shading():
    light = body((0.7, 0.7, 0.7)) + bump(0.2)
    assert np.array_equal(separate_highlights(coded(light))[0], coded(light))


def test_lighter_paint_of_the_same_colour_is_no_highlight():
    light = body()
    light[50:62, 40:80] *= 1.9
    assert np.array_equal(separate_highlights(light, transfer="linear")[0], light)


def test_noise_is_no_highlight():
    noisy = body() + np.random.default_rng(0).normal(0, 0.02, (128, 128, 3)).astype(np.float32)
    assert np.array_equal(separate_highlights(noisy, transfer="linear")[0], noisy)


def test_a_coloured_lamp_is_taken_into_account():
    lamp = np.array([1.0, 0.75, 0.45], np.float32)
    clean = body((0.12, 0.2, 0.4)) * lamp
    observed = clean + bump() * lamp
    white, told = (separate_highlights(observed, illuminant=i, transfer="linear")[0] for i in ("auto", tuple(lamp)))
    assert error(told, clean) < 0.25 * error(observed, clean)
    assert error(told, clean) < error(white, clean)


def test_large_pictures_lose_wide_and_small_highlights():
    side = 2 * SIDE
    clean = body(side=side)
    shine = bump(0.5, 0.03, side) + bump(0.5, 0.002, side, 0.2, 0.3)
    diffuse = separate_highlights(clean + shine, transfer="linear")[0]
    assert error(diffuse, clean) < 0.35 * error(clean + shine, clean)
    y, x = int(0.2 * side), int(0.3 * side)
    assert np.abs(diffuse[y, x] - clean[y, x]).max() < 0.1


def test_a_mask_says_where():
    observed = body() + bump(y=0.3) + bump(y=0.7)
    mask = np.zeros((128, 128), bool)
    mask[64:] = bump(y=0.7)[64:, :, 0] > 0.005
    diffuse, specular = separate_highlights(observed, transfer="linear", mask=mask)
    assert not specular[~mask].any()
    assert error(diffuse[mask], body()[mask]) < 0.2 * error(observed[mask], body()[mask])


def test_a_mask_without_a_body_beside_it_changes_nothing():
    observed = body() + bump()
    assert np.array_equal(separate_highlights(observed, mask=np.ones((128, 128), bool))[0], observed)
    gray = torch.from_numpy(observed[None, ..., 0])
    everywhere = torch.ones((1, 128, 128), dtype=torch.bool)
    found = estimate_highlights(gray, everywhere, everywhere)
    assert torch.equal(found.image, gray)
    assert "no body beside" in found.notes[0]


def test_masks_may_be_flipped_or_read_only():
    observed = body() + bump()
    mask = bump()[..., 0] > 0.005
    flipped = np.ascontiguousarray(mask[:, ::-1])[:, ::-1]
    flipped.flags.writeable = False
    one, other = (separate_highlights(observed, transfer="linear", mask=m)[0] for m in (mask, flipped))
    assert np.array_equal(one, other)


@pytest.mark.filterwarnings("error")
def test_one_hot_pixel_does_not_hide_the_highlights():
    observed = body() + bump()
    _, expected = separate_highlights(observed, transfer="linear")
    observed[3, 3] = 60
    _, specular = separate_highlights(observed, transfer="linear")
    assert specular[40:80, 40:90].sum() == pytest.approx(expected[40:80, 40:90].sum(), rel=0.1)


def held_back(light):
    """As a camera codes it that holds bright colours back below white."""
    return encode(torch.from_numpy(0.97 * (1 - np.exp(-2.5 * light)))).numpy()


def test_highlights_on_bright_vivid_bodies_that_the_camera_has_paled():
    clean = body((0.95, 0.6, 0.03))
    truth, observed = held_back(clean), held_back(clean + bump(0.4, 0.025))
    diffuse = separate_highlights(observed, transfer="srgb")[0]
    assert error(diffuse, truth) < 0.6 * error(observed, truth)


def test_tensors_and_types():
    image = torch.from_numpy(body() + bump()).movedim(-1, 0).double()
    diffuse, specular = separate_highlights(image, transfer="linear")
    assert diffuse.dtype == torch.float64
    torch.testing.assert_close(diffuse + specular, image, atol=1e-12, rtol=0)
    array = separate_highlights(image.movedim(0, -1).numpy(), transfer="linear")[0]
    np.testing.assert_allclose(array, diffuse.movedim(0, -1).numpy(), atol=1e-7)


@pytest.mark.parametrize("value", ["red", (1, 1), (1, 1, 0), (1, np.nan, 1), (1, "a", 1), 3.0, None])
def test_colours_that_are_none(value):
    with pytest.raises(ValueError, match=r"illuminant is .*expected 'auto' or three positive numbers"):
        lamp_colour(value)


@pytest.mark.parametrize(
    ("image", "settings", "error", "message"),
    [
        (np.zeros((20, 20, 3), np.uint8), {}, TypeError, "image has dtype uint8; expected floating point"),
        (np.zeros((20, 20)), {}, ValueError, "expected three channels"),
        (np.zeros((20, 20, 3)), {"transfer": "gamma"}, ValueError, "transfer is 'gamma'; expected one of auto, srgb"),
        (np.full((20, 20, 3), np.nan), {}, ValueError, "image has values that are not finite"),
        (np.zeros((20, 20, 3)), {"mask": np.ones((20, 21), bool)}, ValueError, r"mask has shape \(20, 21\); expected"),
        (np.zeros((20, 20, 3)), {"mask": np.ones((20, 20))}, TypeError, "mask has dtype float64; expected bool"),
        (np.full((20, 20, 3), 1e30), {}, ValueError, "image has values up to 1e.30; expected white near 1"),
        (np.zeros((20, 20, 3)), {"illuminant": (1e-40, 1, 1)}, ValueError, "illuminant is .*; expected 'auto' or"),
        (np.zeros((20, 20, 3)), {"transfer": np.zeros(2)}, ValueError, "transfer is .*; expected one of"),
    ],
)
def test_bad_input(image, settings, error, message):
    with pytest.raises(error, match=message):
        separate_highlights(image, **settings)


def test_the_membrane_is_harmonic():
    y, x = np.mgrid[:40, :50].astype(np.float32) / 40
    plane = np.stack([y, x, 0.3 + 0.5 * y - 0.2 * x], axis=-1)
    hole = np.zeros((40, 50), bool)
    hole[10:25, 15:35] = True
    filled = membrane(np.where(hole[..., None], 7, plane).astype(np.float32), hole)
    assert np.abs(filled - plane)[hole].max() < 0.03
    assert np.array_equal(filled[~hole], plane[~hole])
    assert not membrane(plane, np.ones_like(hole)).any()
    assert membrane(plane, np.zeros_like(hole)) is plane


def test_light_is_decoded_as_srgb_is_defined():
    assert float(decode(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-4)


def test_a_hole_at_the_frame_is_filled_from_what_is_around_it():
    image = np.full((40, 50, 3), 0.5, np.float32)
    image[10:30, 35:] = 0.95
    hole = np.zeros((40, 50), bool)
    hole[8:32, 33:] = True
    assert np.abs(membrane(image, hole) - 0.5).max() < 1e-6


def test_arrays_that_are_read_only_or_of_the_other_byte_order():
    image = np.random.default_rng(0).uniform(0.1, 0.6, (32, 32, 3)).astype(">f4")
    image.flags.writeable = False
    diffuse, specular = separate_highlights(image)
    assert np.allclose(diffuse + specular, image)
