"""Unrolls and batches with known shapes, made without environments."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.experience.marks import all_fresh
from impala_tf.learning.learner import Learner
from impala_tf.networks import make_agent
from impala_tf.types import TIME_MAJOR_FIELDS, EnvOutput, LossCosts, LossInputs, NetworkOutputs, Unroll

T, B, A = 5, 4, 3


def make_unroll(seed=0):
    random = np.random.default_rng(seed)
    terminated = np.zeros((T + 1, B), bool)
    truncated = np.zeros((T + 1, B), bool)
    terminated[2, 0] = truncated[3, 1] = terminated[5, 2] = True
    first = np.zeros((T + 1, B), bool)
    first[3, 0] = first[4, 1] = first[0, 3] = True
    rows = EnvOutput(
        reward=tf.constant(random.normal(size=(T + 1, B)) * 3, tf.float32),
        terminated=tf.constant(terminated),
        truncated=tf.constant(truncated),
        first=tf.constant(first),
        observation=tf.zeros([T + 1, B, 1]),
        episode_return=tf.zeros([T + 1, B]),
        episode_steps=tf.zeros([T + 1, B], tf.int32),
        discounted_return=tf.zeros([T + 1, B]),
    )
    return Unroll(
        env_outputs=rows,
        actions=tf.constant(random.integers(A, size=(T, B))),
        behaviour_parameters=tf.constant(random.normal(size=(T, B, A)), tf.float32),
        behaviour_baselines=tf.zeros([T, B, 0]),
        last_action=tf.zeros([B], tf.int64),
        core_state=tf.zeros([B, 0]),
        policy_version=tf.zeros([B], tf.int64),
        actor=tf.zeros([B], tf.int32),
        task=tf.zeros([B], tf.int32),
    )


def in_groups(unroll):
    """A batch as the queue gives it: two groups of two unrolls."""

    def split(axis):
        return lambda x: tf.stack(tf.split(x, 2, axis))

    return Unroll(
        *(
            tf.nest.map_structure(split(1 if name in TIME_MAJOR_FIELDS else 0), leaf)
            for name, leaf in unroll._asdict().items()
        )
    )


ACTIONS = gym.spaces.Discrete(3)


OBSERVATIONS = gym.spaces.Box(-1, 1, (1,), np.float32)


def make_learner(make_torso=None, **settings):
    config = Config(**({"xla": "off", "policy_init_scale": 1.0} | settings))
    return Learner(config, make_agent(config, OBSERVATIONS, ACTIONS, make_torso), make_algorithm(config), "/CPU:0")


def make_batch(seed=0, state_size=0):
    unroll = make_unroll(seed)
    observation = tf.random.stateless_normal(unroll.env_outputs.observation.shape, [seed, 1])
    core_state = tf.random.stateless_normal([B, state_size], [seed, 2])
    rows = unroll.env_outputs._replace(observation=observation)
    return in_groups(unroll._replace(env_outputs=rows, core_state=core_state))


def loss_inputs(unroll, outputs, distribution, config, **fields):
    """Inputs of an algorithm's loss. outputs: (parameters, baselines) of the learner's network."""
    inputs = dict(
        unroll=unroll,
        outputs=NetworkOutputs(*outputs),
        target=None,
        distribution=distribution,
        costs=LossCosts(entropy=config.entropy_cost, baseline=config.baseline_cost, kl=config.kl_cost, teacher=0.0),
        marks=all_fresh(unroll.task.shape[0]),
        network_reward=unroll.env_outputs.reward,
    )
    return LossInputs(**(inputs | fields))
