"""Changes logits: masks, temperature, mixture with the uniform distribution. Masked actions stay masked."""

import tensorflow as tf

# The exponential of this logit is exactly 0 in float32, and unlike -inf it makes no NaN in an entropy, a ratio or a
# gradient.
MASKED_LOGIT = -1e9


def mask_logits(logits: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """[..., n] float32, [..., n] bool or integer -> [..., n] float32; where nothing is allowed everything is."""
    allowed = tf.cast(allowed, tf.bool)
    return tf.where(allowed | ~tf.reduce_any(allowed, axis=-1, keepdims=True), logits, MASKED_LOGIT)


def is_allowed(logits: tf.Tensor) -> tf.Tensor:
    """[..., n] float32 -> [..., n] bool, False where `mask_logits` ruled the action out."""
    return logits > MASKED_LOGIT / 2


def temper_logits(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """[..., n] float32, [..., 1] float32 -> [..., n] float32; masked logits stay, so that they are still known."""
    return tf.where(is_allowed(logits), logits / temperature, logits)


def mix_logits(logits: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """[..., n] float32, [..., 1] float32 -> [..., n] float32, log((1 - epsilon) softmax(logits) + epsilon / allowed).

    It is computed from logarithms: the softmax of a small logit may be 0 in float32, and its logarithm -inf.
    """
    allowed = is_allowed(logits)
    num_allowed = tf.reduce_sum(tf.cast(allowed, tf.float32), axis=-1, keepdims=True)
    policy = tf.math.log1p(-epsilon) + tf.nn.log_softmax(logits)
    return tf.where(allowed, log_add(policy, tf.math.log(epsilon / num_allowed)), MASKED_LOGIT)


def mix_bits(logits: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """[..., N] float32, [..., 1] float32 -> [..., N] float32, logits of (1 - epsilon) sigmoid(logits) + epsilon / 2."""
    log_policy, log_half = tf.math.log1p(-epsilon), tf.math.log(epsilon / 2)
    log_one = log_add(log_policy + tf.math.log_sigmoid(logits), log_half)
    log_zero = log_add(log_policy + tf.math.log_sigmoid(-logits), log_half)
    return tf.where(is_allowed(logits), log_one - log_zero, MASKED_LOGIT)


def log_add(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns log(exp(x) + exp(y)); one of them may be -inf."""
    return tf.maximum(x, y) + tf.math.log1p(tf.exp(-tf.abs(x - y)))


def fill_up(logits: tf.Tensor, size: int) -> tf.Tensor:
    """[..., n] -> [..., size], with logits at the end that are never chosen."""
    missing = size - logits.shape[-1]
    paddings = [[0, 0]] * (logits.shape.rank - 1) + [[0, missing]]
    return tf.pad(logits, paddings, constant_values=MASKED_LOGIT) if missing else logits
