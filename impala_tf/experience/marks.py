"""Has the marks of unrolls that come straight from actors."""

import tensorflow as tf

from impala_tf.types import Marks


def all_fresh(num_unrolls: int) -> Marks:
    """Returns the marks of unrolls that come straight from actors."""
    return Marks(is_fresh=tf.ones([num_unrolls], tf.bool), weight=tf.ones([num_unrolls]))
