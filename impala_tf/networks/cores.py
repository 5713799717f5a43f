"""Recurrent cores. Their state is one tensor [B, S], so that it travels like any other row."""

import keras
import tensorflow as tf


class LSTMCore(keras.layers.Layer):
    """An LSTM (forget bias 1) whose state [B, 2 * units], (output, cell) side by side, is zeroed at `first` rows."""

    def __init__(self, units: int, seed: int):
        super().__init__()
        self.state_size = 2 * units
        self._cell = keras.layers.LSTMCell(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        )

    def build(self, input_shape):
        self._cell.build(input_shape)
        self.built = True

    def step(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """features: [B, F] float32, first: [B] bool, state: [B, S] before this row -> ([B, units], state after it)."""
        state = tf.where(first[:, tf.newaxis], tf.zeros_like(state), state)
        output, state = self._cell(features, tf.split(state, 2, axis=-1))
        return output, tf.concat(state, axis=-1)

    def unroll(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """features: [T, B, F], first: [T, B], state: [B, S] before row 0 -> outputs [T, B, units]."""

        def row(carry, inputs):
            features_t, first_t = inputs
            return self.step(features_t, first_t, carry[1])

        nothing = tf.zeros([tf.shape(state)[0], self.state_size // 2])
        nothing = tf.ensure_shape(nothing, [state.shape[0], self.state_size // 2])
        outputs, _ = tf.scan(row, (features, first), initializer=(nothing, state))
        return outputs
