"""Action masks: what they rule out has probability 0, no gradient and no part in the entropy."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from impala_tf.spaces import distributions
from tests.support.distributions import SEED, SPACES, random_parameters


def entropy_and_gradients(distribution, parameters, mask):
    parameters = tf.constant(parameters)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        masked = distribution.apply_mask(parameters, mask)
        actions = distribution.sample(masked, SEED)
        log_prob, entropy = distribution.log_prob(masked, actions), distribution.entropy(masked)
    gradients = tape.gradient(log_prob, parameters), tape.gradient(entropy, parameters)
    assert all(np.all(np.isfinite(x)) for x in (log_prob, entropy, *gradients))
    return entropy, gradients, actions.numpy(), masked


def test_masked_discrete_actions():
    distribution = distributions.for_space(gym.spaces.Discrete(4, start=1))
    parameters = random_parameters(distribution, 5000)
    mask = np.tile([True, False, False, True], (5000, 1))
    entropy, gradients, actions, masked = entropy_and_gradients(distribution, parameters, mask)
    assert set(actions) == {1, 4}
    assert np.all(tf.nn.softmax(masked).numpy()[:, 1:3] == 0)
    p = scipy.special.softmax(parameters[:, [0, 3]], axis=-1)
    np.testing.assert_allclose(entropy, scipy.stats.entropy(p, axis=-1), rtol=1e-4, atol=1e-6)
    for gradient in gradients:
        assert np.all(gradient.numpy()[:, 1:3] == 0)
        assert np.any(gradient.numpy()[:, [0, 3]] != 0)
    # A masked action that was taken all the same, at a row that does not count, has a finite log-probability.
    assert np.all(np.isfinite(distribution.log_prob(masked, np.full(5000, 2))))


def test_one_allowed_action_has_no_entropy():
    distribution = distributions.for_space(gym.spaces.Discrete(3))
    mask = np.array([[0, 1, 0]], np.int8)
    entropy, gradients, actions, masked = entropy_and_gradients(distribution, np.float32([[5, -1e4, 3]]), mask)
    assert (entropy, actions) == (0, 1)
    assert distribution.log_prob(masked, actions) == 0
    assert np.all(gradients[0] == 0)
    assert np.all(gradients[1] == 0)


def test_where_nothing_is_allowed_everything_is():
    """For each component of a MultiDiscrete by itself."""
    distribution = distributions.for_space(gym.spaces.Discrete(3))
    parameters = random_parameters(distribution, 2)
    np.testing.assert_array_equal(distribution.apply_mask(parameters, np.zeros([2, 3], bool)), parameters)
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([2, 3]))
    masked = distribution.apply_mask(np.ones([1, 5], np.float32), np.bool_([[0, 0, 1, 0, 1]]))
    np.testing.assert_array_equal(masked, [[1, 1, 1, -1e9, 1]])


def test_masked_multi_discrete_actions():
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([2, 4]))
    parameters = random_parameters(distribution, 5000)
    mask = np.tile(np.bool_([0, 1, 1, 0, 1, 0]), (5000, 1))
    entropy, gradients, actions, _ = entropy_and_gradients(distribution, parameters, mask)
    assert set(map(tuple, actions)) == {(1, 0), (1, 2)}
    p = scipy.special.softmax(parameters[:, [2, 4]], axis=-1)
    np.testing.assert_allclose(entropy, scipy.stats.entropy(p, axis=-1), rtol=1e-4, atol=1e-6)
    assert np.all(gradients[0].numpy()[:, [0, 3, 5]] == 0)


def test_masked_bits_stay_0():
    distribution = distributions.for_space(gym.spaces.MultiBinary(3))
    parameters = random_parameters(distribution, 5000)
    mask = np.tile(np.bool_([1, 0, 1]), (5000, 1))
    entropy, gradients, actions, _ = entropy_and_gradients(distribution, parameters, mask)
    assert actions.max(0).tolist() == [1, 0, 1]
    p = scipy.special.expit(parameters[:, [0, 2]])
    np.testing.assert_allclose(entropy, scipy.stats.bernoulli.entropy(p).sum(-1), rtol=1e-4)
    assert np.all(gradients[0].numpy()[:, 1] == 0)


def test_masks_in_a_tuple_pass_a_box_by():
    space = gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(-1, 1, (2,)), gym.spaces.MultiBinary(2)])
    distribution = distributions.for_space(space)
    assert distribution.mask_size == 4
    parameters = random_parameters(distribution, 1)
    masked = distribution.apply_mask(parameters, np.bool_([[0, 1, 1, 0]]))
    expected = parameters.copy()
    expected[0, [0, 5]] = -1e9  # Logits 0-1, means 2-3, bits 4-5, scales 6-7.
    np.testing.assert_array_equal(masked, expected)


def test_a_box_has_no_masks():
    for space in (SPACES["box"], gym.spaces.Tuple([SPACES["box"]])):
        distribution = distributions.for_space(space)
        assert distribution.mask_size == 0
        with pytest.raises(NotImplementedError, match=r"Box\(.* has no action masks"):
            distribution.apply_mask(random_parameters(distribution, 1), np.ones([1, 2], bool))


def test_each_part_of_a_tuple_has_its_own_mask():
    """Masks stand side by side in the order of the parts; where no bit may be 1, all stay 0."""
    space = gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Discrete(3), gym.spaces.MultiBinary(1)])
    distribution = distributions.for_space(space)
    masked = distribution.apply_mask(np.ones([1, 6], np.float32), np.bool_([[0, 1, 1, 0, 1, 0]]))
    np.testing.assert_array_equal(masked, [[-1e9, 1, 1, -1e9, 1, -1e9]])
