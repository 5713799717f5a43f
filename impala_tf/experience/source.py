"""Gives the learner its batches. It does not know whether they come from the queue or a buffer behind it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from impala_tf.experience.batch_statistics import BatchStatistics, batch_statistics
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.types import Unroll


class Batch(NamedTuple):
    """An update learns from this.

    groups: unrolls in the queue's groups, [groups_per_batch, ...].
    fresh: statistics of those unrolls that no update has learned from before. Frames, episodes and the budget are
        counted from these.
    """

    groups: Unroll
    fresh: BatchStatistics


class QueueSource:
    """This source takes batches straight from the unroll queue: each unroll is learned from once and is always fresh.

    timer: function that makes, of "batch", a context that times how long it takes to describe a batch.
    """

    def __init__(self, queue: UnrollQueue, timer: Callable[[str], AbstractContextManager]):
        self._queue = queue
        self._timer = timer

    def next(self) -> Batch:
        """Returns the next batch. Raises what `UnrollQueue.get` raises."""
        groups = self._queue.get()
        with self._timer("batch"):
            return Batch(groups, batch_statistics(groups))
