"""Has what the distributions over all spaces but Tuple and Dict share."""

from typing import Any

import gymnasium as gym
import tensorflow as tf
import tensorflow_probability as tfp

from impala_tf.spaces import action_spaces
from impala_tf.spaces.distributions import tensors


class SpaceDistribution:
    """This is an `ActionDistribution` by way of a TFP distribution over *values*, which is made from the parameters.

    A subclass says which distribution that is, and how actions and values follow from each other.
    """

    num_parameters: int
    num_free_parameters = 0
    encoding_size: int
    mask_size = 0

    def __init__(self, space: gym.Space):
        spec = action_spaces.travelling_spec(space)
        self.action_shape = spec.shape
        self.action_dtype = tf.as_dtype(spec.dtype)
        self._space = space

    def _make_distribution(self, parameters: tf.Tensor) -> Any:
        """[..., P] -> the TFP distribution over values."""
        raise NotImplementedError

    def _to_actions(self, values: tf.Tensor) -> tf.Tensor:
        """Values -> actions [..., *action_shape] as they travel."""
        raise NotImplementedError

    def _to_values(self, actions: tf.Tensor) -> tf.Tensor:
        """Inverts `_to_actions`."""
        raise NotImplementedError

    def _encode_values(self, values: tf.Tensor) -> tf.Tensor:
        """Values -> [..., E] float32."""
        raise NotImplementedError

    def _apply_checked_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Does what `apply_mask` does, for a space that has masks; the sizes of the arguments have been checked."""
        raise NotImplementedError

    def _temper(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """Does what `tempered` does, with a temperature of [..., 1]; the arguments have been checked."""
        raise NotImplementedError

    def _mix(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        """Does what `mixed_with_uniform` does, with an epsilon of [..., 1]; the arguments have been checked."""
        raise NotImplementedError(f"{action_spaces.name_of(self._space)} has no uniform distribution")

    def _distribution(self, parameters: tf.Tensor) -> Any:
        parameters = tensors.checked_vectors("parameters", parameters, tf.float32, self.num_parameters)
        return self._make_distribution(parameters)

    def _values(self, actions: tf.Tensor) -> tf.Tensor:
        return self._to_values(tensors.checked_actions(actions, self.action_shape))

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self._to_actions(self._distribution(parameters).sample(seed=tensors.checked_seed(seed)))

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._to_actions(self._distribution(parameters).mode())

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return self._distribution(parameters).log_prob(self._values(actions))

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._distribution(parameters).entropy()

    def kl(self, p_parameters: tf.Tensor, q_parameters: tf.Tensor) -> tf.Tensor:
        p_parameters, q_parameters = tensors.checked_pair(p_parameters, q_parameters, self.num_parameters)
        return tfp.distributions.kl_divergence(
            self._make_distribution(p_parameters), self._make_distribution(q_parameters)
        )

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        return self._encode_values(self._values(actions))

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        return tensors.checked_actions(actions, self.action_shape)

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        if not self.mask_size:
            raise NotImplementedError(f"{action_spaces.name_of(self._space)} has no action masks")
        parameters = tensors.checked_vectors("parameters", parameters, tf.float32, self.num_parameters)
        mask = tensors.checked_vectors("mask", mask, None, self.mask_size)
        return self._apply_checked_mask(parameters, mask)

    def tempered(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        parameters = tensors.checked_vectors("parameters", parameters, tf.float32, self.num_parameters)
        temperature = tensors.checked_factors("temperature", temperature, parameters)
        return self._temper(parameters, temperature[..., tf.newaxis])

    def mixed_with_uniform(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        parameters = tensors.checked_vectors("parameters", parameters, tf.float32, self.num_parameters)
        epsilon = tensors.checked_factors("epsilon", epsilon, parameters)
        return self._mix(parameters, epsilon[..., tf.newaxis])
