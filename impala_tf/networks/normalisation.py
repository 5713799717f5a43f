"""Running mean and variance, kept with the agent's weights: published, saved and exported like them."""

import keras
import numpy as np
import tensorflow as tf

MAX_DEVIATIONS = 10.0  # Normalised values are clipped there.
SMALLEST_VARIANCE = 1e-8


class RunningMoments:
    """Mean and variance over everything that it was shown (Chan et al. 1983, equal weight for every value).

    shape: of one value. counts_shape: the leading part of it of which each entry is counted by itself.
    variables: mean, variance, count; not trainable. Before the first `update` nothing is changed.
    """

    def __init__(self, shape: tuple[int, ...], name: str, counts_shape: tuple[int, ...] = ()):
        def variable(initial: np.ndarray, what: str) -> keras.Variable:
            return keras.Variable(initial.astype(np.float32), trainable=False, name=f"{name}_{what}")

        self.variables = [
            variable(np.zeros(shape), "mean"),
            variable(np.ones(shape), "variance"),
            variable(np.zeros(counts_shape), "count"),
        ]

    def update(self, values: tf.Tensor, counts: tf.Tensor) -> None:
        """values: [N, ...]. counts: [N, *counts_shape] bool, which of them count."""
        mean, variance, count = (v.value for v in self.variables)
        values = tf.cast(values, tf.float32)
        weights = tf.cast(counts, tf.float32)
        num = tf.reduce_sum(weights, axis=0)
        # The axes that a value has besides those that are counted.
        more_axes = (..., *[tf.newaxis] * (mean.shape.rank - count.shape.rank))
        weights = (weights / tf.maximum(num, 1.0))[more_axes]
        batch_mean = tf.reduce_sum(weights * values, axis=0)
        batch_variance = tf.reduce_sum(weights * tf.square(values - batch_mean), axis=0)
        share = (num / tf.maximum(count + num, 1.0))[more_axes]
        delta = batch_mean - mean
        # The ones that the variance starts with have no weight: the count is 0 and the share 1.
        merged = variance * (1.0 - share) + batch_variance * share + tf.square(delta) * share * (1.0 - share)
        variance.assign(tf.where(num[more_axes] > 0, merged, variance))
        mean.assign(mean + delta * share)
        count.assign(count + num)

    def scale(self) -> tf.Tensor:
        """1 / standard deviation, of the value's shape; 1 for what has never varied, such as returns before the first
        reward."""
        variance = self.variables[1].value
        return tf.where(variance > 0, tf.math.rsqrt(tf.maximum(variance, SMALLEST_VARIANCE)), 1.0)

    def normalise(self, values: tf.Tensor) -> tf.Tensor:
        """(value - mean) / standard deviation, clipped; float32."""
        normalised = (tf.cast(values, tf.float32) - self.variables[0].value) * self.scale()
        return tf.clip_by_value(normalised, -MAX_DEVIATIONS, MAX_DEVIATIONS)
