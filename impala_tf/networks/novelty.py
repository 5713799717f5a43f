"""Has the networks of random network distillation (Burda et al. 2018): a fixed one, its predictor, and a baseline."""

from typing import Any

import gymnasium as gym
import keras
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks.encoders import Sequence, make_torso
from impala_tf.networks.normalisation import RunningMoments
from impala_tf.networks.torsos import dense
from impala_tf.spaces.observation_spaces import is_text, leaves, without_mask, zeros

NUM_FEATURES = 64  # Burda et al. have 512, for frames.
MAX_DEVIATIONS = 5.0  # Section 2.4: normalised observations are clipped here.
SEEDS = 100  # A torso uses fewer than so many seeds.


class NoveltyNetworks:
    """These networks see the numbers of observations, normalised by their moments; texts and action masks are left out.

    The target and the predictor map an observation to features. The baseline estimates the return of intrinsic rewards.
    Each has a torso of its own, that of --network, or of auto for a function of the user's.

    keras_variables: the weights that are trained, those of the predictor and of the baseline.
    keras_statistics: variables that are saved too: the target's weights, which never change, and the moments.
    """

    def __init__(self, config: Config, observation_space: gym.Space):
        self._space = without_mask(observation_space)
        self._is_seen = [not is_text(leaf) for leaf in leaves(self._space).values()]
        parts = [leaf for leaf in leaves(self._space).values() if not is_text(leaf)]
        self._moments = {
            i: RunningMoments(part.shape, "novelty")
            for i, part in enumerate(parts)
            if isinstance(part, gym.spaces.Box | gym.spaces.MultiBinary)
        }
        network = "auto" if ":" in config.network else config.network
        first_seed = 1000 * config.seed + 300  # The agent's seeds are below.

        def make(position: int, *head: keras.layers.Layer) -> keras.layers.Layer:
            seed = first_seed + 2 * SEEDS * position
            torso = make_torso(gym.spaces.Tuple(parts), network, config.hidden_sizes, "relu", False, seed)
            return Sequence(torso, *head)

        def head(position: int, num_hidden: int, size: int) -> list[keras.layers.Layer]:
            seed = first_seed + 2 * SEEDS * position + SEEDS
            hidden = [dense(NUM_FEATURES, seed + 1 + i, "relu") for i in range(num_hidden)]
            return [*hidden, dense(size, seed)]

        self._target = make(0, *head(0, 0, NUM_FEATURES))
        self._predictor = make(1, *head(1, 2, NUM_FEATURES))  # Burda et al.'s has two more layers than the target.
        self._baseline = make(2, *head(2, 0, 1))
        observation = tf.nest.map_structure(lambda x: tf.convert_to_tensor(x[None]), zeros(self._space))
        inputs = self.prepare(observation)
        self.errors(inputs), self.baselines(inputs)  # Layers have variables from their first call on.
        self._draw_biases(first_seed)
        self.keras_variables = [*self._predictor.trainable_variables, *self._baseline.trainable_variables]
        moments = [v for some in self._moments.values() for v in some.variables]
        self.keras_statistics = [*self._target.trainable_variables, *moments]

    def _draw_biases(self, seed: int) -> None:
        """Draws the target's biases. With 0 it would be nearly linear, and what is unseen would be predicted well."""
        for i, variable in enumerate(self._target.trainable_variables):
            if variable.path.endswith("bias"):
                variable.assign(tf.random.stateless_normal(variable.shape, [seed, i]))

    def _seen(self, observation: Any) -> list[tf.Tensor]:
        """Returns the leaves of an observation without its mask that the networks see."""
        kept = observation
        if isinstance(self._space, gym.spaces.Dict):
            kept = {name: observation[name] for name in self._space.spaces}
        return [x for x, is_seen in zip(tf.nest.flatten(kept), self._is_seen, strict=True) if is_seen]

    def prepare(self, observation: Any) -> tuple[tf.Tensor, ...]:
        """Returns the networks' inputs for observations [N, ...]: numbers normalised and clipped."""
        parts = self._seen(observation)
        for i, moments in self._moments.items():
            parts[i] = tf.clip_by_value(moments.normalise(parts[i]), -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return tuple(parts)

    def errors(self, inputs: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Returns the mean squared error of the predicted features, [N] float32. inputs: see `prepare`."""
        target = tf.stop_gradient(self._target(inputs))
        return tf.reduce_mean(tf.square(self._predictor(inputs) - target), axis=-1)

    def baselines(self, inputs: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Returns the estimated returns of intrinsic rewards, [N] float32. inputs: see `prepare`."""
        return self._baseline(inputs)[:, 0]

    def update(self, observation: Any, valid: tf.Tensor) -> None:
        """Takes observations [N, ...] into the moments where valid [N] bool."""
        parts = self._seen(observation)
        for i, moments in self._moments.items():
            moments.update(parts[i], valid)
