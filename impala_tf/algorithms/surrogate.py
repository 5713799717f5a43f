"""Has the algorithms that learn several times from a batch, and so keep the policy near a reference policy.

Both maximise PPO's clipped surrogate (Schulman et al. 2017, equation 7) of the ratio r = pi / reference:

    min(r A, clip(r, 1 - eps, 1 + eps) A)

PPO's reference is the policy mu that acted. IMPACT's (Luo et al. 2020) is max(target, beta mu), where the target is a
copy of the weights some updates ago, which changes less than the many policies that made a batch.
"""

import dataclasses
import math
from typing import ClassVar

import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.algorithms.actor_critic import ActorCritic, LogProbs
from impala_tf.algorithms.transitions import Transitions
from impala_tf.algorithms.vtrace import VTraceReturns
from impala_tf.types import LossInputs, Needs


@dataclasses.dataclass(frozen=True)
class Surrogate(ActorCritic):
    """This is an actor-critic with the clipped surrogate. A subclass defines its reference and its `correction`.

    clip_ratio: eps.

    metric_names: those of `ActorCritic`, where policy_gradient is the surrogate with the KL term;
        surrogate_clipped_fraction, the share of valid steps whose ratio r is out of 1 +- eps; kl, the mean
        KL(reference policy || pi) of the valid steps, nats.
    """

    clip_ratio: float = 0.2

    metric_names: ClassVar[tuple[str, ...]] = (*ActorCritic.metric_names, "surrogate_clipped_fraction", "kl")

    def reference(self, log_probs: LogProbs) -> tf.Tensor:
        """Returns the log-probability of the reference, [T, B] float32."""
        raise NotImplementedError

    def reference_parameters(self, inputs: LossInputs, steps: Transitions) -> tf.Tensor:
        """Returns the parameters of the policy that the KL term keeps pi near to, [T, B, P] float32."""
        raise NotImplementedError

    def advantages(self, returns: VTraceReturns, steps: Transitions) -> tf.Tensor:
        return returns.vs_tm1 - steps.value_tm1  # On-policy: generalised advantages (Schulman et al. 2016).

    def policy_loss(
        self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs, advantage_tm1: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        log_ratio_tm1 = log_probs.policy - tf.stop_gradient(self.reference(log_probs))
        surrogate_tm1 = losses.clipped_surrogate_loss(log_ratio_tm1, advantage_tm1, self.clip_ratio)
        parameters_tm1 = tf.stop_gradient(self.reference_parameters(inputs, steps))
        kl_tm1 = inputs.distribution.kl(parameters_tm1, steps.parameters_tm1)
        is_clipped = tf.abs(tf.exp(log_ratio_tm1) - 1.0) > self.clip_ratio
        metrics = dict(
            surrogate_clipped_fraction=losses.masked_mean(tf.cast(is_clipped, tf.float32), steps.valid_tm1),
            kl=losses.masked_mean(kl_tm1, steps.valid_tm1),
        )
        return surrogate_tm1 + inputs.costs.kl * kl_tm1, metrics


@dataclasses.dataclass(frozen=True)
class Ppo(Surrogate):
    """This is the algorithm named `ppo`. Its reference is the policy that acted.

    Its returns are not corrected: the batch is taken for on-policy, as it is with --architecture=a2c_sync_trajectory.
    V-trace with ratios of 1 then gives lambda-returns. They are computed anew in each use of a batch.
    """

    default_needs: ClassVar[Needs] = Needs(batch_uses=4, minibatches=4)

    def correction(self, log_probs: LogProbs) -> tf.Tensor:
        return tf.zeros_like(log_probs.behaviour)

    def reference(self, log_probs: LogProbs) -> tf.Tensor:
        return log_probs.behaviour

    def reference_parameters(self, inputs: LossInputs, steps: Transitions) -> tf.Tensor:
        return steps.behaviour_parameters_tm1


@dataclasses.dataclass(frozen=True)
class Impact(Surrogate):
    """This is the algorithm named `impact`. V-trace corrects by target / mu.

    impact_beta: beta in the reference max(target, beta mu).
    target_update_period: field `target_period` of `Needs`; 0 means N K, one round of the buffer.
    """

    impact_beta: float = 0.5
    target_update_period: int = 0

    default_needs: ClassVar[Needs] = Needs(buffer_batches=4, batch_uses=2)

    @property
    def needs(self) -> Needs:
        needs = super().needs
        period = self.target_update_period or needs.buffer_batches * needs.batch_uses * needs.minibatches
        return needs._replace(target_period=period)

    def correction(self, log_probs: LogProbs) -> tf.Tensor:
        return log_probs.target - log_probs.behaviour

    def reference(self, log_probs: LogProbs) -> tf.Tensor:
        return tf.maximum(log_probs.target, math.log(self.impact_beta) + log_probs.behaviour)

    def reference_parameters(self, inputs: LossInputs, steps: Transitions) -> tf.Tensor:
        assert inputs.target is not None
        return inputs.target.parameters[:-1]
