"""Folders of classes, and CIFAR-10's files: read as they are, and nothing in them is run."""

import pickle

import numpy as np
import pytest
from PIL import Image

from imgrestore.data.classes import CLASSES, KNOWN, PIXELS, read_classes

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
RNG = np.random.default_rng(0)
LABELS = [3, 0, 9, 3]
PICTURES = RNG.integers(0, 256, (4, 3, 32, 32), np.uint8)


def binary(where, name="data_batch_1.bin", labels=LABELS, pictures=PICTURES):
    where.mkdir(exist_ok=True)
    records = [bytes([label]) + one.tobytes() for label, one in zip(labels, pictures, strict=True)]
    (where / name).write_bytes(b"".join(records))
    (where / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return where


def old_pickle(value):
    """As Python 2 and the NumPy of its time wrote it: texts are bytes, arrays are rebuilt by numpy.core."""
    content = pickle.dumps(value, protocol=2, fix_imports=True)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def pickled(where, name="data_batch_1", **parts):
    where.mkdir(exist_ok=True)
    batch = {b"batch_label": b"one", b"labels": LABELS, b"data": PICTURES.reshape(4, -1), b"filenames": [b"a"] * 4}
    batch.update({key.encode(): value for key, value in parts.items()})
    (where / name).write_bytes(old_pickle(batch))
    (where / "batches.meta").write_bytes(old_pickle({b"label_names": [n.encode() for n in NAMES], b"num_vis": 3072}))
    return where


@pytest.mark.parametrize("write", [binary, pickled])
def test_both_versions_of_cifar_give_the_same(tmp_path, write):
    suffix = ".bin" if write is binary else ""
    write(tmp_path / "c")
    write(tmp_path / "c", f"test_batch{suffix}")
    found = read_classes(tmp_path / "c")
    assert found.names == tuple(NAMES)
    assert found.labels == LABELS * 2
    assert found.tested == {4, 5, 6, 7}
    assert found.titles[5] == f"test_batch{suffix}/1"
    for one, expected in zip(found.pictures, [*PICTURES, *PICTURES], strict=True):
        assert np.array_equal(one, expected.transpose(1, 2, 0))


def test_one_file_alone_and_without_names(tmp_path):
    binary(tmp_path / "c")
    (tmp_path / "c" / "batches.meta.txt").unlink()
    found = read_classes(tmp_path / "c" / "data_batch_1.bin")
    assert found.names == tuple("0123456789")
    assert len(found.pictures) == 4
    assert not found.tested


def test_what_a_newer_python_pickled_is_read_too(tmp_path):
    pickled(tmp_path / "c")
    batch = {"labels": LABELS, "data": PICTURES.reshape(4, -1)}
    (tmp_path / "c" / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=4))
    assert np.array_equal(read_classes(tmp_path / "c").pictures[2], PICTURES[2].transpose(1, 2, 0))


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


class Quiet:
    def __reduce__(self):
        return eval, ("1",)


BAD = {
    "bomb": (pickle.dumps({b"labels": Bomb()}), r"it calls .*Fail, which no file of CIFAR-10 needs"),
    "eval": (pickle.dumps({b"labels": Quiet()}, protocol=2), "it calls __builtin__.eval"),
    "by hand": (b"cos\nsystem\n(S'true'\ntR.", "it calls os.system"),
    "numpy's own": (b"cnumpy.testing\nrundocs\n.", "it calls numpy.testing.rundocs"),
    "dotted": (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.", "it calls numpy.ndarray.__init__"),
    "no pickle": (b"\x00" * 64, "is damaged, or no file of CIFAR-10"),
    "empty": (b"", "is damaged, or no file of CIFAR-10"),
    "cut short": (old_pickle({b"labels": LABELS, b"data": PICTURES})[:-2000], "is damaged, or no file of CIFAR-10"),
    "a list": (pickle.dumps([1, 2]), "holds a list; expected a dictionary"),
    "no labels": (pickle.dumps({b"data": 1}), "has no list of labels"),
    "no data": (pickle.dumps({b"labels": [1]}), r"has no bytes of pictures, shape \(1, 3072\)"),
    "floats": (old_pickle({b"labels": [1], b"data": np.zeros((1, PIXELS))}), "has no bytes of pictures"),
    "other shape": (old_pickle({b"labels": [1], b"data": np.zeros((2, PIXELS), np.uint8)}), "has no bytes of pictures"),
    "objects": (old_pickle({b"labels": [1], b"data": np.array([None])}), "an array of other than numbers"),
    "label": (old_pickle({b"labels": [12], b"data": np.zeros((1, PIXELS), np.uint8)}), "has a label of 12"),
    "no whole numbers": (old_pickle({b"labels": [True], b"data": np.zeros((1, PIXELS), np.uint8)}), "no list of"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_pickle_is_refused_and_named(tmp_path, name):
    content, reason = BAD[name]
    path = tmp_path / "data_batch_2"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"data_batch_2.*{reason}"):
        read_classes(path)


def test_nothing_that_is_known_leads_outside():
    assert {one.__module__ for one in KNOWN.values()} == {"imgrestore.data.classes"}


def test_bad_binary_files_are_refused_and_named(tmp_path):
    path = binary(tmp_path / "c") / "data_batch_1.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_1.bin has 12291 bytes; expected a multiple of 3073"):
        read_classes(tmp_path / "c")
    path.write_bytes(bytes([CLASSES]) + bytes(PIXELS))
    with pytest.raises(ValueError, match=r"data_batch_1.bin has a label of 10; expected 0 to 9"):
        read_classes(tmp_path / "c")
    binary(tmp_path / "c")
    (tmp_path / "c" / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match=r"batches.meta.txt names 2 classes; expected the 10"):
        read_classes(tmp_path / "c")


def draw_classes(where, names=("cat", "dog"), count=4, size=(20, 30)):
    """Folders of pictures whose class is their colour."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (where / name).mkdir(parents=True)
        for i in range(count):
            picture = rng.integers(0, 120, (*size, 3), np.uint8)
            picture[..., number] += 120
            Image.fromarray(picture).save(where / name / f"{i}.png")
    return where


def test_folders_are_classes(tmp_path):
    found = read_classes(draw_classes(tmp_path / "pets"))
    assert found.names == ("cat", "dog")
    assert found.labels == [0] * 4 + [1] * 4
    assert found.titles[4] == "dog/0.png"
    assert np.array_equal(found.pictures[4], np.asarray(Image.open(tmp_path / "pets" / "dog" / "0.png")))
    assert not found.tested


def test_large_pictures_are_reduced(tmp_path):
    draw_classes(tmp_path / "pets", count=1, size=(100, 2000))
    assert read_classes(tmp_path / "pets").pictures[0].shape == (51, 1024, 3)


def test_folders_that_hold_no_classes_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such file or folder"):
        read_classes(tmp_path / "nowhere")
    draw_classes(tmp_path / "pets", ("cat",))
    with pytest.raises(ValueError, match="pets holds 1 folders; expected one for each of two classes or more"):
        read_classes(tmp_path / "pets")
    (tmp_path / "pets" / "dog").mkdir()
    with pytest.raises(ValueError, match="dog holds no pictures; expected files ending in"):
        read_classes(tmp_path / "pets")
    (tmp_path / "pets" / "dog" / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"cannot read .*dog/a.png"):
        read_classes(tmp_path / "pets")
