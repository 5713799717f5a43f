"""Has the policy's head."""

import keras
import numpy as np
import tensorflow as tf

from impala_tf.networks.torsos import dense
from impala_tf.spaces.distributions import ActionDistribution


class PolicyHead:
    """This head maps features to the parameters of an action distribution.

    The first P - F parameters are a linear function of the features; the last F, the free ones, are weights that are
    the same for every observation, such as the learned scale of a Box.

    scale: factor of the initial weights of the linear function (--policy_init_scale).
    """

    def __init__(self, distribution: ActionDistribution, scale: float, seed: int):
        num_free = distribution.num_free_parameters
        self.linear = dense(distribution.num_parameters - num_free, seed, scale=scale)
        free = keras.Variable(np.zeros(num_free, np.float32), name="free_parameters")
        self.free = [free] if num_free else []

    def __call__(self, features: tf.Tensor) -> tf.Tensor:
        """[N, F] float32 -> [N, P] float32."""
        made = self.linear(features)
        return with_free_parameters(made, self.free[0].value) if self.free else made


def with_free_parameters(made: tf.Tensor, free: tf.Tensor) -> tf.Tensor:
    """Appends the free parameters [F] to those of every row, [..., P - F]. Returns [..., P] float32."""
    return tf.concat([made, tf.broadcast_to(free, tf.concat([tf.shape(made)[:-1], tf.shape(free)], axis=0))], axis=-1)
