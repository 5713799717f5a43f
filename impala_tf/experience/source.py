"""Gives the learner its batches. It does not know whether they come from the queue or a buffer behind it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from impala_tf.experience.batch_statistics import BatchStatistics, batch_statistics
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.types import Marks, Unroll


class Batch(NamedTuple):
    """An update learns from this.

    groups: unrolls in the queue's groups, [groups_per_batch, ...].
    marks: marks of the unrolls, [B].
    statistics: statistics of the batch. Only unrolls that no update has learned from before are new; frames, episodes
        and the budget are counted from these.
    is_last_use: whether no further update is to learn from these unrolls before actors that wait get new weights.
    """

    groups: Unroll
    marks: Marks
    statistics: BatchStatistics
    is_last_use: bool = True


class QueueSource:
    """This source takes batches straight from the unroll queue: each unroll is learned from once and is always fresh.

    timer: function that makes, of "batch", a context that times how long it takes to describe a batch.
    """

    def __init__(self, queue: UnrollQueue, timer: Callable[[str], AbstractContextManager]):
        self._queue = queue
        self._timer = timer
        self._marks = all_fresh(queue.batch_size)

    def next(self) -> Batch:
        """Returns the next batch. Raises what `UnrollQueue.get` raises."""
        groups = self._queue.get()
        with self._timer("batch"):
            return Batch(groups, self._marks, batch_statistics(groups))

    def has_next(self) -> bool:
        """Returns whether `next` has not to wait."""
        return self._queue.size() >= self._queue.batch_size
