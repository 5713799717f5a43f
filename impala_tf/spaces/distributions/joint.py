"""Has the distribution over a Tuple or Dict of spaces."""

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from impala_tf.spaces import action_spaces
from impala_tf.spaces.distributions import tensors
from impala_tf.spaces.distributions.protocol import ActionDistribution


class Joint:
    """The parts of a Tuple or Dict are independent, so probabilities multiply, and entropies and KLs add up.

    parts: distributions of the parts, in the order of `action_spaces.parts_of`.

    Parameters are those that the policy head computes, part by part, then the free ones, part by part. Actions are
    [..., N] float32, part by part, flattened.
    """

    def __init__(self, space: gym.spaces.Tuple | gym.spaces.Dict, parts: list[ActionDistribution]):
        spec = action_spaces.travelling_spec(space)
        self.action_shape = spec.shape
        self.action_dtype = tf.as_dtype(spec.dtype)
        self._space = space
        self._parts = parts
        self._num_free = [part.num_free_parameters for part in parts]
        self._num_made = [part.num_parameters - part.num_free_parameters for part in parts]
        self._action_sizes = [int(np.prod(part.action_shape, dtype=int)) for part in parts]
        self.num_parameters = sum(self._num_made) + sum(self._num_free)
        self.num_free_parameters = sum(self._num_free)
        self.encoding_size = sum(part.encoding_size for part in parts)
        self.mask_size = sum(part.mask_size for part in parts)

    def _split_parameters(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        """[..., P] -> the parameters of each part."""
        parameters = tensors.checked_vectors("parameters", parameters, tf.float32, self.num_parameters)
        pieces = tf.split(parameters, self._num_made + self._num_free, axis=-1)
        made, free = pieces[: len(self._parts)], pieces[len(self._parts) :]
        return [tf.concat(pair, axis=-1) for pair in zip(made, free, strict=True)]

    def _join_parameters(self, parameters: list[tf.Tensor]) -> tf.Tensor:
        """Inverts `_split_parameters`."""
        sizes = zip(parameters, self._num_made, self._num_free, strict=True)
        pairs = [tf.split(piece, [made, free], axis=-1) for piece, made, free in sizes]
        return tf.concat([made for made, _ in pairs] + [free for _, free in pairs], axis=-1)

    def _split_actions(self, actions: tf.Tensor) -> list[tf.Tensor]:
        """[..., N] -> the actions of each part, in its shape and dtype."""
        actions = tensors.checked_actions(actions, self.action_shape)
        columns = tf.split(actions, self._action_sizes, axis=-1)
        return [
            tf.cast(tensors.unflatten(column, part.action_shape), part.action_dtype)
            for part, column in zip(self._parts, columns, strict=True)
        ]

    def _join_actions(self, actions: list[tf.Tensor]) -> tf.Tensor:
        """Inverts `_split_actions`."""
        flat = [tensors.flatten(x, part.action_shape) for part, x in zip(self._parts, actions, strict=True)]
        return tf.concat([tf.cast(x, tf.float32) for x in flat], axis=-1)

    def _with_parameters(self, parameters: tf.Tensor) -> Iterator[tuple[ActionDistribution, tf.Tensor]]:
        return zip(self._parts, self._split_parameters(parameters), strict=True)

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        # With one seed for all, parts of the same kind would always choose alike.
        seeds = tfp.random.split_seed(tensors.checked_seed(seed), n=len(self._parts))
        pairs = zip(self._with_parameters(parameters), seeds, strict=True)
        return self._join_actions([part.sample(p, part_seed) for (part, p), part_seed in pairs])

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        return self._join_actions([part.mode(p) for part, p in self._with_parameters(parameters)])

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._with_parameters(parameters), self._split_actions(actions), strict=True)
        return tf.add_n([part.log_prob(p, x) for (part, p), x in pairs])

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        return tf.add_n([part.entropy(p) for part, p in self._with_parameters(parameters)])

    def kl(self, p_parameters: tf.Tensor, q_parameters: tf.Tensor) -> tf.Tensor:
        p_parameters, q_parameters = tensors.checked_pair(p_parameters, q_parameters, self.num_parameters)
        pairs = zip(self._with_parameters(p_parameters), self._split_parameters(q_parameters), strict=True)
        return tf.add_n([part.kl(p, q) for (part, p), q in pairs])

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._parts, self._split_actions(actions), strict=True)
        return tf.concat([part.encode(x) for part, x in pairs], axis=-1)

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        pairs = zip(self._parts, self._split_actions(actions), strict=True)
        return self._join_actions([part.bounded(x) for part, x in pairs])

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        if not self.mask_size:
            raise NotImplementedError(f"{action_spaces.name_of(self._space)} has no action masks")
        mask = tensors.checked_vectors("mask", mask, None, self.mask_size)
        masks = tf.split(mask, [part.mask_size for part in self._parts], axis=-1)
        pairs = zip(self._with_parameters(parameters), masks, strict=True)
        return self._join_parameters([part.apply_mask(p, m) if part.mask_size else p for (part, p), m in pairs])

    def tempered(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return self._join_parameters([part.tempered(p, temperature) for part, p in self._with_parameters(parameters)])

    def mixed_with_uniform(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        pairs = self._with_parameters(parameters)
        return self._join_parameters([part.mixed_with_uniform(p, epsilon) for part, p in pairs])
