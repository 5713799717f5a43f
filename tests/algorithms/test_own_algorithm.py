"""An algorithm of one's own: a file with a loss, which --algorithm=module:function names; nothing else changes."""

import numpy as np
import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.algorithms.transitions import transitions
from impala_tf.types import Loss, Needs
from tests.support.runs import metrics_of, run


class ActorCritic:
    """n-step actor-critic without a correction for the lag."""

    metric_names = ("mean_return",)
    needs = Needs()

    def __init__(self, config):
        self._discounting = config.discounting

    def loss(self, inputs):
        steps = transitions(inputs, discounting=self._discounting)

        def backwards(following, step):
            reward, discount, value, valid = step
            return tf.where(valid, reward + discount * following, value)  # A reset step's return is its row's value.

        returns = tf.scan(
            backwards,
            (steps.reward_t, steps.discount_t, steps.value_tm1, steps.valid_tm1),
            initializer=steps.value_t[-1],
            reverse=True,
        )
        advantage = tf.stop_gradient(returns - steps.value_tm1)
        distribution, costs = inputs.distribution, inputs.costs
        log_prob = distribution.log_prob(steps.parameters_tm1, steps.action_tm1)
        policy = losses.policy_gradient_loss(log_prob, advantage)
        baseline = costs.baseline * losses.baseline_loss(returns, steps.value_tm1)
        entropy = costs.entropy * losses.entropy_loss(distribution.entropy(steps.parameters_tm1))
        total = losses.weighted_sum(policy + baseline + entropy, steps.weight_tm1)
        return Loss(total, advantage, {"mean_return": losses.masked_mean(returns, steps.valid_tm1)})


def test_an_own_algorithm_learns_cartpole(tmp_path):
    summary = run(
        tmp_path,
        algorithm="tests.algorithms.test_own_algorithm:ActorCritic",
        total_environment_frames=150_000,
        num_envs_per_actor=32,
        batch_size=32,
        unroll_length=20,
        hidden_sizes=(64, 64),
        xla="auto",
        log_every_secs=0.3,
    )
    assert summary.mean_return > 150
    metrics = metrics_of(tmp_path)
    assert np.isfinite(metrics["mean_return"]).all(), "its own statistics are columns"
    assert "ratio_mean" not in metrics
