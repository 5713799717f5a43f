"""Statistics that are read off a batch before the learner sees it: steps, policy versions, and ended episodes."""

from typing import NamedTuple

import numpy as np

from impala_tf.types import Array, Unroll


class BatchStatistics(NamedTuple):
    """Statistics of a batch of B unrolls, in which E episodes ended.

    num_steps: the number of agent steps without those that only reset an environment.
    versions: [G, B / G] int64, the version of the weights that each unroll was made with.
    actors: [E] int32, the actor of each episode.
    tasks: [E] int32, its task.
    returns: [E] float32, the sum of its rewards, neither discounted nor clipped.
    lengths: [E] int32, its agent steps.
    """

    num_steps: int
    versions: np.ndarray
    actors: np.ndarray
    tasks: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray


def batch_statistics(batch: Unroll) -> BatchStatistics:
    """Reads the statistics off a batch.

    batch: unrolls as the queue gives them, in groups [G, T + 1, B / G, ...], on the CPU.
    """
    rows = batch.env_outputs
    # An episode ended in the row before a `first` one; a row that is terminated may be a lost life. Row 0 was the last
    # row of the unroll before, and it was counted there when it is `first`.
    begins = rows.first.numpy()[:, 1:]

    def of_unroll(leaf: Array) -> np.ndarray:
        return np.broadcast_to(leaf.numpy()[:, np.newaxis], begins.shape)[begins]

    return BatchStatistics(
        num_steps=int(begins.size - np.count_nonzero(begins)),
        versions=batch.policy_version.numpy(),
        actors=of_unroll(batch.actor),
        tasks=of_unroll(batch.task),
        returns=rows.episode_return.numpy()[:, :-1][begins],
        lengths=rows.episode_steps.numpy()[:, :-1][begins],
    )
