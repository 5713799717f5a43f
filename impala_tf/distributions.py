"""From an action space to a distribution over its actions, by TensorFlow Probability.

A new kind of action space is a new class here and a line in `for_space`; nothing else changes, because everything
else handles `parameters`, one float32 vector [..., num_parameters], and actions.
"""

from typing import Protocol

import gymnasium as gym
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


class ActionDistribution(Protocol):
    """Distributions over one action space, given by their parameters. Leading dimensions are free.

    num_parameters: P, the size that the policy head needs.
    action_shape, action_dtype: of one action, as the environment takes it.
    encoding_size: E, the size of `encode`'s result.
    """

    num_parameters: int
    action_shape: tuple[int, ...]
    action_dtype: tf.DType
    encoding_size: int

    def sample(self, parameters: tf.Tensor, seed: int | None = None) -> tf.Tensor:
        """[..., P] float32 -> an action [...]."""

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> the most probable action [...]."""

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [...] -> [...] float32."""

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> [...] float32, nats."""

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        """[...] -> [..., E] float32, the action as an input of the network."""


class Categorical:
    """Discrete(n, start): softmax over n logits."""

    def __init__(self, space: gym.spaces.Discrete):
        self.num_parameters = self.encoding_size = int(space.n)
        self.action_shape: tuple[int, ...] = ()
        self.action_dtype = tf.as_dtype(space.dtype)
        self._start = int(space.start)

    def _distribution(self, parameters: tf.Tensor) -> tfp.distributions.Categorical:
        return tfp.distributions.Categorical(logits=parameters)

    def _index(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.cast(actions - self._start, tf.int32)

    def _action(self, index: tf.Tensor) -> tf.Tensor:
        return tf.cast(index, self.action_dtype) + self._start

    def sample(self, parameters: tf.Tensor, seed: int | None = None) -> tf.Tensor:
        return self._action(self._distribution(parameters).sample(seed=seed))

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._action(self._distribution(parameters).mode())

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return self._distribution(parameters).log_prob(self._index(actions))

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._distribution(parameters).entropy()

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(self._index(actions), self.encoding_size)


def for_space(space: gym.Space) -> ActionDistribution:
    """The distribution for an action space. Raises NotImplementedError, naming the space, if there is none."""
    if isinstance(space, gym.spaces.Discrete) and np.issubdtype(space.dtype, np.integer):
        return Categorical(space)
    raise NotImplementedError(f"action space {space} is not supported; supported: Discrete")
