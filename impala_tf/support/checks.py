"""Checks tensors at the start of public numeric functions."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def check_tensor(name: str, tensor: Any, dtype: tf.DType | None, shape: Sequence[int | None] | tf.TensorShape) -> None:
    """Raises ValueError, in one line that names the tensor, when its dtype, rank or a known size is wrong.

    dtype: right dtype; None allows any.
    shape: right sizes; None allows any size. Sizes that are unknown while a graph is traced are not compared, but
        the rank must be known.
    """
    wanted, given = tf.TensorShape(shape), tensor.shape
    if dtype is not None and tensor.dtype != dtype:
        raise ValueError(f"{name} must be {dtype.name}, got {tf.as_dtype(tensor.dtype).name}")
    if tf.TensorShape(given).rank is None or not wanted.is_compatible_with(given):
        raise ValueError(f"{name} must have shape {wanted}, got {given}")
