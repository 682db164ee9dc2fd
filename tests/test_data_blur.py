"""Blurred frames to train on: PSFs, files, lights, real pairs, and how the deblurring ground mixes and reads them."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data as samples
from train_cases import draw_pictures, options

from imgrestore import data
from imgrestore.data import blur as training
from imgrestore.data.blur_pairs import BlurPairs, fit_psf, reason_against
from imgrestore.degrade import blur
from imgrestore.train import checkpoint, deblur
from imgrestore.train.ground import TrainError, options_for

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("clean") / "shapes")


@pytest.fixture(scope="module")
def pictures(folder):
    return data.Pictures(data.read_pack(folder).values())


def drawn(pictures, count, seed=0, psfs=None, size=64):
    psfs = data.psf_pool(10, 0) if psfs is None else psfs
    return data.blur_batch(pictures, psfs, count, size, torch.Generator().manual_seed(seed))


def test_psf_pool_does_not_depend_on_the_workers():
    here = data.psf_pool(6, 1, wrong=0.5)
    there = data.psf_pool(6, 1, wrong=0.5, workers=1)
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    assert torch.allclose(here[0].sum((1, 2)), torch.ones(6), atol=1e-5)
    assert not torch.equal(*here)


def test_batches_follow_the_seed(pictures):
    a, b, c = (drawn(pictures, 9, seed) for seed in (1, 1, 2))
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    assert not torch.equal(a.observed, c.observed)
    assert a.observed.shape == (9, 3, 24, 24)
    assert a.clean.shape == (9, 3, 64, 64)
    assert a.known.shape == (9, 1, 24, 24)
    assert float(a.sigma.max()) < 0.2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_small_batches_are_drawn(pictures, count):
    batch = drawn(pictures, count)
    assert len(batch.observed) == len(batch.sigma) == count
    assert all(torch.isfinite(getattr(batch, name)).all() for name in batch.__dataclass_fields__)


def test_files_have_whole_levels_and_a_quarter_are_files(pictures):
    batch = drawn(pictures, 400)
    levels = batch.observed * 255
    files = (levels - levels.round()).abs().amax((1, 2, 3)) < 1e-3
    assert 0.17 < float(files.float().mean()) < 0.33
    assert float(batch.observed[files].min()) >= 0
    assert float(batch.observed[files].max()) <= 1
    # Noise that was not stored goes below black.
    assert float(batch.observed.min()) < 0


def test_saturated_pixels_are_told_and_the_scene_ends_at_white(pictures):
    batch = drawn(pictures, 300)
    assert float(batch.clean.max()) == 1
    assert set(batch.known.unique().tolist()) == {0.0, 1.0}
    hidden = (batch.known == 0).expand(-1, 3, -1, -1)
    assert torch.equal(hidden[:, 0], (hidden & (batch.observed == 1)).any(1))
    clipped = (batch.known == 0).any(dim=3).any(dim=2)[:, 0]
    # The pictures drawn here are never white: only lights are, in one scene of ten.
    assert 0.04 < float(clipped.float().mean()) < 0.2
    assert float(batch.observed[clipped].max()) == 1


def test_lights_are_one_to_five_times_white_and_keep_their_colour():
    clean = torch.full((40, 3, 64, 64), 0.2)
    clean[:, :, 30, 30] = torch.tensor([0.8, 0.4, 0.2])
    before = clean.clone()
    lit = training._light(clean, torch.Generator().manual_seed(0))
    assert 1 <= int(lit.sum()) <= 4
    assert torch.equal(clean[~lit], before[~lit])
    strongest = clean[lit][:, 0, 30, 30]
    assert bool(((strongest >= 1) & (strongest <= 5)).all())
    torch.testing.assert_close(clean[lit][:, 1, 30, 30] / strongest, torch.full_like(strongest, 0.5))


def test_the_told_noise_is_what_the_frame_differs_by(pictures):
    """With the true PSF the scene, blurred again, is as far from a frame as its noise level says."""
    psfs = data.psf_pool(20, 3, wrong=0.0)
    batch = drawn(pictures, 300, 5, psfs)
    left = (batch.observed - blur.convolve_valid(batch.clean, batch.psf)).square().mean((1, 2, 3)).sqrt()
    sound = (batch.known.amin((1, 2, 3)) > 0) & (batch.clean.amax((1, 2, 3)) < 1) & (left > 1e-4)
    levels = batch.observed * 255
    files = (levels - levels.round()).abs().amax((1, 2, 3)) < 1e-3
    for kind in (sound & files, sound & ~files):
        assert int(kind.sum()) > 20
        ratio = (batch.sigma / left)[kind]
        assert 0.95 < float(ratio.median()) < 1.1
        assert float(((ratio > 0.7) & (ratio < 1.4)).float().mean()) > 0.9


def test_jpeg_blocks_begin_anywhere():
    frame = torch.from_numpy(samples.astronaut()[:64, :72].copy()).permute(2, 0, 1)[None].float() / 255
    seen = {}
    for seed in range(30):
        stored = training.stored_as_jpeg(frame, torch.Generator().manual_seed(seed))
        assert stored.shape == frame.shape
        assert 0 < float((stored - frame).abs().mean()) < 0.05
        jumps = (stored - frame)[0, 0].diff(dim=1).abs().mean(0)
        seen[max(range(8), key=lambda phase: float(jumps[phase::8].mean()))] = seed
    assert len(seen) > 4


def blurred(picture, psf, sigma=0.004, seed=0):
    """A blurred file of a picture, whose scene goes on as its mirror."""
    planes = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    planes = torch.nn.functional.pad(planes, (20,) * 4, mode="reflect")
    seen = blur.convolve_valid(planes, torch.from_numpy(blur.centred(psf, 41)))
    seen = seen + sigma * torch.randn(seen.shape, generator=torch.Generator().manual_seed(seed))
    return (seen[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def textured(seed, size=150):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size, 3)), (1.5, 1.5, 0))
    return ((0.5 + 0.25 * noise / noise.std()).clip(0.02, 0.95) * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", sorted(blur.KINDS))
def test_the_fitted_psf_is_the_true_one(kind):
    picture = np.ascontiguousarray(samples.astronaut()[:320, 60:400])
    psf = blur.sample_psf(np.random.default_rng(8), kind, 25)
    fit = fit_psf(blurred(picture, psf), picture)
    assert reason_against(fit) is None
    assert fit.psf.shape == (41, 41)
    assert fit.psf.min() >= 0
    assert fit.psf.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(fit.psf - blur.centred(psf, 41)).sum() < 0.15
    assert fit.residual < 2 * 0.0045


def test_a_psf_off_its_centre_is_fitted_where_it_is():
    psf = np.zeros((41, 41), np.float32)
    psf[14, 26] = 0.7
    psf[15, 26] = 0.3
    picture = np.ascontiguousarray(samples.astronaut()[:320, 60:400])
    assert np.abs(fit_psf(blurred(picture, psf), picture).psf - psf).sum() < 0.1


def test_pairs_that_one_psf_does_not_explain_are_told_apart():
    picture, soft, softer = textured(1, 220), blur.gaussian_psf(0.8), blur.gaussian_psf(3.0)
    sound = blurred(picture, soft)
    assert reason_against(fit_psf(sound, picture)) is None
    assert "no PSF of 41 pixels" in reason_against(fit_psf(blurred(textured(2, 220), soft), picture))
    assert "no PSF of 41 pixels" in reason_against(fit_psf(np.roll(sound, 33, 0), picture))
    assert reason_against(fit_psf(np.roll(sound, 18, 1), picture)).startswith("its PSF is wider than 41 pixels")
    changing = sound.copy()
    changing[150:, 150:] = blurred(picture, softer)[150:, 150:]
    assert reason_against(fit_psf(changing, picture)) is not None
    slightly = sound.copy()
    slightly[150:, 150:] = blurred(picture, blur.gaussian_psf(1.2))[150:, 150:]
    assert reason_against(fit_psf(slightly, picture)).startswith("its blur changes over the frame")


def test_pictures_that_make_no_pair_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(90, 90, 3\) and \(91, 90, 3\); expected the same"):
        fit_psf(np.zeros((90, 90, 3), np.uint8), np.zeros((91, 90, 3), np.uint8))
    with pytest.raises(ValueError, match="more than 82 pixels"):
        fit_psf(np.zeros((80, 90, 3), np.uint8), np.zeros((80, 90, 3), np.uint8))
    flat = np.full((90, 90, 3), 99, np.uint8)
    assert fit_psf(flat, flat).psf[20, 20] == 1


def test_crops_of_pairs_are_turned_with_their_psfs():
    psf = blur.sample_psf(np.random.default_rng(5), "shake", 25)
    pairs = [(blurred(p, psf), p) for p in (textured(3), textured(4, 170))]
    fits = [fit_psf(*pair) for pair in pairs]
    made = BlurPairs(pairs, fits)
    batch = made.crops(24, 96, torch.Generator().manual_seed(0))
    again = made.crops(24, 96, torch.Generator().manual_seed(0))
    assert torch.equal(batch.observed, again.observed)
    assert len({tuple(k.flatten().tolist()) for k in batch.psf}) > 8
    left = (batch.observed - blur.convolve_valid(batch.clean, batch.psf)) * batch.known
    assert float(left.square().mean((1, 2, 3)).sqrt().max()) < 0.01
    middle = made.centres(96)
    assert middle.observed.shape == (2, 3, 56, 56)
    assert torch.equal(middle.psf, made.psf)


def write_pairs(where, pairs):
    for name, pair in pairs.items():
        for kind, picture in zip(("input", "gt"), pair, strict=True):
            (where / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(where / kind / f"{name}.png")
    return where


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Five sound pairs, one of strangers, and one that is too small."""
    psf = blur.gaussian_psf(1.5, 0.7, 0.4)
    found = {f"p{i}": (blurred(textured(i), psf), textured(i)) for i in range(5)}
    found["stranger"] = (blurred(textured(9), psf), textured(8))
    found["tiny"] = (blurred(textured(0), psf)[:90, :90], textured(0)[:90, :90])
    return write_pairs(tmp_path_factory.mktemp("real") / "set", found)


def ground_of(folder, out, **more):
    return deblur.DeblurGround(options(folder, out, **more).shared_by(1), CPU)


@pytest.fixture(scope="module")
def mixed(folder, pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("mixed") / "x.safetensors"
    with pytest.warns(UserWarning, match="2 of 7 pairs are left out") as heard:
        made = ground_of(folder, out, pairs=str(pairs), batch=8)
    return made, str(heard[0].message)


def test_pairs_that_do_not_fit_are_left_out_and_told(mixed):
    made, told = mixed
    assert "pairs/stranger: no PSF of 41 pixels" in told
    assert "pairs/tiny: smaller than --size 96" in told
    assert made.sets == ["pairs", "shapes"] or made.sets == ["shapes", "pairs"]
    assert sum(name.startswith("pairs/") for name in made.held) == 1
    assert len(made.pairs) == 4
    assert made.count == 6 + 4


def test_a_quarter_of_every_batch_is_real(mixed, pairs):
    made, _ = mixed
    real = {tuple(psf.flip(flips).flatten().tolist()) for psf in made.pairs.psf for flips in ([], [0], [1], [0, 1])}
    real |= {tuple(psf.flip(f).mT.flatten().tolist()) for psf in made.pairs.psf for f in ([], [0], [1], [0, 1])}
    for step in range(3):
        batch = made.batch(step, 0)
        assert batch.observed.shape == (8, 3, 56, 56)
        assert sum(tuple(psf.flatten().tolist()) in real for psf in batch.psf) == 2
    again = made.batch(2, 0)
    assert all(torch.equal(getattr(again, name), getattr(batch, name)) for name in batch.__dataclass_fields__)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_small_parts_take_turns(mixed, monkeypatch, count):
    made, _ = mixed
    monkeypatch.setattr(made, "options", options("x", "x.safetensors", batch=count).shared_by(1))
    asked = []
    monkeypatch.setattr(made.pairs, "crops", lambda n, *_: asked.append(n) or BlurPairs.crops(made.pairs, n, *_))
    for step in range(4):
        assert len(made.batch(step, 0).sigma) == count
    assert sum(asked) == count


def test_validation_has_files_and_held_out_pairs(mixed):
    made, _ = mixed
    assert set(made.cases) == {"0.01", "0.03", "wrong", "jpeg", "pairs"}
    stored = made.cases["jpeg"].observed * 255
    torch.testing.assert_close(stored, stored.round(), atol=1e-3, rtol=0)
    scores = made.validate(made.net().eval())
    assert {name.split(" ")[1] for name in scores} == set(made.cases)
    assert scores["net pairs"] == pytest.approx(scores["before pairs"])
    for name in ("jpeg", "pairs"):
        target = deblur._inner(made.cases[name].clean)
        assert scores[f"before {name}"] > deblur.psnr(made.cases[name].observed, target)
    loss = made.step_loss(made.net(), made.batch(0, 0))
    assert torch.isfinite(loss)


def test_pairs_are_looked_at_once(mixed, folder, pairs, monkeypatch):
    made, _ = mixed
    monkeypatch.setattr(deblur, "fit_psf", lambda *_: pytest.fail("the PSFs were kept"))
    with pytest.warns(UserWarning, match="left out"):
        again = ground_of(folder, made.options.out, pairs=str(pairs), batch=8)
    assert again.fingerprint == made.fingerprint
    assert torch.equal(again.pairs.psf, made.pairs.psf)


def test_a_folder_without_sound_pairs_is_an_error(folder, tmp_path):
    soft = blur.gaussian_psf(1.0)
    found = {"a": (blurred(textured(0), soft), textured(0)), "b": (blurred(textured(1), soft), textured(2))}
    where = write_pairs(tmp_path / "pairs", found)
    with pytest.raises(TrainError, match=r"1 can be learned from; expected at least 2 \(pairs/b: no PSF"):
        ground_of(folder, tmp_path / "x.safetensors", pairs=str(where))
    with pytest.raises(TrainError, match=r"--pairs .*has no folder input/"):
        ground_of(folder, tmp_path / "x.safetensors", pairs=str(folder))
    chosen = options_for("deblur", {"out": "x.safetensors", "clean": str(folder), "pairs": str(where)})
    assert chosen.pairs == str(where)


def test_runs_with_other_draws_or_pairs_are_refused(mixed, folder, tmp_path):
    made, _ = mixed
    plain = ground_of(folder, tmp_path / "x.safetensors").fingerprint
    before = {name: value for name, value in plain.items() if name != "draws"}
    with pytest.raises(TrainError, match="belongs to another run"):
        checkpoint.agree(tmp_path / "checkpoint.pt", before, plain)
    with pytest.raises(TrainError, match="--pairs was 5, "):
        checkpoint.agree(tmp_path / "checkpoint.pt", made.fingerprint, plain)


def lamp(times=4.0):
    """A frame with a lamp that is this many times white, blurred and clipped, and the scene."""
    scene = torch.full((1, 3, 96, 96), 0.2)
    scene[..., 44:52, 40:56] = times
    scene[..., 20:30, 60:80] = 0.7
    psf = torch.from_numpy(blur.centred(blur.sample_psf(np.random.default_rng(1), "motion", 15), 41))
    observed = blur.convolve_valid(scene, psf)
    observed = observed + 0.003 * torch.randn(observed.shape, generator=torch.Generator().manual_seed(0))
    return observed.clamp(0, 1), scene, psf[None], torch.tensor([0.003])


def test_saturated_pixels_are_lower_bounds_in_the_classical_estimate():
    observed, scene, psf, sigma = lamp()
    known = training.where_known(observed)
    assert 0.001 < float((known == 0).float().mean()) < 0.2
    told, y = deblur.classical_estimate(observed, psf, sigma, 30, known)
    held, _ = deblur.classical_estimate(observed, psf, sigma, 30)
    error = [
        float((deblur._inner(x).clamp(0, 1) - deblur._inner(scene).clamp(0, 1)).square().mean()) for x in (told, held)
    ]
    assert error[0] < error[1]
    inside = deblur._inner(y)
    seen = (known > 0).expand_as(inside)
    assert torch.equal(inside[seen], observed[seen])
    # Where nothing is known the estimate's own blur stands, which is brighter than the frame could tell.
    assert float(inside[~seen].max()) > 1


def test_a_mask_of_ones_changes_nothing():
    observed, _, psf, sigma = lamp(0.8)
    one, other = (deblur.classical_estimate(observed, psf, sigma, 5, k) for k in (None, torch.ones(1, 1, 56, 56)))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_white_light_of_clipped_frames_has_no_upper_limit():
    clean = torch.full((2, 3, 50, 50), 0.5)
    clean[..., 20:24, 20:24] = 1
    known = torch.ones(2, 1, 10, 10)
    known[0, :, 1, 1] = 0
    batch = data.BlurBatch(torch.zeros(2, 3, 10, 10), clean, torch.zeros(2, 41, 41), torch.zeros(2), known)
    x = torch.full((2, 3, 50, 50), 3.0, requires_grad=True)
    target = deblur._target(x, batch)
    assert not target.requires_grad
    assert float(target[0, 0, 21, 21]) == 3
    assert float(target[1, 0, 21, 21]) == 1
    assert float(target[0, 0, 0, 0]) == 0.5
    assert torch.equal(deblur._target(torch.zeros_like(clean), batch), clean)
