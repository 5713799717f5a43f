"""Checks parameters, masks, seeds and actions, and converts between their shapes."""

from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.support.checks import check_tensor


def checked_seed(seed: tf.Tensor) -> tf.Tensor:
    """Returns the seed as a tensor; raises ValueError unless it is [2] int32."""
    seed = tf.convert_to_tensor(seed)
    check_tensor("seed", seed, tf.int32, [2])
    return seed


def checked_vectors(name: str, vectors: tf.Tensor, dtype: tf.DType | None, size: int) -> tf.Tensor:
    """Returns vectors [..., size] as a tensor; raises ValueError for another size or dtype. dtype: None allows any."""
    vectors = tf.convert_to_tensor(vectors)
    check_tensor(name, vectors, dtype, [*vectors.shape[:-1], size])
    return vectors


def checked_pair(p_parameters: tf.Tensor, q_parameters: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the parameters [..., size] of two distributions as tensors.

    Raises ValueError for another dtype or size, or when the two shapes differ.
    """
    p_parameters = checked_vectors("p_parameters", p_parameters, tf.float32, size)
    q_parameters = tf.convert_to_tensor(q_parameters)
    check_tensor("q_parameters", q_parameters, tf.float32, p_parameters.shape)
    return p_parameters, q_parameters


def checked_factors(name: str, factors: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Returns one number for each vector [..., size] as a tensor; raises ValueError unless it is [...] float32."""
    factors = tf.convert_to_tensor(factors)
    check_tensor(name, factors, tf.float32, vectors.shape[:-1])
    return factors


def checked_actions(actions: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns actions [..., *shape] as a tensor; raises ValueError when the last dimensions are others.

    The dtype is free, because numbers of a smaller type mean the same action.
    """
    actions = tf.convert_to_tensor(actions)
    leading = actions.shape[: max(actions.shape.rank - len(shape), 0)]
    check_tensor("actions", actions, None, [*leading, *shape])
    return actions


def flatten(actions: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """[..., *shape] -> [..., N]."""
    if len(shape) == 1:
        return actions
    leading = tf.shape(actions)[: actions.shape.rank - len(shape)]
    return tf.reshape(actions, tf.concat([leading, [int(np.prod(shape, dtype=int))]], axis=0))


def unflatten(values: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """[..., N] -> [..., *shape], the inverse of `flatten`."""
    if len(shape) == 1:
        return values
    return tf.reshape(values, tf.concat([tf.shape(values)[:-1], tf.constant(shape, tf.int32)], axis=0))


def to_indices(actions: tf.Tensor, start: Any) -> tf.Tensor:
    """Returns actions of any integer dtype, which count from `start`, as int32 from 0."""
    return tf.cast(tf.cast(actions, tf.int64) - start, tf.int32)


def from_indices(indices: tf.Tensor, start: Any, dtype: tf.DType) -> tf.Tensor:
    """Inverts `to_indices`."""
    return tf.cast(tf.cast(indices, tf.int64) + start, dtype)
