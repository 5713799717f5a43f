"""Computes V-trace targets (Espeholt et al. 2018, section 4.1) in pure TensorFlow.

Names follow the shift of `transitions.py`: a step leads from row t - 1 to row t. `_tm1` marks what belongs to the row
before the step (its value V, the ratio rho of its action), `_t` what the step brought (reward, discount) and the row
after it. With rho and c the clipped importance ratios pi / mu, and `valid` 0 for a step that never happened (the one
that the environment spends on a reset):

    delta_t   = valid_tm1 rho_tm1 (reward_t + discount_t V_t - V_tm1)
    vs_tm1    = V_tm1 + delta_t + valid_tm1 discount_t c_tm1 (vs_t - V_t)              remark 1 of the paper
    advantage = valid_tm1 rho_pg_tm1 (reward_t + discount_t vs_t - V_tm1)
"""

from typing import Any, NamedTuple

import tensorflow as tf

from impala_tf.support.checks import check_tensor


class VTraceReturns(NamedTuple):
    """V-trace returns targets and advantages; no gradient flows through either.

    vs_tm1: [T, ...] float32, targets of the baseline at the rows before the steps.
    pg_advantage_tm1: [T, ...] float32, weights of the policy gradient.
    """

    vs_tm1: tf.Tensor
    pg_advantage_tm1: tf.Tensor


class VTraceFromLogitsReturns(NamedTuple):
    """This extends `VTraceReturns` by log mu, log pi and log(pi / mu) of the actions, each [T, ...] float32."""

    vs_tm1: tf.Tensor
    pg_advantage_tm1: tf.Tensor
    behaviour_log_prob_tm1: tf.Tensor
    target_log_prob_tm1: tf.Tensor
    log_rho_tm1: tf.Tensor


def from_importance_weights(
    log_rho_tm1: tf.Tensor,
    discount_t: tf.Tensor,
    reward_t: tf.Tensor,
    value_tm1: tf.Tensor,
    value_t: tf.Tensor,
    valid_tm1: tf.Tensor | None = None,
    *,
    clip_rho_threshold: float | None = 1.0,
    clip_c_threshold: float | None = 1.0,
    clip_pg_rho_threshold: float | None = 1.0,
    lambda_: float | tf.Tensor = 1.0,
) -> VTraceReturns:
    """Computes V-trace targets from log importance ratios. T and all further dimensions may be unknown.

    log_rho_tm1: [T, ...] float32, log(pi(a) / mu(a)) of the action of each step.
    discount_t: [T, ...] float32, gamma, or 0 where the step terminated the episode.
    reward_t: [T, ...] float32, reward of the step.
    value_tm1: [T, ...] float32, V of the row before the step.
    value_t: [T, ...] float32, V of the row after it; its last entry bootstraps.
    valid_tm1: [T, ...] bool, False where the step was not a real one; None means that all are.
    clip_rho_threshold: rho_bar, which decides the fixed point; None means no clipping.
    clip_c_threshold: c_bar, which decides the speed of contraction; None means no clipping.
    clip_pg_rho_threshold: threshold of rho in the advantages only; None means no clipping.
    lambda_: factor of c (remark 2); [T, ...] float32 gives each step its own.

    Raises ValueError when a rank, a dtype, a known shape or a threshold is wrong.
    """
    log_rho_tm1, discount_t, reward_t, value_tm1, value_t = (
        tf.convert_to_tensor(x) for x in (log_rho_tm1, discount_t, reward_t, value_tm1, value_t)
    )
    valid_tm1 = tf.ones_like(log_rho_tm1, tf.bool) if valid_tm1 is None else tf.convert_to_tensor(valid_tm1)
    _check(log_rho_tm1, discount_t, reward_t, value_tm1, value_t, valid_tm1)
    _check_thresholds(clip_rho_threshold, clip_c_threshold, clip_pg_rho_threshold, lambda_)

    with tf.name_scope("vtrace"):
        # The targets are constants to the losses, so the whole computation is cut from the gradient at its inputs.
        log_rho_tm1, value_tm1, value_t = (tf.stop_gradient(x) for x in (log_rho_tm1, value_tm1, value_t))
        mask = tf.cast(valid_tm1, tf.float32)
        # The action of an invalid step was ignored, so its ratio may be anything; inf * 0 would be nan.
        rho_tm1 = tf.exp(tf.where(valid_tm1, log_rho_tm1, tf.zeros_like(log_rho_tm1)))
        c_tm1 = mask * lambda_ * _clip(rho_tm1, clip_c_threshold)
        delta_t = mask * _clip(rho_tm1, clip_rho_threshold) * (reward_t + discount_t * value_t - value_tm1)

        def backwards(vs_minus_value_t, step):
            delta, discount, c = step
            return delta + discount * c * vs_minus_value_t

        vs_minus_value_tm1 = tf.scan(
            backwards, (delta_t, discount_t, c_tm1), initializer=tf.zeros_like(value_t[-1]), reverse=True
        )
        vs_tm1 = vs_minus_value_tm1 + value_tm1
        # The target of the last row is its value.
        vs_t = tf.concat([vs_tm1[1:], value_t[-1:]], axis=0)
        advantage = mask * _clip(rho_tm1, clip_pg_rho_threshold) * (reward_t + discount_t * vs_t - value_tm1)
        return VTraceReturns(vs_tm1=tf.stop_gradient(vs_tm1), pg_advantage_tm1=tf.stop_gradient(advantage))


def from_logits(
    behaviour_logits_tm1: tf.Tensor,
    target_logits_tm1: tf.Tensor,
    action_tm1: tf.Tensor,
    discount_t: tf.Tensor,
    reward_t: tf.Tensor,
    value_tm1: tf.Tensor,
    value_t: tf.Tensor,
    valid_tm1: tf.Tensor | None = None,
    **settings: Any,
) -> VTraceFromLogitsReturns:
    """Computes V-trace targets for softmax policies.

    behaviour_logits_tm1, target_logits_tm1: [T, ..., num_actions] float32, logits of mu and of pi.
    action_tm1: [T, ...] int32 or int64, actions sampled from mu.
    The settings, the other arguments and the errors are those of `from_importance_weights`.
    """
    behaviour_logits_tm1, target_logits_tm1, action_tm1 = (
        tf.convert_to_tensor(x) for x in (behaviour_logits_tm1, target_logits_tm1, action_tm1)
    )
    wanted_rank = action_tm1.shape.rank + 1
    if behaviour_logits_tm1.shape.rank != wanted_rank or target_logits_tm1.shape.rank != wanted_rank:
        raise ValueError(
            f"logits need one dimension more than actions: got {behaviour_logits_tm1.shape} (behaviour) and "
            f"{target_logits_tm1.shape} (target) for actions {action_tm1.shape}"
        )

    def log_prob(logits):
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=action_tm1, logits=logits)

    behaviour_log_prob_tm1 = log_prob(behaviour_logits_tm1)
    target_log_prob_tm1 = log_prob(target_logits_tm1)
    log_rho_tm1 = target_log_prob_tm1 - behaviour_log_prob_tm1
    returns = from_importance_weights(log_rho_tm1, discount_t, reward_t, value_tm1, value_t, valid_tm1, **settings)
    return VTraceFromLogitsReturns(*returns, behaviour_log_prob_tm1, target_log_prob_tm1, tf.stop_gradient(log_rho_tm1))


def _clip(ratios: tf.Tensor, threshold: float | None) -> tf.Tensor:
    return ratios if threshold is None else tf.minimum(ratios, threshold)


def _check(log_rho_tm1, discount_t, reward_t, value_tm1, value_t, valid_tm1) -> None:
    if value_tm1.shape.rank is None or value_tm1.shape.rank < 1:
        raise ValueError(f"value_tm1 must have a known rank of at least 1, [T, ...]; got shape {value_tm1.shape}")
    shape = value_tm1.shape
    floats = dict(
        log_rho_tm1=log_rho_tm1, discount_t=discount_t, reward_t=reward_t, value_tm1=value_tm1, value_t=value_t
    )
    for name, tensor in floats.items():
        check_tensor(name, tensor, tf.float32, shape)
    check_tensor("valid_tm1", valid_tm1, tf.bool, shape)


def _check_thresholds(rho, c, pg_rho, lambda_) -> None:
    for name, value in dict(
        clip_rho_threshold=rho, clip_c_threshold=c, clip_pg_rho_threshold=pg_rho, lambda_=lambda_
    ).items():
        if value is not None and not tf.is_tensor(value) and value < 0:
            raise ValueError(f"{name} must be at least 0 or None, got {value}")
