"""Makes a batch from which nothing is learned, for a learner that ends while others wait for its gradients."""

import numpy as np
import tensorflow as tf

from impala_tf.experience.batch_statistics import nothing_new
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import Marks


def void_batch(spec: UnrollSpec, num_groups: int, group: int, version: int) -> Batch:
    """Returns a batch of unrolls whose rows are all `first`: no step is real, so the losses and gradients are 0.

    spec: spec of one unroll.
    num_groups, group: form of the learner's batches.
    version: version of the weights that is put down for the unrolls.
    """
    zeros = map_leaves(lambda name, leaf: tf.zeros([num_groups, *spec.shape(group, name, leaf)], leaf.dtype), spec)
    rows = zeros.env_outputs
    size = num_groups * group
    return Batch(
        groups=zeros._replace(env_outputs=rows._replace(first=tf.ones_like(rows.first))),
        marks=Marks(tf.zeros([size], tf.bool), tf.zeros([size])),
        statistics=nothing_new(np.full([size], version)),
    )
