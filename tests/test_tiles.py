"""Windows, sources, what is looked at once, and the tasks that take large pictures apart."""

import functools
import pickle

import cv2
import numpy as np
import pytest
import torch
from damaged import psnr
from set_rust import PAIRS, computed
from set_shadow import page
from set_specular import on_bodies
from skimage import data
from tiles_cases import apart, tiled, with_moire

import imgrestore
from imgrestore import demoire
from imgrestore.tiles import TASKS, ArraySource, Window, as_source, prepare
from imgrestore.tiles.look import look_at
from imgrestore.tiles.rim import Axis


def test_windows_cover_a_picture_once():
    seen = np.zeros((37, 53), int)
    for window in Window.grid(seen.shape, (10, 17)):
        seen[window.slices] += 1
        grown = window.grown(5, seen.shape)
        assert np.shares_memory(seen[window.slices], seen[grown.slices][window.inside(grown)])
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("values", "error"), [((0, 0, 0, 1), ValueError), ((-1, 0, 1, 1), ValueError), ((0, 0, 1.5, 1), TypeError)]
)
def test_windows_that_are_none_are_refused(values, error):
    with pytest.raises(error, match=r"height|top"):
        Window(*values)


def test_sources():
    array = np.arange(24.0).reshape(4, 6)
    source = as_source(array)
    assert isinstance(source, ArraySource)
    assert as_source(source) is source
    assert np.array_equal(source.read(Window(1, 2, 2, 3)), array[1:3, 2:5])
    for bad in ([1, 2], "picture", np.ones((3, 3), int), np.ma.masked_array(array)):
        with pytest.raises(TypeError):
            as_source(bad)
    for shape in ((3,), (0, 4), (2, 3, 4, 5)):
        with pytest.raises(ValueError, match="source"):
            as_source(np.ones(shape))
    with pytest.raises(TypeError, match="torch"):
        as_source(torch.ones(4, 4))


def test_zarr_and_dask_are_sources():
    dask = pytest.importorskip("dask.array")
    zarr = pytest.importorskip("zarr")
    picture = (data.camera()[:150, :140]).astype(np.uint8)
    window = Window(20, 30, 40, 50)
    lazy, stored = dask.from_array(picture, chunks=64), zarr.array(picture, chunks=(64, 64))
    for source in (lazy, stored):
        prepared = prepare("deblur", source, psf="gaussian:1", method="wiener")
        seen = as_source(source).read(prepared.seen(window))
        assert np.array_equal(
            prepared(seen, window), prepare("deblur", picture, psf="gaussian:1", method="wiener")(seen, window)
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_look_is_the_mean_of_squares(dtype):
    picture = (np.random.default_rng(0).random((31, 44, 3)) * 200).astype(dtype)
    look = look_at(as_source(picture), 400)
    assert look.factor == 2
    wanted = np.stack([[picture[y : y + 2, x : x + 2].mean((0, 1)) for x in range(0, 44, 2)] for y in range(0, 31, 2)])
    assert look.reduced.dtype == dtype
    assert np.abs(look.reduced - wanted).max() < (0.51 if dtype == np.uint8 else 1e-4)


def test_a_look_leaves_out_what_is_no_number():
    picture = np.ones((40, 40), np.float32)
    picture[:7] = np.nan
    picture[20, 20] = np.inf
    look = look_at(as_source(picture), 100)
    assert np.isnan(look.reduced[0]).all()
    assert np.nanmax(look.reduced) == 1
    assert not look.finite
    with pytest.raises(ValueError, match="no finite pixel"):
        look_at(as_source(np.full((9, 9), np.nan)))


def test_values_that_pile_up_are_counted_over_bands():
    picture = np.random.default_rng(0).random((60, 50)).astype(np.float32)
    picture[::7] = 2.0
    picture[1, 1] = picture[2, 2] = 1.5
    heap = look_at(as_source(picture), 300).heap
    assert (heap.top[0], heap.pile[0], heap.second[0], heap.rest[0]) == (2.0, 9 * 50, 1.5, 2)


def test_a_canvas_goes_on_over_the_gap_into_the_other_side():
    mirror = np.r_[np.arange(3)[::-1], np.arange(50), 49, 48, 47]
    axis = Axis(50, 3, mirror)
    places = axis.around(0, 10, 8)
    assert places.start == -14
    assert places.cuts == (14, 70)
    assert places.known.tolist() == [True] * 8 + [False] * 6 + [True] * 18
    assert places.index[:8].tolist() == list(range(42, 50))
    assert places.index[8:14].tolist() == [49, 48, 47, 2, 1, 0]
    assert len(axis.around(10, 40, 20).index) == 50
    assert axis.around(0, 10, 8, 4).start % 4 == -56 % 4
    assert axis.around(20, 30, 8, 4).cuts == (56 - 12,)


def test_errors_name_what_was_wrong():
    picture = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    prepared = prepare("deshadow", picture)
    with pytest.raises(ValueError, match="pixels has shape"):
        prepared(picture, Window(0, 0, 10, 10))
    with pytest.raises(TypeError, match="pixels has dtype float64"):
        prepared(picture[:10, :10].astype(float), Window(0, 0, 10, 10))
    with pytest.raises(ValueError, match="window is"):
        prepared(picture, Window(0, 0, 65, 64))
    with pytest.raises(ValueError, match="task is 'mend'"):
        prepare("mend", picture)
    with pytest.raises(ValueError, match="look_pixels is 0"):
        prepare("deblur", picture, look_pixels=0)


@pytest.fixture(scope="module")
def damaged():
    """A picture of each damage, its truth, and what the task is to be told."""
    bodies, stain = on_bodies()[0], computed(PAIRS[:1])[0]
    return {
        "deshadow": (*shaded_page(), {"kind": "document"}),
        "despecular": (bodies.observed, bodies.truth, {}),
        "derust": (stain.observed, stain.truth, {"mask": stain.mask}),
        "dereflect": reflected(),
    }


def shaded_page():
    truth = page(0)[:200, :180].astype(np.float32)
    ramp = np.clip(np.linspace(0.4, 1.3, 180, dtype=np.float32), 0, 1)[None, :, None]
    return truth * ramp, truth


def reflected():
    truth = data.astronaut()[:180, :200].astype(np.float32) / 255 * 0.7
    light = cv2.GaussianBlur(data.coffee()[:180, :200].astype(np.float32) / 255, (0, 0), 3) * 0.3
    return truth + light, truth, {"flash": np.clip(truth * 1.3 + light, 0, None).astype(np.float32)}


@pytest.mark.parametrize("task", ["deshadow", "despecular", "derust", "dereflect"])
def test_layers_of_a_small_picture_are_those_of_the_whole(damaged, task):
    picture, _, options = damaged[task]
    whole = getattr(imgrestore, task)(picture, **options)
    prepared = pickle.loads(pickle.dumps(prepare(task, picture, **options)))
    assert np.array_equal(tiled(prepared, picture, (61, 83)), whole)


@pytest.mark.parametrize(
    ("task", "dtype"),
    [
        *((task, dtype) for task in ("derust", "dereflect") for dtype in ("float32", "uint8", "rgba", "nan")),
        *((task, dtype) for task in ("deshadow", "despecular") for dtype in ("float32", "uint16", "counts")),
    ],
)
def test_layers_found_on_a_reduced_picture_are_the_same_in_all_tiles(damaged, task, dtype):
    picture, truth, options = damaged[task]
    picture, options, scale = as_type(picture, options, dtype)
    prepared = prepare(task, picture, look_pixels=picture.shape[0] * picture.shape[1] // 4 + 200, **options)
    one = prepared(picture, Window.whole(picture.shape))
    found = tiled(prepared, picture, (53, 71))
    assert found.dtype == picture.dtype
    assert np.array_equal(found, one, equal_nan=True)
    assert any("reduced by 2" in note for note in prepared.notes)
    colours, given = found[..., :3] / scale, picture[..., :3] / scale
    good = np.isfinite(colours).all(-1)
    assert np.array_equal(good, np.isfinite(given).all(-1))
    assert psnr(colours[good], truth[good]) > psnr(given[good], truth[good]) + 1


def as_type(picture, options, dtype):
    """A picture and what goes with it as another type, and what is white in it."""
    scales = {"uint8": 255, "uint16": 65535, "counts": 4000.0}
    scale = scales.get(dtype, 1.0)

    def made(values):
        if dtype in ("uint8", "uint16"):
            return (values.clip(0, 1) * scale).round().astype(dtype)
        return (values * scale).astype(np.float32)

    if dtype == "rgba":
        add = lambda values: np.concatenate([values, np.full_like(values[..., :1], 0.5)], -1)  # noqa: E731
        return add(picture), {k: add(v) if k == "flash" else v for k, v in options.items()}, scale
    result = made(picture)
    if dtype == "nan":
        result[30:33, 40:44] = np.nan
    return result, {k: made(v) if k == "flash" else v for k, v in options.items()}, scale


@pytest.mark.parametrize("task", TASKS)
def test_an_undamaged_picture_is_left(task):
    picture = data.chelsea()[40:112, 100:172]
    for pixels in (6_000, 2_000) if task != "restore" else (2_000,):
        prepared = prepare(task, picture, look_pixels=pixels)
        assert np.array_equal(tiled(prepared, picture, (30, 50)), picture)


@functools.cache
def moire_taken_off(kind, shape):
    """A picture with moiré, and the same without."""
    picture = with_moire(kind, shape, seed=1)
    return picture, demoire(picture, method="classical")


@pytest.mark.parametrize(("kind", "shape"), [("gray", (390, 110)), ("bent", (270, 260))])
def test_moire_is_taken_off_alike_by_tiles_and_whole(kind, shape):
    picture, whole = moire_taken_off(kind, shape)
    prepared = prepare("demoire", picture, method="classical")
    assert apart(tiled(prepared, picture, (140, 260)), whole) < 1e-4
    assert np.abs(whole - picture).max() > 0.02


def test_moire_found_in_parts_is_the_same_in_all_tiles():
    picture, whole = moire_taken_off("gray", (390, 110))
    reduced = prepare("demoire", picture, method="classical", look_pixels=30_000)
    one = reduced(picture, Window.whole(picture.shape))
    assert apart(tiled(reduced, picture, (130, 110)), one) < 1e-4
    assert apart(one, whole) < 0.25


def test_moire_inside_a_mask():
    picture = with_moire("gray", (300, 290))
    mask = np.zeros(picture.shape[:2], bool)
    mask[100:220, 80:190] = True
    whole = demoire(picture, mask=mask)
    prepared = prepare("demoire", picture, mask=mask)
    assert apart(tiled(prepared, picture, (100, 145)), whole) < 1e-4
