"""Recurrent cores. Their state is one tensor [B, S], so that it travels like any other row."""

import keras
import tensorflow as tf

from impala_tf.config import Config


class Core(keras.layers.Layer):
    """A Keras cell over a row (`step`), and what it computes over an unroll (`unroll`), with the same variables.

    cell: an LSTMCell or GRUCell. num_states: its state consists of so many tensors [B, units], side by side in ours.
    """

    def __init__(self, cell: keras.layers.Layer, num_states: int):
        super().__init__()
        self.state_size = num_states * cell.units
        self._cell = cell
        self._num_states = num_states

    def build(self, input_shape):
        self._cell.build(input_shape)
        self.built = True

    def step(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """features: [B, F] float32, first: [B] bool, state: [B, S] before this row -> ([B, units], state after it).

        The state is taken as zeros where `first`.
        """
        state = tf.where(first[:, tf.newaxis], tf.zeros_like(state), state)
        output, states = self._cell(features, tf.split(state, self._num_states, axis=-1))
        return output, tf.concat(states, axis=-1)

    def unroll(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """features: [T, B, F], first: [T, B], state: [B, S] before row 0 -> outputs [T, B, units], as by `step`."""
        # What does not depend on the row before is computed for all rows in one product, and so is its gradient. That
        # the rest is a loop and not written out row by row is for XLA's sake (docs/performance.md).
        projected = self._project(features)
        continues = tf.cast(tf.logical_not(first), state.dtype)[:, :, tf.newaxis]
        weights = self._recurrent_weights()

        def row(states, inputs):
            projected_t, continues_t = inputs
            return self._advance(projected_t, [continues_t * x for x in states], weights)

        states = tuple(tf.split(state, self._num_states, axis=-1))
        return tf.scan(row, (projected, continues), initializer=states)[0]

    def _project(self, features: tf.Tensor) -> tf.Tensor:
        """The inputs' part of what goes into the gates, [T, B, G]."""
        raise NotImplementedError

    def _recurrent_weights(self) -> list[tf.Tensor]:
        raise NotImplementedError

    def _advance(self, projected: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> tuple:
        """The states after a row, the output first. projected: [B, G]; states: before the row."""
        raise NotImplementedError


class LSTMCore(Core):
    """An LSTM (forget bias 1). State: (output, cell)."""

    def __init__(self, units: int, seed: int):
        cell = keras.layers.LSTMCell(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        )
        super().__init__(cell, num_states=2)

    def _project(self, features):
        return tf.tensordot(features, self._cell.kernel, axes=1) + self._cell.bias

    def _recurrent_weights(self):
        return [tf.convert_to_tensor(self._cell.recurrent_kernel)]

    def _advance(self, projected, states, weights):
        output, memory = states
        # Keras' order of the gates.
        gate_in, forget, candidate, gate_out = tf.split(projected + tf.matmul(output, weights[0]), 4, axis=-1)
        memory = tf.sigmoid(forget) * memory + tf.sigmoid(gate_in) * tf.tanh(candidate)
        return tf.sigmoid(gate_out) * tf.tanh(memory), memory


class GRUCore(Core):
    """A GRU as Keras and cuDNN have it: the reset gate multiplies the recurrent product (reset_after)."""

    def __init__(self, units: int, seed: int):
        cell = keras.layers.GRUCell(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
            reset_after=True,
        )
        super().__init__(cell, num_states=1)

    def _project(self, features):
        return tf.tensordot(features, self._cell.kernel, axes=1) + self._cell.bias[0]

    def _recurrent_weights(self):
        return [tf.convert_to_tensor(self._cell.recurrent_kernel), tf.convert_to_tensor(self._cell.bias)[1]]

    def _advance(self, projected, states, weights):
        (output,) = states
        kernel, bias = weights
        # Keras' order of the gates.
        update, reset, candidate = tf.split(projected, 3, axis=-1)
        recurrent_update, recurrent_reset, recurrent_candidate = tf.split(tf.matmul(output, kernel) + bias, 3, axis=-1)
        update = tf.sigmoid(update + recurrent_update)
        candidate = tf.tanh(candidate + tf.sigmoid(reset + recurrent_reset) * recurrent_candidate)
        return (update * output + (1.0 - update) * candidate,)


def make_core(config: Config, seed: int) -> Core | None:
    """The core that --core names."""
    if config.core == "none":
        return None
    return {"lstm": LSTMCore, "gru": GRUCore}[config.core](config.core_size, seed)
