"""Rewards observations that are new, by random network distillation (Burda et al. 2018)."""

import keras
import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.config import Config
from impala_tf.learning import state
from impala_tf.networks.agent import merge_rows
from impala_tf.networks.normalisation import RunningMoments
from impala_tf.networks.novelty import NoveltyNetworks
from impala_tf.networks.parts import names_of
from impala_tf.types import Array, Intrinsic, LossInputs, Marks, Unroll


class RandomNetworkDistillation:
    """This is the `interfaces.Motivation` of --rnd.

    The intrinsic reward of a row is the predictor's error at its observation, divided by the running standard deviation
    of intrinsic returns. It is computed when it is learned from, so a replayed row is as new as it is by then.

    Deviation: those returns are sums over the rows of one unroll, because the learner does not get an environment's
    unrolls in order.

    metric_names: intrinsic_reward, mean over the fresh rows; predictor, the sum of the predictor's errors over them.
    variables: the weights that are trained.
    """

    metric_names = ("intrinsic_reward", "predictor")

    def __init__(self, config: Config, networks: NoveltyNetworks):
        self._networks = networks
        self._scale = config.rnd_scale
        self._discounting = config.rnd_discounting
        self._returns = RunningMoments((), "intrinsic_returns")
        self._optimizer = keras.optimizers.Adam(config.rnd_learning_rate)
        self._optimizer.build(networks.keras_variables)
        self.variables = [v.value for v in networks.keras_variables]

    def observe(self, batch: Unroll, marks: Marks) -> Intrinsic:
        """Takes the fresh unrolls of a batch [T + 1, B, ...] into the statistics, and returns what is new in all."""
        rows = batch.env_outputs
        shape = tf.shape(rows.reward)
        # Row 0 was row T of the unroll before.
        is_fresh = tf.repeat(marks.is_fresh[tf.newaxis], shape[0] - 1, axis=0)
        fresh = tf.reshape(is_fresh, [-1])
        self._networks.update(merge_rows(tf.nest.map_structure(lambda x: x[1:], rows.observation)), fresh)
        inputs = self._networks.prepare(merge_rows(rows.observation))
        error = tf.reshape(self._networks.errors(inputs), shape)
        novelty = tf.stop_gradient(error)
        self._returns.update(tf.reshape(discounted_sums(novelty[1:], self._discounting), [-1]), fresh)
        return Intrinsic(
            error=error,
            reward=novelty * self._returns.scale(),
            baselines=tf.reshape(self._networks.baselines(inputs), shape),
            discounting=self._discounting,
            scale=self._scale,
        )

    def loss(self, inputs: LossInputs) -> tuple[Array, dict[str, Array]]:
        """Returns the predictor's loss, the sum of its errors at fresh rows, and the metrics."""
        assert inputs.intrinsic is not None
        error, reward = inputs.intrinsic.error[1:], inputs.intrinsic.reward[1:]
        fresh = tf.broadcast_to(inputs.marks.is_fresh, tf.shape(error))
        predictor = losses.masked_sum(error, fresh)
        return predictor, dict(intrinsic_reward=losses.masked_mean(reward, fresh), predictor=predictor)

    def step(self, gradients: list[tf.Tensor]) -> None:
        """Changes `variables` along the gradients."""
        self._optimizer.apply(gradients, self._networks.keras_variables)

    def named_variables(self) -> dict[str, keras.Variable]:
        """Returns everything that a checkpoint keeps, by name."""
        weights = self._networks.keras_variables
        statistics = [*self._networks.keras_statistics, *self._returns.variables]
        named = dict(zip((f"rnd/weights/{name}" for name in names_of(weights)), weights, strict=True))
        named |= zip((f"rnd/statistics/{name}" for name in names_of(statistics)), statistics, strict=True)
        optimizer_variables = state.optimizer_variables(self._optimizer, weights)
        return named | {f"rnd/optimizer/{name}": variable for name, variable in optimizer_variables.items()}


def discounted_sums(rewards: tf.Tensor, discounting: float) -> tf.Tensor:
    """Returns the sums of gamma^k times the reward k rows before, [T, B] float32."""
    return tf.scan(lambda total, reward: discounting * total + reward, rewards, tf.zeros_like(rewards[0]))
