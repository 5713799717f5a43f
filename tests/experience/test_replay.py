"""Batches with replayed unrolls: what is in them, what is counted of them, how they are marked."""

import contextlib

import numpy as np
import psutil
import pytest
import tensorflow as tf

from impala_tf.config import SettingError
from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.replay import ReplaySource, check_memory
from impala_tf.experience.replay_buffer import ReplayBuffer, num_bytes
from impala_tf.experience.reuse import ReuseSource
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_spec import unroll_spec
from impala_tf.types import ArraySpec, Needs
from tests.support.unrolls import A, B, T, make_batch

SPEC = unroll_spec(T, ArraySpec((1,), np.dtype("float32")), ArraySpec((), np.dtype("int64")), A, 0)


def no_timer(name):
    return contextlib.nullcontext()


class Fresh:
    """A source whose n-th batch has the version 10 n and observations of its own."""

    def __init__(self):
        self.batches = []

    def next(self):
        n = len(self.batches)
        groups = make_batch(seed=n)
        groups = groups._replace(policy_version=groups.policy_version + 10 * n)
        self.batches.append(Batch(groups, all_fresh(B), batch_statistics(groups)))
        return self.batches[-1]

    def has_next(self):
        return len(self.batches) == 3

    def learned(self, batch, advantage_tm1):
        self.batches.append("learned")


def replay_source(num_replayed=2, capacity=8, exponent=0.0, oldest=lambda: 0):
    source = Fresh()
    buffer = ReplayBuffer(SPEC, capacity, seed=0, exponent=exponent)
    return source, ReplaySource(source, buffer, num_replayed, lambda: 0.5, no_timer, oldest)


def test_a_batch_is_the_fresh_unrolls_and_then_replayed_ones():
    source, replay = replay_source(num_replayed=4)
    for n in range(5):
        batch = replay.next()
        fresh = source.batches[-1]
        for ours, theirs in zip(tf.nest.flatten(batch.groups), tf.nest.flatten(fresh.groups), strict=True):
            assert (ours.dtype, ours.shape[0], *ours.shape[1:]) == (theirs.dtype, 4, *theirs.shape[1:])
            np.testing.assert_array_equal(ours[:2], theirs)
        np.testing.assert_array_equal(batch.marks.is_fresh, [True] * B + [False] * 4)
        np.testing.assert_array_equal(batch.marks.weight, np.ones(B + 4))
        replayed = batch.groups.policy_version.numpy()[2:].ravel()
        assert set(replayed) <= {10 * n, 10 * max(0, n - 1)}, "the buffer holds two batches"
        for version, rewards in zip(
            replayed, np.concatenate(batch.groups.env_outputs.reward[2:], axis=1).T, strict=True
        ):
            theirs = np.concatenate(source.batches[version // 10].groups.env_outputs.reward, axis=1).T
            assert (theirs == rewards).all(axis=1).any()


def test_only_fresh_unrolls_are_counted_but_the_age_is_that_of_all():
    source, replay = replay_source(num_replayed=4)
    replay.next()
    batch = replay.next()
    fresh = source.batches[-1].statistics
    for ours, theirs in zip(batch.statistics._replace(versions=0), fresh._replace(versions=0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(batch.statistics.versions[:B], fresh.versions)
    np.testing.assert_array_equal(batch.statistics.versions[B:], batch.groups.policy_version.numpy()[2:].ravel())


def test_it_waits_as_long_as_its_source():
    _, replay = replay_source()
    assert not replay.has_next()
    for _ in range(3):
        replay.next()
    assert replay.has_next()


def test_advantages_become_priorities_and_weights():
    """Of the first batch's unrolls two have a mean advantage of 4 and 1, the others 0."""
    source, replay = replay_source(num_replayed=400, capacity=4, exponent=1.0)
    batch = replay.next()
    advantage = np.zeros((T, B + 400), np.float32)
    of_first, of_second = batch.serials == 0, batch.serials == 1
    advantage[:, of_first] = np.array([2.0, -8.0, 6.0, 4.0, 0.0])[:, np.newaxis]
    advantage[:, of_second] = -1.0
    replay.learned(batch, tf.constant(advantage))
    assert source.batches[-1] == "learned", "a source behind it hears of it too"
    drawn = replay._buffer.draw(1000, 1, 0.5)
    assert set(drawn.serials) <= {0, 1}
    assert 700 < np.count_nonzero(drawn.serials == 0) < 900
    np.testing.assert_allclose(drawn.weights, np.where(drawn.serials == 0, 0.5, 1.0), rtol=1e-4)


def test_replayed_unrolls_have_their_importance_weights():
    """The first unroll has a priority of 1, all others 4; the power is 0.5."""
    _, replay = replay_source(num_replayed=400, exponent=1.0)
    batch = replay.next()
    replay.learned(batch, np.where(batch.serials == 0, 1.0, 4.0) * np.ones((T, 1)))
    batch = replay.next()
    np.testing.assert_array_equal(batch.marks.weight[:B], np.ones(B))
    wanted = np.where(batch.serials == 0, 1.0, 0.5)[B:]
    assert 0.5 < wanted.mean() < 0.6
    np.testing.assert_allclose(batch.marks.weight[B:], wanted, rtol=1e-5)


def test_cut_into_minibatches_unrolls_keep_their_serial_numbers():
    source, replay = replay_source(num_replayed=4)
    reuse = ReuseSource(replay, Needs(batch_uses=2, minibatches=2), seed=0)
    for _ in range(12):
        batch = reuse.next()
        np.testing.assert_array_equal(batch.serials // B, batch.groups.policy_version.numpy().ravel() // 10)
        np.testing.assert_array_equal(batch.serials // B, batch.statistics.versions // 10)
    reuse.learned(batch, np.zeros((T, B)))
    assert source.batches[-1] == "learned"


def test_unrolls_that_are_too_old_are_not_replayed():
    """The last batch is itself older than the bound by now; it stays, or there would be nothing to draw."""
    oldest = iter([0, 5, 1000])
    _, replay = replay_source(num_replayed=400, capacity=100, oldest=lambda: next(oldest))
    assert replay.next().statistics.num_dropped == 0
    batch = replay.next()
    assert set(batch.statistics.versions) == {10}
    assert batch.statistics.num_dropped == B
    assert set(replay.next().statistics.versions) == {20}


def test_a_buffer_that_is_larger_than_memory_is_refused():
    most = psutil.virtual_memory().total // num_bytes(SPEC)
    assert check_memory(SPEC, most) == most * num_bytes(SPEC)
    with pytest.raises(SettingError, match=rf"^--replay_capacity={most + 1}: takes .* MiB.*; must be at most {most}$"):
        check_memory(SPEC, most + 1)
