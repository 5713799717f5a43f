"""Has IMPALA's loss (Espeholt et al. 2018, section 4.2): policy gradient and baseline on V-trace, entropy bonus."""

import dataclasses

import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.algorithms.actor_critic import ActorCritic, LogProbs
from impala_tf.algorithms.transitions import Transitions
from impala_tf.algorithms.vtrace import VTraceReturns
from impala_tf.types import LossInputs


@dataclasses.dataclass(frozen=True)
class Impala(ActorCritic):
    """This is the algorithm named `impala`."""

    def correction(self, log_probs: LogProbs) -> tf.Tensor:
        return log_probs.policy - log_probs.behaviour

    def advantages(self, returns: VTraceReturns, steps: Transitions) -> tf.Tensor:
        return returns.pg_advantage_tm1

    def policy_loss(
        self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs, advantage_tm1: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return losses.policy_gradient_loss(log_probs.policy, advantage_tm1), {}
