"""The parts that find a shadow and measure its light."""

import cv2
import numpy as np
import pytest
import torch
from scipy.special import ndtr
from set_shadow import page

from imgrestore.classical import shadow_mask, shadow_matte
from imgrestore.classical.shadow_cast import mend_cast, relabelled
from imgrestore.classical.shadow_document import find_paper, paper_gain
from imgrestore.classical.shadow_edge import edge_gain, fit_edge, signed_distance
from imgrestore.classical.shadow_light import Light, calm_colours, coded_array, split_gain
from imgrestore.classical.shadow_matting import measure_outline
from imgrestore.classical.shadow_regions import invariant_angle, region_features, regions


def ground(shape=(120, 160), seed=0, spread=0.25):
    """Linear light of a textured, slightly coloured ground, (3, H, W)."""
    rng = np.random.default_rng(seed)
    texture = np.exp(spread * rng.normal(size=shape))
    return (0.35 * texture * np.array([1.1, 1.0, 0.8])[:, None, None]).astype(np.float32)


def light_of(linear):
    coded = torch.from_numpy(coded_array(linear.astype(np.float32)))
    return Light(coded, torch.ones(1, *coded.shape[1:], dtype=torch.bool))


def test_distance_is_signed_and_counts_from_the_outline():
    mask = np.zeros((9, 12), bool)
    mask[:, 5:] = True
    np.testing.assert_allclose(signed_distance(mask)[4], np.arange(12) - 4.5)
    assert np.isposinf(signed_distance(np.ones((3, 3), bool))).all()
    assert np.isneginf(signed_distance(np.zeros((3, 3), bool))).all()


@pytest.mark.parametrize("width", [1.0, 2.0])
@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_a_blurred_step_is_measured_through_texture(width, offset):
    linear = ground()
    depth = np.array([0.3, 0.35, 0.45])
    place = np.arange(160) - 80.0 - offset
    gain = 1 - ndtr(place / width) * (1 - depth[:, None, None])
    mask = np.broadcast_to(np.arange(160) >= 80, (120, 160))
    fit = fit_edge(np.log(linear * gain).astype(np.float32), mask, np.ones_like(mask))
    np.testing.assert_allclose(np.exp(-fit.typical), depth, rtol=0.12)
    assert fit.agreement > 0.9
    assert np.median(fit.offset) == pytest.approx(offset, abs=1.0)
    assert np.median(fit.width) == pytest.approx(width, rel=0.5)
    found = edge_gain(fit, signed_distance(mask))
    assert found.shape == (3, 120, 160)
    assert np.abs(np.log(found / gain)).mean() < 0.06


def test_no_outline_no_fit():
    linear = np.log(ground())
    usable = np.ones(linear.shape[1:], bool)
    assert fit_edge(linear, np.zeros_like(usable), usable) is None
    assert fit_edge(linear, ~usable | (np.arange(160) > 80), np.zeros_like(usable)) is None


def test_the_invariant_direction_is_that_of_the_light():
    """Surfaces of a few colours under light of many: projected off the light's direction they fall together."""
    rng = np.random.default_rng(2)
    surfaces = rng.normal(0, 0.5, (5, 2))
    true = 0.9
    along = np.array([-np.sin(true), np.cos(true)])
    planes = surfaces[rng.integers(0, 5, 4000)] + rng.uniform(-1, 1, (4000, 1)) * along + rng.normal(0, 0.01, (4000, 2))
    red_blue, green = planes[:, 0] * np.sqrt(2), planes[:, 1] * np.sqrt(6) / 2
    log_rgb = np.stack([red_blue / 2, green, -red_blue / 2], -1)[None]
    found = invariant_angle(log_rgb.astype(np.float32))
    assert abs((found - true + np.pi / 2) % np.pi - np.pi / 2) < 0.12


def test_features_do_not_depend_on_exposure():
    linear = np.moveaxis(ground((64, 80)), 0, -1)
    parts = regions(coded_array(linear))
    one, two = (region_features(coded_array(linear), k * linear, parts) for k in (1.0, 0.25))
    np.testing.assert_allclose(one, two, atol=1e-3)
    assert np.isfinite(one).all()
    assert one.shape[0] == parts.count == parts.labels.max() + 1
    assert parts.area.sum() == 64 * 80


def test_relabelling_grows_a_mask_to_the_step():
    linear = ground(spread=0.05)
    true = np.zeros((120, 160), bool)
    true[30:90, 40:110] = True
    shaded = linear * np.where(true, 0.4, 1.0)
    parts = regions(np.moveaxis(coded_array(shaded.astype(np.float32)), 0, -1))
    start = np.zeros_like(true)
    start[30:90, 40:95] = True
    log_rgb = np.log(shaded).astype(np.float32)
    grown = relabelled(log_rgb, parts, start, np.full(3, -np.log(0.4), np.float32))
    overlap, before = ((one & true).sum() / (one | true).sum() for one in (grown, start))
    assert overlap > before + 0.03


def test_a_given_outline_is_taken_as_it_is():
    linear = ground()
    mask = np.zeros((120, 160), bool)
    mask[20:100, 50:120] = True
    gain, agreement = mend_cast(light_of(linear * np.where(mask, 0.4, 1.0)), mask, exact=True)
    assert agreement > 0.9
    assert np.median(gain[:, 40:80, 70:100]) == pytest.approx(0.4, rel=0.05)
    assert (gain[:, :5] == 1).all()


def test_a_mask_that_is_brighter_than_its_surroundings_is_not_lifted():
    linear = ground(spread=0.02)
    mask = np.zeros((120, 160), bool)
    mask[20:100, 50:120] = True
    found = mend_cast(light_of(linear * np.where(mask, 1.0, 0.5)), mask, exact=True)
    assert found is None or float(found[0].min()) > 0.9


def test_the_matte_is_one_inside_and_nought_outside():
    mask = np.zeros((120, 160), bool)
    mask[20:100, 50:120] = True
    shaded = ground(spread=0.05) * np.where(mask, 0.4, 1.0)
    image = np.moveaxis(coded_array(shaded.astype(np.float32)), 0, -1)
    matte = shadow_matte(image, mask)
    assert matte.dtype == np.float32
    assert matte[26:94, 56:114].min() > 0.85
    assert matte[26:94, 56:114].mean() > 0.98
    assert (matte[:8] == 0).all()
    assert (matte[:, 134:] == 0).all()
    assert (shadow_matte(image, np.zeros_like(mask)) == 0).all()
    np.testing.assert_allclose(shadow_matte(1000 * image, mask), matte, atol=0.02)
    with pytest.raises(TypeError, match="expected bool"):
        shadow_matte(image, mask.astype(float))
    with pytest.raises(ValueError, match="mask has shape"):
        shadow_matte(image, mask[:50])


def test_places_that_are_lit_inside_a_shadow_are_not_overexposed():
    """Flecks of sun and a slot inside the mask: lifted with the rest they would be 2.9 times too bright."""
    clean = ground((240, 320), spread=0.08)
    rows, columns = np.mgrid[:240, :320]
    mask = (rows > 50) & (rows < 190) & (columns > 60) & (columns < 260)
    holes = (np.hypot(rows - 90, columns - 110) < 9) | (np.hypot(rows - 150, columns - 200) < 5)
    holes |= (np.abs(columns - 160) < 4) & (rows > 80) & (rows < 160)
    cover = cv2.GaussianBlur((mask & ~holes).astype(np.float32), (0, 0), 1.2)
    gain, _ = mend_cast(light_of(clean * (1 - 0.65 * cover)), mask, exact=False)
    lifted = (1 - 0.65 * cover) / gain
    assert np.median(lifted[:, holes]) < 1.1
    assert np.quantile(lifted, 0.999) < 1.9
    solid = mask & (cover > 0.99)
    assert np.median(lifted[:, solid]) == pytest.approx(1, abs=0.06)


def test_bright_things_under_a_given_mask_are_lifted_all_the_same():
    """A band under the shadow is as bright as the lit ground: paint, when the mask says so."""
    clean = ground((240, 320), spread=0.05)
    mask = np.zeros((240, 320), bool)
    mask[60:180, 60:260] = True
    clean[:, 110:130, 80:240] *= 2.4
    gain, _ = mend_cast(light_of(clean * np.where(mask, 0.4, 1.0)), mask, exact=True)
    assert np.median(gain[:, 114:126, 90:230]) < 0.5


def test_what_grows_bright_slowly_inside_a_shadow_is_not_taken_for_the_sun():
    """No edge of the light would go with it."""
    clean = ground((240, 320), spread=0.03)
    mask = np.zeros((240, 320), bool)
    mask[40:200, 60:260] = True
    rows, columns = np.mgrid[:240, :320]
    clean = clean * (1 + 1.4 * np.exp(-0.5 * (((rows - 120) / 12) ** 2 + ((columns - 160) / 36) ** 2)))
    gain, _ = mend_cast(light_of((clean * np.where(mask, 0.4, 1.0)).astype(np.float32)), mask, exact=False)
    assert np.median(gain[:, 116:124, 150:170]) == pytest.approx(0.4, abs=0.06)


def test_no_rim_is_left_by_an_outline_that_is_not_quite_right():
    """The outline waves about the shadow's edge, more quickly than the fit along it can follow."""
    clean = ground((240, 320), spread=0.05)
    rows, columns = np.mgrid[:240, :320]
    cover = ndtr((columns - 160) / 1.5)
    mask = columns + 3 * np.sin(rows / 4.0) > 160
    light = light_of(clean * (1 - 0.6 * cover))
    gain, _ = mend_cast(light, mask, exact=True)
    outline = measure_outline(light, mask, exact=True)
    plain = edge_gain(outline.fit, outline.distance)
    band = np.abs(columns - 160) < 8
    left, before = (np.abs(np.log((1 - 0.6 * cover) / g))[:, band].mean() for g in (gain, plain))
    assert left < 0.75 * before


def test_noise_of_colours_is_not_lifted_with_the_light():
    clean = ground(spread=0.05)
    gain = np.ones_like(clean)
    gain[:, 20:100, 50:120] = 0.05
    noise = np.random.default_rng(1).normal(0, 0.0015, clean.shape).astype(np.float32)
    noise -= noise.mean(0)
    even, noisy = light_of(clean * gain), light_of(clean * gain + noise)
    assert np.array_equal(calm_colours(even, gain), gain)
    calm = calm_colours(noisy, gain)
    inside = np.s_[:, 30:90, 60:110]
    before, after = (np.abs((noisy.linear / g - clean)[inside]).mean() for g in (gain, calm))
    assert after < 0.65 * before
    assert np.array_equal(calm[:, :20], gain[:, :20])
    assert calm.max() <= 1


def test_gains_split_exactly_and_leave_black_alone():
    picture = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    picture[:, :4] = 0.0
    gain = np.random.default_rng(0).uniform(0.02, 1, (3, 40, 50)).astype(np.float32)
    gain[:, :, :7] = 1.0
    scene, coded = split_gain(picture, gain)
    torch.testing.assert_close(scene * coded, picture, atol=1e-6, rtol=0)
    assert float(coded.min()) > 0
    assert float(coded.max()) <= 1
    assert torch.equal(scene[:, :4], picture[:, :4])
    assert torch.equal(scene[:, :, :7], picture[:, :, :7])


@pytest.mark.parametrize("number", [0, 1])
def test_paper_is_found_and_its_light_measured(number):
    clean = np.moveaxis(page(number), -1, 0)
    x = np.linspace(0, 1, 360)
    fall = (1 - 0.6 * ndtr((x - 0.5) / 0.08)).astype(np.float32)
    linear = Light(torch.from_numpy(clean.copy()), torch.ones(1, 480, 360, dtype=torch.bool)).linear * fall
    light = light_of(linear)
    paper = find_paper(light)
    assert paper.reasons == ()
    assert paper.depth == pytest.approx(-np.log(0.4), rel=0.15)
    gain = paper_gain(light, paper)
    assert np.abs(np.log(gain / fall)).mean() < 0.06


@pytest.mark.parametrize("name", ["ground", "even", "gray"])
def test_other_pictures_are_no_pages(name):
    linear = {"ground": ground(), "even": np.full((3, 90, 90), 0.5), "gray": ground()[:1]}[name]
    assert find_paper(light_of(np.asarray(linear, np.float32))).reasons


def test_masks_of_arrays_and_tensors_agree():
    image = (np.moveaxis(coded_array(ground()), 0, -1) * 255).clip(0, 255).astype(np.uint8)
    tensor = torch.from_numpy(image).movedim(-1, 0)
    mask = shadow_mask(image)
    assert mask.shape == (120, 160)
    assert mask.dtype == bool
    assert np.array_equal(mask, shadow_mask(tensor))
    with pytest.raises(ValueError, match="one gray or RGB picture"):
        shadow_mask(torch.zeros(2, 3, 20, 20))
