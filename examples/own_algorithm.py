"""This file holds an algorithm of your own: n-step actor-critic without a correction for the policy lag.

    python -m impala_tf.experiment --algorithm=examples.own_algorithm:ActorCritic

What stands behind the colon is called with the settings and returns an `impala_tf.interfaces.Algorithm`.
"""

import tensorflow as tf

from impala_tf.algorithms import losses, vtrace
from impala_tf.algorithms.transitions import transitions
from impala_tf.types import Loss, Needs


class ActorCritic:
    metric_names = ("mean_return",)
    needs = Needs()  # Each batch is learned from once, and there is no target network.

    def __init__(self, config):
        self._discounting = config.discounting

    def loss(self, inputs):
        steps = transitions(inputs, discounting=self._discounting)
        on_policy = tf.zeros_like(steps.reward_t)  # With log ratios of 0, V-trace gives n-step returns.
        returns = vtrace.from_importance_weights(
            on_policy, steps.discount_t, steps.reward_t, steps.value_tm1, steps.value_t, steps.valid_tm1
        )
        log_prob = inputs.distribution.log_prob(steps.parameters_tm1, steps.action_tm1)
        policy = losses.policy_gradient_loss(log_prob, returns.pg_advantage_tm1)
        baseline = inputs.costs.baseline * losses.baseline_loss(returns.vs_tm1, steps.value_tm1)
        entropy = inputs.costs.entropy * losses.entropy_loss(inputs.distribution.entropy(steps.parameters_tm1))
        total = losses.weighted_sum(policy + baseline + entropy, steps.weight_tm1)
        metrics = {"mean_return": losses.masked_mean(returns.vs_tm1, steps.valid_tm1)}
        return Loss(total, returns.pg_advantage_tm1, metrics)
