"""Batches and what is fresh in them."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.experience import source
from impala_tf.experience.source import QueueSource
from tests.support.unrolls import B, T, make_batch


class OneBatch:
    """A queue that closes after one batch."""

    def __init__(self, events):
        self.events = events
        self.batch = make_batch()
        self.batch_size = B

    def get(self):
        self.events.append("get")
        if self.events.count("get") > 1:
            raise tf.errors.OutOfRangeError(None, None, "closed")
        return self.batch


def test_all_of_a_queues_batch_is_fresh_and_the_wait_is_not_timed():
    events = []

    @contextlib.contextmanager
    def timer(name):
        events.append(f"{name} begins")
        yield
        events.append(f"{name} ends")

    queue = OneBatch(events)
    queue_source = QueueSource(queue, timer)
    batch = queue_source.next()
    assert batch.groups is queue.batch
    resets = np.count_nonzero(queue.batch.env_outputs.first.numpy()[:, 1:])
    assert batch.statistics.num_steps == T * B - resets < T * B
    with pytest.raises(tf.errors.OutOfRangeError):
        queue_source.next()
    assert events == ["get", "batch begins", "batch ends", "get"]


class VersionedQueue:
    """A queue with batches of two groups of two unrolls. Group k has its given versions and k as its actor."""

    batch_size, groups_per_batch = 4, 2

    def __init__(self, versions):
        self.versions = versions
        self.given = 0

    def get(self, num_groups=2):
        groups = []
        for _ in range(num_groups):
            group = tf.nest.map_structure(lambda leaf: leaf[:1], make_batch(self.given))
            versions = tf.constant([self.versions[self.given]], tf.int64)
            groups.append(group._replace(policy_version=versions, actor=tf.fill([1, 2], self.given)))
            self.given += 1
        return tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *groups)


def test_groups_with_too_old_an_unroll_are_dropped_and_others_waited_for():
    """Groups 1, 2 and 4 are too old. Their steps and episodes count, their versions do not."""
    queue = VersionedQueue([(7, 7), (6, 9), (0, 6), (7, 8), (5, 5), (9, 9)])
    batch = QueueSource(queue, lambda name: contextlib.nullcontext(), oldest=lambda: 7).next()
    np.testing.assert_array_equal(batch.groups.actor, [[0, 0], [3, 3]])
    np.testing.assert_array_equal(batch.groups.env_outputs.observation[1], make_batch(3).env_outputs.observation[0])
    np.testing.assert_array_equal(batch.statistics.versions, [7, 7, 7, 8])
    firsts = make_batch().env_outputs.first.numpy()[0, 1:]
    assert batch.statistics.num_dropped == 4
    assert batch.statistics.num_steps == 4 * (firsts.size - firsts.sum())
    assert len(batch.statistics.returns) == len(batch.statistics.tasks) == 4 * firsts.sum() > 0
    np.testing.assert_array_equal(np.unique(batch.statistics.actors), [0, 1, 2, 3])


def test_without_a_bound_nothing_is_dropped():
    queue = VersionedQueue([(0, 0), (0, 0)])
    assert QueueSource(queue, lambda name: contextlib.nullcontext()).next().statistics.num_dropped == 0


@pytest.mark.parametrize("large", [0, 2**16])
def test_a_batch_by_actor_does_not_depend_on_who_came_first(large, monkeypatch):
    """Groups 0 to 3 are of the actors 2, 0, 2 and 1; those of one actor keep their order."""
    monkeypatch.setattr(source, "LARGE", large)
    groups = [tf.nest.map_structure(lambda leaf: leaf[:1], make_batch(seed)) for seed in range(4)]
    groups = [g._replace(actor=tf.fill([1, 2], actor)) for g, actor in zip(groups, (2, 0, 2, 1), strict=True)]

    def batch_of(order):
        queue = OneBatch([])
        queue.batch = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *(groups[i] for i in order))
        return QueueSource(queue, lambda name: contextlib.nullcontext(), by_actor=True).next().groups

    expected = tf.nest.flatten(batch_of([1, 3, 0, 2]))
    np.testing.assert_array_equal(batch_of([1, 3, 0, 2]).actor[:, 0], [0, 1, 2, 2])
    for order in ([0, 1, 2, 3], [0, 2, 3, 1]):
        for leaf, wanted in zip(tf.nest.flatten(batch_of(order)), expected, strict=True):
            np.testing.assert_array_equal(leaf, wanted)
