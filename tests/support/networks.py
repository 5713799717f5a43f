"""Agents, their inputs, and their policy and baseline computed by hand."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.networks.moments import only_own
from tests.support.numpy_layers import randomise


def frame_space(shape, dtype):
    """A Box of images."""
    high = {np.uint8: 255, np.bool_: 1}.get(dtype, np.inf)
    return gym.spaces.Box(0 if high != np.inf else -np.inf, high, shape, dtype)


def agent_with_random_weights(observation_space, action_space, num_tasks=1, **settings):
    """The agent and numpy copies of its weights, biases included."""
    settings = dict(hidden_sizes=(5,), policy_init_scale=1.0) | settings
    agent = make_agent(Config(**settings), observation_space, action_space, num_tasks=num_tasks)
    return agent, randomise(agent.variables)


def inputs_of_step(agent, observation, reward=None, last_action=None, first=None):
    """Inputs of `Agent.step` for these observations, zeros where nothing is given; without the seed."""
    batch = len(tf.nest.flatten(observation)[0])
    distribution = agent.distribution
    action_shape = [batch, *distribution.action_shape]
    zeros = (
        np.zeros(batch, np.float32),
        np.zeros(action_shape, distribution.action_dtype.as_numpy_dtype),
        np.zeros(batch, bool),
    )
    given = (reward, last_action, first)
    rows = [tf.constant(zero if x is None else np.asarray(x, zero.dtype)) for x, zero in zip(given, zeros, strict=True)]
    return tf.nest.map_structure(tf.constant, observation), *rows, agent.initial_state(batch)


def update_observation_statistics(agent, rows):
    """Takes the observations of rows [T + 1, B, ...] into the statistics, as a learner that is alone."""
    agent.merge_observation_moments(_moments(agent, rows, tf.zeros([rows.first.shape[1]], tf.int32)))


def update_return_statistics(agent, rows, task):
    """Takes the discounted returns of rows [T + 1, B] into the statistics, as a learner that is alone."""
    agent.merge_return_moments(_moments(agent, rows, task))


def _moments(agent, rows, task):
    return only_own(agent.row_moments(rows, task, tf.ones([rows.first.shape[1]], tf.bool)))
