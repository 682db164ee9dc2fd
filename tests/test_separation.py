"""What the tasks that take pictures apart do with a net: its layer is exact, held to masks, and never in the way."""

from dataclasses import replace

import cv2
import damaged
import numpy as np
import pytest
import set_reflection
import set_rust
import set_shadow
import set_specular
import torch
from separation_cases import TASKS, net_of
from set_shadow import photograph

from imgrestore import dereflect, derust, deshadow, despecular
from imgrestore.classical.estimate import Estimate
from imgrestore.nets import weights
from imgrestore.tasks import separation

# How layers make the picture again.
AGAIN = {
    "factor": lambda layers, scene, layer: layers[layer] * scene,
    "added": lambda layers, scene, layer: layers[layer] + scene,
    "covered": lambda layers, scene, layer: scene * torch.exp(-layers[layer]) + layers["opaque"],
}
SAYS = {"refined by the net", "found by the net"}
EACH = pytest.mark.parametrize("name", sorted(TASKS))


def undamaged(name, planes):
    """The estimate of a picture in which nothing was found."""
    kind = separation.MARKS[name]
    nothing = torch.ones_like(planes) if kind.form == "factor" else torch.zeros_like(planes)
    crust = {"opaque": torch.zeros_like(planes)} if kind.form == "covered" else {}
    return Estimate(planes, {kind.scene: planes, kind.layer: nothing, **crust})


@pytest.fixture
def own(tmp_path):
    """Write a net for a task; where it is."""

    def write(name, change=0.0, odds=9.0, form=None):
        path = tmp_path / f"{name} {change} {odds}.safetensors"
        weights.write_net(path, net_of(form or TASKS[name][1], change, odds), name)
        return path

    return write


@pytest.fixture(scope="module")
def picture():
    return photograph("chelsea")


@EACH
def test_the_corrected_layer_still_makes_the_picture(name, own, picture):
    task, _, layer, change = TASKS[name]
    result = task(picture, weights=own(name, change), details=True)
    plain = task(picture, method="classical", details=True)
    assert set(result.layers) == set(plain.layers)
    assert np.abs(result.recompose() - picture).max() < 1e-5
    assert np.abs(result.layers[layer] - plain.layers[layer]).max() > 0.03
    assert len(SAYS & set(result.notes)) == 1
    assert result.confidence.shape == picture.shape[:2]
    # Highlights are corrected where the classical method has found some.
    assert np.array_equal(result.mask, plain.mask) if name == "despecular" else result.mask.all()


@EACH
def test_where_the_net_sees_nothing_the_classical_estimate_stays(name, own, picture):
    task, _, _, change = TASKS[name]
    plain = task(picture, method="classical")
    assert np.abs(task(picture, weights=own(name, change, odds=-19.0)) - plain).max() < 1e-7
    assert np.array_equal(task(picture, refine=False), plain)


def ramp():
    """A picture without damage whose brightest part has about half the light."""
    rng = np.random.default_rng(0)
    even = np.linspace(0.3, 0.5, 96)[None, :, None] * np.ones((96, 1, 3))
    return (even + rng.normal(0, 0.002, even.shape)).astype(np.float32)


@pytest.mark.parametrize(("lifted", "share"), [(0.3, 0.0), (0.48, 0.5), (0.65, 1.0)])
def test_shadows_are_believed_by_the_light_that_they_took(own, lifted, share, monkeypatch):
    """Half the light times exp(0.48) - 1 is 0.31, half way between doubtful and sure."""
    kind = replace(separation.MARKS["deshadow"], doubtful=0.26, sure=0.36)
    monkeypatch.setitem(separation.MARKS, "deshadow", kind)
    result = deshadow(ramp(), weights=own("deshadow", -lifted), details=True)
    assert -np.log(result.layers["gain"]).max() == pytest.approx(share * lifted, abs=0.06)
    assert bool(SAYS & set(result.notes)) == (share > 0)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_reflections_are_believed_by_how_likely_they_are(share):
    """By the net's judge."""
    kind = separation.MARKS["dereflect"]
    likely = kind.doubtful + share * (kind.sure - kind.doubtful)
    odds = float(np.log(likely / (1 - likely)))
    planes = torch.from_numpy(ramp()).movedim(-1, 0)
    found = separation.refine("dereflect", planes, None, undamaged("dereflect", planes), net_of("added", 0.05, odds))
    assert float(found.layers["reflection"].max()) == pytest.approx(share * likely * 0.05, abs=0.003)


def test_reflections_that_the_statistics_see_are_believed(own):
    """However unlikely the net's own probabilities make them."""
    one = set_reflection.SETS["ghosted"]()[0]
    plain = dereflect(one.observed, method="classical", details=True)
    result = dereflect(one.observed, weights=own("dereflect", 0.2, 0.0), details=True)
    assert np.abs(plain.image - one.observed).max() > 0.05
    assert np.abs(result.layers["reflection"] - plain.layers["reflection"]).max() > 0.05


@EACH
def test_a_mask_is_obeyed(name, picture):
    """In a picture that is not reduced, and in one that is."""
    _, form, layer, change = TASKS[name]
    net = net_of(form, change, odds=-9.0 if separation.MARKS[name].obeys else 9.0)
    planes = torch.from_numpy(picture).movedim(-1, 0)
    mask = torch.zeros(1, *planes.shape[1:], dtype=torch.bool)
    mask[:, 40:120, 60:160] = True
    for image, area in ((planes[:, :150], mask[:, :150]), (planes.repeat(1, 2, 2), mask.repeat(1, 2, 2))):
        result = separation.refine(name, image, area, undamaged(name, image), net)
        near = torch.nn.functional.max_pool2d(area[None].float(), 5, 1, 2)[0] > 0
        changed = (result.image - image).abs().amax(0, keepdim=True)
        assert float(changed[area].mean()) > 0.01
        assert float(changed[~near].max()) == 0
        assert torch.equal(result.mask, area)
        assert torch.allclose(AGAIN[form](result.layers, result.image, layer), image, atol=1e-6)


def test_light_that_was_measured_along_a_mask_is_kept(own):
    one = next(one for one in set_shadow.cast(1) if one.mask is not None)
    plain = deshadow(one.observed, method="classical", mask=one.mask)
    assert np.array_equal(deshadow(one.observed, weights=own("deshadow", -0.8), mask=one.mask), plain)
    assert damaged.psnr(plain, one.truth) > damaged.psnr(one.observed, one.truth) + 5


@EACH
def test_large_pictures_are_looked_at_reduced(name, picture):
    _, form, layer, change = TASKS[name]
    sizes = []
    net = net_of(form, change, odds=9.0)
    net.register_forward_pre_hook(lambda net, given: sizes.append(tuple(given[0].shape[-2:])))
    planes = torch.from_numpy(picture).movedim(-1, 0)
    for large in (planes, planes.repeat(1, 4, 4), planes.repeat(1, 1, 9)):
        found = separation.refine(name, large, None, undamaged(name, large), net)
        assert found.layers[layer].shape == large.shape
        assert float((found.layers[layer] - undamaged(name, large).layers[layer]).abs().mean()) > 0.03
    viewed = separation.MARKS[name].viewed
    assert [min(size) <= viewed for size in sizes] == [True, True, True]
    assert min(sizes[1]) == viewed
    assert max(sizes[2]) <= separation.LONGEST * viewed


@EACH
def test_gray_and_tiny_pictures_are_none_of_the_nets(name, own, picture):
    task, _, _, change = TASKS[name]
    path = own(name, change)
    for small in (picture.mean(axis=2), picture[:24, :24]):
        assert np.array_equal(task(small, weights=path), task(small, method="classical"))


@EACH
def test_numbers_that_are_none_are_not_believed(name, picture):
    net = net_of(TASKS[name][1], odds=9.0)
    net.unet.head.bias[0] = torch.nan
    planes = torch.from_numpy(picture).movedim(-1, 0)
    found = separation.refine(name, planes, None, undamaged(name, planes), net)
    assert found.image is planes
    assert separation.NO_NUMBERS in found.notes


@EACH
def test_missing_weights_leave_the_classical_estimate(name, picture, monkeypatch):
    task = TASKS[name][0]

    def gone(name):
        raise weights.WeightsError("the weights are gone")

    monkeypatch.setattr(separation, "load", gone)
    assert np.array_equal(task(picture), task(picture, method="classical"))


@EACH
def test_weights_of_another_kind_are_refused(name, own, picture):
    task, form, _, _ = TASKS[name]
    other = "added" if form == "factor" else "factor"
    with pytest.raises(ValueError, match=f"a net of the form {other}; expected {form}"):
        task(picture, weights=own(name, form=other))
    with pytest.raises(ValueError, match="weights and method='classical' are both given"):
        task(picture, weights=own(name), method="classical")


def test_a_second_picture_needs_no_net(own, picture):
    with pytest.raises(ValueError, match="weights and a second picture are both given"):
        dereflect(picture, flash=picture, weights=own("dereflect"))


def test_shadows_are_lifted_to_white_at_the_most(own):
    bright = np.full((64, 64, 3), 0.8, np.float32)
    bright[:, 32:] = 0.4
    result = deshadow(bright, weights=own("deshadow", -2.0), details=True)
    assert result.image.max() == pytest.approx(1.0, abs=1e-6)
    assert result.layers["gain"].min() > 0.1


def test_values_beyond_white_and_bad_pixels_are_kept(own, picture):
    scene = picture.copy()
    scene[5, 5] = np.nan
    scene[20:30, 20:30] *= 3
    result = deshadow(scene, weights=own("deshadow", -0.4), details=True)
    assert np.isnan(result.image[5, 5]).all()
    seen = np.isfinite(scene)
    assert np.abs((result.recompose() - scene)[seen]).max() < 1e-4
    assert np.isfinite(result.image[seen]).all()


def test_highlights_are_corrected_near_those_that_the_statistics_see(own):
    one = set_specular.on_photographs()[2]
    plain = despecular(one.observed, method="classical", details=True)
    result = despecular(one.observed, weights=own("despecular", 0.2), details=True)
    near = cv2.dilate(plain.mask.astype(np.uint8), np.ones((9, 9))) > 0
    changed = np.abs(result.image - plain.image).max(axis=2)
    assert near.any()
    assert changed[plain.mask].mean() > 0.02
    assert changed[~near].max() == 0


def test_stains_of_a_single_surface_are_left_to_the_classical_method(own):
    """Found without a mask they are on one, and then it is kept below a mask, too."""
    one = next(one for one in set_rust.computed() if one.name == "ring on white paper")
    for mask in (None, one.mask):
        plain = derust(one.observed, method="classical", mask=mask)
        assert np.array_equal(derust(one.observed, weights=own("derust", 0.5), mask=mask), plain)
        assert damaged.psnr(plain, one.truth) > damaged.psnr(one.observed, one.truth) + 5


@pytest.mark.parametrize(
    ("task", "told"), [(derust, {"stain": (0.25, 0.55, 1)}), (despecular, {"illuminant": (1, 1, 0.8)})]
)
def test_what_a_user_says_of_the_damage_is_left_to_the_classical_method(task, told, own, picture):
    path = own(task.__name__, 0.2)
    assert np.array_equal(task(picture, weights=path, **told), task(picture, method="classical", **told))
