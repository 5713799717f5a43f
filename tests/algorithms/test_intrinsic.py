"""Intrinsic rewards are a second stream through the same V-trace, which does not end with the episodes."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.spaces import distributions
from impala_tf.types import Intrinsic, Marks
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))
SCALE, DISCOUNTING = 0.7, 0.8
MARKS = Marks(tf.constant([True, False, True, True]), tf.constant([1.0, 0.5, 2.0, 1.0]))


def make_intrinsic():
    reward, baselines = (tf.random.stateless_normal([T + 1, B], [7, i]) for i in range(2))
    return Intrinsic(tf.square(reward), reward, baselines, DISCOUNTING, SCALE)


@pytest.mark.parametrize(("name", "time_limits"), [("impala", True), ("impala", False), ("ppo", True)])
def test_the_two_streams(name, time_limits):
    """The intrinsic one is that of an unroll without ends, in which a reset is a step of ratio 1."""
    config = Config(algorithm=name, discounting=0.9, bootstrap_at_time_limits=time_limits)
    intrinsic, unroll = make_intrinsic(), make_unroll()
    parameters = tf.random.stateless_normal([T + 1, B, A], [3, 4])
    baselines = tf.random.stateless_normal([T + 1, B], [5, 6])

    def loss(unroll, baselines, settings=config, **fields):
        inputs = loss_inputs(unroll, (parameters, baselines), DISTRIBUTION, settings, marks=MARKS, **fields)
        return make_algorithm(settings).loss(inputs)

    both, task = loss(unroll, baselines, intrinsic=intrinsic), loss(unroll, baselines)
    rows, valid = unroll.env_outputs, ~unroll.env_outputs.first[1:].numpy()
    nothing = tf.zeros_like(rows.first)
    behaviour = tf.where(valid[..., None], unroll.behaviour_parameters, parameters[:-1])
    endless = unroll._replace(
        env_outputs=rows._replace(reward=intrinsic.reward, terminated=nothing, truncated=nothing, first=nothing),
        behaviour_parameters=behaviour,
    )
    new = loss(endless, intrinsic.baselines, Config(algorithm=name, discounting=DISCOUNTING))
    assert not valid.all()
    assert np.any(np.abs(new.advantage_tm1[~valid]) > 0.1), "there is something to leave out"
    expected = task.advantage_tm1 + SCALE * np.where(valid, new.advantage_tm1, 0)
    np.testing.assert_allclose(both.advantage_tm1, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both.metrics["baseline"], task.metrics["baseline"] + new.metrics["baseline"], rtol=1e-5)
    if name == "impala":
        log_prob = DISTRIBUTION.log_prob(parameters[:-1], unroll.actions)
        expected = -tf.reduce_sum(np.where(valid, MARKS.weight, 0) * log_prob * both.advantage_tm1)
        np.testing.assert_allclose(both.metrics["policy_gradient"], expected, rtol=1e-4)
    assert both.metrics.keys() == task.metrics.keys()


def test_intrinsic_rewards_clip_and_end_nothing():
    """The settings of the task's rewards are not those of the intrinsic ones."""
    intrinsic, unroll = make_intrinsic(), make_unroll()
    outputs = tf.zeros([T + 1, B, A]), tf.zeros([T + 1, B])
    rows = unroll.env_outputs
    quiet = unroll._replace(env_outputs=rows._replace(reward=tf.zeros_like(rows.reward)))
    advantages = [
        make_algorithm(config)
        .loss(loss_inputs(quiet, outputs, DISTRIBUTION, config, intrinsic=intrinsic))
        .advantage_tm1
        for config in (Config(), Config(reward_clipping="abs_one", discounting=0.5))
    ]
    np.testing.assert_array_equal(*advantages)
    assert np.any(advantages[0] != 0)


def test_intrinsic_rewards_of_another_shape_are_named():
    intrinsic = make_intrinsic()._replace(reward=tf.zeros([T, B]))
    outputs = tf.zeros([T + 1, B, A]), tf.zeros([T + 1, B])
    inputs = loss_inputs(make_unroll(), outputs, DISTRIBUTION, Config(), intrinsic=intrinsic)
    with pytest.raises(ValueError, match=r"intrinsic.reward must have shape \(6, 4\), got \(5, 4\)"):
        make_algorithm(Config()).loss(inputs)
