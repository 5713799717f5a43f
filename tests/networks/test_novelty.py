"""The networks of random network distillation: what they see, and which of them learn."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks.novelty import NoveltyNetworks
from impala_tf.spaces.observation_spaces import leaves
from tests.support.environments import Nested

BOX = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)


def test_inputs_are_normalised_by_the_moments_of_valid_rows():
    networks = NoveltyNetworks(Config(), BOX)
    observation = np.random.default_rng(0).normal([5, -3], [10, 0.1], (100, 2))
    valid = np.arange(100) % 3 > 0
    networks.update(tf.constant(observation), tf.constant(valid))
    (inputs,) = networks.prepare(tf.constant(observation))
    seen = observation[valid]
    expected = np.clip((observation - seen.mean(0)) / seen.std(0), -5, 5)
    np.testing.assert_allclose(inputs, expected, rtol=1e-3, atol=1e-3)
    (far,) = networks.prepare(tf.constant([[1e9, -1e9]], tf.float64))
    np.testing.assert_array_equal(far, [[5, -5]])


def test_errors_are_those_of_the_predictor():
    networks = NoveltyNetworks(Config(hidden_sizes=(8,)), BOX)
    inputs = (tf.random.stateless_normal([7, 2], [1, 2]),)
    errors = networks.errors(inputs)
    assert errors.shape == (7,)
    expected = np.square(networks._predictor(inputs) - networks._target(inputs)).mean(-1)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    weights = [v.value for v in networks.keras_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(networks.errors(inputs)) + tf.reduce_sum(networks.baselines(inputs))
        target = [v.value for v in networks.keras_statistics if "dense" in v.path]
        tape.watch(target)
    gradients = tape.gradient(loss, [*weights, *target])
    assert all(np.any(gradient != 0) for gradient in gradients[: len(weights)])
    assert all(gradient is None for gradient in gradients[len(weights) :]), "the target is fixed"
    assert len(target) == 4
    assert all(np.any(v != 0) for v in target), "biases too are random"


def test_seeds_decide_the_networks():
    def errors(seed):
        return NoveltyNetworks(Config(seed=seed), BOX).errors((tf.ones([1, 2]),)).numpy()

    assert errors(1) == errors(1) != errors(2)


def test_a_nested_observation_without_its_text_and_mask():
    space = gym.spaces.Dict({**Nested.observation_space.spaces, "action_mask": gym.spaces.MultiBinary(3)})
    networks = NoveltyNetworks(Config(network="tests.nowhere:torso"), space)
    env = Nested()
    batch = []
    for t in range(3):
        env.t = t
        batch.append({**env.observe(), "text": b"x" * t, "action_mask": np.ones(3, np.int8)})
    observation = tf.nest.map_structure(lambda *parts: tf.constant(np.stack(parts)), *batch)
    networks.update(observation, tf.ones([3], tf.bool))
    inputs = networks.prepare(observation)
    assert len(inputs) == len(leaves(space)) - 2
    errors = networks.errors(inputs)
    assert errors.shape == networks.baselines(inputs).shape == (3,)
    assert len(np.unique(errors)) == 3
    frames = next(x for x in inputs if x.shape[1:] == (20, 22, 3))
    np.testing.assert_allclose(np.unique(frames), [-1.2247, 0, 1.2247], atol=1e-3)
