"""Texts as observations: the paper's encoder of instructions, its gradients, and A3C's workers."""

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.learning.learner import GradientWorker
from impala_tf.networks import InstructionEncoder, make_agent
from impala_tf.networks.torsos import Embedding
from tests.support.unrolls import A, B, T, in_groups, make_unroll


def test_an_embedding_has_the_gradient_of_a_product_with_one_hot_rows():
    ours = Embedding(7, 3)
    indices = tf.constant([[1, 5, 1], [6, 0, 1]])  # 1 comes three times, 2 to 4 never.
    weights = tf.random.stateless_normal([2, 3, 3], [1, 2])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(ours(indices) * weights)
    (gradient,) = tape.gradient(total, [v.value for v in ours.trainable_variables])
    assert isinstance(gradient, tf.Tensor)
    one_hot = np.eye(7)[indices.numpy()]
    np.testing.assert_allclose(gradient, np.einsum("nwr,nwf->rf", one_hot, weights), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours(indices), keras.ops.take(ours.embeddings, indices, axis=0))


def test_a_worker_of_a3c_hands_on_gradients_of_texts():
    unroll = make_unroll()
    texts = np.array([["go left", "go to the red door", "", "left"]] * (T + 1), object)
    unroll = unroll._replace(env_outputs=unroll.env_outputs._replace(observation=tf.constant(texts)))
    config = Config(separate_value_network=False, policy_init_scale=1.0)
    agent = make_agent(config, gym.spaces.Text(30), gym.spaces.Discrete(A))
    _, gradients = GradientWorker(config, agent).gradients(in_groups(unroll))
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
