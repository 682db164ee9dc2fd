"""What holds for every task that takes a picture apart, whatever the damage."""

import functools
import inspect
import pickle
from dataclasses import replace

import numpy as np
import pytest
import set_moire
import set_reflection
import set_rust
import set_shadow
import set_specular
import torch
from damaged import psnr
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from typer.testing import CliRunner

import imgrestore
from imgrestore import Restoration, io
from imgrestore.cli import app

NAMES = sorted(
    name for name, home in imgrestore._HOMES.items() if home == f"imgrestore.tasks.{name}" != "imgrestore.tasks.deblur"
)
TASKS = [pytest.param(getattr(imgrestore, name), id=name) for name in NAMES]
LIMIT = 1e-5


def shaded():
    """Pictures with cast shadows, every other pixel: their set's have twice the side that is wanted here."""
    for one in set_shadow.cast(1):
        yield replace(one, observed=one.observed[::2, ::2].copy(), truth=one.truth[::2, ::2].copy(), mask=None)


SETS = {
    "demoire": set_moire.SETS["coloured waves"],
    "dereflect": set_reflection.SETS["ghosted"],
    "derust": set_rust.SETS["computed"],
    "deshadow": shaded,
    "despecular": set_specular.SETS["lobes on shaded bodies"],
}


@pytest.fixture(scope="module")
def cup():
    """A photograph of 120 x 150, with shading, gloss and brown: something for every task to look at."""
    return data.coffee()[100:340:2, 150:450:2]


@functools.cache
def damaged(task):
    """A picture that the task is sure to change, of about 200 pixels a side, from 0 to 1."""
    make = SETS[task.__name__]
    return next(one for one in make() if abs(task(one.observed) - one.observed).max() > 0.05)


def apart(task, image, **settings):
    """The restoration, of which everything that must hold for any picture holds."""
    before = image.copy() if isinstance(image, np.ndarray) else image.clone()
    result = task(image, details=True, **settings)
    assert isinstance(result, Restoration)
    assert type(result.image) is type(image)
    assert result.image.shape == image.shape
    assert result.image.dtype == image.dtype
    assert np.array_equal(np.asarray(image), np.asarray(before), equal_nan=True), "the input was written to"
    assert np.array_equal(np.asarray(task(image, **settings)), np.asarray(result.image), equal_nan=True)
    assert result.notes
    assert 0 <= np.min(result.confidence) <= np.max(result.confidence) <= 1
    return result


def off(result, image, alpha=False):
    """The largest error of recomposition, for a range of 1."""
    image = np.asarray(image)
    colours = image[..., :-1] if alpha else image
    peak = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else max(1.0, float(np.nanmax(np.abs(colours))))
    again = np.asarray(result.recompose(), np.float64)
    assert again.shape == colours.shape
    return float(np.nanmax(np.abs(again - colours.astype(np.float64)))) / peak


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("masked", [False, True])
def test_layers_recompose_any_type(task, masked, cup):
    mask = np.zeros(cup.shape[:2], bool)
    mask[30:70, 40:90] = True
    extra = {"mask": mask} if masked else {}
    gray = cup[..., 1]
    rgba = np.concatenate([cup, np.full_like(cup[..., :1], 77)], axis=-1)
    assert off(apart(task, cup, **extra), cup) < LIMIT
    assert off(apart(task, gray, **extra), gray) < LIMIT
    assert off(apart(task, cup.astype(np.uint16) * 257, **extra), cup.astype(np.uint16) * 257) < LIMIT
    assert off(apart(task, cup / 255.0, **extra), cup / 255.0) < LIMIT
    result = apart(task, rgba, **extra)
    assert off(result, rgba, alpha=True) < LIMIT
    assert np.array_equal(result.image[..., 3], rgba[..., 3])
    assert np.array_equal(result.image[..., :3], task(cup, **extra))


@pytest.mark.parametrize("task", TASKS)
def test_types_agree(task):
    """The same damaged picture as bytes, as 16 bits and as floats is judged alike, and so is each of a batch."""
    image = (damaged(task).observed.clip(0, 1) * 255).round().astype(np.uint8)
    floats = task((image / 255.0).astype(np.float32))
    assert np.abs(floats - image / 255.0).max() > 0.05
    assert np.abs(task(image) / 255.0 - floats.clip(0, 1)).max() < 0.6 / 255
    assert np.abs(task(image.astype(np.uint16) * 257) / 65535 - floats.clip(0, 1)).max() < 1e-4
    one = torch.from_numpy((image / 255.0).astype(np.float32)).movedim(-1, 0)
    alone, brighter = task(torch.stack([one, 40 * one])).movedim(1, -1).numpy()
    assert np.abs(alone - floats).max() < 1e-6
    assert np.abs(brighter / 40 - image / 255.0).max() > 0.05


@pytest.mark.parametrize("task", TASKS)
def test_damage_is_found_and_taken_off(task):
    sample = damaged(task)
    result = apart(task, sample.observed)
    assert off(result, sample.observed) < LIMIT
    assert result.mask.any()
    assert psnr(result.image, sample.truth) > psnr(sample.observed, sample.truth) + 0.5
    holes = sample.observed.copy()
    holes[40, 50] = np.nan
    holes[70:72, 60:64, 0] = np.nan
    result = apart(task, holes)
    again = result.recompose()
    assert np.abs(again - holes)[~np.isnan(holes)].max() < LIMIT
    assert np.array_equal(np.isnan(result.image), np.isnan(holes))


@pytest.mark.parametrize("task", TASKS)
def test_values_beyond_the_range_survive(task, cup):
    """Lights far brighter than white, and values below 0, are neither clipped nor do they break anything."""
    image = (cup / 255.0).astype(np.float32)
    image[5:8, 5:8] = 30.0
    image[100:103, 100:103] = -0.2
    result = apart(task, image)
    assert off(result, image) < LIMIT
    assert np.isfinite(result.image).all()
    counts = image * 4000
    assert off(apart(task, counts), counts) < LIMIT


@pytest.mark.parametrize("task", TASKS)
def test_nan_stays_where_it_was(task, cup):
    image = (cup / 255.0).astype(np.float32)
    image[20:24, 30:33, 1] = np.nan
    image[60] = np.inf
    result = apart(task, image)
    missing = ~np.isfinite(image)
    assert np.array_equal(~np.isfinite(result.image), missing)
    again = result.recompose()
    assert np.abs(again[~missing] - image[~missing]).max() < LIMIT


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 300), (7, 7, 4), (16, 16, 3), (17, 400)])
def test_tiny_pictures(task, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    result = apart(task, image)
    assert off(result, image, alpha=shape[-1] == 4) < LIMIT


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 7.0])
def test_constant_pictures_come_back(task, value):
    image = np.full((40, 50, 3), value, np.float32)
    result = apart(task, image)
    assert np.array_equal(result.image, image)
    assert "constant" in result.notes[-1]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("image", [np.zeros((64, 64, 3)), np.ones((64, 64))], ids=["black", "white"])
def test_one_odd_pixel(task, image):
    """Almost constant pictures, where deviations and medians are 0."""
    image = image.astype(np.float32)
    image[30, 30] = 0.5
    result = apart(task, image)
    assert off(result, image) < LIMIT
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=12)
@given(
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**16),
    smooth=st.integers(1, 8),
    masked=st.booleans(),
)
def test_layers_recompose_anything(task, height, width, channels, seed, smooth, masked):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-0.1, 1.2, (height // smooth + 1, width // smooth + 1, channels))
    image = np.kron(coarse, np.ones((smooth, smooth, 1)))[:height, :width].astype(np.float32)
    mask = rng.uniform(size=(height, width)) < 0.3 if masked else None
    result = apart(task, image, mask=mask)
    assert off(result, image) < LIMIT
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("task", TASKS)
def test_outside_the_mask_nothing_far_away_changes(task, cup):
    mask = np.zeros(cup.shape[:2], bool)
    mask[:30, :40] = True
    result = apart(task, cup, mask=mask)
    assert np.array_equal(result.image[90:, 110:], cup[90:, 110:])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("colour", [True, False])
def test_masks_that_leave_little_to_go_by(task, colour, cup):
    """A mask over everything, at the frame, beside missing pixels, of one pixel: nothing turns black or bright."""
    image = (cup / 255.0).astype(np.float32)
    image = image if colour else np.ascontiguousarray(image[..., 0])
    everywhere = np.ones(image.shape[:2], bool)
    rim = everywhere.copy()
    rim[20:-20, 20:-20] = False
    one = ~everywhere
    one[60, 70] = True
    for mask in (everywhere, rim, one):
        for hole in (False, True):
            seen = image.copy()
            if hole:
                seen[18:24, 30:60] = np.nan
            result = apart(task, seen, mask=mask)
            kept = np.isfinite(seen)
            assert off(result, seen) < LIMIT
            assert result.image[kept].mean() > 0.5 * seen[kept].mean()
            assert result.image[kept].max() < 1.5


@pytest.mark.parametrize("task", TASKS)
def test_restorations_travel_and_can_be_drawn(task, cup):
    result = apart(task, cup)
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.recompose(), result.recompose())
    assert result.plot(truth=cup).mode == "RGB"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("image", "settings", "error", "message"),
    [
        ([[1, 2], [3, 4]], {}, TypeError, "image is a list"),
        (np.zeros((20, 20), np.int16), {}, TypeError, "image has dtype int16"),
        (np.zeros((0, 20)), {}, ValueError, "image is empty"),
        (np.full((20, 20), np.nan), {}, ValueError, "image has no finite pixel"),
        (np.zeros((5, 20, 20)), {}, ValueError, "say channel_axis"),
        (np.zeros((20, 20)), {"method": "magic"}, ValueError, "method is 'magic'; expected one of auto, classical"),
        (np.eye(20), {"mask": np.ones((5, 5), bool)}, ValueError, r"mask has shape \(5, 5\); expected \(20, 20\)"),
        (np.eye(20), {"mask": np.ones((20, 20))}, TypeError, "mask has dtype float64; expected bool"),
    ],
)
def test_bad_input(task, image, settings, error, message):
    with pytest.raises(error, match=message):
        task(image, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_agree(name):
    parameters = inspect.signature(getattr(imgrestore, name)).parameters
    assert next(iter(parameters)) == "image"
    assert {"method", "mask", "details", "channel_axis"} <= set(parameters)
    others = [p for key, p in parameters.items() if key != "image"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in others)
    assert parameters["method"].default == "auto"


@pytest.mark.parametrize("name", NAMES)
def test_commands(name, cup, tmp_path):
    io.write(tmp_path / "in.png", cup)
    mask = np.zeros(cup.shape[:2], bool)
    mask[30:70, 40:90] = True
    io.write(tmp_path / "mask.png", mask)
    words = [name, tmp_path / "in.png", "-o", tmp_path / "out.png", "--details", tmp_path / "sheet.png", "--verbose"]
    words += ["--mask", tmp_path / "mask.png", "--method", "classical"]
    answer = CliRunner().invoke(app, [str(w) for w in words])
    assert answer.exit_code == 0, answer.output
    expected = getattr(imgrestore, name)(cup, mask=mask, method="classical", details=True)
    assert np.array_equal(io.read(tmp_path / "out.png").pixels, expected.image)
    assert [line.partition("in.png: ")[2] for line in answer.stderr.splitlines()] == list(expected.notes)
    assert io.read(tmp_path / "sheet.png").channels == 3
