import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import distributions


def test_categorical_against_numpy():
    space = gym.spaces.Discrete(3)
    distribution = distributions.for_space(space)
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    actions = np.random.default_rng(1).integers(3, size=(4, 5))
    expected = np.log(np.take_along_axis(probabilities, actions[..., None], -1)[..., 0])
    np.testing.assert_allclose(distribution.log_prob(logits, tf.constant(actions)), expected, rtol=1e-5)
    expected = -(probabilities * np.log(probabilities)).sum(-1)
    np.testing.assert_allclose(distribution.entropy(logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(logits), logits.argmax(-1))
    assert distribution.sample(logits).dtype == space.dtype


def test_samples_have_the_right_frequencies():
    distribution = distributions.for_space(gym.spaces.Discrete(3))
    logits = np.tile(np.log(np.array([0.5, 0.3, 0.2], np.float32)), (20_000, 1))
    counts = np.bincount(distribution.sample(logits, seed=1), minlength=3) / len(logits)
    np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.015)


def test_the_start_of_a_discrete_space():
    space = gym.spaces.Discrete(3, start=-1)
    distribution = distributions.for_space(space)
    logits = tf.constant([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    actions = distribution.mode(logits)
    assert actions.numpy().tolist() == [-1, 0, 1]
    assert all(space.contains(action) for action in distribution.sample(logits).numpy())
    np.testing.assert_array_equal(distribution.encode(actions), np.eye(3))
    assert np.all(distribution.log_prob(logits, actions) > -0.01)


def test_other_spaces_are_refused_by_name():
    with pytest.raises(NotImplementedError, match=r"Box\(.*supported: Discrete"):
        distributions.for_space(gym.spaces.Box(-1, 1, (2,)))
