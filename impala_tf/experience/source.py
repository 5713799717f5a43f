"""Where batches come from. The learner does not know whether that is the unroll queue or a buffer behind it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from impala_tf.experience.batch_statistics import BatchStatistics, batch_statistics
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.types import Unroll


class Batch(NamedTuple):
    """What an update learns from.

    groups: unrolls in the queue's groups, [groups_per_batch, ...].
    fresh: statistics of the unrolls among them that nobody has learned from before. Frames, episodes and the budget are
        counted from these.
    """

    groups: Unroll
    fresh: BatchStatistics


class QueueSource:
    """Batches straight from the unroll queue: each unroll is learned from once, so all of it is fresh.

    timer: called with "batch", it makes a context that times how long it takes to describe a batch.
    """

    def __init__(self, queue: UnrollQueue, timer: Callable[[str], AbstractContextManager]):
        self._queue = queue
        self._timer = timer

    def next(self) -> Batch:
        """The next batch. Raises tf.errors.OutOfRangeError when the queue is closed and holds less than a batch."""
        groups = self._queue.get()
        with self._timer("batch"):
            return Batch(groups, batch_statistics(groups))
