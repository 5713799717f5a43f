"""Has the distributions over integers and bits."""

from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from impala_tf.spaces.distributions import tensors
from impala_tf.spaces.distributions.base import SpaceDistribution
from impala_tf.spaces.distributions.masks import (
    MASKED_LOGIT,
    fill_up,
    mask_logits,
    mix_bits,
    mix_logits,
    temper_logits,
)

tfd = tfp.distributions


class Categorical(SpaceDistribution):
    """Discrete(n, start) has a softmax over n logits. Values are indices [...] from 0."""

    def __init__(self, space: gym.spaces.Discrete):
        super().__init__(space)
        self.num_parameters = self.encoding_size = self.mask_size = int(space.n)
        self._start = int(space.start)

    def _make_distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Categorical(logits=parameters)

    def _to_actions(self, values: tf.Tensor) -> tf.Tensor:
        return tensors.from_indices(values, self._start, self.action_dtype)

    def _to_values(self, actions: tf.Tensor) -> tf.Tensor:
        return tensors.to_indices(actions, self._start)

    def _encode_values(self, values: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(values, self.encoding_size)

    def _apply_checked_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        return mask_logits(parameters, mask)

    def _temper(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return temper_logits(parameters, temperature)

    def _mix(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        return mix_logits(parameters, epsilon)


class MultiCategorical(SpaceDistribution):
    """MultiDiscrete(nvec, start) of any shape has an independent softmax for each component.

    Values are indices [..., components] from 0, in C order.
    """

    def __init__(self, space: gym.spaces.MultiDiscrete):
        super().__init__(space)
        self._sizes = [int(n) for n in space.nvec.flat]
        self._start = np.asarray(space.start, np.int64).ravel()
        self.num_parameters = self.encoding_size = self.mask_size = sum(self._sizes)

    def _make_distribution(self, parameters: tf.Tensor) -> Any:
        # [..., P] -> [..., components, largest n]; logits that are never chosen fill up shorter components.
        logits = [fill_up(row, max(self._sizes)) for row in tf.split(parameters, self._sizes, axis=-1)]
        return tfd.Independent(tfd.Categorical(logits=tf.stack(logits, axis=-2)), 1)

    def _to_actions(self, values: tf.Tensor) -> tf.Tensor:
        return tensors.unflatten(tensors.from_indices(values, self._start, self.action_dtype), self.action_shape)

    def _to_values(self, actions: tf.Tensor) -> tf.Tensor:
        return tensors.to_indices(tensors.flatten(actions, self.action_shape), self._start)

    def _encode_values(self, values: tf.Tensor) -> tf.Tensor:
        columns = zip(tf.unstack(values, axis=-1), self._sizes, strict=True)
        return tf.concat([tf.one_hot(indices, n) for indices, n in columns], axis=-1)

    def _apply_checked_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        components = zip(tf.split(parameters, self._sizes, -1), tf.split(mask, self._sizes, -1), strict=True)
        return tf.concat([mask_logits(logits, allowed) for logits, allowed in components], axis=-1)

    def _temper(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return temper_logits(parameters, temperature)

    def _mix(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        return tf.concat([mix_logits(logits, epsilon) for logits in tf.split(parameters, self._sizes, -1)], axis=-1)


class Bernoulli(SpaceDistribution):
    """MultiBinary of any shape has independent bits, each with the logit of being 1. Values are bits [..., N]."""

    def __init__(self, space: gym.spaces.MultiBinary):
        super().__init__(space)
        self.num_parameters = self.encoding_size = self.mask_size = int(np.prod(space.shape, dtype=int))

    def _make_distribution(self, parameters: tf.Tensor) -> Any:
        return tfd.Independent(tfd.Bernoulli(logits=parameters), 1)

    def _to_actions(self, values: tf.Tensor) -> tf.Tensor:
        return tensors.unflatten(tf.cast(values, self.action_dtype), self.action_shape)

    def _to_values(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensors.flatten(actions, self.action_shape), tf.float32)

    def _encode_values(self, values: tf.Tensor) -> tf.Tensor:
        return values

    def _apply_checked_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.cast(mask, tf.bool), parameters, MASKED_LOGIT)

    def _temper(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return temper_logits(parameters, temperature)

    def _mix(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        return mix_bits(parameters, epsilon)
