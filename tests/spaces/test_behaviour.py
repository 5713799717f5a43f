"""Tempered distributions, and mixtures with the uniform one, against probabilities computed by hand."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from impala_tf.settings.spaces import MIN_ACTION_SCALE
from impala_tf.spaces import distributions
from tests.support.distributions import SPACES, random_parameters

EPSILON = np.float32([0, 0.1, 0.5, 1])
TEMPERATURE = np.float32([0.25, 1, 2, 1e6])


def test_a_tempered_softmax():
    distribution = distributions.for_space(gym.spaces.Discrete(3, start=2))
    p = np.array([0.5, 0.3, 0.2])
    tempered = distribution.tempered(np.tile(np.log(p), (4, 1)).astype(np.float32), TEMPERATURE)
    expected = p ** (1 / TEMPERATURE[:, None])
    np.testing.assert_allclose(tf.nn.softmax(tempered), expected / expected.sum(-1, keepdims=True), rtol=1e-5)


def test_a_softmax_mixed_with_the_uniform_distribution():
    distribution = distributions.for_space(gym.spaces.Discrete(4))
    logits = random_parameters(distribution, 3, 4)
    p = scipy.special.softmax(logits, -1)
    epsilon = np.tile(EPSILON, (3, 1))
    mixed = distribution.mixed_with_uniform(logits, epsilon)
    expected = (1 - epsilon[..., None]) * p + epsilon[..., None] / 4
    np.testing.assert_allclose(tf.exp(mixed), expected, rtol=1e-5)


def test_components_are_changed_by_themselves():
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([2, 3]))
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.3, 0.2])
    logits = np.tile(np.log(np.concatenate([p, q])), (4, 1)).astype(np.float32)
    for i, changed in enumerate(distribution.mixed_with_uniform(logits, EPSILON).numpy()):
        np.testing.assert_allclose(scipy.special.softmax(changed[:2]), (1 - EPSILON[i]) * p + EPSILON[i] / 2, rtol=1e-5)
        np.testing.assert_allclose(scipy.special.softmax(changed[2:]), (1 - EPSILON[i]) * q + EPSILON[i] / 3, rtol=1e-5)
    for i, changed in enumerate(distribution.tempered(logits, TEMPERATURE).numpy()):
        expected = q ** (1 / TEMPERATURE[i])
        np.testing.assert_allclose(scipy.special.softmax(changed[2:]), expected / expected.sum(), rtol=1e-5)


def test_bits():
    distribution = distributions.for_space(gym.spaces.MultiBinary(2))
    logits = np.tile(np.float32([1.5, -4]), (4, 1))
    p = scipy.special.expit(logits)
    mixed = distribution.mixed_with_uniform(logits, EPSILON)
    epsilon = EPSILON[:, None]
    np.testing.assert_allclose(tf.sigmoid(mixed), (1 - epsilon) * p + epsilon / 2, rtol=1e-5)
    tempered = distribution.tempered(logits, TEMPERATURE)
    np.testing.assert_allclose(tf.sigmoid(tempered), scipy.special.expit(logits / TEMPERATURE[:, None]), rtol=1e-5)


def test_the_temperature_multiplies_the_scale_of_a_box():
    distribution = distributions.for_space(gym.spaces.Box(-1, 1, (2,)), action_scale_init=0.4)
    parameters = np.tile(np.float32([0.7, -0.2, 0, 0]), (4, 1))
    temperature = np.float32([0.5, 1, 3, 1e-9])
    tempered = distribution.tempered(parameters, temperature)
    np.testing.assert_array_equal(tempered[:, :2], parameters[:, :2])
    # The entropy of a normal grows by the logarithm of its scale.
    expected = 2 * np.log(np.float32([0.5, 1, 3]))
    gained = distribution.entropy(tempered) - distribution.entropy(parameters)
    np.testing.assert_allclose(gained[:3], expected, atol=1e-3)
    smallest = 2 * np.log(MIN_ACTION_SCALE / 0.4)
    np.testing.assert_allclose(gained[3], smallest, atol=0.01)


@pytest.mark.parametrize("name", ["discrete", "multi_discrete", "multi_binary"])
@pytest.mark.parametrize("change", ["tempered", "mixed_with_uniform"])
def test_what_a_mask_rules_out_stays_impossible(name, change):
    """Also when it is changed twice, at the largest numbers; the allowed actions share the whole probability."""
    distribution = distributions.for_space(SPACES[name])
    parameters = random_parameters(distribution, 5)
    mask = np.random.default_rng(3).integers(2, size=parameters.shape).astype(bool)
    masked = distribution.apply_mask(parameters, mask)
    number = np.full(5, {"tempered": 1e9, "mixed_with_uniform": 1}[change], np.float32)
    changed = getattr(distribution, change)(getattr(distribution, change)(masked, number), number)
    np.testing.assert_array_equal(changed.numpy() <= -1e8, masked.numpy() <= -1e8)
    assert np.any(masked.numpy() <= -1e8)
    if name != "multi_binary":
        np.testing.assert_array_equal(
            distribution.apply_mask(changed, mask), changed, err_msg="where nothing is allowed everything is"
        )
    both = distribution.mixed_with_uniform(distribution.tempered(masked, number), np.full(5, 1, np.float32))
    np.testing.assert_array_equal(both.numpy() <= -1e8, masked.numpy() <= -1e8)


def test_a_mixture_of_allowed_actions():
    distribution = distributions.for_space(gym.spaces.Discrete(4))
    masked = distribution.apply_mask(np.float32([[3, 1, 2, 5]]), np.bool_([[1, 1, 0, 0]]))
    p = scipy.special.softmax([3, 1])
    mixed = distribution.mixed_with_uniform(masked, np.float32([0.2]))
    np.testing.assert_allclose(tf.nn.softmax(mixed), [[*(0.8 * p + 0.1), 0, 0]], rtol=1e-5)


def test_improbable_actions_keep_finite_logits():
    """A softmax of -200 is 0 in float32; the logarithm of a mixture with epsilon 0 must not be -inf."""
    for space in (gym.spaces.Discrete(2), gym.spaces.MultiBinary(2)):
        distribution = distributions.for_space(space)
        mixed = distribution.mixed_with_uniform(np.float32([[-200, 0]]), np.float32([0]))
        np.testing.assert_allclose(mixed - mixed[:, 1:], [[-200, 0]], atol=1 if space.shape else 1e-4)


def test_parts_of_a_dict_are_changed_by_themselves():
    space = gym.spaces.Dict(a=gym.spaces.Discrete(2), b=gym.spaces.MultiBinary(2))
    joint = distributions.for_space(space)
    parts = [distributions.for_space(part) for part in space.spaces.values()]
    parameters = random_parameters(joint, 4)
    for change, numbers in (("tempered", TEMPERATURE), ("mixed_with_uniform", EPSILON)):
        pieces = zip(parts, np.split(parameters, [2], axis=1), strict=True)
        expected = np.concatenate([getattr(part, change)(p, numbers) for part, p in pieces], axis=1)
        np.testing.assert_array_equal(getattr(joint, change)(parameters, numbers), expected)


def test_a_box_has_no_uniform_distribution():
    for space in (SPACES["box"], gym.spaces.Tuple([gym.spaces.Discrete(2), SPACES["box"]])):
        distribution = distributions.for_space(space)
        parameters = random_parameters(distribution, 2)
        with pytest.raises(NotImplementedError, match=r"Box\(.* has no uniform distribution"):
            distribution.mixed_with_uniform(parameters, np.float32([0.1, 0.1]))
        assert distribution.tempered(parameters, np.float32([2, 2])).shape == parameters.shape


@pytest.mark.parametrize("change", ["tempered", "mixed_with_uniform"])
def test_one_number_for_each_row(change):
    distribution = distributions.for_space(gym.spaces.Discrete(2))
    name = {"tempered": "temperature", "mixed_with_uniform": "epsilon"}[change]
    with pytest.raises(ValueError, match=rf"{name} must have shape \(3,\), got \(2,\)"):
        getattr(distribution, change)(np.zeros([3, 2], np.float32), np.float32([0.1, 0.1]))
    with pytest.raises(ValueError, match=f"{name} must be float32, got float64"):
        getattr(distribution, change)(np.zeros([2, 2], np.float32), np.array([0.1, 0.1]))
