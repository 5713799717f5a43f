"""Has IMPALA's loss (Espeholt et al. 2018, section 4.2): policy gradient and baseline on V-trace, entropy bonus."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from impala_tf.algorithms import losses, vtrace
from impala_tf.algorithms.transitions import transitions
from impala_tf.config import Config
from impala_tf.spaces.distributions import ActionDistribution
from impala_tf.types import LossCosts, NetworkOutputs, Unroll


class ImpalaLosses(NamedTuple):
    """All fields are scalars, float32. Each loss is the *sum* over T and B of the valid steps (caption of table D.1).

    total: policy_gradient + baseline + entropy, which the learner differentiates.
    mean_entropy: mean entropy of the policy over the valid steps, nats.
    ratio_mean, ratio_max, ratio_min, ratio_clipped_fraction: fields of `losses.RatioStatistics`.
    """

    total: tf.Tensor
    policy_gradient: tf.Tensor
    baseline: tf.Tensor
    entropy: tf.Tensor
    mean_entropy: tf.Tensor
    ratio_mean: tf.Tensor
    ratio_max: tf.Tensor
    ratio_min: tf.Tensor
    ratio_clipped_fraction: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Impala:
    """This is the `interfaces.Algorithm` named `impala`. Its fields are settings of the same names.

    metric_names: names of what `loss` reports, in order.
    """

    discounting: float = 0.99
    reward_clipping: str = "none"
    bootstrap_at_time_limits: bool = True
    clip_rho_threshold: float = 1.0
    clip_c_threshold: float = 1.0
    clip_pg_rho_threshold: float = 1.0
    vtrace_lambda: float = 1.0

    metric_names = ImpalaLosses._fields

    @classmethod
    def from_config(cls, config: Config) -> "Impala":
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    def loss(
        self, unroll: Unroll, outputs: NetworkOutputs, distribution: ActionDistribution, costs: LossCosts
    ) -> ImpalaLosses:
        """Returns the loss of a batch of unrolls [T + 1, B, ...] under the learner's policy and baseline.

        outputs: parameters and baselines of the learner's network at every row; row T only bootstraps.
        Raises ValueError when a dtype or a known shape is wrong.
        """
        steps = transitions(
            unroll,
            outputs,
            discounting=self.discounting,
            reward_clipping=self.reward_clipping,
            bootstrap_at_time_limits=self.bootstrap_at_time_limits,
        )
        target_log_prob_tm1 = distribution.log_prob(steps.parameters_tm1, steps.action_tm1)
        behaviour_log_prob_tm1 = distribution.log_prob(steps.behaviour_parameters_tm1, steps.action_tm1)
        log_rho_tm1 = tf.stop_gradient(target_log_prob_tm1 - behaviour_log_prob_tm1)
        returns = vtrace.from_importance_weights(
            log_rho_tm1,
            steps.discount_t,
            steps.reward_t,
            steps.value_tm1,
            steps.value_t,
            steps.valid_tm1,
            clip_rho_threshold=self.clip_rho_threshold,
            clip_c_threshold=self.clip_c_threshold,
            clip_pg_rho_threshold=self.clip_pg_rho_threshold,
            lambda_=self.vtrace_lambda,
        )
        entropy_tm1 = distribution.entropy(steps.parameters_tm1)

        def summed(loss_tm1: tf.Tensor) -> tf.Tensor:
            return losses.masked_sum(loss_tm1, steps.valid_tm1)

        policy_gradient = summed(losses.policy_gradient_loss(target_log_prob_tm1, returns.pg_advantage_tm1))
        baseline = costs.baseline * summed(losses.baseline_loss(returns.vs_tm1, steps.value_tm1))
        entropy = costs.entropy * summed(losses.entropy_loss(entropy_tm1))
        return ImpalaLosses(
            policy_gradient + baseline + entropy,
            policy_gradient,
            baseline,
            entropy,
            losses.masked_mean(entropy_tm1, steps.valid_tm1),
            *losses.ratio_statistics(log_rho_tm1, steps.valid_tm1, self.clip_rho_threshold),
        )
