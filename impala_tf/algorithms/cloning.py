"""Has CLEAR's cloning (Rolnick et al. 2019): on replayed rows the network stays near what it said."""

import dataclasses

import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.algorithms.transitions import transitions
from impala_tf.config import Config
from impala_tf.interfaces import Term
from impala_tf.types import Array, LossInputs


@dataclasses.dataclass(frozen=True)
class Cloning:
    """This `interfaces.Term` is the sum over the valid steps of replayed unrolls, times the unrolls' weights, of

        policy_cost KL(mu || pi) + baseline_cost (V - V_mu)^2

    with the policy mu and the baseline V_mu of the weights that acted. With --normalise_returns V_mu is in the units of
    that time.

    metric_names: the two summands.
    """

    policy_cost: float
    baseline_cost: float

    metric_names = ("clone_policy", "clone_baseline")

    def loss(self, inputs: LossInputs) -> tuple[Array, dict[str, Array]]:
        steps = transitions(inputs, discounting=1.0)
        weight_tm1 = tf.where(inputs.marks.is_fresh, 0.0, steps.weight_tm1)
        kl_tm1 = inputs.distribution.kl(steps.behaviour_parameters_tm1, steps.parameters_tm1)
        policy = self.policy_cost * losses.weighted_sum(kl_tm1, weight_tm1)
        baseline = tf.zeros([])
        if self.baseline_cost > 0:
            error_tm1 = tf.squeeze(inputs.unroll.behaviour_baselines, -1) - steps.value_tm1
            baseline = self.baseline_cost * losses.weighted_sum(tf.square(error_tm1), weight_tm1)
        return policy + baseline, dict(clone_policy=policy, clone_baseline=baseline)


def cloning_terms(config: Config) -> list[Term]:
    """Returns the term, in a list that is empty where the settings ask for none."""
    if config.clone_policy_cost or config.clone_baseline_cost:
        return [Cloning(config.clone_policy_cost, config.clone_baseline_cost)]
    return []
