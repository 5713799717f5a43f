"""The circular buffer and minibatches."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.reuse import ReuseSource
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.types import Marks, Needs
from tests.support.unrolls import B, T, make_batch


class Numbered:
    """A source of batches whose unrolls say in `actor` which batch they are of. `ready` of them are there at once."""

    def __init__(self, ready):
        self.ready = ready
        self.given = 0
        self.waits = 0

    def next(self):
        self.waits += self.ready == 0
        self.ready = max(0, self.ready - 1)
        groups = make_batch(self.given)
        groups = groups._replace(
            actor=tf.fill([2, 2], self.given), policy_version=tf.reshape(tf.range(B, dtype=tf.int64), [2, 2])
        )
        self.given += 1
        return Batch(groups, all_fresh(B), batch_statistics(groups))

    def has_next(self):
        return self.ready > 0


def number_of(batch):
    return int(batch.groups.actor.numpy().ravel()[0])


def test_each_batch_is_used_k_times_and_no_more_than_n_are_held():
    source = Numbered(ready=1000)
    reuse = ReuseSource(source, Needs(buffer_batches=3, batch_uses=4), seed=1)
    order = [number_of(reuse.next()) for _ in range(400)]
    uses = collections.Counter(order)
    assert {uses[number] for number in range(90)} == {4}
    for i, number in enumerate(order):
        begun, ended = set(order[: i + 1]), {n for n in set(order[:i]) if order[:i].count(n) == 4}
        assert len(begun - ended) <= 3, "it draws from at most three"
        assert number not in ended
    # Three are given before one of them comes again.
    assert len({*order[:3]}) == 3
    assert source.waits == 0


def test_the_order_is_random_and_the_seed_decides_it():
    def order(seed):
        reuse = ReuseSource(Numbered(ready=1000), Needs(buffer_batches=4, batch_uses=2), seed)
        return [number_of(reuse.next()) for _ in range(40)]

    assert order(1) == order(1) != order(2)
    assert order(1) != sorted(order(1))


def test_it_waits_only_when_all_is_used_up():
    source = Numbered(ready=2)
    reuse = ReuseSource(source, Needs(buffer_batches=4, batch_uses=2), seed=1)
    for expected_waits in (0, 0, 0, 0, 1):
        assert reuse.has_next() == (expected_waits == 0)
        reuse.next()
        assert source.waits == expected_waits
    assert source.given == 3


def test_minibatches_cut_a_batch_by_unrolls():
    source = Numbered(ready=1000)
    reuse = ReuseSource(source, Needs(batch_uses=2, minibatches=2), seed=1)
    whole = join_groups(make_batch(0))
    orders = []
    for _ in range(2):
        parts = [reuse.next() for _ in range(2)]
        assert [number_of(part) for part in parts] == [0, 0]
        # The versions are 0, 1, ..., so they say which unroll is which.
        orders.append(np.concatenate([part.statistics.versions for part in parts]))
        for part in parts:
            unroll, indices = join_groups(part.groups), part.statistics.versions
            assert part.groups.task.shape == (1, 2)
            assert part.marks.weight.shape == (2,)
            np.testing.assert_array_equal(unroll.policy_version, indices)
            np.testing.assert_array_equal(unroll.actions, whole.actions.numpy()[:, indices])
            np.testing.assert_array_equal(
                unroll.env_outputs.observation, whole.env_outputs.observation.numpy()[:, indices]
            )
            np.testing.assert_array_equal(unroll.env_outputs.first, whole.env_outputs.first.numpy()[:, indices])
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders), "each use has every unroll once"
    assert orders[0].tolist() != orders[1].tolist()
    assert number_of(reuse.next()) == 1


def test_marks_go_with_their_unrolls():
    class Marked(Numbered):
        def next(self):
            marks = Marks(tf.constant([True, False, True, False]), tf.range(B, dtype=tf.float32))
            return super().next()._replace(marks=marks)

    reuse = ReuseSource(Marked(ready=1000), Needs(minibatches=4), seed=1)
    for _ in range(4):
        part = reuse.next()
        np.testing.assert_array_equal(part.marks.weight, part.statistics.versions)
        np.testing.assert_array_equal(part.marks.is_fresh, part.statistics.versions % 2 == 0)


@pytest.mark.parametrize("minibatches", [1, 2])
def test_frames_are_counted_once_and_the_last_use_is_marked(minibatches):
    reuse = ReuseSource(Numbered(ready=1000), Needs(batch_uses=3, minibatches=minibatches), seed=1)
    for number in range(2):
        batches = [reuse.next() for _ in range(3 * minibatches)]
        steps = [batch.statistics.num_steps for batch in batches]
        resets = np.count_nonzero(make_batch(number).env_outputs.first.numpy()[:, 1:])
        assert steps == [T * B - resets] + [0] * (3 * minibatches - 1)
        assert [len(batch.statistics.returns) for batch in batches] == [resets] + [0] * (3 * minibatches - 1)
        assert [batch.is_last_use for batch in batches] == [False] * (3 * minibatches - 1) + [True]
        assert all(len(batch.statistics.versions) == B // minibatches for batch in batches)
