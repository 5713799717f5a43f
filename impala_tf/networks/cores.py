"""Has the recurrent cores. Their state is one tensor [B, S], so that it travels like any other row."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from impala_tf.support.checks import check_tensor


class Core(keras.layers.Layer):
    """A core runs a Keras cell over one row (`step`) or over an unroll (`unroll`), with the same variables.

    cell: LSTMCell or GRUCell.
    num_states: number of tensors [B, units] in the cell's state; the core's state has them side by side.

    state_size: S, the size of the state.
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
        """Computes one row.

        features: [B, F] float32, features of the row.
        first: [B] bool; where it is True, the state is taken as zeros.
        state: [B, S] float32, state before this row.

        Returns the output [B, units] and the state after this row [B, S], both float32.
        Raises ValueError when a dtype, rank or known size is wrong.
        """
        self._check_inputs(features, first, state, leading=first.shape[:1])
        state = tf.where(first[:, tf.newaxis], tf.zeros_like(state), state)
        output, states = self._cell(features, tf.split(state, self._num_states, axis=-1))
        return output, tf.concat(states, axis=-1)

    def unroll(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Computes all rows of an unroll, with the results that `step` would have one after the other.

        features, first: [T, B, ...], inputs of `step` at each row. state: [B, S] float32, state before row 0.
        Returns the outputs [T, B, units] float32.
        Raises ValueError when a dtype, rank or known size is wrong.
        """
        self._check_inputs(features, first, state, leading=first.shape[:2])
        # What does not depend on the row before is computed for all rows in one product, and so is its gradient. The
        # rest is a loop and not written out row by row for XLA's sake (docs/performance.md).
        projected = self._project(features)
        continues = tf.cast(tf.logical_not(first), state.dtype)[:, :, tf.newaxis]
        weights = self._recurrent_weights()

        def row(states, inputs):
            projected_t, continues_t = inputs
            return self._advance(projected_t, [continues_t * x for x in states], weights)

        states = tuple(tf.split(state, self._num_states, axis=-1))
        return tf.scan(row, (projected, continues), initializer=states)[0]

    def _check_inputs(self, features: tf.Tensor, first: tf.Tensor, state: tf.Tensor, leading: Sequence) -> None:
        """Raises ValueError for a wrong input. leading: [B] or [T, B], the leading dimensions of all inputs."""
        check_tensor("first", first, tf.bool, leading)
        check_tensor("features", features, tf.float32, [*leading, None])
        check_tensor("state", state, tf.float32, [leading[-1], self.state_size])

    def _project(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the part of the gates' inputs that comes from the features, [T, B, G]."""
        raise NotImplementedError

    def _recurrent_weights(self) -> list[tf.Tensor]:
        """Returns the weights that `_advance` needs, read once for all rows."""
        raise NotImplementedError

    def _advance(self, projected: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> tuple:
        """Returns the states after a row, the output first.

        projected: [B, G] float32, result of `_project` at the row. states: states before the row.
        """
        raise NotImplementedError


class LSTMCore(Core):
    """This is an LSTM whose forget gate starts with bias 1. Its state is (output, cell)."""

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
        # Keras has the gates in this order.
        gate_in, forget, candidate, gate_out = tf.split(projected + tf.matmul(output, weights[0]), 4, axis=-1)
        memory = tf.sigmoid(forget) * memory + tf.sigmoid(gate_in) * tf.tanh(candidate)
        return tf.sigmoid(gate_out) * tf.tanh(memory), memory


class GRUCore(Core):
    """This is a GRU as Keras and cuDNN have it: the reset gate multiplies the recurrent product (reset_after)."""

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
        # Keras has the gates in this order.
        update, reset, candidate = tf.split(projected, 3, axis=-1)
        recurrent_update, recurrent_reset, recurrent_candidate = tf.split(tf.matmul(output, kernel) + bias, 3, axis=-1)
        update = tf.sigmoid(update + recurrent_update)
        candidate = tf.tanh(candidate + tf.sigmoid(reset + recurrent_reset) * recurrent_candidate)
        return (update * output + (1.0 - update) * candidate,)


def make_core(core: str, units: int, seed: int) -> Core | None:
    """Makes the core that --core names: lstm, gru or none."""
    if core == "none":
        return None
    return {"lstm": LSTMCore, "gru": GRUCore}[core](units, seed)
