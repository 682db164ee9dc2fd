"""What a JPEG file has lost is told by its pixels, wherever the picture was cut; other pictures have lost nothing."""

import numpy as np
import pytest
import torch
from skimage import data

from imgrestore import deblur
from imgrestore.classical.jpeg import jpeg_noise, jpeg_scale
from imgrestore.degrade import blur, jpeg
from imgrestore.metrics import psnr


def astronaut():
    return torch.from_numpy(data.astronaut()).permute(2, 0, 1).float() / 255


def blurred():
    seen = blur.convolve_valid(astronaut()[None], torch.from_numpy(blur.gaussian_psf(1.5, 1.0)).float()[None])[0]
    noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
    return ((seen + 0.005 * noise).clamp(0, 1) * 255).round() / 255


def stored(picture, quality, halved=True):
    return jpeg.apply(picture, jpeg.JpegParams(quality, halved))


@pytest.mark.parametrize("picture", [astronaut, blurred])
@pytest.mark.parametrize(("quality", "scale"), [(50, 1.0), (75, 0.5), (85, 0.3)])
def test_the_scale_of_the_table_is_found(picture, quality, scale):
    assert jpeg_scale(stored(picture(), quality)) == pytest.approx(scale, rel=0.25)
    assert jpeg_scale(stored(picture()[1:2], quality)) == pytest.approx(scale, rel=0.25)


def test_pictures_may_be_cut():
    assert jpeg_scale(stored(astronaut(), 60)[:, 13:, 21:]) == pytest.approx(0.8, rel=0.25)


def noisy():
    return torch.randint(256, (1, 100, 100), generator=torch.Generator().manual_seed(0)) / 255


def board(period, noise, sigma=1.5):
    """A test chart: few gray levels, which repeat."""
    tile = np.kron([[0.2, 0.8], [0.8, 0.2]], np.ones((period // 2, period // 2)))
    sharp = torch.from_numpy(np.tile(tile, (360 // period, 360 // period))).float()
    seen = blur.convolve_valid(sharp[None, None], torch.from_numpy(blur.gaussian_psf(sigma)).float()[None])[0]
    grain = noise / 255 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(1))
    return ((seen + grain).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize(
    "picture",
    [
        *(astronaut(), blurred(), noisy(), torch.zeros(3, 64, 64), torch.full((3, 5, 9), 0.2)),
        *(board(12, 0.5), board(16, 0), board(20, 1.5), board(32, 0)),
        torch.from_numpy(data.checkerboard()).float()[None] / 255,
    ],
)
def test_other_pictures_show_no_rounding(picture):
    assert jpeg_scale(picture) == jpeg_noise(picture) == 0


def test_an_even_corner_does_not_hide_it():
    picture = torch.full((1, 900, 900), 0.5)
    picture[:, -512:, -512:] = astronaut()[1:2]
    assert jpeg_scale(stored(picture, 50)) == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize("quality", [50, 70, 85])
def test_the_error_is_of_the_order_of_what_was_lost(quality):
    seen = blurred()
    lost = float((stored(seen, quality) - seen).square().mean().sqrt())
    assert 0.7 * lost < jpeg_noise(stored(seen, quality)) < 3.5 * lost


def test_deblurring_a_coarse_file_heeds_its_errors(monkeypatch):
    seen = (stored(blurred(), 45)[:, 100:300, 100:300] * 255).byte().permute(1, 2, 0).numpy()
    psf = blur.gaussian_psf(1.5, 1.0)
    reach = (512 - blurred().shape[1]) // 2
    truth = data.astronaut()[reach:-reach, reach:-reach][100:300, 100:300]
    heeded = deblur(seen, psf, refine=False)
    monkeypatch.setattr("imgrestore.tasks.deblur.jpeg_noise", lambda picture: 0.0)
    blind_to_it = deblur(seen, psf, refine=False)
    assert psnr(heeded / 255, truth / 255) > psnr(blind_to_it / 255, truth / 255) + 0.1
    assert heeded.dtype == np.uint8
