"""Queues unrolls between actors and learner: a `tf.queue.FIFOQueue` whose elements are groups of unrolls.

An actor makes the unrolls of all its environments at once, and the learner takes `batch_size` of them. A group is
the largest number of unrolls that divides both, so with 128 environments and batches of 32 a queue element is a whole
batch and nothing is cut up and joined again; with one environment an element is one unroll, as in the paper.
"""

import math

import tensorflow as tf

from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import TIME_MAJOR_FIELDS, Unroll


class UnrollQueue:
    """This queue is bounded: `put` blocks when it is full and `get` when it holds less than a batch.

    spec: spec of one unroll.
    batch_size: B, number of unrolls in a batch.
    num_envs: number of unrolls in one `put`.
    capacity: number of unrolls that the queue holds; 0 means one batch.

    group: number of unrolls in a group. groups_per_batch: number of groups in a batch.
    """

    def __init__(self, spec: UnrollSpec, batch_size: int, num_envs: int, capacity: int = 0):
        self.spec = spec
        self.batch_size = batch_size
        self.group = math.gcd(batch_size, num_envs)
        self.groups_per_batch = batch_size // self.group
        with_shapes = map_leaves(lambda name, leaf: tf.TensorShape(spec.shape(self.group, name, leaf)), spec)
        shapes = [tuple(shape) for shape in tf.nest.flatten(with_shapes)]
        dtypes = [tf.as_dtype(leaf.dtype) for leaf in tf.nest.flatten(spec.leaves)]
        # FIFOQueue crashes on elements without content (the core state of a network without a core), so they stay out.
        self._empty = {
            i: tf.zeros([self.groups_per_batch, *shapes[i]], dtypes[i]) for i in range(len(shapes)) if 0 in shapes[i]
        }
        capacity_in_groups = max(1, (capacity or batch_size) // self.group)
        with tf.device("/CPU:0"):
            self._queue = tf.queue.FIFOQueue(capacity_in_groups, self._queued(dtypes), self._queued(shapes))

    def _queued(self, leaves: list) -> list:
        return [leaf for i, leaf in enumerate(leaves) if i not in self._empty]

    def put(self, unrolls: Unroll) -> None:
        """Adds groups of unrolls: each leaf has the shape of a group behind a first axis [num_groups, ...].

        Raises tf.errors.CancelledError when the queue is closed.
        """
        # This is the op itself; the queue's method would spend longer on checks than the op needs.
        components = self._queued(tf.nest.flatten(unrolls))
        tf.raw_ops.QueueEnqueueManyV2(handle=self._queue.queue_ref, components=components)

    def get(self, num_groups: int = 0) -> Unroll:
        """Returns the next `batch_size` unrolls, still in groups: [groups_per_batch, ...]; see `join_groups`.

        num_groups: number of groups that are wanted instead, at most those of a batch; 0 means a batch.
        Raises tf.errors.OutOfRangeError when the queue is closed and holds less than that.
        """
        num_groups = num_groups or self.groups_per_batch
        leaves = self._queue.dequeue_many(num_groups)
        for i, empty in self._empty.items():
            # A slice is an op, which every batch would wait for.
            leaves.insert(i, empty if num_groups == self.groups_per_batch else empty[:num_groups])
        return tf.nest.pack_sequence_as(self.spec.leaves, leaves)

    def size(self) -> int:
        """Returns how many unrolls are in the queue now."""
        return int(self._queue.size()) * self.group

    def close(self) -> None:
        """Wakes everyone who is blocked in `put` or `get`."""
        self._queue.close(cancel_pending_enqueues=True)


def join_groups(groups: Unroll) -> Unroll:
    """Joins [G, rows, group, ...] to [rows, G * group, ...] (time-major leaves), others to [G * group, ...]."""

    def join(name):
        axis = 1 if name in TIME_MAJOR_FIELDS else 0
        return lambda leaf: tf.concat(tf.unstack(leaf), axis)

    return Unroll(*(tf.nest.map_structure(join(name), leaf) for name, leaf in groups._asdict().items()))
