"""Reflections taken apart: ghosts, veils, pairs and gradient-domain suppression, each by itself."""

import numpy as np
import pytest
import torch
from set_reflection import array, parameters, planes

from imgrestore.classical import reflection as methods
from imgrestore.classical import reflection_veil as veil_module
from imgrestore.classical.reflection_ghost import Ghost, doubled, find_ghost, measured, solve_ghost
from imgrestore.classical.reflection_pair import polarized_light, unflashed_light
from imgrestore.classical.reflection_smooth import separate_smooth
from imgrestore.classical.reflection_veil import cues, find_veil
from imgrestore.degrade import reflection
from imgrestore.degrade.reflection import ReflectionParams
from imgrestore.light import decode

ALL = torch.ones(1, 240, 320, dtype=torch.bool)


def observed(behind="coffee", reflected="astronaut", **settings):
    params = parameters(reflected, 2, **settings)
    return reflection.apply(0.65 * planes(behind), params), params


def veiled():
    """A scene under the bright, blurred light of another."""
    params = ReflectionParams(planes("coffee").numpy(), (1.0,), sigma=4.0, linear=False, dimmed=True)
    return reflection.apply(planes("chelsea"), params)


def test_a_ghost_is_found_where_it_was_put():
    picture, params = observed()
    found = find_ghost(array(picture).mean(axis=2))
    assert found is not None
    assert found.shift == params.ghost_shift
    better = measured(array(picture).mean(axis=2), found)
    assert better.shift == params.ghost_shift
    assert abs(better.attenuation - params.ghost_attenuation) < 0.2


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "camera", "coins"])
def test_single_pictures_are_not_doubled(name):
    assert find_ghost(array(planes(name)).mean(axis=2)) is None


def test_an_even_pattern_is_not_a_ghost():
    rows, columns = np.mgrid[:200, :200]
    stripes = 0.5 + 0.3 * np.sign(np.sin(rows / 2.1)) * np.sign(np.sin(columns / 2.7))
    assert find_ghost(stripes.astype(np.float32)) is None


def test_the_known_ghost_comes_off():
    picture, params = observed()
    light = solve_ghost(picture, Ghost(params.ghost_shift, params.ghost_attenuation, 1.0))
    truth = 0.65 * planes("coffee")
    before, after = ((p - truth).square().mean() for p in (picture, picture - light))
    assert float(after) < float(before) / 4
    assert bool((light >= 0).all())
    assert bool((light <= picture).all())


def test_a_large_ghosted_picture_is_solved_small():
    picture, params = observed()
    large = torch.nn.functional.interpolate(picture[None], scale_factor=2, mode="bilinear")[0]
    shift = (2 * params.ghost_shift[0], 2 * params.ghost_shift[1])
    light = solve_ghost(large, Ghost(shift, params.ghost_attenuation, 1.0))
    assert light.shape == large.shape
    truth = torch.nn.functional.interpolate(0.65 * planes("coffee")[None], scale_factor=2, mode="bilinear")[0]
    assert float((large - light - truth).square().mean()) < float((large - truth).square().mean()) / 3


def test_a_doubled_point():
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    twice = doubled(point, Ghost((2, -1), 0.5, 1.0))
    assert float(twice[0, 6, 3]) == 0.5
    assert float(twice.sum()) == 1.5


def test_a_bright_veil_is_found_and_clean_pictures_are_free_of_it():
    veil = find_veil(array(veiled()))
    assert veil.share > 0
    assert veil.light.min() >= 0
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        assert find_veil(array(planes(name))).share == 0


def test_a_veil_that_is_known_of_is_taken_whole():
    faint = array(planes("chelsea")) * 0.9 + 0.1
    assert find_veil(faint, told=True).share == 1
    assert find_veil(faint, told=True).light.mean() > find_veil(faint).light.mean()


def test_shapes_of_a_veil_come_off_with_it(monkeypatch):
    clean, picture = array(planes("chelsea")), array(veiled())
    found = find_veil(picture).light
    monkeypatch.setattr(veil_module, "OUTLINE", 0.0)
    coarse = find_veil(picture).light
    assert found.shape == coarse.shape
    assert found.dtype == coarse.dtype == np.float32
    assert np.square(picture - found - clean).mean() < 0.95 * np.square(picture - coarse - clean).mean()


def test_a_gray_veil_has_one_channel():
    gray = array(veiled()).mean(axis=2, keepdims=True)
    found = find_veil(gray, told=True).light
    assert found.shape == gray.shape
    assert found.mean() > 0.1


def test_cues_of_gray_equal_those_of_the_same_colours():
    gray = array(planes("camera"))[..., :1]
    (one, maps), (three, others) = cues(gray), cues(np.repeat(gray, 3, axis=2))
    assert one == pytest.approx(three)
    for name in maps:
        np.testing.assert_allclose(maps[name], others[name])


def linear(tensor):
    return array(decode(tensor))


def test_a_flash_that_is_none_tells_nothing():
    picture, _ = observed()
    split = unflashed_light(linear(picture), linear(picture))
    assert split.light is None
    assert "hardly any" in split.note


def test_a_darker_flash_picture_is_of_another_exposure():
    picture, _ = observed()
    split = unflashed_light(linear(picture), 0.5 * linear(picture))
    assert split.light is None
    assert "exposure" in split.note


def test_what_the_flash_does_not_reach_stays():
    clean, params = planes("astronaut") * 0.6, parameters("coins", 0, linear=True, ghost_attenuation=0.0)
    light = (torch.arange(320) < 120).float().expand(1, 240, 320)
    ambient, flashed = reflection.flash_pair(clean, params, light)
    split = unflashed_light(linear(ambient), linear(flashed))
    assert float(np.abs(split.light[:, 240:]).max()) == 0
    assert split.light[:, :80].mean() > 0.02
    assert "not reached" in split.note


def test_polariser_ratios_are_found():
    params = parameters("coins", 0, linear=True, ghost_attenuation=0.0)
    pair = reflection.polarized_pair(planes("astronaut") * 0.8, params, (1.0, 1.05), (1.0, 0.5))
    split = polarized_light(*map(linear, pair))
    truth = array(reflection.reflection_light((3, 240, 320), params))
    assert "1.05 of the scene" in split.note or "1.04 of the scene" in split.note or "1.06 of the scene" in split.note
    assert np.sqrt(np.mean((split.light - truth) ** 2)) < 0.1 * truth.std() + 0.01


def test_pairs_that_do_not_determine_the_layers_say_so():
    picture, _ = observed()
    split = polarized_light(linear(picture), 0.8 * linear(picture))
    assert split.light is None
    assert "cannot tell" in split.note
    even = np.full((64, 64, 3), 0.4, np.float32)
    assert "too few edges" in polarized_light(even, even * 0.9).note


def test_estimates_recompose_and_say_what_they_did():
    for picture in (observed()[0], veiled(), planes("chelsea")):
        one = methods.estimate_reflection(picture, None, ALL)
        torch.testing.assert_close(one.layers["transmission"] + one.layers["reflection"], picture, atol=1e-6, rtol=0)
        assert torch.equal(one.image, one.layers["transmission"])
        assert one.notes
        assert 0 <= one.confidence <= 1


def test_outside_a_mask_nothing_changes():
    mask = torch.zeros(1, 240, 320, dtype=torch.bool)
    mask[:, 60:160, 80:200] = True
    one = methods.estimate_reflection(veiled(), mask, ALL)
    assert float(one.layers["reflection"][:, 70:150, 90:190].mean()) > 0.05
    assert float(one.layers["reflection"][:, 190:].abs().max()) == 0
    assert one.mask is mask


def test_values_beyond_the_range_survive():
    bright = veiled() * 1.0
    bright[:, 100, 100], bright[:, 50, 50] = 4.0, -0.5
    one = methods.estimate_reflection(bright, None, ALL)
    torch.testing.assert_close(one.layers["transmission"] + one.layers["reflection"], bright, atol=1e-5, rtol=0)
    assert float(one.image[0, 100, 100]) > 3
    assert float(one.image[0, 50, 50]) == -0.5


def test_suppression_solves_its_equation():
    picture = array(planes("coffee", (31, 40)))[..., 0].astype(np.float64)
    result = methods.suppress_reflection(picture, 0.05, closeness=1e-2)

    def laplacian(p):
        padded = np.pad(p, 1, mode="edge")
        return 4 * p - padded[:-2, 1:-1] - padded[2:, 1:-1] - padded[1:-1, :-2] - padded[1:-1, 2:]

    down, right = (np.diff(picture, axis=a, append=picture.take([-1], axis=a)) for a in (0, 1))
    weak = np.hypot(down, right) < 0.05
    down[weak], right[weak] = 0, 0
    source = -np.diff(down, axis=0, prepend=0) - np.diff(right, axis=1, prepend=0)
    left = laplacian(laplacian(result)) + 1e-2 * result
    np.testing.assert_allclose(left, laplacian(source) + 1e-2 * picture, atol=1e-8)
    assert result.mean() == pytest.approx(picture.mean())


def test_suppression_keeps_all_gradients_at_threshold_zero_and_refuses_nonsense():
    picture = array(planes("coffee", (24, 24)))
    np.testing.assert_allclose(methods.suppress_reflection(picture, 0.0), picture, atol=1e-5)
    with pytest.raises(ValueError, match="closeness"):
        methods.suppress_reflection(picture, closeness=0)
    with pytest.raises(ValueError, match="threshold"):
        methods.suppress_reflection(picture, -1)


def bumps(size=(60, 80)):
    """A scene of few edges, and light that is smooth and somewhere black."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    scene = np.zeros((*size, 3))
    scene[20:45, 15:40] = (0.5, 0.2, 0.4)
    scene[8:30, 50:70] = (0.1, 0.4, 0.3)
    light = 0.25 * np.exp(-((rows - 35.0) ** 2 + (columns - 45.0) ** 2) / 400)
    return scene, light[..., None] * np.array([1.0, 0.8, 0.6])


def test_edges_and_smooth_light_are_told_apart():
    scene, light = bumps()
    sparse, smooth = separate_smooth(scene + light)
    assert np.abs(smooth - light).max() < 0.03
    np.testing.assert_allclose(sparse + smooth, scene + light, atol=1e-12)
    assert smooth.min() >= 0
    assert sparse.min() >= 0


def test_smoothness_says_how_smooth():
    picture = array(veiled())
    rough, even = (separate_smooth(picture, s)[1] for s in (20.0, 2000.0))
    bends = [np.abs(np.diff(layer, 2, axis=0)).mean() for layer in (rough, even)]
    assert bends[1] < bends[0] / 2


@pytest.mark.parametrize("factor", [1, 255, 65535])
def test_smooth_layers_of_integers_stay_floating(factor):
    scene, light = bumps()
    dtype = {1: np.float32, 255: np.uint8, 65535: np.uint16}[factor]
    picture = (factor * (scene + light)).astype(dtype)
    layers = separate_smooth(picture)
    assert all(layer.dtype == np.float32 and layer.shape == picture.shape for layer in layers)
    np.testing.assert_allclose(layers[0] + layers[1], picture, atol=1e-5 * factor)
    assert np.abs(layers[1] / factor - light).max() < 0.04


def test_smooth_layers_of_batches_and_of_odd_values():
    scene, light = bumps()
    tensor = torch.from_numpy((scene + light).transpose(2, 0, 1)).repeat(2, 1, 1, 1)
    tensor[1] *= 0.5
    tensor[1, :, 3, 3] = -0.2
    tensor[0, :, 5, 5] = 4.0
    sparse, smooth = separate_smooth(tensor)
    torch.testing.assert_close(sparse + smooth, tensor)
    assert torch.equal(smooth[1, :, 3, 3], torch.zeros(3, dtype=torch.float64))
    alone = separate_smooth(tensor[1])[1]
    torch.testing.assert_close(smooth[1], alone)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 4, 3)])
def test_even_pictures_have_no_smooth_layer(shape):
    sparse, smooth = separate_smooth(np.full(shape, 0.3))
    np.testing.assert_allclose(smooth, 0, atol=1e-12)
    np.testing.assert_allclose(sparse, 0.3)


def test_smooth_layers_refuse_nonsense():
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="smoothness"):
            separate_smooth(np.ones((4, 4)), wrong)
