"""LASER's trust region: which steps are in it, and what those outside take part in."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.algorithms.impala import Impala
from impala_tf.config import Config
from impala_tf.spaces import distributions
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))
FAR = 3  # The first unroll's policy is far from the learner's at this row.


def batch(far):
    """A batch whose policies are near the learner's, but at the rows `far` [T, B]; no episode ends."""
    unroll = make_unroll()
    no = tf.zeros([T + 1, B], tf.bool)
    rows = unroll.env_outputs._replace(first=no, terminated=no, truncated=no)
    parameters = tf.random.stateless_normal([T + 1, B, A], [1, 2])
    near = parameters[:-1] + 0.1 * unroll.behaviour_parameters
    # Nearly always the learner's least probable action, so that KL(mu || pi) is about log 3 at least.
    least = tf.one_hot(tf.argmin(parameters[:-1], axis=-1), A, on_value=9.0)
    return unroll._replace(env_outputs=rows, behaviour_parameters=tf.where(far[..., None], least, near)), parameters


def loss_of(unroll, parameters, **settings):
    """The loss and its gradients to parameters and baselines."""
    config = Config(discounting=0.9, **settings)
    baselines = tf.random.stateless_normal([T + 1, B], [3, 4])
    with tf.GradientTape() as tape:
        tape.watch([parameters, baselines])
        loss = Impala.from_config(config).loss(loss_inputs(unroll, (parameters, baselines), DISTRIBUTION, config))
    return loss, *(x.numpy()[:-1] for x in tape.gradient(loss.total, [parameters, baselines]))


def far_at(*rows_and_envs):
    far = np.zeros((T, B), bool)
    for row, env in rows_and_envs:
        far[row, env] = True
    return far


def test_steps_from_the_first_far_one_on_teach_nothing():
    loss, policy, baseline = loss_of(*batch(far_at((FAR, 0))), trust_region=1.0, entropy_cost=0.0)
    for gradient in (np.abs(policy).sum(-1), np.abs(baseline), np.abs(loss.advantage_tm1)):
        np.testing.assert_array_equal(gradient[:, 0] > 0, np.arange(T) < FAR)
        assert (gradient[:, 1:] > 0).all()


def test_the_trace_ends_at_the_first_far_step():
    """The rewards behind it are in no target before it; its own step is, by its clipped ratio."""
    unroll, parameters = batch(far_at((FAR, 0)))
    rewards = unroll.env_outputs.reward.numpy()
    before = loss_of(unroll, parameters, trust_region=1.0)[0].advantage_tm1.numpy()

    def changed(row):
        other = rewards.copy()
        other[row] += 100.0
        rows = unroll.env_outputs._replace(reward=tf.constant(other))
        after = loss_of(unroll._replace(env_outputs=rows), parameters, trust_region=1.0)[0].advantage_tm1.numpy()
        return np.abs(after - before)[0] > 1e-3

    np.testing.assert_array_equal(changed(FAR + 2), [False, True, True, True])  # Step FAR + 1 leads to this row.
    assert changed(FAR).all()


def test_entropy_is_that_of_all_steps():
    far = far_at((0, 0), (0, 1), (0, 2), (0, 3))
    within, without = (loss_of(*batch(far), entropy_cost=0.1, trust_region=b)[0] for b in (1.0, np.inf))
    assert within.metrics["policy_gradient"] == within.metrics["baseline"] == 0
    assert within.metrics["entropy"] == without.metrics["entropy"] != 0


def test_a_new_episode_is_trusted_again():
    unroll, parameters = batch(far_at((0, 0), (2, 0), (4, 1)))
    first = np.zeros((T + 1, B), bool)
    first[2, 0] = True  # Step 1 resets; rows 2 to 5 are another episode, far at its first row too.
    first[3, 1] = True
    unroll = unroll._replace(env_outputs=unroll.env_outputs._replace(first=tf.constant(first)))
    _, _, baseline = loss_of(unroll, parameters, trust_region=1.0)
    taught = np.abs(baseline) > 0
    np.testing.assert_array_equal(taught[:, 0], [False] * 5)
    np.testing.assert_array_equal(taught[:, 1], [True, True, False, True, False])
    unroll, parameters = batch(far_at((0, 0)))
    unroll = unroll._replace(env_outputs=unroll.env_outputs._replace(first=tf.constant(first)))
    _, _, baseline = loss_of(unroll, parameters, trust_region=1.0)
    np.testing.assert_array_equal(np.abs(baseline[:, 0]) > 0, [False, False, True, True, True])
