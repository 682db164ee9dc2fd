"""What training refuses: runs that do not fit their checkpoint, bad pictures, calls without sense."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from train_cases import arguments, command, draw_pictures, options, run

from imgrestore.nets.weights import load_net
from imgrestore.train import run as runs
from imgrestore.train.ground import CallError, TrainError, options_for
from imgrestore.train.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("clean") / "shapes")


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("whole") / "deblur.safetensors"
    run(options(folder, out, steps=1))
    return out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"optimizer": "sgd", "lr": 1.5e-3}, "--optimizer was adamw and is sgd"),
        ({"loss": "mse"}, "--loss was psnr and is mse"),
        ({"seed": 1}, "--seed was 0 and is 1"),
        ({"lr": 0.1}, "--lr was 0.0015 and is 0.1"),
        ({"batch": 4}, "--batch was 2 and is 4"),
        ({"parts": 2}, "--parts was 1 and is 2"),
        ({"net": {"width": 16}}, "the net was DeepWiener .*8.* and is DeepWiener .*16"),
        ({"psfs": 50}, "--psfs was 40 and is 50"),
        ({"bf16": True}, "--bf16 was false and is true"),
        ({"validation": 1}, "--validation was 2 and is 1.*the held-out pictures was"),
    ],
)
def test_another_run_is_refused(folder, whole, more, message):
    with pytest.raises(TrainError, match=f"belongs to another run: .*{message}.*--no-resume starts anew"):
        run(options(folder, whole, steps=1, **more))


def test_other_pictures_are_refused(whole, tmp_path):
    other = draw_pictures(tmp_path / "others")
    with pytest.raises(TrainError, match=r"the data sets was .*shapes.* and is .*others"):
        run(options(other, whole, steps=1))


def test_other_pictures_of_the_same_names_are_refused(whole, tmp_path):
    other = draw_pictures(tmp_path / "shapes")
    assert run(options(other, whole, steps=1))[0].step == 1  # the same, at another place
    pixels = np.asarray(Image.open(other / "3.png")).copy()
    pixels[50, 50] ^= 1
    Image.fromarray(pixels).save(other / "3.png")
    with pytest.raises(TrainError, match=r"belongs to another run: what the pictures hold was 8, .* and is 8, "):
        run(options(other, whole, steps=1))


def test_weights_beyond_float16_are_told(folder, tmp_path, monkeypatch):
    def wild(self):
        net = best_net(self)
        with torch.no_grad():
            next(net.parameters()).fill_(1e6)
        return net

    best_net = Trainer.best_net
    monkeypatch.setattr(Trainer, "best_net", wild)
    with pytest.raises(TrainError, match=r"x.safetensors cannot be written: .* beyond the range of float16.*step 1"):
        runs.train(options(folder, tmp_path / "x.safetensors", steps=1))
    assert not (tmp_path / "x.safetensors").exists()


def test_weights_without_a_run_are_not_overwritten(folder, tmp_path):
    out = tmp_path / "precious.safetensors"
    out.write_bytes(b"precious")
    done = command(*arguments(folder, out, "--steps", "1"))
    assert done.exit_code == 1
    assert "precious.safetensors exists, and no run to go on from" in done.output
    assert out.read_bytes() == b"precious"
    assert command(*arguments(folder, out, "--steps", "1", "--no-resume")).exit_code == 0
    assert load_net(out)


def _empty(where):
    where.mkdir()
    return where


def _with_text(where):
    where.mkdir()
    (where / "readme.txt").write_text("no picture")
    return where


def _broken(where):
    draw_pictures(where, 4)
    (where / "1.png").write_bytes((where / "1.png").read_bytes()[:300])
    return where


def _no_picture(where):
    draw_pictures(where, 4)
    (where / "1.png").write_text("no picture at all")
    return where


def _objects(where):
    path = where.with_suffix(".npz")
    np.savez(path, names=np.array([{}], dtype=object), ends=np.array([1]), bytes=np.zeros(1, np.uint8))
    return path


def _text_file(where):
    where.write_text("nothing packed")
    return where


def _picture_file(where):
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 4)))
    where.with_suffix(".npy").write_bytes(stream.getvalue())
    return where.with_suffix(".npy")


@pytest.mark.parametrize(
    ("make", "message", "status"),
    [
        (lambda where: where, "no such file or folder", 2),
        (_empty, "holds no pictures", 1),
        (_with_text, "holds no pictures", 1),
        (_broken, "cannot be read", 1),
        (_no_picture, "no picture", 1),
        (_objects, "cannot be read", 1),
        (_text_file, "cannot be read", 1),
        (_picture_file, "cannot be read", 1),
        (lambda where: draw_pictures(where, 1), "expected at least 2, of 96 pixels or more", 1),
        (lambda where: draw_pictures(where, 6, 60), "expected at least 2, of 96 pixels or more", 1),
    ],
)
def test_bad_clean_pictures_are_refused(tmp_path, make, message, status):
    clean = make(tmp_path / "clean")
    done = command(*arguments(clean, tmp_path / "x.safetensors", "--steps", "1"))
    assert done.exit_code == status, done.output
    assert "--clean" in done.output
    assert message in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deblur", "--out", "x.safetensors"], "--clean is missing: deblur is trained on it"),
        (["deblur", "--clean", "{}", "--out", "x.pt"], "--out is x.pt; expected a file ending in .safetensors"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--blocks", "2,x"], "--blocks is '2,x'"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--pairs", "no/x"], "--pairs no/x: no such file"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--batch", "0"], "--batch is 0; expected at least 1"),
        (
            ["deblur", "--clean", "{}", "--out", "x.safetensors", "--size", "97"],
            "--size is 97; expected an even number",
        ),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--parts", "3"], "expected a multiple of its 3 parts"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--stages", "0"], "--stages is 0; expected at least 1"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--width", "0"], "--width is 0; expected at least 1"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--features", "0"], "--features is 0; expected at"),
        (["deblur", "--clean", "{}", "--out", "x.safetensors", "--blocks", "2,-3"], "--blocks is 2,-3; expected at"),
        (
            ["deblur", "--clean", "{}", "--out", "x.safetensors", "--seed", "1000000000000"],
            "expected at most 4294967295",
        ),
        (["demoire", "--out", "x.safetensors"], "--clean and --pairs are missing: demoire is trained on"),
        (
            ["demoire", "--clean", "{}", "--out", "x.safetensors", "--stages", "3"],
            "--stages is 3; expected none: this net has --width, --blocks\n",
        ),
        (["demoire", "--clean", "{}", "--out", "x.safetensors", "--psfs", "9"], "--psfs is 9; expected none: deblur"),
        (
            ["demoire", "--clean", "{}", "--out", "x.safetensors", "--iterations", "9"],
            "--iterations is 9; expected none",
        ),
    ],
)
def test_calls_without_sense(folder, words, message):
    done = command("train", *(word.format(folder) for word in words))
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert done.output.count("\n") == 1


def test_a_net_of_no_blocks_is_refused(folder, tmp_path):
    given = {"out": str(tmp_path / "x.safetensors"), "clean": str(folder), "size": 96, "net": {"blocks": ()}}
    with pytest.raises(CallError, match="--blocks is ; expected at least 1"):
        Trainer(options_for("deblur", given))
