"""V-trace targets (Espeholt et al. 2018, section 4.1). Pure TensorFlow.

With c_s and rho_s the clipped importance ratios pi / mu of step s, and `valid` 0 for a step that never happened
(the one that the environment spends on a reset):

    delta_s  = valid_s rho_s (r_{s+1} + discount_s V_{s+1} - V_s)
    vs_s     = V_s + delta_s + valid_s discount_s c_s (vs_{s+1} - V_{s+1})        remark 1 of the paper
    advantage_s = valid_s rho_pg_s (r_{s+1} + discount_s vs_{s+1} - V_s)

Index s of `rewards` and `discounts` holds what step s brought, that is row s + 1 of the unroll (see `types.py`).
"""

from typing import Any, NamedTuple

import tensorflow as tf


class VTraceReturns(NamedTuple):
    """vs: [T, ...] float32, targets of the baseline. pg_advantages: [T, ...] float32, weights of the policy gradient.

    No gradient flows through either.
    """

    vs: tf.Tensor
    pg_advantages: tf.Tensor


class VTraceFromLogitsReturns(NamedTuple):
    """`VTraceReturns`, and log mu, log pi and log(pi / mu) of the actions, each [T, ...] float32."""

    vs: tf.Tensor
    pg_advantages: tf.Tensor
    behaviour_action_log_probs: tf.Tensor
    target_action_log_probs: tf.Tensor
    log_rhos: tf.Tensor


def from_importance_weights(
    log_rhos: tf.Tensor,
    discounts: tf.Tensor,
    rewards: tf.Tensor,
    values: tf.Tensor,
    bootstrap_value: tf.Tensor,
    valid: tf.Tensor | None = None,
    *,
    clip_rho_threshold: float | None = 1.0,
    clip_c_threshold: float | None = 1.0,
    clip_pg_rho_threshold: float | None = 1.0,
    lambda_: float = 1.0,
) -> VTraceReturns:
    """V-trace targets from log importance ratios. T and all further dimensions may be unknown.

    log_rhos: [T, ...] float32, log(pi(a_s) / mu(a_s)).
    discounts: [T, ...] float32, gamma, or 0 where step s terminated the episode.
    rewards: [T, ...] float32, of step s.
    values: [T, ...] float32, V_s.
    bootstrap_value: [...] float32, V_T.
    valid: [T, ...] bool, False where step s was not a real step; None means all are.
    clip_rho_threshold: rho_bar, decides the fixed point; None means no clipping.
    clip_c_threshold: c_bar, decides the speed of contraction; None means no clipping.
    clip_pg_rho_threshold: clips rho in the advantages only; None means no clipping.
    lambda_: multiplies c (remark 2).

    Raises ValueError when a rank, a dtype, a known shape or a threshold is wrong.
    """
    log_rhos, discounts, rewards, values, bootstrap_value = (
        tf.convert_to_tensor(x) for x in (log_rhos, discounts, rewards, values, bootstrap_value)
    )
    valid = tf.ones_like(log_rhos, tf.bool) if valid is None else tf.convert_to_tensor(valid)
    _check(log_rhos, discounts, rewards, values, bootstrap_value, valid)
    _check_thresholds(clip_rho_threshold, clip_c_threshold, clip_pg_rho_threshold, lambda_)

    with tf.name_scope("vtrace"):
        # The targets are constants to the losses, so the whole computation is cut from the gradient at its inputs.
        log_rhos, values, bootstrap_value = (tf.stop_gradient(x) for x in (log_rhos, values, bootstrap_value))
        mask = tf.cast(valid, tf.float32)
        # The action of an invalid step was ignored, so its ratio may be anything; inf * 0 would be nan.
        rhos = tf.exp(tf.where(valid, log_rhos, tf.zeros_like(log_rhos)))
        cs = mask * lambda_ * _clip(rhos, clip_c_threshold)
        values_t_plus_1 = tf.concat([values[1:], bootstrap_value[tf.newaxis]], axis=0)
        deltas = mask * _clip(rhos, clip_rho_threshold) * (rewards + discounts * values_t_plus_1 - values)

        def backwards(vs_minus_v_t_plus_1, step):
            delta_t, discount_t, c_t = step
            return delta_t + discount_t * c_t * vs_minus_v_t_plus_1

        vs_minus_v = tf.scan(
            backwards, (deltas, discounts, cs), initializer=tf.zeros_like(bootstrap_value), reverse=True
        )
        vs = vs_minus_v + values
        vs_t_plus_1 = tf.concat([vs[1:], bootstrap_value[tf.newaxis]], axis=0)
        advantages = mask * _clip(rhos, clip_pg_rho_threshold) * (rewards + discounts * vs_t_plus_1 - values)
        return VTraceReturns(vs=tf.stop_gradient(vs), pg_advantages=tf.stop_gradient(advantages))


def from_logits(
    behaviour_logits: tf.Tensor,
    target_logits: tf.Tensor,
    actions: tf.Tensor,
    discounts: tf.Tensor,
    rewards: tf.Tensor,
    values: tf.Tensor,
    bootstrap_value: tf.Tensor,
    valid: tf.Tensor | None = None,
    **settings: Any,
) -> VTraceFromLogitsReturns:
    """V-trace targets for softmax policies.

    behaviour_logits, target_logits: [T, ..., num_actions] float32, of mu and of pi.
    actions: [T, ...] int32 or int64, sampled from mu.
    settings, the other arguments and the errors are those of `from_importance_weights`.
    """
    behaviour_logits, target_logits, actions = (
        tf.convert_to_tensor(x) for x in (behaviour_logits, target_logits, actions)
    )
    if behaviour_logits.shape.rank != actions.shape.rank + 1 or target_logits.shape.rank != actions.shape.rank + 1:
        raise ValueError(
            f"logits need one dimension more than actions: got {behaviour_logits.shape} (behaviour) and "
            f"{target_logits.shape} (target) for actions {actions.shape}"
        )

    def log_prob(logits):
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=actions, logits=logits)

    behaviour_action_log_probs = log_prob(behaviour_logits)
    target_action_log_probs = log_prob(target_logits)
    log_rhos = target_action_log_probs - behaviour_action_log_probs
    returns = from_importance_weights(log_rhos, discounts, rewards, values, bootstrap_value, valid, **settings)
    return VTraceFromLogitsReturns(
        *returns, behaviour_action_log_probs, target_action_log_probs, tf.stop_gradient(log_rhos)
    )


def _clip(ratios: tf.Tensor, threshold: float | None) -> tf.Tensor:
    return ratios if threshold is None else tf.minimum(ratios, threshold)


def _check(log_rhos, discounts, rewards, values, bootstrap_value, valid) -> None:
    float_inputs = dict(
        log_rhos=log_rhos, discounts=discounts, rewards=rewards, values=values, bootstrap_value=bootstrap_value
    )
    for name, tensor in float_inputs.items():
        if tensor.dtype != tf.float32:
            raise ValueError(f"{name} must be float32, got {tensor.dtype.name}")
    if valid.dtype != tf.bool:
        raise ValueError(f"valid must be bool, got {valid.dtype.name}")
    if values.shape.rank is None or values.shape.rank < 1:
        raise ValueError(f"values must have a known rank of at least 1, [T, ...]; got shape {values.shape}")
    for name, tensor in dict(log_rhos=log_rhos, discounts=discounts, rewards=rewards, valid=valid).items():
        if not tensor.shape.is_compatible_with(values.shape) or tensor.shape.rank is None:
            raise ValueError(f"{name} must have the shape of values, {values.shape}; got {tensor.shape}")
    if not bootstrap_value.shape.is_compatible_with(values.shape[1:]) or bootstrap_value.shape.rank is None:
        raise ValueError(f"bootstrap_value must have shape {values.shape[1:]}; got {bootstrap_value.shape}")


def _check_thresholds(rho, c, pg_rho, lambda_) -> None:
    for name, value in dict(
        clip_rho_threshold=rho, clip_c_threshold=c, clip_pg_rho_threshold=pg_rho, lambda_=lambda_
    ).items():
        if value is not None and value < 0:
            raise ValueError(f"{name} must be at least 0 or None, got {value}")
