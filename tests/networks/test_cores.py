"""LSTM and GRU by hand, from their equations."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.networks import GRUCore, LSTMCore
from tests.support.numpy_layers import randomise, sigmoid

UNITS, B = 4, 3


def lstm(x, state, weights):
    """Hochreiter & Schmidhuber 1997 with forget gates; Keras orders the gates input, forget, candidate, output."""
    kernel, recurrent, bias = weights
    output, memory = np.split(state, 2, axis=-1)
    i, f, c, o = np.split(x @ kernel + output @ recurrent + bias, 4, axis=-1)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
    output = sigmoid(o) * np.tanh(memory)
    return output, np.concatenate([output, memory], axis=-1)


def gru(x, state, weights):
    """Cho et al. 2014 as cuDNN has it; Keras' order of the gates is update, reset, candidate."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    z, r, c = np.split(x @ kernel + bias, 3, axis=-1)
    recurrent_z, recurrent_r, recurrent_c = np.split(state @ recurrent + recurrent_bias, 3, axis=-1)
    z = sigmoid(z + recurrent_z)
    c = np.tanh(c + sigmoid(r + recurrent_r) * recurrent_c)
    output = z * state + (1 - z) * c
    return output, output


@pytest.mark.parametrize(("kind", "by_hand"), [(LSTMCore, lstm), (GRUCore, gru)])
def test_cores_by_hand(kind, by_hand):
    """Rows of `step` and of `unroll`; where an episode begins the state is zeros."""
    core = kind(UNITS, seed=1)
    core.build((None, 5))
    weights = randomise(core.trainable_variables, scale=2.0)
    random = np.random.default_rng(1)
    features = random.normal(size=(4, B, 5))
    initial = random.normal(size=(B, core.state_size))
    first = np.zeros((4, B), bool)
    first[0, 0] = first[2, 1] = True
    as_tensors = [tf.constant(x, tf.float32) for x in (features, initial)]
    unrolled = core.unroll(as_tensors[0], tf.constant(first), as_tensors[1])
    state, state_of_core = initial, as_tensors[1]
    for t in range(4):
        output, state = by_hand(features[t], np.where(first[t][:, None], 0.0, state), weights)
        got, state_of_core = core.step(as_tensors[0][t], tf.constant(first[t]), state_of_core)
        np.testing.assert_allclose(got, output, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state_of_core, state, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(unrolled[t], output, rtol=1e-4, atol=1e-5)


def test_wrong_inputs_are_named():
    core = LSTMCore(UNITS, seed=1)
    features, first, state = tf.zeros([B, 5]), tf.zeros([B], tf.bool), tf.zeros([B, 8])
    core.step(features, first, state)
    with pytest.raises(ValueError, match="first must be bool, got float32"):
        core.step(features, tf.zeros([B]), state)
    with pytest.raises(ValueError, match=r"features must have shape \(3, None\), got \(2, 5\)"):
        core.step(features[:2], first, state)
    with pytest.raises(ValueError, match=r"state must have shape \(3, 8\), got \(3, 4\)"):
        core.step(features, first, state[:, :4])
    with pytest.raises(ValueError, match=r"features must have shape \(1, 3, None\), got \(3, 5\)"):
        core.unroll(features, first[tf.newaxis], state)
