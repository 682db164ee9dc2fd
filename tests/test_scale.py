"""`scale.map`: a lazy array that is what restoring the whole gives, in the chunks that were given."""

import child
import numpy as np
import pytest
from conftest import observe

import imgrestore
from imgrestore import scale
from imgrestore.scale import lazy

da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")
distributed = pytest.importorskip("distributed")

PSF = imgrestore.Psf.gaussian(1)
WAYS = {"psf": PSF, "method": "wiener", "noise": 0.01}


@pytest.fixture(scope="module")
def blurred(photographs):
    _, observed = observe(photographs["man"], PSF, 96)
    return observed.astype(np.float32)[:, :90]


@pytest.fixture(scope="module")
def whole(blurred):
    return imgrestore.deblur(blurred, **WAYS)


@pytest.mark.parametrize(
    "chunks",
    [
        (48, 45),
        (96, 90),
        ((50, 46), (20, 31, 39)),
        (7, 11),  # smaller than the halo
        (5, 90),
    ],
)
def test_same_as_whole_in_the_chunks_given(blurred, whole, chunks):
    array = da.from_array(blurred, chunks=chunks)
    result = scale.map("deblur", array, **WAYS)
    assert (result.shape, result.dtype, result.chunks) == (array.shape, array.dtype, array.chunks)
    assert np.abs(result.compute(scheduler="sync") - whole).max() < 1e-4
    assert np.abs(result[30:50, 40:60].compute(scheduler="sync") - whole[30:50, 40:60]).max() < 1e-4


def test_channels(blurred):
    colours = np.stack([blurred, blurred[::-1], 1 - blurred], axis=-1)
    array = da.from_array(colours, chunks=(48, 45, 1))
    result = scale.map("deblur", array, **WAYS)
    assert result.chunks == array.chunks
    whole = imgrestore.deblur(colours, **WAYS)
    assert np.abs(result.compute(scheduler="sync") - whole).max() < 1e-4
    many = np.concatenate([colours, colours], axis=-1)
    whole = imgrestore.deblur(many, channel_axis=-1, **WAYS)
    result = scale.map("deblur", many, channel_axis=-1, **WAYS)
    assert np.abs(result.compute(scheduler="sync") - whole).max() < 1e-4


def test_nothing_is_restored_before_it_is_asked_for(blurred, monkeypatch):
    seen = []
    monkeypatch.setattr(lazy, "_tile", lambda block, edges, prepared, block_id: seen.append(block_id) or block)
    array = da.from_array(blurred, chunks=(96, 45))
    result = scale.map("deblur", array, **WAYS)
    assert seen == []
    result[:, :10].compute(scheduler="sync")
    assert seen == [(0, 0)]


def test_what_is_called_gets_no_empty_array(blurred, monkeypatch):
    sizes = []

    def spy(picture, **named):
        sizes.append(picture.size)
        return picture

    monkeypatch.setattr("imgrestore.deblur", spy)
    result = scale.map("deblur", np.stack([blurred] * 2), channel_axis=None, psf=PSF)
    assert sizes == []
    result.compute(scheduler="sync")
    assert set(sizes) == {blurred.size}


@pytest.mark.parametrize("chunks", [(1, 96, 90), (2, 96, 90), (3, 50, 50)])
def test_pictures_of_a_batch_are_each_restored_by_itself(blurred, whole, chunks):
    batch = np.stack([blurred, blurred[::-1], np.zeros_like(blurred)])
    array = da.from_array(batch, chunks=chunks)
    result = scale.map("deblur", array, channel_axis=None, **WAYS)
    assert (result.dtype, result.chunks) == (array.dtype, array.chunks)
    found = result.compute(scheduler="sync")
    assert np.array_equal(found[0], whole)
    assert np.array_equal(found[1], imgrestore.deblur(batch[1], **WAYS))
    assert np.array_equal(found[2], batch[2])


def test_batch_with_channels(blurred):
    batch = (np.stack([np.stack([blurred] * 3, axis=-1)] * 2) * 255).clip(0, 255).astype(np.uint8)
    result = scale.map("deblur", da.from_array(batch, chunks=(1, -1, -1, -1)), psf=PSF, method="wiener")
    assert np.array_equal(result.compute(scheduler="sync")[1], imgrestore.deblur(batch[1], PSF, method="wiener"))


def test_from_zarr_to_zarr_by_workers(blurred, whole, tmp_path):
    stored = zarr.create_array(str(tmp_path / "in.zarr"), shape=blurred.shape, chunks=(32, 45), dtype="f4")
    stored[:] = blurred
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        result = scale.map("deblur", stored, **WAYS)
        assert result.chunksize == (32, 45)
        da.to_zarr(result, str(tmp_path / "out.zarr"))
    written = zarr.open_array(str(tmp_path / "out.zarr"))
    assert (written.dtype, written.chunks) == (np.float32, (32, 45))
    assert np.abs(written[:] - whole).max() < 1e-4


@pytest.mark.parametrize(
    ("array", "options", "error", "message"),
    [
        (np.zeros((9, 9)), {"task": "sharpen"}, ValueError, "task is 'sharpen'; expected one of deblur"),
        ([[1.0]], {}, TypeError, "array is a list; expected an array of dask, zarr or NumPy"),
        (np.ma.zeros((9, 9)), {}, TypeError, "array is a masked array"),
        (np.zeros((0, 9)), {}, ValueError, "array is empty"),
        (np.zeros(9), {}, ValueError, r"array has shape \(9,\) and channel_axis is 'auto'; expected \(H, W\)"),
        (np.zeros((9, 9)), {"channel_axis": -1}, ValueError, "channel_axis is -1; expected"),
        (np.zeros((9, 9, 9)), {}, ValueError, "can be read in several ways"),
        (np.zeros((9, 9, 3)), {"channel_axis": 0}, ValueError, "channel_axis is 0; expected 'auto', -1 or None"),
        (np.zeros((9, 9), complex), {}, TypeError, "dtype complex128"),
        (np.zeros((2, 9, 9), complex), {"channel_axis": None}, TypeError, "dtype complex128"),
        (np.ones((9, 9)), {"sigma": 3}, TypeError, "sigma"),
        (np.ones((2, 9, 9)), {"sigma": 3, "channel_axis": None}, TypeError, "sigma"),
    ],
)
def test_bad_input(array, options, error, message):
    with pytest.raises(error, match=message):
        scale.map(options.pop("task", "deblur"), array, **options)


def test_sizes_that_are_not_known():
    array = da.from_array(np.arange(100.0), chunks=10)
    array = array[array > 20][:, None]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        scale.map("deblur", array)


def test_dask_is_not_imported_before_it_is_needed():
    code = (
        "import sys; sys.modules.update(dask=None, distributed=None, zarr=None)\n"
        "import numpy as np, imgrestore, imgrestore.cli\n"
        "from imgrestore import scale\n"
        "try: scale.map('deblur', np.zeros((9, 9)))\n"
        "except ImportError as error: print(error)"
    )
    assert 'pip install "imgrestore[scale]"' in child.run("-c", code).stdout
