"""The KL divergence of two distributions over every space, against numpy and against samples."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from impala_tf.spaces import distributions
from tests.support.distributions import SEED, SPACES, random_parameters

TANH = dict(action_bounds="tanh")


def pair(distribution, *leading):
    return random_parameters(distribution, *leading), random_parameters(distribution, *leading, seed=1)


def kl_of_logits(p, q):
    p, q = (np.asarray(x, np.float64) for x in (p, q))
    log_p, log_q = scipy.special.log_softmax(p, axis=-1), scipy.special.log_softmax(q, axis=-1)
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def normals(parameters):
    loc, scale = np.split(np.asarray(parameters, np.float64), 2, axis=-1)
    return loc, 1e-3 + np.logaddexp(0, scale + np.log(np.expm1(0.5 - 1e-3)))


def test_categorical():
    distribution = distributions.for_space(gym.spaces.Discrete(4, start=3))
    p, q = pair(distribution, 3, 5)
    np.testing.assert_allclose(distribution.kl(p, q), kl_of_logits(p, q), rtol=1e-4, atol=1e-6)


def test_multi_categorical():
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([[3, 2], [5, 1]]))
    p, q = pair(distribution, 6)
    ends = np.cumsum([3, 2, 5])
    parts = zip(np.split(p, ends, axis=-1), np.split(q, ends, axis=-1), strict=True)
    expected = sum(kl_of_logits(a, b) for a, b in parts)
    np.testing.assert_allclose(distribution.kl(p, q), expected, rtol=1e-4, atol=1e-6)


def test_bits():
    distribution = distributions.for_space(gym.spaces.MultiBinary((2, 2)))
    p, q = pair(distribution, 6)
    expected = kl_of_logits(np.stack([p, 0 * p], axis=-1), np.stack([q, 0 * q], axis=-1)).sum(-1)
    np.testing.assert_allclose(distribution.kl(p, q), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [{}, TANH], ids=["clip", "tanh"])
def test_a_box_has_the_kl_of_its_normals(config):
    """Also where it is squashed: a map that is one-to-one changes no KL."""
    distribution = distributions.for_space(gym.spaces.Box(-1, 1, (2, 2)), **config)
    p, q = pair(distribution, 6)
    (loc_p, std_p), (loc_q, std_q) = normals(p), normals(q)
    expected = np.log(std_q / std_p) + (std_p**2 + (loc_p - loc_q) ** 2) / (2 * std_q**2) - 0.5
    np.testing.assert_allclose(distribution.kl(p, q), expected.sum(-1), rtol=1e-4)


@pytest.mark.parametrize("name", ["box", "nested"])
def test_it_is_the_mean_log_ratio_of_samples(name):
    """This is the definition; it holds for densities with the Jacobian of tanh and for the parts of a Dict too."""
    distribution = distributions.for_space(SPACES[name], **TANH)
    p, q = (0.3 * x for x in pair(distribution, 1))
    wide_p, wide_q = (np.tile(x, (50_000, 1)) for x in (p, q))
    actions = distribution.sample(wide_p, SEED)
    ratios = (distribution.log_prob(wide_p, actions) - distribution.log_prob(wide_q, actions)).numpy()
    (kl,) = distribution.kl(p, q).numpy()
    assert kl > 0.1
    assert abs(ratios.mean() - kl) < 4 * ratios.std() / np.sqrt(len(ratios))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_distribution_does_not_differ_from_itself(space):
    distribution = distributions.for_space(space)
    p, q = pair(distribution, 7)
    assert distribution.kl(p, q).shape == (7,)
    assert np.all(distribution.kl(p, q) > 0) or distribution.num_parameters == 1
    np.testing.assert_allclose(distribution.kl(p, p), np.zeros(7), atol=1e-6)


def kl_and_gradients(distribution, p, q):
    p, q = tf.constant(p), tf.constant(q)
    with tf.GradientTape() as tape:
        tape.watch([p, q])
        kl = distribution.kl(p, q)
    return kl, tape.gradient(kl, [p, q])


@pytest.mark.parametrize("name", ["discrete", "multi_discrete", "multi_binary"])
def test_masked_actions_add_nothing(name):
    """The KL is that over the allowed actions, and neither logit of a masked action has a gradient."""
    distribution = distributions.for_space(SPACES[name])
    p, q = pair(distribution, 40)
    mask = np.random.default_rng(2).random(p.shape) < 0.5
    mask[:, -1] = True
    masked = [distribution.apply_mask(x, mask).numpy() for x in (p, q)]
    kl, gradients = kl_and_gradients(distribution, *masked)
    assert np.all(np.isfinite(kl))
    assert np.all(kl > -1e-6)
    assert np.any(kl > 0.01)
    for x, gradient in zip(masked, gradients, strict=True):
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient.numpy()[x == -1e9] == 0)
    if name == "discrete":
        np.testing.assert_allclose(kl, kl_of_logits(*masked), rtol=1e-4, atol=1e-6)
    only_q_masked = kl_and_gradients(distribution, p, masked[1])
    assert all(np.all(np.isfinite(x)) for x in tf.nest.flatten(only_q_masked))
    assert np.max(only_q_masked[0]) > 1e6


@pytest.mark.parametrize("config", [{}, TANH], ids=["clip", "tanh"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_extreme_parameters_are_finite(space, config):
    distribution = distributions.for_space(space, **config)
    p, q = (np.float32(1e4 * np.sign(x)) for x in pair(distribution, 50))
    assert all(np.all(np.isfinite(x)) for x in tf.nest.flatten(kl_and_gradients(distribution, p, q)))


def test_xla_computes_the_same():
    distribution = distributions.for_space(SPACES["nested"])
    p, q = pair(distribution, 4, 3)
    compiled = tf.function(distribution.kl, jit_compile=True)(p, q)
    np.testing.assert_allclose(compiled, distribution.kl(p, q), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["discrete", "nested"])
def test_wrong_parameters_are_named(name):
    distribution = distributions.for_space(SPACES[name])
    p, q = pair(distribution, 3)
    with pytest.raises(ValueError, match=r"^q_parameters must have shape \(3, \d+\), got \(1, 3, \d+\)"):
        distribution.kl(p, q[np.newaxis])
    with pytest.raises(ValueError, match=r"^p_parameters must be float32, got int32"):
        distribution.kl(p.astype(np.int32), q)
