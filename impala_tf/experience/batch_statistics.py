"""Reads off a batch, before the learner sees it, its steps, policy versions and ended episodes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from impala_tf.types import ABORTED, Array, Unroll


class BatchStatistics(NamedTuple):
    """These statistics describe a batch of B unrolls, in whose new ones E episodes ended.

    num_steps: number of new agent steps, without those that only reset an environment.
    versions: [B] int64, version of the weights that made each unroll, new or not.
    actors: [E] int32, index of the actor of each episode.
    tasks: [E] int32, index of the task of each episode.
    returns: [E] float32, sum of the rewards of each episode, neither discounted nor clipped.
    lengths: [E] int32, number of agent steps of each episode.
    num_aborted: number of new episodes that were lost, because their environments failed.
    num_dropped: number of unrolls that were dropped for their age. Steps and episodes of those from the queue are
        counted above, since they were made.
    """

    num_steps: int
    versions: np.ndarray
    actors: np.ndarray
    tasks: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    num_aborted: int = 0
    num_dropped: int = 0


def batch_statistics(batch: Unroll) -> BatchStatistics:
    """Reads the statistics off a batch.

    batch: unrolls as the queue gives them, in groups [G, T + 1, B / G, ...], on the CPU.
    """
    rows = batch.env_outputs
    # An episode ended in the row before a `first` one; a row that is terminated may be a lost life. Row 0 was the last
    # row of the unroll before, and it was counted there when it is `first`.
    begins = rows.first.numpy()[:, 1:]
    aborted = begins & (rows.episode_steps.numpy()[:, 1:] == ABORTED)
    ended = begins & ~aborted

    def per_episode(leaf: Array) -> np.ndarray:
        return np.broadcast_to(leaf.numpy()[:, np.newaxis], ended.shape)[ended]

    return BatchStatistics(
        num_steps=int(begins.size - np.count_nonzero(begins)),
        versions=batch.policy_version.numpy().ravel(),
        actors=per_episode(batch.actor),
        tasks=per_episode(batch.task),
        returns=rows.episode_return.numpy()[:, :-1][ended],
        lengths=rows.episode_steps.numpy()[:, :-1][ended],
        num_aborted=int(np.count_nonzero(aborted)),
    )


def with_dropped(kept: BatchStatistics, dropped: Sequence[BatchStatistics]) -> BatchStatistics:
    """Adds the steps and episodes of unrolls that were dropped to the statistics of a batch."""
    parts = [kept, *dropped]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return kept._replace(
        num_steps=sum(part.num_steps for part in parts),
        num_aborted=sum(part.num_aborted for part in parts),
        num_dropped=sum(len(part.versions) for part in dropped),
        **{name: joined(name) for name in ("actors", "tasks", "returns", "lengths")},
    )


def nothing_new(versions: np.ndarray) -> BatchStatistics:
    """Returns the statistics of a batch that was learned from before. versions: those of its unrolls."""
    ints = np.zeros([0], np.int32)
    return BatchStatistics(0, versions, actors=ints, tasks=ints, returns=np.zeros([0], np.float32), lengths=ints)
