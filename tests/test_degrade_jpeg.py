"""What JPEG loses, held to the files that Pillow writes and reads."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from imgrestore.degrade import jpeg


def through_pillow(picture, **how):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **how)
    with Image.open(stream) as stored:
        return np.asarray(stored).astype(int)


def planes_of(picture):
    return torch.from_numpy(picture.reshape(*picture.shape[:2], -1).copy()).permute(2, 0, 1)[None].float() / 255


def levels_of(planes):
    return (planes[0].permute(1, 2, 0) * 255).round().int().numpy()


@pytest.mark.parametrize("quality", [20, 50, 70, 90, 98])
@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (75, 98), (203, 231), (41, 57)])
def test_colour_is_stored_as_pillow_stores_it(quality, halved, size):
    picture = np.ascontiguousarray(data.astronaut()[60 : 60 + size[0], 150 : 150 + size[1]])
    wanted = through_pillow(picture, quality=quality, subsampling=2 if halved else 0)
    found = levels_of(jpeg.store(planes_of(picture), torch.tensor([float(quality)]), torch.tensor([halved])))
    apart = np.abs(found - wanted)
    # Coefficients that lie between two steps now and then go the other way.
    assert apart.mean() < 0.6
    lost = np.abs(wanted - picture.astype(int)).mean()
    assert apart.mean() < 0.3 * lost
    assert np.median(apart) == 0


@pytest.mark.parametrize("size", [(64, 64), (51, 77), (5, 3)])
def test_gray_is_stored_as_pillow_stores_it(size):
    picture = np.ascontiguousarray(data.camera()[100 : 100 + size[0], 180 : 180 + size[1]])
    for quality in (40, 85):
        wanted = through_pillow(picture, quality=quality)
        found = levels_of(jpeg.apply(planes_of(picture)[0], jpeg.JpegParams(quality))[None])[..., 0]
        assert np.abs(found - wanted).mean() < 0.15
        assert np.abs(found - wanted).max() <= 4


def test_three_equal_planes_stay_equal():
    gray = torch.from_numpy(data.camera()[:50, 100:161].copy()).float()[None].expand(3, -1, -1) / 255
    stored = jpeg.apply(gray, jpeg.JpegParams(60, halved=True))
    assert torch.equal(stored[0], stored[1])
    assert torch.equal(stored[0], stored[2])
    torch.testing.assert_close(stored[:1], jpeg.apply(gray[:1], jpeg.JpegParams(60)), atol=1e-6, rtol=0)


def test_a_quality_for_each_picture():
    pictures = torch.cat([planes_of(picture[:45, :70]) for picture in (data.astronaut(), data.coffee(), data.cat())])
    quality, halved = torch.tensor([30.0, 75.0, 95.0]), torch.tensor([True, False, True])
    each = [jpeg.store(pictures[i : i + 1], quality[i : i + 1], halved[i : i + 1]) for i in range(3)]
    assert torch.equal(jpeg.store(pictures, quality, halved), torch.cat(each))
    params = jpeg.JpegParams(75, halved=False)
    assert torch.equal(jpeg.apply(pictures[1], params), each[1][0])


def test_the_better_the_file_the_less_is_lost():
    picture = planes_of(data.astronaut()[:120, :120])
    lost = [
        float((jpeg.apply(picture, jpeg.JpegParams(quality, halved)) - picture).square().mean())
        for quality, halved in ((10, True), (50, True), (90, True), (90, False), (99, False))
    ]
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] < (1.5 / 255) ** 2


def test_steps_are_those_of_the_standard():
    luma, chroma = jpeg.steps(torch.tensor([50.0, 100.0, 1.0]))
    assert luma[0].tolist() == [list(map(float, row)) for row in jpeg.LUMA]
    assert float(chroma[1].max()) == float(luma[1].max()) == 1
    assert float(luma[2].max()) == 255
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=83)
    with Image.open(stream) as stored:
        tables = stored.quantization
    luma, chroma = jpeg.steps(torch.tensor([83.0]))
    assert sorted(luma.flatten().tolist()) == sorted(tables[0])
    assert sorted(chroma.flatten().tolist()) == sorted(tables[1])


def test_values_are_clipped_and_whole_levels():
    stored = jpeg.apply(torch.rand(3, 33, 20, dtype=torch.float64) * 3 - 1, jpeg.JpegParams(80))
    assert stored.dtype == torch.float64
    assert float(stored.min()) >= 0
    assert float(stored.max()) <= 1
    torch.testing.assert_close(stored * 255, (stored * 255).round(), atol=1e-9, rtol=0)


def test_gradients_pass_rounding_by():
    smooth = torch.linspace(0.2, 0.8, 24, dtype=torch.float64).expand(1, 1, 19, 24).clone().requires_grad_()
    weight = torch.rand_like(smooth)
    (jpeg.store(smooth, torch.tensor([80.0], dtype=torch.float64), torch.tensor([False])) * weight).sum().backward()
    torch.testing.assert_close(smooth.grad, weight)
    colour = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    jpeg.store(colour, torch.tensor([80.0]), torch.tensor([True])).sum().backward()
    torch.testing.assert_close(colour.grad, torch.ones_like(colour), atol=1e-4, rtol=0)
    clipped = torch.full((1, 1, 8, 8), 1.5, requires_grad=True)
    jpeg.store(clipped, torch.tensor([80.0]), torch.tensor([True])).sum().backward()
    assert float(clipped.grad.abs().max()) == 0


def test_sampling_is_reproducible():
    drawn = [jpeg.sample((3, 9, 9), np.random.default_rng(3)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    many = [jpeg.sample((3, 9, 9), np.random.default_rng(i)) for i in range(60)]
    assert {p.halved for p in many} == {True, False}
    assert all(70 <= p.quality <= 98 for p in many)


def test_what_is_none_is_refused():
    with pytest.raises(ValueError, match=r"pictures have shape \(1, 4, 8, 8\); expected \(N, 1, H, W\)"):
        jpeg.store(torch.rand(1, 4, 8, 8), torch.tensor([80.0]), torch.tensor([True]))
    with pytest.raises(ValueError, match=r"quality has shape \(1,\); expected \(2,\)"):
        jpeg.store(torch.rand(2, 3, 8, 8), torch.tensor([80.0]), torch.tensor([True, True]))
