"""A field of PSFs: where its windows are, what lies between them, and that it keeps its promises."""

import copy
import pickle

import numpy as np
import pytest
import torch

from imgrestore import Psf, PsfField
from imgrestore.classical import estimate_psf_field
from imgrestore.classical.psf import PsfEstimate
from imgrestore.classical.psf_windows import _shared, check_grid, estimate_field


def test_psfs_are_brought_to_one_shape_about_their_centres():
    field = PsfField([["disk:2", Psf([[1, 2]], (0, 0))], [np.ones((2, 2)), Psf.motion(9)]])
    assert (field.grid, field.ndim) == ((2, 2), 2)
    assert field.shape == (5, 11)
    assert field.centre == (2, 5)
    assert np.allclose(field.array.sum(axis=(2, 3)), 1)
    assert np.allclose(field.array[0, 1, 2, 5:7], [1 / 3, 2 / 3])
    assert np.allclose(field.array[1, 0, 1:3, 4:6], 0.25)
    assert np.allclose(field[0, 0].trimmed().array, Psf.disk(2).array)
    assert not field.array.flags.writeable
    assert not pickle.loads(pickle.dumps(field)).array.flags.writeable
    assert np.array_equal(copy.copy(field).array, np.asarray(field))


def test_arrays_and_tensors_are_fields():
    values = np.random.default_rng(0).random((2, 3, 5, 7))
    field = PsfField(values)
    assert field.grid == (2, 3)
    assert np.allclose(field.array, values / values.sum(axis=(2, 3), keepdims=True))
    assert np.allclose(PsfField(torch.tensor(values)).array, field.array)
    assert np.allclose(PsfField(field).array, field.array)


def test_between_the_middles_of_windows_psfs_are_mixed():
    field = PsfField(np.random.default_rng(0).random((2, 3, 3, 3)))
    frame = (40, 90)
    rows, columns = field.centres(frame)
    assert (rows.tolist(), columns.tolist()) == ([9.5, 29.5], [14.5, 44.5, 74.5])
    for i, j in np.ndindex(2, 3):
        assert np.allclose(field.at(rows[i], columns[j], frame).array, field.array[i, j])
    wanted = 0.75 * field.array[0, 1] + 0.25 * field.array[0, 2]
    assert np.allclose(field.at(9.5, 44.5 + 7.5, frame).array, wanted)
    assert np.allclose(field.at(0, 0, frame).array, field.array[0, 0])
    assert np.allclose(field.at(-9, 500, frame).array, field.array[0, 2])


def test_a_finer_grid_is_the_same_field_at_its_points():
    field = PsfField(np.random.default_rng(0).random((2, 3, 3, 3)))
    finer = field.resampled(4, 5)
    rows, columns = finer.centres((80, 100))
    for i, j in np.ndindex(4, 5):
        assert np.allclose(finer.array[i, j], field.at(rows[i], columns[j], (80, 100)).array)
    assert np.allclose(field.mean().array, field.array.mean(axis=(0, 1)))


def test_a_field_is_kept_in_a_file(tmp_path):
    field = PsfField([["disk:2", "gaussian:1"]])
    field.save(tmp_path / "field.npz")
    assert np.allclose(PsfField.from_file(tmp_path / "field.npz").array, field.array, rtol=1e-12)
    np.savez(tmp_path / "one.npz", np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"shape \(3, 3\); expected \(rows, columns, h, w\)"):
        PsfField.from_file(tmp_path / "one.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        PsfField.from_file(tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"written to \.npy or \.npz"):
        field.save(tmp_path / "field.png")


@pytest.mark.parametrize(
    ("psfs", "error", "message"),
    [
        ([["disk:1", "disk:2"], ["disk:1"]], ValueError, r"hold \[1, 2\] PSFs"),
        ([], ValueError, "hold no PSFs"),
        ([[]], ValueError, "1 or more"),
        ("disk:1", TypeError, "expected rows of PSFs"),
        (["disk:1"], TypeError, "row 0 of the field is a str"),
        (np.ones((3, 3)), ValueError, r"shape \(3, 3\); expected \(rows, columns, h, w\)"),
        ([["disk:1", -np.ones((2, 2))]], ValueError, "row 0, column 1 of the field: psf has negative values"),
        ([[Psf.gaussian(1, ndim=3)]], ValueError, "row 0, column 0 of the field: .* expected 2 axes"),
        ([[np.ones((2, 2)) * 1j]], TypeError, "row 0, column 0 of the field: psf has dtype complex"),
    ],
    ids=str,
)
def test_what_is_no_field_is_refused(psfs, error, message):
    with pytest.raises(error, match=message):
        PsfField(psfs)


@pytest.mark.parametrize("grid", [3, "33", (2,), (2, 0), (2, 2.5), (True, 2), (2, 2, 2), (9, 2), (2, 40)])
def test_grids_are_two_whole_numbers_that_leave_windows_large_enough(grid):
    with pytest.raises(ValueError, match="field is"):
        check_grid(grid, (200, 900))


def test_a_grid_may_have_one_window_along_an_axis():
    assert check_grid([1, np.int64(3)], (40, 300)) == (1, 3)


def test_weak_windows_borrow_and_trusted_ones_do_not():
    rng = np.random.default_rng(0)
    psfs = rng.random((1, 3, 5, 5))
    psfs /= psfs.sum(axis=(2, 3), keepdims=True)
    trust = np.array([[1.0, 0.0, 0.0]])
    shared = _shared(psfs, trust, psfs[0, 2], 0.0)
    assert np.allclose(shared[0, 0], psfs[0, 0])
    assert np.allclose(shared[0, 1], psfs[0, 0], atol=1e-6)
    assert np.allclose(shared.sum(axis=(2, 3)), 1)
    # Where no window can be trusted, the whole picture's PSF is all there is.
    assert np.allclose(_shared(psfs, 0 * trust, psfs[0, 2], 0.0), psfs[0, 2])


def test_borrowed_psfs_are_moved_onto_each_other():
    path = Psf.motion(7, 30)
    left, right = (np.pad(path.array, 4), np.roll(np.pad(path.array, 4), (1, -2), (0, 1)))
    shared = _shared(np.stack([left, right])[None], np.array([[0.25, 0.25]]), left, 1.0)
    assert np.abs(shared - left).max() < 0.05 * left.max()


def test_windows_without_texture_take_the_psf_of_the_others(monkeypatch):
    def found(data, used, **settings):
        return PsfEstimate(Psf.disk(3 if data.shape[3] < 200 else 1), 1.0, "disk")

    monkeypatch.setattr("imgrestore.classical.psf_windows.estimate_plane", found)
    rng = np.random.default_rng(0)
    data = torch.tensor(rng.normal(0.5, 0.001, (1, 1, 80, 300)), dtype=torch.float32)
    data[..., 150:] += torch.tensor(np.kron(rng.random((20, 38)), np.ones((4, 4)))[:, :150])
    field = estimate_field(data, torch.ones_like(data, dtype=torch.bool), (1, 3))
    assert field.confidence[0, 0] < 0.2 < 0.9 < field.confidence[0, 2]
    assert field.kinds == (("disk",) * 3,)
    flat, middle, right = field.psfs.array[0]
    assert np.allclose(field.psfs[0, 2].trimmed().array, Psf.disk(3).array)
    assert np.abs(flat - middle).sum() < 0.5 * np.abs(flat - right).sum()


def test_estimation_refuses_what_it_cannot_take():
    with pytest.raises(ValueError, match="kind is 'box'"):
        estimate_psf_field(np.zeros((99, 99)), (1, 1), kind="box")
    with pytest.raises(ValueError, match="batch of 2 pictures"):
        estimate_psf_field(torch.rand(2, 1, 99, 99), (1, 1))
