"""Gives the learner its batches. It does not know whether they come from the queue or a buffer behind it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.experience.batch_statistics import BatchStatistics, batch_statistics, with_dropped
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.types import Array, Marks, Unroll

# Numpy sorts an array of fewer elements faster than an op; it copies twice.
LARGE = 2**16


class Batch(NamedTuple):
    """An update learns from this.

    groups: unrolls in the queue's groups, [groups_per_batch, ...].
    marks: marks of the unrolls, [B].
    statistics: statistics of the batch. Only unrolls that no update has learned from before are new; frames, episodes
        and the budget are counted from these.
    is_last_use: whether no further update is to learn from these unrolls before actors that wait get new weights.
    serials: [B] int64, serial numbers of the unrolls in the replay buffer; None without one.
    """

    groups: Unroll
    marks: Marks
    statistics: BatchStatistics
    is_last_use: bool = True
    serials: np.ndarray | None = None


class QueueSource:
    """This source takes batches straight from the unroll queue: each unroll is learned from once and is always fresh.

    timer: function that makes, of "batch", a context that times how long it takes to describe a batch.
    oldest: function that returns the oldest policy version that may be learned from. Groups with an unroll of an older
        one are dropped, and others waited for.
    by_actor: whether a batch is put in the order of its actors, so that it does not depend on who came first.
    """

    def __init__(
        self,
        queue: UnrollQueue,
        timer: Callable[[str], AbstractContextManager],
        oldest: Callable[[], int] = lambda: 0,
        by_actor: bool = False,
    ):
        self._queue = queue
        self._timer = timer
        self._oldest = oldest
        self._by_actor = by_actor
        self._marks = all_fresh(queue.batch_size)

    def next(self) -> Batch:
        """Returns the next batch. Raises what `UnrollQueue.get` raises."""
        groups = self._queue.get()
        dropped: list[BatchStatistics] = []
        while len(too_old := self._too_old(groups)):
            dropped.append(batch_statistics(_take(groups, too_old)))
            kept = np.setdiff1d(np.arange(self._queue.groups_per_batch), too_old)
            more = self._queue.get(len(too_old))
            groups = tf.nest.map_structure(lambda a, b: tf.concat([a, b], 0), _take(groups, kept), more)
        with self._timer("batch"):
            groups = _by_actor(groups) if self._by_actor else groups
            statistics = batch_statistics(groups)
            return Batch(groups, self._marks, with_dropped(statistics, dropped) if dropped else statistics)

    def _too_old(self, groups: Unroll) -> np.ndarray:
        """Returns the indices of the groups with an unroll of too old a version."""
        oldest = self._oldest()
        if oldest <= 0:  # No version is older, and reading them takes a tenth of a millisecond of the actors' time.
            return np.array([], np.int64)
        return np.flatnonzero(groups.policy_version.numpy().min(axis=1) < oldest)

    def has_next(self) -> bool:
        """Returns whether `next` has not to wait."""
        return self._queue.size() >= self._queue.batch_size

    def learned(self, batch: Batch, advantage_tm1: Array) -> None:
        """Takes note of nothing: what was learned from is gone."""


def _take(groups: Unroll, indices: np.ndarray) -> Unroll:
    return tf.nest.map_structure(lambda leaf: tf.gather(leaf, indices), groups)


def _by_actor(groups: Unroll) -> Unroll:
    """Sorts groups by the actor of their first unroll; those of one actor keep their order."""
    actors = groups.actor.numpy()[:, 0]
    if np.all(actors[:-1] <= actors[1:]):
        return groups
    order = np.argsort(actors, kind="stable")

    def sort(leaf: tf.Tensor) -> tf.Tensor:
        if leaf.shape.num_elements() > LARGE:
            return tf.gather(leaf, order)
        return tf.convert_to_tensor(leaf.numpy()[order])

    return tf.nest.map_structure(sort, groups)
