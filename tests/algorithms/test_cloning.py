"""CLEAR's cloning: which steps it is of, and its gradients."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.algorithms.cloning import cloning_terms
from impala_tf.config import Config
from impala_tf.spaces import distributions
from impala_tf.types import Marks
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))


def log_softmax(x):
    x = np.asarray(x, np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_the_term_and_its_gradients_follow_the_equation():
    """Two of four unrolls are replayed, with weights 0.5 and 2."""
    random = np.random.default_rng(3)
    unroll = make_unroll()._replace(behaviour_baselines=tf.constant(random.normal(size=(T, B, 1)), tf.float32))
    parameters = tf.constant(random.normal(size=(T + 1, B, A)), tf.float32)
    baselines = tf.constant(random.normal(size=(T + 1, B)), tf.float32)
    config = Config(clone_policy_cost=0.3, clone_baseline_cost=0.7, replay_fraction=0.5)
    marks = Marks(tf.constant([True, False, True, False]), tf.constant([1.0, 0.5, 1.0, 2.0]))
    (term,) = cloning_terms(config)
    with tf.GradientTape() as tape:
        tape.watch([parameters, baselines])
        total, metrics = term.loss(loss_inputs(unroll, (parameters, baselines), DISTRIBUTION, config, marks=marks))
    policy_gradient, baseline_gradient = tape.gradient(total, [parameters, baselines])

    weight = ~unroll.env_outputs.first.numpy()[1:] * np.array([0.0, 0.5, 0.0, 2.0])
    assert (weight[:, 1] == 0).any()
    log_mu, log_pi = log_softmax(unroll.behaviour_parameters), log_softmax(parameters)[:-1]
    kl = (np.exp(log_mu) * (log_mu - log_pi)).sum(-1)
    error = baselines.numpy()[:-1] - unroll.behaviour_baselines.numpy()[..., 0]
    np.testing.assert_allclose(metrics["clone_policy"], 0.3 * (weight * kl).sum(), rtol=1e-4)
    np.testing.assert_allclose(metrics["clone_baseline"], 0.7 * (weight * error**2).sum(), rtol=1e-4)
    np.testing.assert_allclose(total, metrics["clone_policy"] + metrics["clone_baseline"], rtol=1e-6)
    expected = 0.3 * weight[..., None] * (np.exp(log_pi) - np.exp(log_mu))
    np.testing.assert_allclose(policy_gradient[:-1], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(baseline_gradient[:-1], 0.7 * 2 * weight * error, rtol=1e-4, atol=1e-6)


def test_without_a_cost_there_is_no_term():
    assert cloning_terms(Config()) == []


def test_the_policy_alone_needs_no_recorded_baselines():
    config = Config(clone_policy_cost=0.3, replay_fraction=0.5)
    (term,) = cloning_terms(config)
    outputs = tf.zeros([T + 1, B, A]), tf.zeros([T + 1, B])
    marks = Marks(tf.zeros([B], tf.bool), tf.ones([B]))
    total, metrics = term.loss(loss_inputs(make_unroll(), outputs, DISTRIBUTION, config, marks=marks))
    assert total == metrics["clone_policy"] > 0 == metrics["clone_baseline"]
