"""Applies action masks to logits."""

import tensorflow as tf

# The exponential of this logit is exactly 0 in float32, and unlike -inf it makes no NaN in an entropy, a ratio or a
# gradient.
MASKED_LOGIT = -1e9


def mask_logits(logits: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """[..., n] float32, [..., n] bool or integer -> [..., n] float32; where nothing is allowed everything is."""
    allowed = tf.cast(allowed, tf.bool)
    return tf.where(allowed | ~tf.reduce_any(allowed, axis=-1, keepdims=True), logits, MASKED_LOGIT)


def fill_up(logits: tf.Tensor, size: int) -> tf.Tensor:
    """[..., n] -> [..., size], with logits at the end that are never chosen."""
    missing = size - logits.shape[-1]
    paddings = [[0, 0]] * (logits.shape.rank - 1) + [[0, missing]]
    return tf.pad(logits, paddings, constant_values=MASKED_LOGIT) if missing else logits
