"""Describes the values of a batch by their moments, so that several learners can join what they have seen."""

from typing import Any, NamedTuple

import tensorflow as tf

from impala_tf.support.checks import check_tensor


class BatchMoments(NamedTuple):
    """The values of a batch have these moments. With a first axis [L] they are parts, one of each learner.

    num: [*count_shape] float32, number of values that counted.
    mean, variance: [*shape] float32; 0 where none counted. count_shape is the leading part of shape.
    """

    num: tf.Tensor
    mean: tf.Tensor
    variance: tf.Tensor


def batch_moments(values: tf.Tensor, valid: tf.Tensor) -> BatchMoments:
    """Returns the moments of values [N, *shape] of any number type. valid: [N, *count_shape] bool, which count."""
    values, weights = tf.cast(values, tf.float32), tf.cast(valid, tf.float32)
    num = tf.reduce_sum(weights, axis=0)
    weights = (weights / tf.maximum(num, 1.0))[_more_axes(weights, values)]
    mean = tf.reduce_sum(weights * values, axis=0)
    return BatchMoments(num, mean, tf.reduce_sum(weights * tf.square(values - mean), axis=0))


def moments_by_task(values: tf.Tensor, valid: tf.Tensor, task: tf.Tensor, num_tasks: int) -> BatchMoments:
    """Returns the moments of each task's values, [num_tasks].

    values: [T, B] float32.
    valid: [T, B] bool, whether each value counts.
    task: [B] int32, index of each environment's task.

    Raises ValueError when a dtype, rank or known size is wrong.
    """
    check_tensor("values", values, tf.float32, [None, None])
    check_tensor("valid", valid, tf.bool, values.shape)
    check_tensor("task", task, tf.int32, values.shape[1:])
    is_of_task = tf.one_hot(task, num_tasks, on_value=True, off_value=False)  # [B, tasks]
    counts = tf.reshape(valid[..., tf.newaxis] & is_of_task, [-1, num_tasks])
    # Every task is shown every value; `counts` says which are its own.
    return batch_moments(tf.repeat(tf.reshape(values, [-1, 1]), num_tasks, axis=1), counts)


def only_own(nest: Any) -> Any:
    """Returns moments as the parts of a single learner, [1, ...]."""
    return tf.nest.map_structure(lambda x: x[tf.newaxis], nest)


def joined(parts: BatchMoments) -> BatchMoments:
    """Returns the moments of all learners' values together. parts: moments with a first axis [L]."""
    if parts.num.shape[0] == 1:
        return BatchMoments(*(part[0] for part in parts))
    num = tf.reduce_sum(parts.num, axis=0)
    share = (parts.num / tf.maximum(num, 1.0))[_more_axes(parts.num, parts.mean)]
    mean = tf.reduce_sum(share * parts.mean, axis=0)
    # The variance within the parts, and that of their means.
    variance = tf.reduce_sum(share * (parts.variance + tf.square(parts.mean - mean)), axis=0)
    return BatchMoments(num, mean, variance)


def _more_axes(counts: tf.Tensor, values: tf.Tensor) -> tuple:
    """Returns an index that gives counts the last axes of the values, which share one count."""
    return (..., *[tf.newaxis] * (values.shape.rank - counts.shape.rank))
