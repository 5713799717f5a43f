"""Has the distribution over a Box of floats."""

from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from impala_tf.settings.spaces import MIN_ACTION_SCALE
from impala_tf.spaces import action_spaces
from impala_tf.spaces.distributions import tensors
from impala_tf.spaces.distributions.base import SpaceDistribution

tfd = tfp.distributions

MAX_ENCODED = 10.0  # A component without a bound is clipped here when it is an input of the network.
SMALLEST_ABOVE_MINIMUM = 1e-6  # A low temperature makes a scale no smaller than the minimum plus this.
NUM_NODES = 16  # The quadrature of a squashed Box's entropy has so many nodes.


class Normal(SpaceDistribution):
    """A Box of floats has independent normals in the units of `BoxUnits`; the parameters are N means and N scales.

    clip: density and entropy are those of the normal, before the environment clips (Schulman et al. 2017's code).
    tanh: density and entropy are those of tanh(u) on (-1, 1), Haarnoja et al. 2018 appendix C. The Jacobian of tanh
        does not depend on the parameters, so it changes the entropy, but neither ratios nor the policy gradient. That
        entropy has no closed form: the mean of the log-Jacobian is computed by Gauss-Hermite quadrature (the error is
        less than 0.01 nats for scales up to 2, and 0.1 at 5). Its gradient keeps the mean away from where tanh is flat;
        that of the normal's entropy would not.
        A KL is that of the normals, because tanh is one-to-one.

    Values are [..., N] float32, before tanh.
    """

    def __init__(self, space: gym.spaces.Box, action_bounds: str, action_scale: str, action_scale_init: float):
        """action_bounds, action_scale, action_scale_init: settings of these names."""
        super().__init__(space)
        self._units = action_spaces.box_units(space, action_bounds)
        self._squashed = self._units.squashed.ravel()
        num = self.encoding_size = int(np.prod(space.shape, dtype=int))
        self.num_parameters = 2 * num
        self.num_free_parameters = num if action_scale == "learned" else 0
        # A scale parameter of 0 means the initial scale: softplus(offset) + minimum.
        self._offset = float(np.log(np.expm1(action_scale_init - MIN_ACTION_SCALE)))
        self._encoded_bounds = [self._encode_bound(self._units.low), self._encode_bound(self._units.high)]
        nodes, weights = np.polynomial.hermite.hermgauss(NUM_NODES)
        self._nodes = (np.sqrt(2.0) * nodes).astype(np.float32)[:, np.newaxis]
        self._weights = (weights / np.sqrt(np.pi)).astype(np.float32)[:, np.newaxis]

    def _encode_bound(self, bound: np.ndarray) -> np.ndarray:
        """[*shape] -> [N] float32: the bound in the units in which actions travel, clipped to +-MAX_ENCODED."""
        distance = bound.astype(np.float64) - self._units.origin
        unit = self._units.unit
        distance = np.divide(distance, unit, out=np.zeros_like(distance), where=unit > 0)
        return np.clip(distance, -MAX_ENCODED, MAX_ENCODED).astype(np.float32).ravel()

    def _make_normal(self, parameters: tf.Tensor) -> Any:
        """[..., P] -> a normal for each component, [..., N]."""
        loc, scale = tf.split(parameters, 2, axis=-1)
        return tfd.Normal(loc, MIN_ACTION_SCALE + tf.math.softplus(scale + self._offset))

    def _temper(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        normal = self._make_normal(parameters)
        above_minimum = tf.maximum(temperature * normal.scale - MIN_ACTION_SCALE, SMALLEST_ABOVE_MINIMUM)
        return tf.concat([normal.loc, tfp.math.softplus_inverse(above_minimum) - self._offset], axis=-1)

    def _make_distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Independent(self._make_normal(parameters), 1)

    def _to_actions(self, values: tf.Tensor) -> tf.Tensor:
        return tensors.unflatten(values, self.action_shape)

    def _to_values(self, actions: tf.Tensor) -> tf.Tensor:
        return tensors.flatten(actions, self.action_shape)

    def _log_jacobian(self, values: tf.Tensor) -> tf.Tensor:
        """[..., N] -> [..., N]: log(1 - tanh(u)^2), finite for every u, where squashed; else 0."""
        log_det = tfp.bijectors.Tanh().forward_log_det_jacobian(values, event_ndims=0)
        return tf.where(self._squashed, log_det, 0.0)

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        log_prob = super().log_prob(parameters, actions)
        if not self._squashed.any():
            return log_prob
        return log_prob - tf.reduce_sum(self._log_jacobian(self._values(actions)), axis=-1)

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        entropy = super().entropy(parameters)
        if not self._squashed.any():
            return entropy
        normal = self._make_normal(parameters)
        nodes = normal.loc[..., tf.newaxis, :] + normal.scale[..., tf.newaxis, :] * self._nodes  # [..., nodes, N]
        return entropy + tf.reduce_sum(self._weights * self._log_jacobian(nodes), axis=[-2, -1])

    def _encode_values(self, values: tf.Tensor) -> tf.Tensor:
        values = tf.where(self._squashed, tf.tanh(values), values)
        return tf.clip_by_value(values, *self._encoded_bounds)

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        units = self._units
        values = tf.cast(super().bounded(actions), tf.float64)
        values = tf.where(units.squashed, tf.tanh(values), values)
        low, high = units.low.astype(np.float64), units.high.astype(np.float64)
        return tf.cast(tf.clip_by_value(units.origin + units.unit * values, low, high), units.low.dtype)
