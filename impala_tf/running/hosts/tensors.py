"""Makes tensors of numpy arrays without a copy."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from impala_tf.support.graphs import direct_call
from impala_tf.types import Unroll


class TensorsOfArrays:
    """Arrays that leave a graph become tensors as they are, if they begin at a multiple of 64 bytes.

    tf.convert_to_tensor copies them, and takes longer for an unroll's many small arrays, too. Only one thread may use
    an object of this class.
    """

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []
        self._call: Callable | None = None

    def __call__(self, unroll: Unroll) -> Unroll:
        """Returns the unroll as tensors that share its arrays' memory. Every call needs the same dtypes."""
        self._arrays = tf.nest.flatten(unroll)
        if self._call is None:
            types = [tf.as_dtype(array.dtype) if array.dtype != object else tf.string for array in self._arrays]
            self._call = direct_call(lambda: tf.numpy_function(lambda: self._arrays, [], types), [])
        tensors = self._call([])
        self._arrays = []
        return tf.nest.pack_sequence_as(unroll, tensors)
