"""The replay buffer: first in first out, what is drawn how often, and no value of one unroll in another."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.experience.replay_buffer import SMALLEST_PRIORITY, ReplayBuffer, num_bytes
from impala_tf.experience.unroll_spec import map_leaves, unroll_spec
from impala_tf.types import ArraySpec

OBSERVATION = {"frame": ArraySpec((2, 3), np.dtype("uint8")), "number": ArraySpec((), np.dtype("float32"))}
SPEC = unroll_spec(4, OBSERVATION, ArraySpec((), np.dtype("int64")), num_parameters=2, state_size=3)


def groups_of(numbers, group):
    """Unrolls in groups, each with its number in every value."""
    numbers = np.reshape(numbers, (-1, group))

    def fill(name, leaf):
        shape = SPEC.shape(group, name, leaf)
        array = np.zeros((len(numbers), *shape), leaf.dtype)
        axis = 2 if len(shape) > 1 and shape[0] != group else 1  # T + 1 and T are not the group's size here.
        where = [1] * array.ndim
        where[0], where[axis] = numbers.shape
        return tf.convert_to_tensor(array + numbers.reshape(where).astype(leaf.dtype))

    return map_leaves(fill, SPEC)


def numbers_of(groups):
    """The number in each unroll, after asserting that each of its values is that number."""
    numbers = np.asarray(groups.policy_version)

    def check(name, leaf, array):
        for k, unrolls in enumerate(numbers):
            for b, number in enumerate(unrolls):
                has_rows = name in ("env_outputs", "actions", "behaviour_parameters", "behaviour_baselines")
                values = array[k][:, b] if has_rows else array[k][b]
                np.testing.assert_array_equal(values, np.asarray(number).astype(leaf.dtype), err_msg=name)

    map_leaves(check, SPEC, groups)
    return numbers.reshape(-1)


def test_the_newest_unrolls_are_held_and_each_is_itself():
    """Slots are poisoned, and groups of two are drawn as groups of three, so rows must go along with their unroll."""
    buffer = ReplayBuffer(SPEC, 5, seed=0)
    for start in range(0, 8, 2):
        np.testing.assert_array_equal(buffer.insert(groups_of([start, start + 1], 2)), [start, start + 1])
        drawn = buffer.draw(20, 3)
        oldest = max(0, start + 2 - 5)
        assert set(numbers_of(drawn.groups)) == set(range(oldest, start + 2))
        np.testing.assert_array_equal(drawn.serials, numbers_of(drawn.groups))
    assert buffer.num_unrolls == 5


def test_what_is_drawn_does_not_change_when_its_slot_does():
    buffer = ReplayBuffer(SPEC, 2, seed=0)
    buffer.insert(groups_of([0, 1], 1))
    drawn = buffer.draw(4, 1)
    before = numbers_of(drawn.groups)
    buffer.insert(groups_of([2, 3], 1))
    np.testing.assert_array_equal(numbers_of(drawn.groups), before)


def test_the_seed_decides_what_is_drawn():
    def draws(seed):
        buffer = ReplayBuffer(SPEC, 50, seed)
        buffer.insert(groups_of(range(50), 1))
        return buffer.draw(20, 1).serials

    np.testing.assert_array_equal(draws(1), draws(1))
    assert np.any(draws(1) != draws(2))


@pytest.mark.parametrize("exponent", [0.0, 0.8])
def test_unrolls_are_drawn_by_their_priorities_and_weighted_against_them(exponent):
    buffer = ReplayBuffer(SPEC, 4, seed=0, exponent=exponent)
    serials = buffer.insert(groups_of(range(4), 2))
    priorities = np.array([0.5, 0.0, 2.0, 7.0])
    buffer.set_priorities(serials, priorities)
    mass = (priorities + SMALLEST_PRIORITY) ** exponent
    wanted = mass / mass.sum()
    drawn = buffer.draw(50_000, 1, importance_exponent=0.6)
    shares = np.bincount(drawn.serials, minlength=4) / 50_000
    np.testing.assert_allclose(shares, wanted, atol=0.007)  # Three standard deviations.
    weights = (4 * wanted) ** -0.6
    weights /= weights[np.unique(drawn.serials)].max()
    np.testing.assert_allclose(drawn.weights, weights[drawn.serials], rtol=1e-5)
    assert drawn.weights.max() == 1
    np.testing.assert_array_equal(buffer.draw(9, 1, importance_exponent=0.0).weights, np.ones(9))


def test_a_new_unroll_has_the_largest_priority():
    buffer = ReplayBuffer(SPEC, 3, seed=0, exponent=1.0)
    buffer.set_priorities(buffer.insert(groups_of([0, 1], 1)), np.array([1.0, 3.0]))
    buffer.insert(groups_of([2], 1))
    shares = np.bincount(buffer.draw(50_000, 1).serials, minlength=3) / 50_000
    np.testing.assert_allclose(shares, [1 / 7, 3 / 7, 3 / 7], atol=0.007)


def test_unrolls_without_an_advantage_can_be_drawn():
    buffer = ReplayBuffer(SPEC, 2, seed=0, exponent=1.0)
    buffer.set_priorities(buffer.insert(groups_of([0, 1], 1)), np.zeros(2))
    assert set(buffer.draw(100, 1).serials) == {0, 1}


def test_a_priority_that_comes_too_late_is_nobodys():
    buffer = ReplayBuffer(SPEC, 2, seed=0, exponent=1.0)
    late = buffer.insert(groups_of([0, 1], 1))
    buffer.insert(groups_of([2], 1))  # It takes the slot of 0.
    buffer.set_priorities(late, np.array([1e9, 1.0]))
    drawn = buffer.draw(1000, 1, importance_exponent=1.0)
    np.testing.assert_allclose(np.bincount(drawn.serials)[1:] / 1000, [0.5, 0.5], atol=0.05)


def test_unrolls_of_old_policies_are_dropped_once():
    buffer = ReplayBuffer(SPEC, 6, seed=0, exponent=1.0)
    serials = buffer.insert(groups_of(range(6), 3))  # Versions 0 to 5.
    assert buffer.drop_before(0) == 0
    assert buffer.drop_before(2) == 2
    assert buffer.drop_before(2) == 0
    buffer.set_priorities(serials, np.ones(6))
    assert set(buffer.draw(100, 1).serials) == {2, 3, 4, 5}
    assert buffer.num_unrolls == 4
    buffer.insert(groups_of([6, 7], 1))
    assert set(buffer.draw(100, 1).serials) == {2, 3, 4, 5, 6, 7}


def test_an_empty_slot_is_never_drawn():
    buffer = ReplayBuffer(SPEC, 1000, seed=0)
    with pytest.raises(AssertionError, match="empty"):
        buffer.draw(1, 1)
    buffer.insert(groups_of([0, 1, 2], 1))
    assert set(numbers_of(buffer.draw(200, 1).groups)) == {0, 1, 2}


def test_bytes_are_those_of_the_arrays():
    rows = 5 * (4 + 1 + 1 + 1 + (6 + 4) + 4 + 4 + 4)  # reward, three flags, observation, and what is measured
    assert num_bytes(SPEC) == rows + 4 * (8 + 2 * 4) + 8 + 3 * 4 + 8 + 4 + 4
