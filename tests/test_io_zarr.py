"""Zarr and OME-Zarr, read and written part by part: the same pixels as of the whole."""

import json
import os
import sys

import numpy as np
import pytest
from file_windows import SIZE, fill, same_by_windows
from picture_files import noise

from imgrestore import io
from imgrestore.io import PictureError


@pytest.fixture
def zarr():
    return pytest.importorskip("zarr")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 3)])
def test_a_plain_array(tmp_path, zarr, version, shape):
    pixels = noise(shape, "uint16")
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=shape, chunks=(32, 40, 3)[: len(shape)], dtype="uint16", zarr_format=version
    )
    array[:] = pixels
    array.attrs["unit"] = "counts"
    read = same_by_windows(tmp_path / "a.zarr", pixels)
    with io.open_target(tmp_path / "b.zarr", shape, "uint16", like=read.like) as target:
        assert target.chunk == (32, 40)
        fill(target, pixels)
    again = zarr.open(str(tmp_path / "b.zarr"), mode="r")
    np.testing.assert_array_equal(again[:], pixels)
    assert again.metadata.zarr_format == version
    assert dict(again.attrs) == {"unit": "counts"}
    assert again.chunks == array.chunks


def test_named_axes(tmp_path, zarr):
    pixels = noise((*SIZE, 7), "float32")
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=(1, 7, *SIZE),
        chunks=(1, 7, 40, 40),
        dtype="float32",
        dimension_names=("time", "band", "y", "x"),
    )
    array[:] = np.moveaxis(pixels, -1, 0)[None]
    read = same_by_windows(tmp_path / "a.zarr", pixels)
    with io.open_target(tmp_path / "b.zarr", pixels.shape, "float32", like=read.like) as target:
        fill(target, pixels)
    again = zarr.open(str(tmp_path / "b.zarr"), mode="r")
    np.testing.assert_array_equal(again[:], array[:])
    assert again.metadata.dimension_names == ("time", "band", "y", "x")


def test_axes_that_cannot_be_told(tmp_path, zarr):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(3, 50, 60), chunks=(3, 50, 60), dtype="uint8")
    with (
        pytest.raises(PictureError, match=r"\(3, 50, 60\) and its axes have no names"),
        io.open_source(tmp_path / "a.zarr"),
    ):
        pass


def multiscale(zarr, path, pixels, version, axes="tczyx", levels=3):
    """An OME-Zarr of one picture (H, W[, C]) with a pixel of 0.5 micrometres."""
    ordered = pixels if pixels.ndim == 3 else pixels[..., None]
    group = zarr.create_group(str(path), zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in range(levels):
        stored = np.moveaxis(ordered[:: 2**level, :: 2**level], -1, 0)
        stored = stored.reshape(
            [{"c": stored.shape[0], "y": stored.shape[1], "x": stored.shape[2]}.get(a, 1) for a in axes]
        )
        array = group.create_array(
            str(level), shape=stored.shape, chunks=(*[1] * (len(axes) - 2), 32, 32), dtype=stored.dtype
        )
        array[:] = stored
        scale = [0.5 * 2**level if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"t": "time", "c": "channel"}
    scales = {
        "name": "specimen",
        "axes": [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes],
        "datasets": datasets,
    }
    found = {"multiscales": [scales], "omero": {"channels": [{"label": "red"}]}}
    if version == "0.4":
        scales["version"] = "0.4"
        group.attrs.update(found)
    else:
        group.attrs["ome"] = {"version": "0.5", **found}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_ome_zarr(tmp_path, zarr, version, channels):
    pixels = noise((*SIZE, channels)[: 2 if channels == 1 else 3], "uint16")
    multiscale(zarr, tmp_path / "a.zarr", pixels, version)
    read = same_by_windows(tmp_path / "a.zarr", pixels)
    with io.open_target(tmp_path / "b.zarr", pixels.shape, "uint16", like=read.like) as target:
        fill(target, pixels)
    same_by_windows(tmp_path / "b.zarr", pixels)
    before, after = (zarr.open(str(tmp_path / name), mode="r") for name in ("a.zarr", "b.zarr"))
    assert dict(after.attrs) == dict(before.attrs)
    assert [after[str(n)].shape for n in range(3)] == [before[str(n)].shape for n in range(3)]
    assert after["0"].metadata.zarr_format == before["0"].metadata.zarr_format
    wide = np.pad(pixels.astype(float), [(0, 0), (0, 1), *[(0, 0)] * (pixels.ndim - 2)], mode="edge")
    means = np.rint(wide.reshape(65, 2, 73, 2, -1).mean(axis=(1, 3)))
    np.testing.assert_array_equal(np.moveaxis(after["1"][0, :, 0], 0, -1), means)


def test_a_new_ome_zarr_has_a_pyramid(tmp_path, zarr):
    pixels = np.zeros((1100, 700, 3), np.uint8)
    pixels[:512] = 200
    with io.open_target(tmp_path / "a.ome.zarr", pixels.shape, np.uint8) as target:
        fill(target, pixels, (512, 512))
    group = zarr.open(str(tmp_path / "a.ome.zarr"), mode="r")
    assert [group[name].shape for name in sorted(group)] == [(3, 1100, 700), (3, 550, 350), (3, 275, 175)]
    assert (group["2"][:, :128] == 200).all()
    assert (group["2"][:, 128:] == 0).all()
    scales = group.attrs["ome"]["multiscales"][0]
    assert [axis["name"] for axis in scales["axes"]] == ["c", "y", "x"]
    assert scales["datasets"][2]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 4.0, 4.0]},
        {"type": "translation", "translation": [0.0, 1.5, 1.5]},
    ]
    same_by_windows(tmp_path / "a.ome.zarr", pixels)


def test_several_pictures_in_an_ome_zarr(tmp_path, zarr):
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    pixels = noise((4, *SIZE), "uint8")
    group.create_array("0", shape=pixels.shape, chunks=(1, 64, 64), dtype="uint8")[:] = pixels
    axes = [{"name": name} for name in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    same_by_windows(tmp_path / "a.zarr", pixels[2], page=2)
    with (
        pytest.raises(PictureError, match=r"more than one picture \(z = 4\); choose one"),
        io.open_source(tmp_path / "a.zarr"),
    ):
        pass


def test_groups_without_multiscales(tmp_path, zarr):
    zarr.create_group(str(tmp_path / "a.zarr")).create_array("inside", shape=SIZE, chunks=SIZE, dtype="uint8")
    with (
        pytest.raises(PictureError, match=r"without multiscales.*it holds inside"),
        io.open_source(tmp_path / "a.zarr"),
    ):
        pass
    with io.open_source(tmp_path / "a.zarr" / "inside") as source:
        assert source.shape == SIZE


def test_chunks_larger_than_memory(tmp_path, zarr):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(9000, 9000), chunks=(9000, 9000), dtype="uint8")
    with (
        pytest.raises(PictureError, match=r"chunks of 9000 x 9000 values.*smaller chunks"),
        io.open_source(tmp_path / "a.zarr", max_bytes=10**8),
    ):
        pass


def test_folders_that_are_no_zarr_are_kept(tmp_path, zarr):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "letter.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not of the same kind"), io.open_target(tmp_path / "a.zarr", SIZE, "u1"):
        pass
    assert (tmp_path / "a.zarr" / "letter.txt").read_text() == "mine"
    with pytest.raises(IsADirectoryError, match="it is a folder"), io.open_source(tmp_path / "a.zarr"):
        pass


def test_without_zarr(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(ImportError, match=r'pip install "imgrestore\[scale\]"'), io.open_source(tmp_path / "a.zarr"):
        pass
    with (
        pytest.raises(ImportError, match=r'pip install "imgrestore\[scale\]"'),
        io.open_target(tmp_path / "b.zarr", SIZE, "u1"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_zarr_is_replaced_as_a_whole(tmp_path, zarr):
    for value in (1, 2):
        with io.open_target(tmp_path / "a.zarr", SIZE, "u1") as target:
            fill(target, np.full(SIZE, value, np.uint8))
    assert (zarr.open(str(tmp_path / "a.zarr"), mode="r")[:] == 2).all()
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["zarr_format"] == 3
