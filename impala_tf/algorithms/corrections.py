"""Has the corrections of the policy lag that Table 2 of the paper compares with V-trace: IMPALA with less of it.

Targets without ratios are V-trace's of an unroll with pi = mu: with lambda = 1 the n-step return (equation 2). Learned
from again and again, they give the value of mu.
"""

import dataclasses
import math

import tensorflow as tf

from impala_tf.algorithms.actor_critic import LogProbs
from impala_tf.algorithms.impala import Impala
from impala_tf.algorithms.transitions import Transitions
from impala_tf.config import Config
from impala_tf.types import LossInputs

LOG_EPSILON = math.log(1e-6)  # Table 2.


@dataclasses.dataclass(frozen=True)
class Uncorrected(Impala):
    """This is `none`: targets and policy gradient take mu for pi."""

    def correction(self, log_probs: LogProbs) -> tf.Tensor:
        return tf.zeros_like(log_probs.policy)


@dataclasses.dataclass(frozen=True)
class OneStep(Uncorrected):
    """This is `one_step`: the clipped ratio of a step weighs its policy gradient. The targets are not corrected."""

    def policy_loss(
        self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs, advantage_tm1: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        log_rho_tm1 = tf.stop_gradient(log_probs.policy - log_probs.behaviour)
        # A step that is not valid may have any ratio; 0 times inf would be nan in the gradient.
        rho_tm1 = tf.exp(tf.where(steps.valid_tm1, log_rho_tm1, tf.zeros_like(log_rho_tm1)))
        weighted_tm1 = tf.minimum(rho_tm1, self.clip_pg_rho_threshold) * advantage_tm1
        return super().policy_loss(inputs, steps, log_probs, weighted_tm1)


@dataclasses.dataclass(frozen=True)
class Epsilon(Uncorrected):
    """This is `epsilon`: 1e-6 is added to pi in the policy gradient's log pi, and nothing is corrected."""

    def policy_loss(
        self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs, advantage_tm1: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        # log(p + e) = log e + softplus(log p - log e) does not overflow where a density is large.
        log_prob_tm1 = LOG_EPSILON + tf.nn.softplus(log_probs.policy - LOG_EPSILON)
        return super().policy_loss(inputs, steps, log_probs._replace(policy=log_prob_tm1), advantage_tm1)


CORRECTIONS: dict[str, type[Impala]] = {
    "vtrace": Impala,
    "one_step": OneStep,
    "epsilon": Epsilon,
    "none": Uncorrected,
}


def make_impala(config: Config) -> Impala:
    """Makes IMPALA with the correction that --correction names."""
    return CORRECTIONS[config.correction].from_config(config)
