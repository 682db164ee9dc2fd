"""What the nets that take pictures apart learn from: crops, tones, drawn damages and where they are."""

import numpy as np
import pytest
import torch
from set_shadow import photograph

from imgrestore.data import highlights, reflections, shadows, stains
from imgrestore.data.focus import shallow
from imgrestore.data.separation import Sample, SeparationBatch, cut, drawn_region, planes_of, reduced_to, toned
from imgrestore.degrade import rust

SIZE = 64


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def clean():
    return planes_of(cut((photograph("chelsea") * 255).round().astype(np.uint8), SIZE, (0.7, 1.0), rng()))


@pytest.fixture(scope="module")
def other():
    return planes_of(cut((photograph("coffee") * 255).round().astype(np.uint8), SIZE, (0.7, 1.0), rng()))


def draw(name, clean, other, seed):
    """Observed, truth and area of each damage."""
    if name == "highlights":
        return highlights.drawn(clean, rng(seed))
    if name == "shadows":
        observed, area = shadows.drawn(clean, rng(seed))
    elif name == "reflections":
        observed, area = reflections.drawn(clean, other, rng(seed))
    else:
        return stains.drawn(clean, other, rng(seed))
    return observed, clean, area


@pytest.mark.parametrize("name", ["highlights", "shadows", "reflections", "stains"])
def test_damage_lies_where_it_is_said_to(name, clean, other):
    change_in, change_out = [], []
    for seed in range(12):
        observed, truth, area = draw(name, clean, other, seed)
        again = draw(name, clean, other, seed)
        assert torch.equal(observed, again[0])
        assert observed.shape == truth.shape == (3, SIZE, SIZE)
        assert area.shape == (1, SIZE, SIZE)
        assert 0 <= float(observed.min()) <= float(observed.max()) <= 1
        assert 0 <= float(area.min()) <= float(area.max()) <= 1
        change = (observed - truth).abs().mean(0)
        change_in += [float(change[area[0] > 0.9].mean())] if bool((area > 0.9).any()) else []
        change_out += [float(change[area[0] == 0].mean())] if bool((area == 0).any()) else []
    assert np.mean(change_in) > 0.08, change_in
    assert np.mean(change_out) < 0.02, change_out


def test_a_shallow_focus_shows_the_one_or_the_other(clean, other):
    kept, detail = [], []
    for seed in range(12):
        found = shallow(clean, other, rng(seed))
        assert torch.equal(found, shallow(clean, other, rng(seed)))
        assert found.shape == clean.shape
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        near = (found - clean).abs().amax(0) < 1e-4
        kept.append(float(near.float().mean()))
        steps = [(one[:, 1:] - one[:, :-1]).abs().amax(0) for one in (found, other)]
        far = ~(near[1:] | near[:-1])
        detail.append(float(steps[0][far].mean() / steps[1][far].mean()))
    # In focus is a part of the picture, and what is not has lost its detail.
    assert 0.05 < min(kept) < max(kept) < 0.75, kept
    assert np.mean(detail) < 0.8, detail


def test_lamps_out_of_focus_are_disks():
    lamp = torch.full((3, 64, 64), 0.05)
    lamp[:, 30:34, 30:34] = 1
    black = torch.zeros(3, 64, 64)
    spread = [float((shallow(black, lamp, rng(seed))[0] > 0.1).sum()) for seed in range(12)]
    assert max(spread) > 60, spread


def test_the_shaded_part_of_a_pair_is_told(clean):
    observed = clean.clone()
    observed[:, :, :32] *= 0.6
    area = shadows.shaded_area(observed, clean)[0]
    assert float(area[:, :28].mean()) > 0.95
    assert float(area[:, 36:].max()) == 0


def test_stains_are_told_from_their_layers():
    stain = rust.Stain("splash", rust.DIRECTIONS["tea"], density=0.8)
    layers = rust.rust_layers((3, 64, 64), rust.RustParams((stain,)))
    area = stains.stained(layers)
    assert float(area[layers.density.amax(0, keepdim=True) > 0.15].min()) == 1
    assert float(area[layers.density.amax(0, keepdim=True) == 0].max()) == 0


def test_crops_show_what_was_asked_for():
    places = [drawn_region((100, 200), (0.5, 1.0), rng(seed)) for seed in range(50)]
    sides = [rows.stop - rows.start for rows, _ in places]
    assert min(sides) >= 50
    assert max(sides) <= 100
    assert len(set(sides)) > 20
    assert all(rows.stop - rows.start == columns.stop - columns.start for rows, columns in places)
    assert all(rows.stop <= 100 and columns.stop <= 200 for rows, columns in places)


def test_all_planes_of_a_crop_go_together():
    """Whatever is flipped and turned, planes that were alike stay alike, and in order."""
    plane = (np.arange(40 * 50).reshape(40, 50, 1) / 2000).astype(np.float32)
    stack = np.concatenate([plane * factor for factor in range(1, 8)], axis=2)
    for seed in range(6):
        part = cut(stack, 32, (0.8, 1.0), rng(seed))
        assert part.shape == (32, 32, 7)
        assert part.dtype == np.float32
        for i in range(7):
            assert np.allclose(part[..., i], (i + 1) * part[..., 0], rtol=1e-4)
    assert len({cut(stack, 32, (1.0, 1.0), rng(seed))[0, 0, 0] > 0.3 for seed in range(12)}) == 2


def test_reducing_keeps_what_is_small_enough():
    picture = np.zeros((60, 90, 3), np.uint8)
    assert reduced_to(picture, 60) is picture
    assert reduced_to(picture, 30).shape == (30, 45, 3)


@pytest.mark.parametrize("form", ["factor", "added", "covered"])
def test_tones_change_layers_as_they_change_pictures(form, clean):
    layer = 0.1 * torch.rand(4 if form == "covered" else 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    layer = -layer if form == "factor" else layer

    def damaged(scene, layer):
        if form == "added":
            return scene + layer
        return scene * torch.exp(layer[:3] if form == "factor" else -layer[:3])

    (scene, observed), changed = toned([clean, damaged(clean, layer)], layer, form, rng(3))
    assert float((scene - clean).abs().mean()) > 0.01
    # Values that are as good as black are held a little above it before a logarithm's sake.
    assert torch.allclose(damaged(scene, changed), observed, atol=2e-5 if form == "factor" else 1e-6)


def test_samples_are_joined_with_their_weights(clean):
    area = torch.zeros(1, SIZE, SIZE)
    one = Sample.untreated(clean, clean, area, 3, scored=0.0)
    two = Sample.untreated(clean, 0.5 * clean, area, 3, sure=0.25)
    batch = SeparationBatch.of([one, two])
    assert batch.observed.shape == (2, 3, SIZE, SIZE)
    assert batch.given.shape == (2, 2, SIZE, SIZE)
    assert batch.scored.flatten().tolist() == [0, 1]
    assert batch.sure.flatten().tolist() == [1, 0.25]
    assert torch.equal(batch.truth[1], 0.5 * clean)
    assert Sample.untreated(clean, clean, area, 4).layer.shape == (4, SIZE, SIZE)


def test_a_surface_has_one_colour_and_a_pattern():
    picture = torch.rand(3, 40, 50)
    found = stains.surface(picture, rng(1))
    assert found.shape == picture.shape
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    ratio = found[:, 3:, 3:] / found[:1, 3:, 3:]
    whole = (found > 0).all(0)[3:, 3:] & (found < 1).all(0)[3:, 3:]
    assert float(ratio[:, whole].std(1).max()) < 1e-5
    assert float(found.std()) > 0.01
