"""Texts as observations: the paper's encoder of instructions, its gradients, and A3C's workers."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.learning.gradients import GradientWorker
from impala_tf.learning.objective import Objective
from impala_tf.learning.optimizers import hyperparameters_of
from impala_tf.networks import InstructionEncoder, make_agent
from tests.support.unrolls import A, B, T, in_groups, make_unroll


def test_a_worker_of_a3c_hands_on_gradients_of_texts():
    unroll = make_unroll()
    texts = np.array([["go left", "go to the red door", "", "left"]] * (T + 1), object)
    unroll = unroll._replace(env_outputs=unroll.env_outputs._replace(observation=tf.constant(texts)))
    config = Config(separate_value_network=False, policy_init_scale=1.0)
    agent = make_agent(config, gym.spaces.Text(30), gym.spaces.Discrete(A))
    worker = GradientWorker(Objective(make_algorithm(config), agent), xla=False)
    *_, gradients = worker.gradients(in_groups(unroll), hyperparameters_of(config))
    assert all(isinstance(gradient, tf.Tensor) for gradient in gradients)
    embedding = gradients[0].numpy()
    assert embedding.shape == (1000, 20)
    words = {"go", "left", "to", "the", "red", "door", ""}
    assert np.count_nonzero(np.abs(embedding).sum(axis=1)) == len(words)
    assert texts.shape[1] == B


def test_words_are_read_in_their_order():
    encoder = InstructionEncoder(seed=1)
    one, other, spaced = encoder(tf.constant(["left of red", "red of left", " left  of\tred "]))
    np.testing.assert_allclose(one, spaced, rtol=1e-5)
    assert np.abs(one - other).max() > 1e-3


def test_initial_embeddings():
    encoder = InstructionEncoder(seed=1)
    encoder(tf.constant(["left"]))
    table = encoder.trainable_variables[0].numpy()
    assert table.shape == (1000, 20)
    np.testing.assert_allclose([table.mean(), table.std()], [0, 1], atol=0.03)
