"""Files of weights: only sound ones are read, and each for its own task."""

import hashlib
import io
import json
import pickle
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import observe
from safetensors.torch import save
from typer.testing import CliRunner

from imgrestore import Psf, PsfField, deblur
from imgrestore import io as pictures
from imgrestore.classical.psf import PsfEstimate
from imgrestore.cli import app
from imgrestore.nets import registry, weights
from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig
from imgrestore.nets.weights import WeightsError
from imgrestore.tasks import own_weights

SMALL = DeepWienerConfig(features=4, width=8, blocks=(1, 1), stages=1)


def small(seed=0):
    """A small net with random weights; its head too, so that it does something."""
    torch.manual_seed(seed)
    net = DeepWiener(SMALL)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return net


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "own.safetensors"
    weights.write_net(path, small(), "deblur")
    return path


@pytest.fixture
def fresh_weights():
    weights.load.cache_clear()
    yield
    weights.load.cache_clear()


def altered(*, task="deblur", net="DeepWiener", config=None, **tensors):
    """The content of a file whose parts are as one says; None leaves a part out."""
    state = {key: value.half() for key, value in small().state_dict().items()}
    state.update({key.replace("__", "."): value for key, value in tensors.items()})
    metadata = {"task": task, "net": net, "config": json.dumps(SMALL.to_dict()) if config is None else config}
    kept = {key: value for key, value in metadata.items() if value != "none"}
    return save({key: value for key, value in state.items() if value is not None}, kept)


# Writing


def test_a_net_comes_back_as_it_was_but_for_rounding(path):
    net, back = small(), weights.load_net(path, "deblur")
    assert back.config == SMALL
    assert not back.training
    for key, value in net.state_dict().items():
        assert back.state_dict()[key].dtype == torch.float32
        assert torch.equal(back.state_dict()[key], value.half().float()), key
    arguments = (torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 17).cfloat(), torch.ones(1))
    with torch.no_grad():
        assert torch.equal(back(*arguments), weights.load_net(path)(*arguments))
        assert not torch.equal(back(*arguments), arguments[1])


def test_the_file_is_named_by_its_hash_and_always_the_same(tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(8)]
    told = {weights.write_net(path, small(), "deblur") for path in paths}
    assert told == {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert len(told) == 1
    assert told != {weights.write_net(tmp_path / "other.safetensors", small(1), "deblur")}


def test_writing_leaves_a_whole_file_or_the_one_that_was_there(path, monkeypatch):
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(weights.os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        weights.write_net(path, small(1), "deblur")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_written_file_replaces_the_last_one(path):
    told = weights.write_net(path, small(1), "other")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == told
    assert weights.load_net(path, "other").config == SMALL


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_float16_does_not_hold_are_not_written(tmp_path, value):
    net = small()
    with torch.no_grad():
        net.polish.scale[0] = value
    with pytest.raises(ValueError, match=r"polish\.scale has a weight that is NaN, infinite, or beyond"):
        weights.write_net(tmp_path / "a.safetensors", net, "deblur")
    assert not list(tmp_path.iterdir())


def test_only_known_nets_are_written(tmp_path):
    with pytest.raises(TypeError, match="net is a Linear; expected one of DeepWiener"):
        weights.write_net(tmp_path / "a.safetensors", torch.nn.Linear(2, 2), "deblur")


# Reading


def test_reading_leaves_the_random_numbers_alone(path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights.load_net(path)
    assert torch.equal(torch.rand(3), expected)


def torch_file():
    stream = io.BytesIO()
    torch.save(small().state_dict(), stream)
    return stream.getvalue()


def archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("weights", "numbers")
    return stream.getvalue()


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "pickle": (pickle.dumps({"weights": 1}), "a pickle or an archive"),
    "bomb": (pickle.dumps(Bomb()), "a pickle or an archive"),
    "torch": (torch_file(), "a pickle or an archive"),
    "archive": (archive(), "a pickle or an archive"),
    "text": (b"{}" * 40, "header"),
    "noise": (np.random.default_rng(0).bytes(5000), "header"),
    "cut short": (altered()[:-100], ""),
    "cut in the header": (altered()[:300], ""),
    "too long": (altered() + b"more", ""),
    "no task": (altered(task="none"), "its metadata lack task"),
    "no net": (altered(net="none"), "its metadata lack net"),
    "no metadata": (save({"a": torch.zeros(2)}), "its metadata lack task, net, config"),
    "unknown net": (altered(net="Linear"), "the net is 'Linear'; expected one of DeepWiener"),
    "path as net": (altered(net="os.system"), "the net is 'os.system'"),
    "config is no JSON": (altered(config="{"), "Expecting"),
    "config is a list": (altered(config="[1, 2]"), "its configuration is a list"),
    "unknown field": (altered(config='{"depth": 3}'), "no DeepWiener has the configuration"),
    "field of words": (altered(config='{"width": "wide"}'), "no DeepWiener has the configuration"),
    "negative": (altered(config='{"width": -4}'), "no DeepWiener has the configuration"),
    "no blocks": (altered(config='{"blocks": []}'), "no DeepWiener has the configuration"),
    "wide": (altered(config='{"width": 1000000000}'), "no DeepWiener has the configuration"),
    "wide but countable": (altered(config='{"width": 200000}'), "for this net it lacks"),
    "deep": (altered(config='{"blocks": [1000000000, 1]}'), "far larger than what the file holds"),
    "long": (altered(config='{"stages": 1000000000}'), "far larger than what the file holds"),
    "missing": (altered(polish__scale=None), r"for this net it lacks polish\.scale"),
    "more": (altered(besides=torch.zeros(3)), "for this net it has besides besides"),
    "other shape": (altered(polish__scale=torch.zeros(5, 1, 1)), r"polish\.scale has shape \(5, 1, 1\); expected \(4"),
    "other size": (altered(config=json.dumps({**SMALL.to_dict(), "width": 16})), "has shape"),
    "whole numbers": (altered(polish__scale=torch.zeros(4, 1, 1).int()), r"polish\.scale has dtype int32"),
    "NaN": (altered(polish__scale=torch.full((4, 1, 1), torch.nan)), r"polish\.scale has numbers that are NaN"),
    "infinite": (altered(polish__scale=torch.full((4, 1, 1), torch.inf)), r"polish\.scale has numbers that are NaN"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_and_named(tmp_path, name):
    content, reason = BAD_FILES[name]
    path = tmp_path / "deblur.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"deblur\.safetensors: not the weights of a net \(.*{reason}") as caught:
        weights.load_net(path)
    assert len(str(caught.value)) < 700


def test_gradients_stay_on_wherever_the_building_of_a_net_is_broken_off(monkeypatch):
    monkeypatch.setattr(registry, "CALLS_FOR_EACH", 1)
    for calls in range(60):
        with pytest.raises(ValueError, match="far larger than what the file holds"):
            registry.hollow("DeepWiener", SMALL.to_dict(), calls)
        assert torch.is_grad_enabled()


def test_a_sound_file_made_by_hand_is_read(tmp_path):
    path = tmp_path / "deblur.safetensors"
    path.write_bytes(altered())
    assert isinstance(weights.load_net(path, "deblur"), DeepWiener)


def test_a_header_may_begin_like_a_pickle(tmp_path):
    path = tmp_path / "own.safetensors"
    content = altered()
    length = int.from_bytes(content[:8], "little")
    more = -(length - 0x80) % 256
    path.write_bytes(
        (length + more).to_bytes(8, "little") + content[8 : 8 + length] + b" " * more + content[8 + length :]
    )
    assert path.read_bytes()[:1] == b"\x80"
    assert weights.load_net(path).config == SMALL


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    for path, reason in ((tmp_path / "none.safetensors", "No such file"), (tmp_path, "directory")):
        with pytest.raises(WeightsError, match=f"{path.name} cannot be read .*{reason}"):
            weights.load_net(path)


def test_a_huge_file_is_not_read(path, monkeypatch):
    monkeypatch.setattr(weights, "MOST_BYTES", 2**20)
    path.write_bytes(b"\0" * (2**20 + 1))
    with pytest.raises(WeightsError, match=r"not the weights of a net \(larger than 1 MiB\)"):
        weights.load_net(path)


def test_weights_of_another_task_are_refused_by_name(path):
    with pytest.raises(WeightsError, match=r"own\.safetensors: weights for 'deblur'; expected weights for 'demoire'"):
        weights.load_net(path, "demoire")


def test_every_net_of_the_registry_is_there():
    for name in registry.NETS:
        net, config = registry.classes(name)
        assert registry.name_of(net(config.from_dict(config().to_dict()))) == name


# The weights that ship


def test_the_shipped_file_is_what_its_card_says(fresh_weights):
    for task in weights.SHA256:
        card = json.loads((weights.HERE / f"{task}.json").read_text())
        net = weights.load(task)
        assert card["sha256"] == weights.SHA256[task]
        assert card["task"] == task
        assert card["net"] == type(net).__name__
        assert card["parameters"] == sum(p.numel() for p in net.parameters())
        assert weights.load(task) is net
        assert not any(p.requires_grad for p in net.parameters())


def test_a_swapped_file_is_refused(tmp_path, monkeypatch, fresh_weights):
    monkeypatch.setattr(weights, "HERE", tmp_path)
    told = weights.write_net(tmp_path / "deblur.safetensors", small(), "demoire")
    with pytest.raises(WeightsError, match=f"have the hash {told[:12]}"):
        weights.load("deblur")
    monkeypatch.setitem(weights.SHA256, "deblur", told)
    with pytest.raises(WeightsError, match="weights for 'demoire'; expected weights for 'deblur'"):
        weights.load("deblur")


def test_a_task_without_weights_is_refused():
    with pytest.raises(WeightsError, match="no weights ship for 'sharpen'"):
        weights.load("sharpen")


def test_threads_that_load_at_once_get_the_same_numbers(fresh_weights):
    found = []
    threads = [threading.Thread(target=lambda: found.append(weights.load("deblur"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    first = found[0].state_dict()
    assert all(torch.equal(first[key], value) for net in found for key, value in net.state_dict().items())


# Weights of one's own


@pytest.fixture(scope="module")
def case(photographs):
    return observe(photographs["man"], Psf.disk(2), 48)


def test_deblur_takes_weights_of_ones_own(case, path, tmp_path):
    shipped = deblur(case[1], "disk:2")
    same = tmp_path / "same.safetensors"
    weights.write_net(same, weights.load("deblur"), "deblur")
    assert np.array_equal(deblur(case[1], "disk:2", weights=same), shipped)
    assert np.array_equal(deblur(case[1], "disk:2", weights=str(same)), shipped)
    own = deblur(case[1], "disk:2", weights=path)
    assert not np.allclose(own, shipped, atol=1e-3)


@pytest.mark.parametrize("kind", ["field", "blind", "batch"])
def test_every_way_of_deblurring_hands_the_weights_on(case, path, kind, monkeypatch):
    seen = []
    monkeypatch.setattr(DeepWiener, "forward", lambda self, y, x0, *rest: seen.append(self.config) or x0 + 0.001)
    disk = Psf.disk(2)
    if kind == "blind":
        found = PsfEstimate(disk, 1.0, "disk", notes=("estimated PSF: disk",))
        monkeypatch.setattr("imgrestore.tasks.deblur_blind.estimate_plane", lambda *_, **__: found)
        deblur(case[1], weights=path)
    elif kind == "field":
        wide = np.tile(case[1], (1, 3))
        deblur(wide, PsfField([[disk, Psf.gaussian(1.2)]]), weights=path)
    else:
        deblur(torch.tensor(np.stack([case[1]] * 2), dtype=torch.float32)[:, None], disk, weights=path)
    assert len(seen) >= (1 if kind == "blind" else 2)
    assert set(seen) == {SMALL}


def test_a_file_that_changed_is_read_again(case, path):
    first = deblur(case[1], "disk:2", weights=path)
    assert np.array_equal(deblur(case[1], "disk:2", weights=path), first)
    weights.write_net(path, weights.load("deblur"), "deblur")
    assert np.array_equal(deblur(case[1], "disk:2", weights=path), deblur(case[1], "disk:2"))


def test_weights_that_a_user_gave_are_not_passed_over_in_silence(case, path, tmp_path):
    with pytest.raises(WeightsError, match="none cannot be read"):
        deblur(case[1], "disk:2", weights=tmp_path / "none")
    weights.write_net(path, small(), "demoire")
    with pytest.raises(ValueError, match="weights for 'demoire'; expected weights for 'deblur'"):
        deblur(case[1], "disk:2", weights=path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"refine": False}, ValueError, "weights and refine=False are both given"),
        ({"method": "tv"}, ValueError, "weights and method='tv' are both given"),
        ({"weights": 3}, TypeError, "weights is a int; expected the path of a file"),
        ({"weights": b"own.safetensors"}, TypeError, "weights is a bytes"),
    ],
)
def test_weights_go_with_the_net_only(case, path, options, error, message):
    with pytest.raises(error, match=message):
        deblur(case[1], "disk:2", **{"weights": path, **options})


def test_weights_of_another_net_are_refused(case, path, monkeypatch):
    class Other(torch.nn.Module):
        pass

    own_weights._read.cache_clear()
    monkeypatch.setattr(own_weights, "load_net", lambda path, task: Other())
    with pytest.raises(WeightsError, match="weights of a Other; expected those of a DeepWiener"):
        deblur(case[1], "disk:2", weights=path)
    own_weights._read.cache_clear()


def call(*words):
    return CliRunner().invoke(app, ["deblur", *(str(word) for word in words)])


def test_the_command_line_takes_weights(case, path, tmp_path):
    picture = (case[1].clip(0, 1) * 65535).astype(np.uint16)
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    pictures.write(source, picture)
    told = call(source, "-o", target, "--psf", "disk:2", "--weights", path)
    assert told.exit_code == 0, told.output
    assert np.array_equal(pictures.read(target).pixels, deblur(picture, "disk:2", weights=path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "none.safetensors"], "none.safetensors cannot be read (No such file or directory)"),
        (["--weights", "own.safetensors", "--no-refine"], "weights and refine=False are both given"),
        (["--weights", "own.safetensors", "--method", "rl"], "weights and method='rl' are both given"),
    ],
)
def test_the_command_line_refuses_weights_before_it_reads_a_picture(path, words, message, monkeypatch):
    monkeypatch.chdir(path.parent)
    Path("in.png").write_bytes(b"no picture")
    told = call("in.png", "-o", "out.png", *words)
    assert told.exit_code == 2
    assert told.stderr.startswith("imgrestore deblur: ")
    assert message in told.stderr
