"""Computes terms of losses, and sums them over time and batch; no other file reduces them."""

from typing import NamedTuple

import tensorflow as tf


class RatioStatistics(NamedTuple):
    """These scalars describe the importance ratios pi / mu of the valid steps; float32, 1 where no step is valid.

    clipped_fraction: share of the ratios above rho_bar; 0 where no step is valid.
    """

    mean: tf.Tensor
    max: tf.Tensor
    min: tf.Tensor
    clipped_fraction: tf.Tensor


def policy_gradient_loss(log_prob_tm1: tf.Tensor, advantage_tm1: tf.Tensor) -> tf.Tensor:
    """Returns -log pi(a) advantage, [T, B] float32. No gradient flows into the advantages."""
    return -log_prob_tm1 * tf.stop_gradient(advantage_tm1)


def clipped_surrogate_loss(log_ratio_tm1: tf.Tensor, advantage_tm1: tf.Tensor, clip_ratio: float) -> tf.Tensor:
    """Returns -min(r A, clip(r, 1 - eps, 1 + eps) A), [T, B] float32 (Schulman et al. 2017, equation 7).

    log_ratio_tm1: [T, B] float32, log r. clip_ratio: eps. No gradient flows into the advantages.
    """
    advantage_tm1 = tf.stop_gradient(advantage_tm1)
    ratio_tm1 = tf.exp(log_ratio_tm1)
    clipped_tm1 = tf.clip_by_value(ratio_tm1, 1.0 - clip_ratio, 1.0 + clip_ratio)
    return -tf.minimum(ratio_tm1 * advantage_tm1, clipped_tm1 * advantage_tm1)


def baseline_loss(vs_tm1: tf.Tensor, value_tm1: tf.Tensor) -> tf.Tensor:
    """Returns 0.5 (vs - V)^2, [T, B] float32. The 0.5 comes on top of --baseline_cost, as in the released code."""
    return 0.5 * tf.square(tf.stop_gradient(vs_tm1) - value_tm1)


def entropy_loss(entropy_tm1: tf.Tensor) -> tf.Tensor:
    """Returns minus the entropy, [T, B] float32, nats."""
    return -entropy_tm1


def masked_sum(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Returns the sum of values [T, B] where valid [T, B], [] float32.

    The paper's losses are sums (caption of table D.1), and its learning rate and clip norm rely on that.
    """
    return tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))


def weighted_sum(values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Returns the sum of weight times values, both [T, B] float32, as [] float32; see `masked_sum`.

    Values of weight 0 may be anything, also not finite.
    """
    return tf.reduce_sum(tf.where(weight != 0.0, weight * values, tf.zeros_like(values)))


def normalised(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Returns values [T, B] float32, shifted and scaled so that those where valid have mean 0 and variance 1."""
    mean = masked_mean(values, valid)
    variance = masked_mean(tf.square(values - mean), valid)
    return (values - mean) * tf.math.rsqrt(variance + 1e-8)


def masked_mean(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Returns the mean of values [T, B] where valid [T, B], [] float32; 0 where nothing is valid."""
    return masked_sum(values, valid) / tf.maximum(tf.reduce_sum(tf.cast(valid, tf.float32)), 1.0)


def ratio_statistics(log_rho_tm1: tf.Tensor, valid_tm1: tf.Tensor, clip_rho_threshold: float) -> RatioStatistics:
    """Describes importance ratios.

    log_rho_tm1: [T, B] float32, log(pi(a) / mu(a)).
    valid_tm1: [T, B] bool, whether the step was a real one.
    clip_rho_threshold: rho_bar.
    """
    # Steps that are not valid take part as ratios of 1, and so does everything where none is.
    ratio = tf.exp(tf.where(valid_tm1, log_rho_tm1, tf.zeros_like(log_rho_tm1)))
    any_valid = tf.reduce_any(valid_tm1)

    def or_one(value: tf.Tensor) -> tf.Tensor:
        return tf.where(any_valid, value, tf.ones_like(value))

    return RatioStatistics(
        mean=or_one(masked_mean(ratio, valid_tm1)),
        max=or_one(tf.reduce_max(tf.where(valid_tm1, ratio, tf.zeros_like(ratio)))),
        min=or_one(tf.reduce_min(tf.where(valid_tm1, ratio, tf.fill(tf.shape(ratio), ratio.dtype.max)))),
        clipped_fraction=masked_mean(tf.cast(ratio > clip_rho_threshold, tf.float32), valid_tm1),
    )
