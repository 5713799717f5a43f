"""The distribution over a Box: normals in the units of the bounds, clipped or squashed by tanh."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from impala_tf.spaces import action_spaces, distributions
from impala_tf.spaces.environment_actions import to_environment
from tests.support.distributions import SEED, SPACES, random_parameters

INF = np.inf
TANH = dict(action_bounds="tanh")


def normals(parameters, initial_scale=0.5):
    """The means and scales that the parameters of a Box stand for, from the definition."""
    loc, scale = np.split(np.asarray(parameters, np.float64), 2, axis=-1)
    offset = np.log(np.expm1(initial_scale - 1e-3))
    return loc, 1e-3 + np.logaddexp(0, scale + offset)


@pytest.mark.parametrize("scale", ["learned", "predicted"])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
def test_normal_against_scipy(shape, scale):
    config = dict(action_scale=scale, action_scale_init=0.7)
    distribution = distributions.for_space(gym.spaces.Box(-INF, INF, shape), **config)
    size = int(np.prod(shape))
    assert (distribution.num_parameters, distribution.action_shape) == (2 * size, shape)
    assert distribution.num_free_parameters == (size if scale == "learned" else 0)
    parameters = random_parameters(distribution, 3, 4)
    loc, std = normals(parameters, 0.7)
    actions = np.random.default_rng(1).normal(size=(3, 4, *shape)).astype(np.float32)
    expected = scipy.stats.norm.logpdf(actions.reshape(3, 4, -1), loc, std).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(parameters, actions), expected, rtol=1e-4)
    expected = scipy.stats.norm.entropy(loc, std).sum(-1)
    np.testing.assert_allclose(distribution.entropy(parameters), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(distribution.mode(parameters), loc.reshape(3, 4, *shape), rtol=1e-6)
    sample = distribution.sample(np.tile(parameters[0, 0], (20_000, 1)), SEED).numpy().reshape(20_000, -1)
    np.testing.assert_allclose(sample.mean(0), loc[0, 0], atol=0.03)
    np.testing.assert_allclose(sample.std(0), std[0, 0], rtol=0.03)


def test_the_initial_scale():
    distribution = distributions.for_space(gym.spaces.Box(-2, 2, (1,)), action_scale_init=0.25)
    samples = distribution.sample(np.zeros([20_000, 2], np.float32), SEED)
    np.testing.assert_allclose(np.std(samples), 0.25, rtol=0.03)


def test_a_clipped_action_has_the_probability_of_the_sample_before():
    """What travels is not clipped, so the learner finds the same probability as the actor."""
    space = gym.spaces.Box(-1, 1, (1,))
    distribution = distributions.for_space(space)
    parameters = np.array([[3.0, 0.0]], np.float32)
    action = np.array([[4.0]], np.float32)
    assert to_environment(space, "clip")(action) == 1
    expected = scipy.stats.norm.logpdf(4, 3, 0.5)
    np.testing.assert_allclose(distribution.log_prob(parameters, action), [expected], rtol=1e-5)


@pytest.mark.parametrize(("loc", "raw_scale"), [(0.0, 0.0), (1.5, 0.0), (-0.5, 1.0)])
def test_tanh_density_is_the_change_of_variables(loc, raw_scale):
    """It integrates to 1 over the bounds, and its integral up to any point is the normal's up to where that came from;
    minus the integral of p log p is the entropy."""
    distribution = distributions.for_space(gym.spaces.Box(-3, 5, (1,)), **TANH)
    bounded = np.linspace(-1, 1, 400_001)[1:-1]
    travelling = np.arctanh(bounded)
    parameters = np.tile(np.float32([loc, raw_scale]), (len(travelling), 1))
    log_prob = distribution.log_prob(parameters, travelling.astype(np.float32)[:, None]).numpy().astype(np.float64)
    density = np.exp(log_prob)
    up_to = scipy.integrate.cumulative_trapezoid(density, bounded, initial=0)
    _, std = normals(parameters[:1])
    np.testing.assert_allclose(up_to, scipy.stats.norm.cdf(travelling, loc, std[0, 0]), atol=1e-3)
    np.testing.assert_allclose(up_to[-1], 1, atol=1e-3)
    entropy = -np.trapezoid(density * log_prob, bounded)
    np.testing.assert_allclose(distribution.entropy(parameters[:1]), [entropy], atol=3e-3)


def test_tanh_is_safe_at_the_bounds():
    """A sample that float32 squashes to the bound itself keeps its probability and a finite gradient."""
    space = gym.spaces.Box(-1, 1, (1,))
    distribution = distributions.for_space(space, **TANH)
    parameters, action = tf.constant([[20.0, 0.0]]), np.array([[20.5]], np.float32)
    assert to_environment(space, "tanh")(action) == 1
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = distribution.log_prob(parameters, action)
    log_jacobian = 2 * (np.log(2) - 20.5 - np.log1p(np.exp(-41)))
    np.testing.assert_allclose(log_prob, [scipy.stats.norm.logpdf(20.5, 20, 0.5) - log_jacobian], rtol=1e-5)
    assert np.all(np.isfinite(tape.gradient(log_prob, parameters)))


def test_only_components_with_two_bounds_are_squashed():
    space = gym.spaces.Box(np.float32([-1, -1]), np.float32([1, INF]))
    distribution = distributions.for_space(space, **TANH)
    parameters, actions = random_parameters(distribution, 1), np.array([[0.3, 0.4]], np.float32)
    loc, std = normals(parameters)
    expected = scipy.stats.norm.logpdf(actions, loc, std).sum() - np.log(1 - np.tanh(0.3) ** 2)
    np.testing.assert_allclose(distribution.log_prob(parameters, actions), [expected], rtol=1e-4)
    expected = [[np.tanh(np.float32(0.3)), 0.4]]
    np.testing.assert_allclose(to_environment(space, "tanh")(actions), expected, rtol=1e-6)
    np.testing.assert_allclose(distribution.bounded(actions), expected, rtol=1e-6)


def test_actions_at_the_ends_of_the_float32_range_stay_in_the_space():
    for name in ("box", "float64", "infinite", "one_value"):
        space = SPACES[name]
        for bounds in ("clip", "tanh"):
            convert = to_environment(space, bounds)
            for value in (-3e38, -9.5, 9.5, 3e38):
                assert space.contains(convert(np.full((1, *space.shape), value, np.float32))[0]), (name, bounds, value)


def test_units_of_a_box():
    units = action_spaces.box_units(
        gym.spaces.Box(np.float32([-1, 0, 5, -INF, -9]), np.float32([3, 1, INF, -2, INF])), ""
    )
    np.testing.assert_array_equal(units.origin, [1, 0.5, 6, -3, 0])
    np.testing.assert_array_equal(units.unit, [2, 0.5, 1, 1, 1])


def test_encoding_of_a_box_is_the_bounded_action():
    space = gym.spaces.Box(np.float32([-3, 5, -INF]), np.float32([1, INF, INF]))
    actions = np.float32([[0.5, -4, -2], [7, 0.5, -40]])
    np.testing.assert_allclose(distributions.for_space(space).encode(actions), [[0.5, -1, -2], [1, 0.5, -10]])
    expected = [[np.tanh(0.5), -1, -2], [np.tanh(7), 0.5, -10]]
    np.testing.assert_allclose(distributions.for_space(space, **TANH).encode(actions), expected, rtol=1e-6)


def test_the_settings_of_a_box_reach_the_parts_of_a_tuple():
    settings = dict(action_bounds="tanh", action_scale="predicted", action_scale_init=0.2)
    box = gym.spaces.Box(-1, 1, (1,), np.float32)
    alone, joint = (distributions.for_space(x, **settings) for x in (box, gym.spaces.Tuple([box])))
    assert joint.num_free_parameters == alone.num_free_parameters == 0
    parameters, actions = random_parameters(joint, 5), np.full([5, 1], 0.7, np.float32)
    np.testing.assert_allclose(joint.log_prob(parameters, actions), alone.log_prob(parameters, actions), rtol=1e-6)
    np.testing.assert_allclose(joint.entropy(parameters), alone.entropy(parameters), rtol=1e-6)
