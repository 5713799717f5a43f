"""Has PopArt: the baseline learns normalised targets, and a change of their statistics leaves its values as they are.

van Hasselt et al. 2016 (1602.07714); with several tasks, Hessel et al. 2018 (1809.04474). The baseline's head has an
output n_k for each task k, whose value is V_k = sigma_k n_k + mu_k in units of the rewards. Losses see rewards and
values divided by sigma_k, so the baseline's loss is 0.5 ((vs - mu) / sigma - n)^2 and advantages are in units of sigma,
as in the latter, and no algorithm knows of it.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from impala_tf.networks.moments import BatchMoments, joined, moments_by_task

MIN_SCALE, MAX_SCALE = 1e-4, 1e6  # Hessel et al. 2018.


class PopArt:
    """This keeps mean and variance of the baseline's targets for each task, as moving averages (--popart).

    step: beta, weight of one target in the moving averages.

    num_tasks: K. mean, variance: [K] float32, in units of the rewards. They start as 0 and 1.
    """

    def __init__(self, num_tasks: int, step: float):
        self.num_tasks = num_tasks
        self._step = step
        self.mean = keras.Variable(np.zeros(num_tasks, np.float32), trainable=False, name="popart_mean")
        self.variance = keras.Variable(np.ones(num_tasks, np.float32), trainable=False, name="popart_variance")

    @property
    def variables(self) -> list[keras.Variable]:
        return [self.mean, self.variance]

    def sigma(self) -> tf.Tensor:
        """Returns the scale of each task's targets, [K] float32."""
        return tf.sqrt(tf.clip_by_value(self.variance.value, MIN_SCALE**2, MAX_SCALE**2))

    def scale(self, task: tf.Tensor) -> tf.Tensor:
        """Returns 1 / sigma of the tasks [B] int32, [B] float32: losses see rewards and values times this."""
        return 1.0 / tf.gather(self.sigma(), task)

    def values(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the values [N, K] float32 of the head's outputs [N, K], in units of the rewards."""
        return self.sigma() * outputs + self.mean.value

    def moments_of(self, targets: tf.Tensor, valid: tf.Tensor, task: tf.Tensor) -> BatchMoments:
        """Returns the moments of a batch of targets, in units of the rewards; arguments as of `moments_by_task`."""
        return moments_by_task(targets, valid, task, self.num_tasks)

    def merge(self, head: keras.layers.Dense, parts: BatchMoments) -> None:
        """Takes targets into the statistics, and changes the head so that all its values stay as they are.

        mu <- (1 - share) mu + share mean(targets), and the second moment likewise, where share = 1 - (1 - beta)^n is
        the weight of a task's n targets; kernel_k <- kernel_k sigma / sigma'; bias_k <- (sigma bias_k + mu - mu') /
        sigma'.

        head: layer with K outputs.
        parts: moments of the targets, in parts [L, ...] of each learner.
        """
        num, new_mean, new_variance = joined(parts)
        mean, variance, sigma = self.mean.value, self.variance.value, self.sigma()
        share = -tf.math.expm1(num * math.log1p(-self._step))
        delta = new_mean - mean
        # The same as moving averages of both moments, but without the difference of two large numbers.
        merged = variance + share * (new_variance - variance) + share * (1.0 - share) * tf.square(delta)
        kernel, bias = (v.value for v in head.trainable_variables)
        unnormalised_bias = sigma * bias + mean
        moved = mean + share * delta
        self.variance.assign(merged)
        self.mean.assign(moved)
        now = self.sigma()
        head.kernel.assign(kernel * (sigma / now))
        head.bias.assign((unnormalised_bias - moved) / now)
