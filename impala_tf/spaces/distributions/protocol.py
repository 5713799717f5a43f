"""Says what the rest of the package needs of a distribution over actions."""

from typing import Protocol

import tensorflow as tf


class ActionDistribution(Protocol):
    """This gives distributions over one action space by their parameters. Leading dimensions are free.

    num_parameters: P.
    num_free_parameters: F; the last F of the P parameters are weights of their own, the same for every observation and
        0 at the start; the policy head computes the P - F before them.
    action_shape, action_dtype: shape and dtype of one action as it travels.
    encoding_size: E, the size of `encode`'s result.
    mask_size: M, the size of an action mask; 0 means that the space has none.

    Every method raises ValueError when a dtype, rank or known size is wrong.
    """

    num_parameters: int
    num_free_parameters: int
    action_shape: tuple[int, ...]
    action_dtype: tf.DType
    encoding_size: int
    mask_size: int

    def sample(self, parameters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [2] int32 -> an action [..., *action_shape]; the same seed gives the same action."""

    def mode(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> the most probable action [..., *action_shape]; for a squashed Box the median."""

    def log_prob(self, parameters: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [..., *action_shape] -> [...] float32, nats; for a Box the density in `BoxUnits`."""

    def entropy(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 -> [...] float32, nats."""

    def kl(self, p_parameters: tf.Tensor, q_parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] float32 twice, in one shape -> KL(p || q), the sum of p log(p / q), [...] float32, nats.

        An action that a mask rules out under both adds 0; one that is ruled out under q only makes a huge, finite KL.
        """

    def encode(self, actions: tf.Tensor) -> tf.Tensor:
        """[..., *action_shape] -> [..., E] float32, the action as an input of the network."""

    def bounded(self, actions: tf.Tensor) -> tf.Tensor:
        """[..., *action_shape] -> the same shape, in the environment's units and bounds; see `to_environment`."""

    def tempered(self, parameters: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [...] float32 above 0 -> [..., P]; logits are divided by the temperature.

        So probabilities are those to the power 1 / temperature, normalised. The scale of a Box is multiplied by it, and
        its mean stays. A masked action keeps its probability of 0.
        """

    def mixed_with_uniform(self, parameters: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [...] float32 in [0, 1] -> [..., P]; (1 - epsilon) p + epsilon / n for n allowed actions.

        Each component of an action is mixed by itself, since components are independent: for a bit n is 2. A masked
        action keeps its probability of 0. Raises NotImplementedError for a Box.
        """

    def apply_mask(self, parameters: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """[..., P] float32, [..., M] bool or integer -> [..., P]; masked actions have probability 0 under these.

        The mask has an entry for each logit, True where it is allowed. Discrete(n) has n entries; MultiDiscrete has n
        of the first component, then n of the second, and so on, in C order; MultiBinary has one for each bit, True
        where the bit may be 1 (gymnasium's own masks of this space mean something else); Tuple and Dict have those of
        their parts. Where nothing is allowed, everything counts as allowed: rows that end an episode often have no
        legal action, and need none. Raises NotImplementedError for a Box.
        """
