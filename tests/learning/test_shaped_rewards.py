"""Shaped rewards: what is learned from changes, what is reported does not; potentials change no advantage."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

import impala_tf
from impala_tf.algorithms.impala import Impala
from impala_tf.config import Config, SettingError
from impala_tf.learning.objective import shaped_rewards
from impala_tf.spaces import distributions
from tests.support.runs import TINY, metrics_of
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

GAMMA = 0.9


def potential(observation):
    return 3 * tf.sin(observation[..., 0]) + 1


def shape_rewards(unroll):
    """The example in the docstring of `impala_tf.train`."""
    rows, phi = unroll.env_outputs, potential(unroll.env_outputs.observation)
    phi_t = tf.where(rows.terminated, 0.0, phi)
    return rows.reward + tf.concat([phi[:1] * 0, GAMMA * phi_t[1:] - phi[:-1]], axis=0)


def test_potentials_change_no_advantage():
    """A baseline of V - phi gives the same advantages as V does without shaping, also at ends, limits and resets."""
    unroll = make_unroll()
    observation = tf.random.stateless_normal([T + 1, B, 1], [1, 2])
    rows = unroll.env_outputs._replace(observation=observation)
    unroll = unroll._replace(env_outputs=rows)
    shaped = unroll._replace(env_outputs=rows._replace(reward=shaped_rewards(shape_rewards, unroll)))
    assert np.abs(shaped.env_outputs.reward - rows.reward).max() > 1
    parameters = tf.random.stateless_normal([T + 1, B, A], [3, 4])
    baselines = tf.random.stateless_normal([T + 1, B], [5, 6])
    config = Config(discounting=GAMMA)
    distribution = distributions.for_space(gym.spaces.Discrete(A))
    advantages = [
        Impala.from_config(config).loss(loss_inputs(given, (parameters, v), distribution, config)).advantage_tm1
        for given, v in ((unroll, baselines), (shaped, baselines - potential(observation)))
    ]
    np.testing.assert_allclose(*advantages, atol=1e-5)
    assert np.any(np.abs(advantages[0]) > 0.5)


def test_reported_returns_stay_those_of_the_environment(tmp_path):
    config = Config(logdir=str(tmp_path), total_environment_frames=1000, log_every_secs=0.05, **TINY)
    impala_tf.train(config, shape_rewards=lambda unroll: unroll.env_outputs.reward * 1000)
    metrics = metrics_of(tmp_path)
    ended = metrics["episode_return"] > 0
    np.testing.assert_array_equal(metrics["episode_return"][ended], metrics["episode_length"][ended])
    assert metrics["baseline"].max() > 1e6, "squared errors of returns in thousands"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda unroll: unroll.env_outputs.reward[1:], r"returned float32 \(5, 4\); must be the rewards of all rows"),
        (lambda unroll: unroll.env_outputs.terminated, r"returned bool \(6, 4\); must be"),
        (lambda unroll: unroll.reward, r"failed: AttributeError: .* \(.*test_shaped_rewards.py, line \d+\)"),
    ],
)
def test_wrong_functions(function, message):
    with pytest.raises(SettingError, match=f"^shape_rewards: {message}") as error:
        shaped_rewards(function, make_unroll())
    assert "\n" not in str(error.value)
