import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import counter_random

pytestmark = pytest.mark.every_engine


def finalised(x):
    """MurmurHash3's finaliser, in unbounded integers."""
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    return x ^ (x >> 16)


@pytest.mark.parametrize("counter, salt", [(0, 0), (1, 2), (123456, 7)])
def test_bits_are_the_same_numbers_on_every_engine(counter, salt):
    seed = finalised((counter * 0x9E3779B9 + salt) % 2**32)
    expected = [finalised((i * 97 + seed) % 2**32) & 0x7FFFFFFF for i in range(5)]
    found = ops.convert_to_numpy(counter_random.random_bits(counter, 5, salt))
    assert found.tolist() == expected


def test_fixed_numbers():
    assert ops.convert_to_numpy(counter_random.random_bits(3, 3, salt=1)).tolist() == [
        783940261,
        429091262,
        365742213,
    ]
    assert ops.convert_to_numpy(counter_random.random_permutation(3, 6)).tolist() == [
        3,
        5,
        0,
        2,
        4,
        1,
    ]


def test_integers_cover_their_range_evenly():
    drawn = [int(counter_random.random_integer(step, 2, 6)) for step in range(400)]
    counts = np.bincount(drawn, minlength=6)
    assert counts[:2].tolist() == [0, 0]
    assert counts[2:].min() > 60


def test_permutations_are_permutations_and_differ_between_steps_and_salts():
    orders = [
        tuple(ops.convert_to_numpy(counter_random.random_permutation(step, 10, salt)).tolist())
        for step in range(3)
        for salt in range(2)
    ]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(set(orders)) == 6


def test_uniform_numbers_fill_the_unit_interval():
    values = ops.convert_to_numpy(counter_random.random_uniform(5, (100, 100)))
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(1 / 12, abs=0.005)


def test_empty_range_is_named():
    with pytest.raises(ValueError, match=r"`high` must exceed `low`. Received: low=3, high=3"):
        counter_random.random_integer(0, 3, 3)
