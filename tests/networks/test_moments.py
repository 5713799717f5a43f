"""Moments of batches that several learners join."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.networks.moments import BatchMoments, batch_moments, joined, moments_by_task, only_own
from impala_tf.networks.normalisation import RunningMoments


def parts_of(values, valid):
    """Moments of each learner's values [L, N, ...], with a first axis [L]."""
    moments = [batch_moments(tf.constant(x), tf.constant(v)) for x, v in zip(values, valid, strict=True)]
    return BatchMoments(*(tf.stack(leaves) for leaves in zip(*moments, strict=True)))


def test_joined_parts_are_the_moments_of_all_values():
    """Learners with other numbers of values, far from 0; the last has none."""
    random = np.random.default_rng(0)
    values = (random.normal(size=(4, 50, 2)) * [1, 1e-2] + [1e4, -3] + random.normal(size=(4, 1, 2))).astype(np.float32)
    valid = random.random((4, 50)) < np.array([[0.9], [0.5], [0.1], [0.0]])
    assert 0 == valid[3].sum() < valid[2].sum() < valid[1].sum()
    num, mean, variance = joined(parts_of(values, valid))
    counted = values[valid].astype(np.float64)
    assert num == len(counted)
    np.testing.assert_allclose(mean, counted.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, counted.var(0), rtol=1e-3)
    assert np.abs(variance / values[0][valid[0]].var(0) - 1).min() > 0.1, "one part alone has another variance"


def test_nothing_that_counts_changes_nothing():
    moments = RunningMoments((2,), "x")
    moments.update(tf.constant([[1.0, 2.0], [3.0, 6.0]]), tf.ones([2], tf.bool))
    before = [v.numpy() for v in moments.variables]
    moments.merge(parts_of(np.full((2, 3, 2), 9.0, np.float32), np.zeros((2, 3), bool)))
    for now, then in zip(moments.variables, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_one_part_is_the_batch_itself():
    moments = batch_moments(tf.constant([[1.0], [4.0]]), tf.constant([True, True]))
    assert joined(only_own(moments)) == moments


def test_each_task_has_the_moments_of_its_own_values():
    values = np.array([[1.0, 10, 2], [3, 20, 4]], np.float32)
    valid = np.array([[True, True, True], [True, False, True]])
    num, mean, variance = moments_by_task(tf.constant(values), tf.constant(valid), tf.constant([0, 2, 0]), 3)
    np.testing.assert_array_equal(num, [4, 0, 1])
    np.testing.assert_allclose(mean, [2.5, 0, 10])
    np.testing.assert_allclose(variance, [1.25, 0, 0])
    with pytest.raises(ValueError, match="task"):
        moments_by_task(tf.constant(values), tf.constant(valid), tf.constant([0, 2]), 3)
