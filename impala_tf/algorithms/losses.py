"""IMPALA's losses (section 4.2). The one place where rows are shifted and the one place where losses are reduced."""

from typing import NamedTuple

import tensorflow as tf

from impala_tf.algorithms import vtrace
from impala_tf.config import Config
from impala_tf.spaces.distributions import ActionDistribution
from impala_tf.types import Unroll


class Losses(NamedTuple):
    """Scalars, float32. Each loss is the *sum* over T and B of the valid steps (caption of table D.1).

    The last four describe the steps behind them: the mean policy entropy in nats, and mean, max, min and clipped
    fraction (above rho_bar) of the importance ratios pi / mu.
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


def clip_rewards(rewards: tf.Tensor, how: str) -> tf.Tensor:
    """Rewards as the learner sees them; any shape, float32.

    how: none; abs_one, clip(r, -1, 1); soft_asymmetric, 5 tanh(r / 5) and for negative rewards 0.3 times that.
    """
    if how == "none":
        return rewards
    if how == "abs_one":
        return tf.clip_by_value(rewards, -1.0, 1.0)
    if how == "soft_asymmetric":
        # The released code's version. The paper's figure caption prints 5 tanh(r) and 0.3 tanh(r).
        squeezed = tf.tanh(rewards / 5.0)
        return 5.0 * tf.where(rewards < 0, 0.3 * squeezed, squeezed)
    raise ValueError(f"reward clipping {how!r}: must be none, abs_one or soft_asymmetric")


def valid_steps(unroll: Unroll) -> tf.Tensor:
    """[T, B] bool: False where step t only reset the environment, that is where row t + 1 is `first`."""
    return tf.logical_not(unroll.env_outputs.first[1:])


def policy_gradient_loss(log_probs: tf.Tensor, advantages: tf.Tensor) -> tf.Tensor:
    """[T, B] float32: -log pi(a) advantage. No gradient flows into the advantages."""
    return -log_probs * tf.stop_gradient(advantages)


def baseline_loss(vs: tf.Tensor, baselines: tf.Tensor) -> tf.Tensor:
    """[T, B] float32: 0.5 (vs - V)^2. The 0.5 comes on top of --baseline_cost, as in the released code."""
    return 0.5 * tf.square(tf.stop_gradient(vs) - baselines)


def entropy_loss(entropies: tf.Tensor) -> tf.Tensor:
    """[T, B] float32: minus the entropy in nats."""
    return -entropies


def impala_loss(
    unroll: Unroll,
    parameters: tf.Tensor,
    baselines: tf.Tensor,
    distribution: ActionDistribution,
    config: Config,
) -> Losses:
    """The loss of a batch of unrolls under the learner's policy and baseline.

    parameters: [T + 1, B, P] float32, of the learner's policy pi at every row.
    baselines: [T + 1, B] float32, V at every row; row T only bootstraps.
    """
    # The shift: what row t + 1 emitted is the result of step t.
    rewards = clip_rewards(unroll.env_outputs.reward[1:], config.reward_clipping)
    terminated = unroll.env_outputs.terminated[1:]
    if not config.bootstrap_at_time_limits:
        terminated |= unroll.env_outputs.truncated[1:]
    discounts = config.discounting * tf.cast(tf.logical_not(terminated), tf.float32)
    valid = valid_steps(unroll)
    parameters, values, bootstrap_value = parameters[:-1], baselines[:-1], baselines[-1]

    target_log_probs = distribution.log_prob(parameters, unroll.actions)
    behaviour_log_probs = distribution.log_prob(unroll.behaviour_parameters, unroll.actions)
    log_rhos = tf.stop_gradient(target_log_probs - behaviour_log_probs)
    entropies = distribution.entropy(parameters)
    returns = vtrace.from_importance_weights(
        log_rhos,
        discounts,
        rewards,
        values,
        bootstrap_value,
        valid,
        clip_rho_threshold=config.clip_rho_threshold,
        clip_c_threshold=config.clip_c_threshold,
        clip_pg_rho_threshold=config.clip_pg_rho_threshold,
        lambda_=config.vtrace_lambda,
    )

    # The reduction: sums, on which the paper's learning rate and clip norm rely.
    policy_gradient = _masked_sum(policy_gradient_loss(target_log_probs, returns.pg_advantages), valid)
    baseline = config.baseline_cost * _masked_sum(baseline_loss(returns.vs, values), valid)
    entropy = config.entropy_cost * _masked_sum(entropy_loss(entropies), valid)

    ratios = tf.exp(log_rhos)
    num_valid = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.float32)), 1.0)
    return Losses(
        total=policy_gradient + baseline + entropy,
        policy_gradient=policy_gradient,
        baseline=baseline,
        entropy=entropy,
        mean_entropy=_masked_sum(entropies, valid) / num_valid,
        ratio_mean=_masked_sum(ratios, valid) / num_valid,
        ratio_max=tf.reduce_max(tf.where(valid, ratios, 0.0)),
        ratio_min=tf.reduce_min(tf.where(valid, ratios, float("inf"))),
        ratio_clipped_fraction=_masked_sum(tf.cast(ratios > config.clip_rho_threshold, tf.float32), valid) / num_valid,
    )


def _masked_sum(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))
