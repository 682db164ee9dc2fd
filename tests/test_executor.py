"""The executor itself: what it computes, and the faults that it finds."""

import numpy as np
import pytest
from executor import RACES, needs_executor

pytestmark = needs_executor


@pytest.fixture(autouse=True)
def as_found(executor):
    executor.configure()
    yield
    executor.configure()


def test_threads_and_blocks_see_their_places(executor):
    values = np.arange(24, dtype=np.float32).reshape(3, 8)
    for order in range(4):
        executor.configure(order=order)
        np.testing.assert_array_equal(executor.reverse(values, True), values[:, ::-1])


races_alone = pytest.mark.skipif(not RACES, reason="IMGRESTORE_RACES=1 has kernels tell what they touch")
orders_alone = pytest.mark.skipif(RACES, reason="is refused there")


@orders_alone
def test_a_missing_barrier_shows_in_some_order(executor):
    values = np.arange(16, dtype=np.float32).reshape(1, 16)
    right = []
    for order in range(4):
        executor.configure(order=order)
        right.append(np.array_equal(executor.reverse(values, False), values[:, ::-1]))
    assert not all(right)


@orders_alone
def test_an_order_of_blocks_shows_what_depends_on_it(executor):
    found = set()
    for order in (0, 1):
        executor.configure(order=order)
        found.add(tuple(executor.blocks_wait()))
    assert len(found) == 2


@races_alone
@pytest.mark.parametrize("order", [0, 1, 5])
def test_a_race_is_found_in_every_order(executor, order):
    executor.configure(order=order)
    with pytest.raises(RuntimeError, match=r"reverse: thread .* shared memory at .* with no barrier between them"):
        executor.reverse(np.arange(16, dtype=np.float32).reshape(1, 16), False)
    with pytest.raises(RuntimeError, match=r"blocks_wait: thread 0 of block .* device memory"):
        executor.blocks_wait()


@races_alone
@pytest.mark.parametrize("order", [0, 1, 5])
def test_a_warp_is_not_taken_to_be_in_step(executor, order):
    executor.configure(order=order)
    np.testing.assert_array_equal(executor.rotate(2), np.roll(np.arange(32), -2))
    for too_few in (0, 1):
        with pytest.raises(RuntimeError, match=r"rotate: thread .* shared memory at .* with no barrier between them"):
            executor.rotate(too_few)


@races_alone
def test_all_may_write_the_same(executor):
    np.testing.assert_array_equal(executor.write_one(True), [1])
    with pytest.raises(RuntimeError, match=r"write_one: thread 1 of block 0 writes device memory, which thread 0"):
        executor.write_one(False)


@races_alone
def test_what_is_not_aligned_is_found(executor):
    np.testing.assert_array_equal(executor.read_pair(2), [2, 3])
    with pytest.raises(RuntimeError, match=r"read_pair: thread 0 of block 0 .*ends in [0-9]+, which is not aligned"):
        executor.read_pair(1)


def test_a_barrier_that_some_do_not_reach(executor):
    with pytest.raises(RuntimeError, match="some_wait: of 8 threads 3 wait at a barrier of the block, 5 have left"):
        executor.some_wait(3, 8)
    executor.some_wait(8, 8)


def test_writing_past_shared_memory(executor):
    with pytest.raises(RuntimeError, match=r"overrun: wrote past the 32 bytes .* in block \(0, 0, 0\)"):
        executor.overrun(1)
    executor.overrun(0)


def test_unwritten_shared_memory_is_nan(executor):
    assert np.isnan(executor.read_unwritten()).all()


@pytest.mark.parametrize("shape", [(1, 32), (3, 64), (2, 256)])
def test_sums(executor, shape):
    values = np.random.default_rng(0).random(shape, np.float32)
    same = []
    for order in (0, 1, 5):
        executor.configure(order=order)
        warps, blocks = executor.sums(values, 16)
        np.testing.assert_allclose(blocks, np.broadcast_to(values.sum(1, keepdims=True), shape), rtol=1e-6)
        of_warps = values.reshape(shape[0], -1, 32).sum(2, keepdims=True)
        np.testing.assert_allclose(
            warps.reshape(shape[0], -1, 32), np.broadcast_to(of_warps, (*of_warps.shape[:2], 32)), rtol=1e-6
        )
        same.append(blocks)
    assert all(np.array_equal(same[0], s) for s in same)


def test_a_lane_that_is_not_there(executor):
    with pytest.raises(RuntimeError, match="lane 16 of a warp that has no such lane"):
        executor.sums(np.ones((1, 16), np.float32), 16)


def test_what_a_device_refuses(executor):
    with pytest.raises(RuntimeError, match="ask: a block of 1025 threads"):
        executor.ask(1025, 0)
    with pytest.raises(RuntimeError, match="bytes of shared memory, at most 232448"):
        executor.ask(32, 300_000)


def test_launches_are_listed(executor):
    executor.forget_launches()
    executor.reverse(np.ones((3, 8), np.float32), True)
    (launch,) = executor.launches()
    assert launch == {"name": "reverse", "grid": (3, 1, 1), "block": (8, 1, 1), "shared": 32, "barriers": 1}
