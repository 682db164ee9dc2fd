"""How much memory a picture will take, and the tile that is chosen for it."""

import platform

import numpy as np
import pytest
from tile_cases import Box

from imgrestore.tiles import TASKS, Prepared, choose_tile, parse_bytes, predicted_bytes
from imgrestore.tiles.memory import held_bytes, look_bytes, resident_bytes


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2GB", 2 * 10**9),
        ("512 mb", 512 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("64KiB", 2**16),
        ("3G", 3 * 10**9),
        ("100", 100),
        (10**9, 10**9),
        (2.5e8, 25 * 10**7),
        (np.int64(77), 77),
    ],
)
def test_amounts_of_memory(text, amount):
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 gigs", "1e9", "0", 0, -5, float("nan"), float("inf")])
def test_what_is_no_amount(text):
    with pytest.raises(ValueError, match="max_memory is"):
        parse_bytes(text)


@pytest.mark.parametrize("task", TASKS)
def test_a_look_at_a_large_picture_takes_no_more_for_its_size(task):
    small, full, large, huge = (look_bytes(task, (side, side, 3), np.uint8) for side in (300, 1000, 9000, 90_000))
    assert small < full < 2e9
    assert large == huge
    assert look_bytes(task, (9000, 9000, 3), np.float64) > large
    assert look_bytes(task, (9000, 9000), np.uint8) < large
    assert look_bytes(task, (9000, 9000, 3), np.uint8, 100_000) < large


def ready(shape, bytes_per_pixel=100.0, halo=32, fixed=0):
    return Prepared("any", shape, np.dtype("uint8"), halo, (), bytes_per_pixel, fixed, Box())


@pytest.mark.parametrize("shape", [(20_000, 20_000), (300, 90_000), (5000, 5000, 3), (100, 100)])
@pytest.mark.parametrize("limit", ["600MB", "1GB", "2GB", "8GB"])
@pytest.mark.parametrize("chunk", [(1, 1), (256, 256), (512, 512)])
def test_the_tile_chosen_fits_and_a_larger_one_would_not(shape, limit, chunk):
    one = ready(shape)
    held = 300 * 10**6
    tile = choose_tile(one, shape, np.uint8, limit, chunk=chunk, held=held)
    assert predicted_bytes(one, tile, shape, np.uint8, held=held) <= parse_bytes(limit)
    for side, length, step in zip(tile, shape, chunk, strict=False):
        assert side == length or side % (step if step <= side else 16) == 0
        assert side <= 2048
    larger = tuple(2 * side for side in tile)
    exhausted = predicted_bytes(one, larger, shape, np.uint8, held=held) > parse_bytes(limit)
    assert exhausted or any(side >= 1024 or side == length for side, length in zip(tile, shape, strict=False))


def test_no_tile_is_a_sliver():
    tile = choose_tile(ready((5000, 4100)), (5000, 4100), np.uint8, "8GB", held=0)
    assert tile == (1680, 1376)
    room = predicted_bytes(ready((10_000, 10_000)), (1700, 1700), (10_000, 10_000), np.uint8)
    aligned = choose_tile(ready((10_000, 10_000)), (10_000, 10_000), np.uint8, room, chunk=(256, 256), held=0)
    assert aligned == (1536, 1536)  # 1664 fits, but 16 rows would be left over


def test_what_the_prediction_counts():
    shape = (1000, 1000)
    base = predicted_bytes(ready(shape, 0.0, 0, 0), (100, 100), shape, np.uint8)
    assert predicted_bytes(ready(shape, 0.0, 0, 777), (100, 100), shape, np.uint8) == base + 777
    assert predicted_bytes(ready(shape, 0.0, 0, 0), (100, 100), shape, np.uint8, held=55) == base + 55
    assert predicted_bytes(ready(shape, 50.0, 0, 0), (100, 100), shape, np.uint8) == base + 50 * 100**2
    halo = predicted_bytes(ready(shape, 50.0, 10, 0), (100, 100), shape, np.uint8) - base
    assert halo == 50 * 120**2 + 2 * (120**2 - 100**2)
    assert predicted_bytes(ready(shape, 50.0, 10, 0), (5000, 5000), shape, np.uint8) == predicted_bytes(
        ready(shape, 50.0, 10, 0), shape, shape, np.uint8
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library gives freed memory back as it likes")
def test_freed_memory_does_not_count_where_there_is_little():
    blocks = [np.ones(8000) for _ in range(3000)]
    spread = blocks[::50]  # no more than that stays in use, all over the memory that is freed
    del blocks
    kept = resident_bytes()
    assert held_bytes(100 * kept) > kept - 10**7
    assert held_bytes(kept) < kept - 10**8
    assert len(spread) == 60
