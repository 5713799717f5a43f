"""The corrections of Table 2: what each does to the targets and to the policy gradient."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.algorithms.actor_critic import LogProbs
from impala_tf.config import Config
from impala_tf.spaces import distributions
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))
UNCORRECTED = ("one_step", "epsilon", "none")
SETTINGS = dict(discounting=0.9, vtrace_lambda=0.8, entropy_cost=0.0, baseline_cost=1.0)


def loss_and_gradients(correction, unroll, parameters, baselines, **settings):
    """Metrics, the loss's gradient in the logits, and that in the baselines, each [T + 1, B, ...]."""
    config = Config(correction=correction, **(SETTINGS | settings))
    with tf.GradientTape() as tape:
        tape.watch([parameters, baselines])
        found = make_algorithm(config).loss(loss_inputs(unroll, (parameters, baselines), DISTRIBUTION, config))
    return SimpleNamespace(
        **found.metrics,
        advantage=found.advantage_tm1.numpy(),
        gradients=tape.gradient(found.total, [parameters, baselines]),
    )


def learner_outputs():
    random = np.random.default_rng(1)
    parameters = tf.constant(random.normal(size=(T + 1, B, A)), tf.float32)
    return parameters, tf.constant(random.normal(size=(T + 1, B)), tf.float32)


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def uncorrected(unroll, baselines):
    """lambda-returns and advantages as if pi had acted, in float64, backwards from the last row."""
    rows = unroll.env_outputs
    r, v = rows.reward.numpy()[1:], baselines.numpy().astype(np.float64)
    valid, d = ~rows.first.numpy()[1:], 0.9 * ~rows.terminated.numpy()[1:]
    vs, advantages = v.copy(), np.zeros((T, B))
    for t in reversed(range(T)):
        advantages[t] = valid[t] * (r[t] + d[t] * vs[t + 1] - v[t])
        vs[t] = v[t] + valid[t] * (r[t] + d[t] * v[t + 1] - v[t] + d[t] * 0.8 * (vs[t + 1] - v[t + 1]))
    return vs, advantages, valid


@pytest.mark.parametrize("correction", UNCORRECTED)
def test_the_loss_and_its_gradients_follow_the_equations(correction):
    unroll, (parameters, baselines) = make_unroll(), learner_outputs()
    vs, advantages, valid = uncorrected(unroll, baselines)
    pick = np.eye(A)[unroll.actions.numpy()]
    pi = softmax(parameters.numpy()[:-1].astype(np.float64))
    pi_of_action = (pi * pick).sum(-1)
    ratios = pi_of_action / (softmax(unroll.behaviour_parameters.numpy()) * pick).sum(-1)
    for threshold in (1.0, 1.3):
        assert 0.1 < (ratios[valid] > threshold).mean() < 0.9
    weights = np.minimum(ratios, 1.3) if correction == "one_step" else np.ones((T, B))
    epsilon = 1e-6 if correction == "epsilon" else 0.0

    got = loss_and_gradients(correction, unroll, parameters, baselines, clip_pg_rho_threshold=1.3)
    np.testing.assert_allclose(got.advantage, advantages, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        got.policy_gradient, -(weights * np.log(pi_of_action + epsilon) * advantages).sum(), rtol=1e-4
    )
    np.testing.assert_allclose(got.baseline, 0.5 * (valid * (vs - baselines.numpy())[:-1] ** 2).sum(), rtol=1e-4)
    # No gradient flows through weights and advantages.
    factor = weights * advantages * pi_of_action / (pi_of_action + epsilon)
    np.testing.assert_allclose(got.gradients[0][:-1], (pi - pick) * factor[..., None], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.gradients[1][:-1], valid * (baselines.numpy() - vs)[:-1], rtol=1e-3, atol=1e-5)
    # What is reported of the ratios is measured, whether they correct something or not.
    np.testing.assert_allclose(got.ratio_max, ratios[valid].max(), rtol=1e-4)
    np.testing.assert_allclose(got.ratio_clipped_fraction, (ratios[valid] > 1).mean(), rtol=1e-6)


@pytest.mark.parametrize("correction", UNCORRECTED)
def test_on_policy_all_are_vtrace(correction):
    parameters, baselines = learner_outputs()
    unroll = make_unroll()._replace(behaviour_parameters=parameters[:-1])
    got, expected = (loss_and_gradients(name, unroll, parameters, baselines) for name in (correction, "vtrace"))
    for mine, theirs in zip(got.gradients, expected.gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("correction", ["vtrace", *UNCORRECTED])
def test_a_step_that_is_not_valid_may_have_any_ratio(correction):
    unroll, (parameters, baselines) = make_unroll(), learner_outputs()
    reset = unroll.env_outputs.first[1:]
    impossible = tf.where(tf.cast(tf.one_hot(unroll.actions, A), tf.bool) & reset[..., None], -1e4, 0.0)
    unroll = unroll._replace(behaviour_parameters=unroll.behaviour_parameters + impossible)
    unclipped = dict(clip_rho_threshold=np.inf, clip_pg_rho_threshold=np.inf)
    got = loss_and_gradients(correction, unroll, parameters, baselines, **unclipped)
    assert np.isfinite(got.policy_gradient)
    np.testing.assert_array_equal(got.gradients[0][:-1][reset], 0)
    assert all(np.isfinite(gradient).all() for gradient in got.gradients)


def test_epsilon_is_added_to_the_probability():
    """Actions that pi hardly takes teach hardly anything, and a density may be above 1."""
    probabilities = np.array([1e-9, 1e-6, 1e-3, 1.0, 1e30])
    log_probs = tf.constant(np.log(probabilities), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        algorithm = make_algorithm(Config(correction="epsilon"))
        policy, _ = algorithm.policy_loss(None, None, LogProbs(log_probs, None, None), -1.0)
    np.testing.assert_allclose(policy, np.log(probabilities + 1e-6), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(tape.gradient(policy, log_probs), probabilities / (probabilities + 1e-6), rtol=1e-4)
