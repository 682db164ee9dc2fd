"""What nets are trained on: packed pictures, batches, losses."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as samples
from train_cases import draw_pictures

from imgrestore import data, losses
from imgrestore.data.blur_pairs import fit_psf, reason_against


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("clean") / "shapes")


def test_pack_keeps_the_limit_and_the_pictures(folder, tmp_path):
    whole = data.read_pack(data.pack([folder], tmp_path / "whole.npz"))
    assert len(whole) == 8
    plain = data.read_pack(folder)
    assert list(plain) == list(whole)
    for name, picture in whole.items():
        assert np.abs(picture.astype(int) - plain[name]).mean() < 2
    jpegs = tmp_path / "jpegs"
    jpegs.mkdir()
    for i in range(3):
        Image.fromarray(plain[f"shapes/{i}.png"]).save(jpegs / f"{i}.jpg", quality=60)
    same = data.read_pack(data.pack([jpegs], tmp_path / "jpegs.npz"))
    assert all(np.array_equal(a, b) for a, b in zip(same.values(), data.read_pack(jpegs).values(), strict=True))
    small = data.pack([folder], tmp_path / "small.npz", max_bytes=260_000)
    assert small.stat().st_size <= 260_000
    assert 0 < len(data.read_pack(small)) < 8


@pytest.fixture
def gray16(tmp_path):
    """A folder with one ramp in 16 bits of gray, and the ramp in 8."""
    (tmp_path / "deep").mkdir()
    ramp = np.linspace(0, 65535, 40 * 50).reshape(40, 50).round().astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep" / "ramp.png")
    Image.fromarray(ramp).save(tmp_path / "deep" / "ramp.tif")
    return tmp_path / "deep", np.rint(ramp / 257)[..., None]


def test_gray_of_16_bits_is_brought_to_8(gray16, tmp_path):
    folder, expected = gray16
    plain = data.read_pack(folder)
    assert list(plain) == ["deep/ramp.png", "deep/ramp.tif"]
    assert all(one.shape == (40, 50, 3) and (one == expected).all() for one in plain.values())
    for one in data.read_pack(data.pack([folder], tmp_path / "deep.npz")).values():
        assert np.abs(one - expected).max() <= 3


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pictures_of_32_bits_are_refused(dtype, tmp_path):
    Image.fromarray(np.full((9, 9), 0.5, dtype)).save(tmp_path / "counts.tif")
    for call in (data.read_pack, lambda folder: data.pack([folder], tmp_path / "x.npz")):
        with pytest.raises(ValueError, match=r"cannot read .*counts\.tif.* mode [IF]; expected 8 bits, or gray of 16"):
            call(tmp_path)


def test_a_picture_that_cannot_be_read_is_named(folder, tmp_path, monkeypatch):
    packed = data.pack([folder], tmp_path / "all.npz")
    bad = tmp_path / "bad"
    bad.mkdir()
    whole = (folder / "3.png").read_bytes()
    for content in (b"no picture", whole[: len(whole) // 2]):
        (bad / "3.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot read bad/3\.png of .*bad: "):
            data.read_pack(bad)
        with pytest.raises(ValueError, match=r"cannot read .*3\.png: "):
            data.pack([bad], tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"cannot read shapes/0\.png of .*all\.npz: .*exceeds limit"):
        data.read_pack(packed)


def test_a_pack_is_where_it_was_asked_for(folder, tmp_path):
    packed = data.pack([folder], tmp_path / "new" / "pictures.pack")
    assert packed == tmp_path / "new" / "pictures.pack"
    assert list(data.read_pack(packed)) == list(data.read_pack(folder))
    assert [path.name for path in packed.parent.iterdir()] == ["pictures.pack"]


def test_packs_of_nothing(folder, tmp_path):
    (tmp_path / "none").mkdir()
    for folders, limit in (([tmp_path / "none"], 10**6), ([folder], 200_001)):
        with pytest.raises(ValueError, match=f"{folders[0].name} holds no pictures .* that {limit} bytes have room"):
            data.pack(folders, tmp_path / "x.npz", max_bytes=limit)
    nothing = np.zeros(0, np.uint8)
    np.savez(tmp_path / "x.npz", names=np.array([], str), ends=np.cumsum([]), bytes=nothing)
    for source in (tmp_path / "x.npz", tmp_path / "none"):
        with pytest.raises(ValueError, match=f"{source.name} holds no pictures"):
            data.read_pack(source)
    np.savez(tmp_path / "other.npz", something=nothing)
    (tmp_path / "cut.npz").write_bytes(data.pack([folder], tmp_path / "x.npz").read_bytes()[:-50])
    for name in ("other", "cut"):
        with pytest.raises(ValueError, match=rf"{name}\.npz is damaged, or no file of packed pictures"):
            data.read_pack(tmp_path / f"{name}.npz")


def test_folders_of_one_name_are_not_packed(folder, tmp_path):
    with pytest.raises(ValueError, match=r"are both named shapes; expected names that differ"):
        data.pack([folder, draw_pictures(tmp_path / "shapes")], tmp_path / "x.npz")


@pytest.mark.parametrize("level", [0, 100, 255])
def test_pairs_that_show_nothing_are_left_out(level):
    """Any PSF takes one even picture to another, and nothing is known of saturated ones."""
    even = np.full((100, 100, 3), level, np.uint8)
    assert "shows nothing that a PSF could be told from" in reason_against(fit_psf(even, even))
    picture = np.ascontiguousarray(samples.astronaut()[:150, 100:250])
    assert reason_against(fit_psf(picture, picture)) is None
    almost = even.copy()
    almost[50, 50] ^= 1
    assert reason_against(fit_psf(almost, almost)) is not None


def test_crops_are_parts_of_the_pictures():
    ramp = np.arange(20 * 30, dtype=np.int64).reshape(20, 30)
    picture = np.stack([ramp % 251, ramp // 251, ramp * 0], -1).astype(np.uint8)
    pictures = data.Pictures([np.zeros((5, 5, 3), np.uint8), picture])
    crops = (pictures.crops(16, 8, torch.Generator().manual_seed(0)) * 255).round().long()
    index = crops[:, 0] + 251 * crops[:, 1]
    steps = torch.stack([(index[:, 1, 0] - index[:, 0, 0]).abs(), (index[:, 0, 1] - index[:, 0, 0]).abs()], 1)
    assert {tuple(s.tolist()) for s in steps} == {(30, 1), (1, 30)}
    assert torch.equal(pictures.gather(torch.tensor([1]), torch.tensor([[2, 3]]), 4, torch.zeros(1, 3).bool())[0],
                       torch.from_numpy(picture[2:6, 3:7]).permute(2, 0, 1) / 255)  # fmt: skip


def test_split_is_disjoint_and_stable(folder):
    pictures = data.read_pack(folder)
    first, held = data.split(pictures, 2)
    assert not set(first) & set(held)
    assert len(first) + len(held) == len(pictures)
    assert (first, held) == data.split(pictures, 2)


def test_pictures_of_every_folder_are_held_out():
    pictures = {f"{folder}/{i}": np.zeros((4, 4, 3), np.uint8) for folder in ("few", "many") for i in range(10)}
    assert data.split(pictures, 4)[1] == ["few/2", "few/7", "many/2", "many/7"]


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_losses_are_least_at_the_target(name):
    torch.manual_seed(0)
    target = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    near, far = target + 0.01 * torch.randn_like(target), target + 0.1 * torch.randn_like(target)
    loss = losses.LOSSES[name]
    assert loss(target, target, None) < loss(near, target, None) < loss(far, target, None)
    weight = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    weight[..., 6:, :] = 1
    far[..., 6:, :] = target[..., 6:, :]
    if name != "ssim":
        torch.testing.assert_close(loss(far, target, weight), loss(target, target, weight))
    near.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, target, None), near, eps=1e-7, atol=1e-4, fast_mode=True)
