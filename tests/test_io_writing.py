"""Files are written whole or not at all, and reading leaves no traces."""

import errno
import os
import stat
import struct
import warnings

import child
import numpy as np
import pytest
import tifffile
from picture_files import same, smooth
from PIL import Image, ImageFile

from imgrestore.io import SUPPORTED, Picture, PictureError, is_picture, read, write


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".fits"])
def test_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    from imgrestore.io import files

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    encode = files._WRITE[files.format_of_suffix(path)]

    def failing(picture, stream, quality):
        encode(picture, stream, quality)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(files._WRITE, files.format_of_suffix(path), failing)
    with pytest.raises(OSError, match="could not write: No space left") as caught:
        write(path, smooth())
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_failing_disk_leaves_the_old_file(tmp_path, monkeypatch, name):
    path = tmp_path / "a.png"
    write(path, smooth())
    old = path.read_bytes()

    def failing(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, name, failing)
    with pytest.raises(OSError, match="Input/output error"):
        write(path, 255 - smooth())
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


def test_encoder_error_names_the_file(tmp_path, monkeypatch):
    def failing(*args, **options):
        raise struct.error("short")

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(PictureError, match=r"a\.png: the pixels or metadata could not be encoded \(short\)"):
        write(tmp_path / "a.png", smooth())
    assert os.listdir(tmp_path) == []


def test_interrupt_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.tif", smooth())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_overwrite_false(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"
    if not links:

        def no_links(*args):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    write(path, smooth(), overwrite=False)
    old = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists already and overwrite is False"):
        write(path, 255 - smooth(), overwrite=False)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_overwrite_false_against_a_faster_process(tmp_path, monkeypatch, links):
    from imgrestore.io import files

    path = tmp_path / "a.png"
    encode = files._WRITE["PNG"]

    def overtaken(picture, stream, quality):
        encode(picture, stream, quality)
        path.write_bytes(b"theirs")

    def no_links(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setitem(files._WRITE, "PNG", overtaken)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileExistsError, match="exists already"):
        write(path, smooth(), overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_and_links(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "a.png", smooth())
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    (tmp_path / "a.png").chmod(0o604)
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    write(tmp_path / "link.png", 255 - smooth())
    assert (tmp_path / "link.png").is_symlink()
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o604
    same(tmp_path / "a.png", 255 - smooth())


def test_targets_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for error, path, message in (
        (IsADirectoryError, tmp_path / "folder.png", "it is a folder"),
        (FileNotFoundError, tmp_path / "no" / "a.png", "the folder .* does not exist"),
        (NotADirectoryError, tmp_path / "file" / "a.png", "is not a folder"),
    ):
        with pytest.raises(error, match=message):
            write(path, smooth())
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(PermissionError, match="no permission to write in the folder"):
        write(tmp_path / "a.png", smooth())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PictureError, match="device or pipe"):
        read(tmp_path / "pipe.png")
    with pytest.raises(FileExistsError, match="device or pipe"):
        write(tmp_path / "pipe.png", smooth())


def test_is_picture(tmp_path):
    for name in ("a.png", "b.TIFF", "c.txt", ".d.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "e.png").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir() if is_picture(path)) == ["a.png", "b.TIFF"]
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".fits", ".bmp"} <= SUPPORTED


def test_repr_is_short():
    assert repr(Picture(np.zeros((5, 7, 4), np.uint16), "PNG", has_alpha=True)) == (
        "Picture(PNG, 7 x 5, 4 channels, uint16, alpha)"
    )
    assert repr(Picture(np.zeros((2, 5, 7), np.uint8), has_pages=True)) == "Picture(7 x 5, 1 channel, uint8, 2 pages)"


def test_import_is_light():
    code = "import sys, imgrestore.io; print([m for m in ('PIL', 'tifffile', 'astropy') if m in sys.modules])"
    assert child.run("-c", code).stdout.strip() == "[]"


def test_global_settings_of_pillow_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # ours is the limit that counts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in (".png", ".jpg", ".bmp"):
            write(tmp_path / f"a{suffix}", smooth())
            read(tmp_path / f"a{suffix}")
    assert Image.MAX_IMAGE_PIXELS == 100
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
