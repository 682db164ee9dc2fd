"""A Psf keeps its promises: sum 1, a known centre, energy, and no bad values."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from imgrestore import Psf
from imgrestore.io import write

sizes = st.integers(1, 6)
arrays = hnp.arrays(np.float64, st.tuples(sizes, sizes), elements=st.floats(0, 100)).filter(lambda a: a.max() > 1e-3)


def centroid(psf):
    """Where the light lies, seen from the centre."""
    return np.array([(psf.array * i).sum() for i in np.indices(psf.shape)]) - psf.centre


def moments(psf):
    """The covariance of the light."""
    places = np.stack([i.ravel() for i in np.indices(psf.shape)]).astype(float)
    return np.cov(places, aweights=psf.array.ravel(), ddof=0)


@pytest.mark.parametrize(
    "psf",
    [
        Psf.gaussian(0.3),
        Psf.gaussian(2.5),
        Psf.gaussian((1, 3)),
        Psf.gaussian((1, 3), angle=30),
        Psf.gaussian(1, ndim=3),
        Psf.gaussian((2, 1, 1.5)),
        Psf.disk(0.1),
        Psf.disk(1),
        Psf.disk(4.3),
        Psf.motion(0.5),
        Psf.motion(7),
        Psf.motion(15, 30),
        Psf.motion(10, -45),
    ],
    ids=repr,
)
def test_made_psfs_sum_to_one_and_are_symmetric_about_their_centre(psf):
    assert psf.array.sum() == pytest.approx(1)
    assert psf.energy == pytest.approx(1, abs=1e-3)
    assert psf.array.min() >= 0
    assert psf.centre == tuple(s // 2 for s in psf.shape)
    assert np.allclose(psf.array, np.flip(psf.array), atol=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 1.8, 2.7])
def test_gaussian_has_the_variance_of_its_sigma_and_of_a_pixel(sigma):
    assert np.allclose(moments(Psf.gaussian(sigma)), np.eye(2) * (sigma**2 + 1 / 12), rtol=2e-3, atol=1e-9)


def test_gaussian_takes_a_sigma_for_each_axis():
    assert np.allclose(np.diag(moments(Psf.gaussian((1, 2, 3)))), np.array([1, 4, 9]) + 1 / 12, rtol=2e-3)


def test_a_turned_gaussian_points_counter_clockwise():
    variance = moments(Psf.gaussian((1, 3), angle=90))
    assert variance[0, 0] == pytest.approx(9 + 1 / 12, rel=2e-3)
    assert variance[1, 1] == pytest.approx(1 + 1 / 12, rel=2e-3)
    # Up and to the right: rows fall while columns grow.
    assert moments(Psf.gaussian((1, 3), angle=45))[0, 1] == pytest.approx(-4, rel=1e-2)


def test_numpy_numbers_serve_as_settings():
    assert Psf.gaussian(np.float32(1)).shape == Psf.disk(np.int64(4)).shape == (9, 9)


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0])
def test_disk_covers_its_area(radius):
    psf = Psf.disk(radius)
    assert 1 / psf.array.max() == pytest.approx(math.pi * radius**2, rel=1e-2)


def test_disk_has_the_variance_of_a_disk_and_of_a_pixel():
    assert np.allclose(moments(Psf.disk(6)), np.eye(2) * (6**2 / 4 + 1 / 12), rtol=1e-2, atol=1e-9)


@pytest.mark.parametrize("psf", [Psf.disk(2), Psf.disk(2.5), Psf.motion(9, 90), Psf.motion(9, 180), Psf.motion(9, 30)])
def test_made_psfs_have_no_empty_rim(psf):
    assert psf.trimmed(1e-9).shape == psf.shape


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 135, 200])
@pytest.mark.parametrize("length", [4.0, 15.0])
def test_motion_has_its_length_and_direction(length, angle):
    variance = moments(Psf.motion(length, angle))
    values, vectors = np.linalg.eigh(np.atleast_2d(variance))
    rows, columns = vectors[:, 1]
    assert math.degrees(math.atan2(-rows, columns)) % 180 == pytest.approx(angle % 180, abs=1)
    # Bilinear weights add up to a quarter of a pixel squared.
    assert length**2 / 12 - 1e-6 <= values[1] <= length**2 / 12 + 0.26
    assert values[0] <= 0.26


@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (4, 5), (1, 6), (2, 3, 4)])
def test_the_centre_is_half_the_size_or_as_given(shape):
    assert Psf(np.ones(shape)).centre == tuple(s // 2 for s in shape)
    assert Psf(np.ones(shape), [0] * len(shape)).centre == (0,) * len(shape)


@given(arrays, st.floats(1e-6, 1e6))
def test_energy_is_what_the_values_summed_to(values, factor):
    psf = Psf(values * factor)
    assert psf.energy == pytest.approx(values.sum() * factor)
    assert psf.array.sum() == pytest.approx(1)
    for other in (psf.flip(), psf.recentred(), psf.trimmed(), psf.shift((1, -2))):
        assert other.energy == pytest.approx(psf.energy)


@given(arrays, st.data())
def test_flipping_twice_gives_the_psf_back(values, data):
    psf = Psf(values, [data.draw(st.integers(0, s - 1)) for s in values.shape])
    twice = psf.flip().flip()
    assert twice.centre == psf.centre
    assert np.allclose(twice.array, psf.array)
    assert np.allclose(centroid(psf.flip()), -centroid(psf))


@pytest.mark.parametrize("psf", [Psf.gaussian(1.2), Psf.disk(2), Psf.motion(7, 20), Psf([[1.0]])], ids=repr)
@pytest.mark.parametrize("offset", [(0.25, 0.0), (0.5, -0.3), (2, -1), (-1.7, 3.1)])
def test_shift_moves_the_centre_of_mass_and_keeps_the_energy(psf, offset):
    moved = psf.shift(offset)
    assert np.allclose(centroid(moved) - centroid(psf), offset, atol=1e-3)
    assert moved.array.min() >= 0
    assert moved.energy == pytest.approx(psf.energy)


def test_a_shift_by_whole_pixels_moves_the_blurred_picture_by_as_much():
    psf, picture = Psf(np.random.default_rng(0).random((4, 5))), np.random.default_rng(1).random((20, 20))

    def blur(p):
        origin = [c - s // 2 for c, s in zip(p.centre, p.shape, strict=True)]
        return ndimage.convolve(picture, p.array, mode="wrap", origin=origin)

    assert np.allclose(blur(psf.shift((2, -3))), np.roll(blur(psf), (2, -3), (0, 1)))


def test_shift_works_on_stacks():
    assert np.allclose(centroid(Psf.gaussian(1, ndim=3).shift((0.5, 0, -0.5))), (0.5, 0, -0.5), atol=1e-3)


@given(arrays)
def test_recentred_is_centred_within_half_a_pixel(values):
    psf = Psf(values).recentred()
    assert np.abs(centroid(psf)).max() <= 0.5 + 1e-9
    assert np.array_equal(psf.array, Psf(values).array) or np.allclose(psf.array, Psf(values).array)


@given(arrays, st.data())
def test_trimmed_cuts_empty_rims_and_keeps_the_place_of_the_light(values, data):
    wide = [data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(2)]
    psf = Psf(np.pad(values, wide))
    cut = psf.trimmed()
    assert np.allclose(centroid(cut), centroid(psf))
    assert all(0 <= c < s <= whole for c, s, whole in zip(cut.centre, cut.shape, psf.shape, strict=True))
    assert cut.trimmed().shape == cut.shape


def test_trimmed_leaves_out_the_faint_part():
    assert Psf([[1, 100, 1]]).trimmed(0.1).array.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("text", "psf"),
    [
        ("gaussian:1.5", Psf.gaussian(1.5)),
        ("disk:3", Psf.disk(3)),
        ("motion:9", Psf.motion(9)),
        ("motion:9:-30", Psf.motion(9, -30)),
    ],
)
def test_parse_reads_words(text, psf):
    assert np.array_equal(Psf.parse(text).array, psf.array)


@pytest.mark.parametrize("suffix", [".npy", ".NPY", ".npz", ".png", ".tif", ".fits"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_files_give_the_psf_that_was_written(tmp_path, suffix, shape):
    values = np.random.default_rng(0).integers(1, 200, shape).astype(np.uint8)
    path = tmp_path / f"psf{suffix}"
    if suffix == ".npz":
        np.savez(path, values)
    elif suffix.lower() == ".npy":
        with path.open("wb") as file:
            np.save(file, values)
    elif suffix == ".png":
        values = values if values.ndim == 2 else np.stack([values[0]] * 3, axis=-1)
        write(path, values)
        values = values if values.ndim == 2 else values[..., 0]
    else:
        write(path, values.astype(np.float32))
    psf = Psf.parse(str(path))
    assert np.allclose(psf.array, values / values.sum())
    assert psf.energy == pytest.approx(values.sum())


@pytest.mark.parametrize("shape", [(6, 6, 2), (6, 6, 4)])
def test_alpha_is_no_part_of_a_psf(tmp_path, shape):
    values = np.random.default_rng(0).integers(1, 200, shape).astype(np.uint8)
    values[..., :-1] = values[..., :1]
    write(tmp_path / "psf.png", values)
    assert np.allclose(Psf.from_file(tmp_path / "psf.png").array, values[..., 0] / values[..., 0].sum())


def test_missing_files_are_named(tmp_path):
    for name in ("none.npy", "none.npz", "none.png"):
        with pytest.raises(FileNotFoundError, match=name):
            Psf.parse(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.npy", b"no array"),
        ("empty.npy", b""),
        ("empty.npz", b""),
        ("cut.npz", b"PK\x03\x04and then nothing"),
        ("text.png", b"no picture"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        Psf.from_file(tmp_path / name)


def test_archives_hold_one_psf_of_numbers(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((3, 3)), b=np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"holds the arrays \['a', 'b'\]; expected one PSF"):
        Psf.from_file(tmp_path / "two.npz")
    np.savez(tmp_path / "object.npz", np.array([None]))
    with pytest.raises(ValueError, match=r"object\.npz: not a readable NumPy file"):
        Psf.from_file(tmp_path / "object.npz")


@pytest.mark.parametrize(
    "array",
    [
        [[1, 3]],
        np.array([[1, 3]], np.uint8),
        np.array([[1, 3]], ">f4"),
        torch.tensor([[1.0, 3.0]], requires_grad=True),
        torch.tensor([[1, 3]], dtype=torch.bfloat16),
        Psf([[1, 3]]),
    ],
    ids=lambda a: type(a).__name__,
)
def test_any_array_of_numbers_makes_a_psf(array):
    assert Psf(array).array.tolist() == [[0.25, 0.75]]


def test_a_psf_cannot_be_changed():
    given_values = np.ones((3, 3))
    psf = Psf(given_values)
    with pytest.raises(ValueError, match="read-only"):
        psf.array[0, 0] = 1
    with pytest.raises(AttributeError):
        psf.energy = 2.0
    given_values[:] = 0
    assert psf.array.sum() == pytest.approx(1)
    assert given_values.flags.writeable
    assert np.asarray(psf).flags.writeable


def test_copies_and_pickles_are_the_same_psf():
    psf = Psf([[1, 2, 3]], (0, 0))
    for other in (copy.copy(psf), copy.deepcopy(psf), pickle.loads(pickle.dumps(psf))):
        assert other.array.tolist() == psf.array.tolist()
        assert (other.centre, other.energy) == ((0, 0), 6.0)


def test_repr_says_shape_centre_and_energy():
    assert repr(Psf([[1, 2, 3]])) == "Psf(shape=(1, 3), centre=(0, 1), energy=6)"


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.ones((3, 3), complex), TypeError, "psf has dtype complex128; expected real numbers"),
        (np.array([[None]]), TypeError, "psf has dtype object"),
        ([["a"]], TypeError, "psf has dtype <U1"),
        (np.ma.masked_array(np.ones((3, 3))), TypeError, "psf is a masked array"),
        (np.ones(3), ValueError, r"psf has shape \(3,\); expected 2 axes"),
        (np.ones((1, 1, 1, 1)), ValueError, r"psf has shape \(1, 1, 1, 1\)"),
        (5.0, ValueError, r"psf has shape \(\)"),
        ([[1, 2], [3]], ValueError, "psf is no array"),
        (np.ones((0, 3)), ValueError, r"psf is empty \(shape \(0, 3\)\)"),
        ([[1, np.nan]], ValueError, "psf has NaN or infinite values"),
        ([[1, np.inf]], ValueError, "psf has NaN or infinite values"),
        ([[1, -0.5]], ValueError, r"psf has negative values \(down to -0\.5\)"),
        (np.zeros((3, 3)), ValueError, "psf is zero everywhere"),
        (np.full((2, 2), 1e308), ValueError, "expected a finite sum"),
    ],
    ids=str,
)
def test_what_is_no_psf_is_refused_in_so_many_words(array, error, message):
    with pytest.raises(error, match=message):
        Psf(array)


@pytest.mark.parametrize("centre", [(3, 0), (-1, 0), (1,), (1, 1, 1)])
def test_the_centre_lies_inside(centre):
    with pytest.raises(ValueError, match=r"centre is .* expected an index inside the shape \(3, 3\)"):
        Psf(np.ones((3, 3)), centre)


@pytest.mark.parametrize("sigma", [0, -1, math.nan, math.inf, (1,), (1, 0), (1, 1, 1, 1)])
def test_gaussian_wants_positive_sigmas(sigma):
    with pytest.raises(ValueError, match="sigma is "):
        Psf.gaussian(sigma)


@pytest.mark.parametrize("radius", [0, -1, math.nan, math.inf])
def test_disk_wants_a_positive_radius(radius):
    with pytest.raises(ValueError, match="radius is "):
        Psf.disk(radius)


@pytest.mark.parametrize(("length", "angle"), [(0, 0), (-1, 0), (math.inf, 0), (5, math.nan)])
def test_motion_wants_a_positive_length(length, angle):
    with pytest.raises(ValueError, match="motion has length "):
        Psf.motion(length, angle)


@pytest.mark.parametrize("text", ["gaussian", "gaussian:", "gaussian:a", "disk:1:2", "motion:1:2:3", "motion:"])
def test_parse_says_what_it_expects(text):
    with pytest.raises(ValueError, match="expected gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE or a file"):
        Psf.parse(text)


@pytest.mark.parametrize("offset", [(1,), (1, 2, 3), (math.nan, 0), (math.inf, 0)])
def test_shift_wants_a_finite_number_for_each_axis(offset):
    with pytest.raises(ValueError, match="offset is "):
        Psf.disk(2).shift(offset)


@pytest.mark.parametrize("part", [-0.1, 1, math.nan])
def test_trimmed_wants_a_part_below_one(part):
    with pytest.raises(ValueError, match="part is "):
        Psf.disk(2).trimmed(part)
