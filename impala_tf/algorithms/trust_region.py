"""Has the trust region of LASER (Schmitt et al. 2019): what a policy did that was too different is not learned from."""

import tensorflow as tf

from impala_tf.algorithms.transitions import Transitions
from impala_tf.spaces.distributions import ActionDistribution


def trusted_steps(steps: Transitions, distribution: ActionDistribution, bound: float) -> tf.Tensor:
    """Returns 1 for each step up to the first at whose row KL(mu || pi) >= bound, and 0 from there on, [T, B] float32.

    bound: b of the public code, nats; there it is 1.

    Deviation: the public code goes on with 0 to the end of the unroll. Here the next episode begins with 1 again, so
    that an unroll teaches the same as its two episodes apart.
    """
    kl_tm1 = distribution.kl(steps.behaviour_parameters_tm1, tf.stop_gradient(steps.parameters_tm1))
    inside_tm1 = tf.cast(kl_tm1 < bound, tf.float32)

    def forwards(trusted, step):
        inside, valid = step
        return tf.where(valid, trusted * inside, 1.0)  # The step after one that is not valid begins an episode.

    return tf.scan(forwards, (inside_tm1, steps.valid_tm1), initializer=tf.ones_like(inside_tm1[0]))
