"""What is read off a batch before the learner sees it: steps, policy versions, and the episodes that ended in it."""

from typing import NamedTuple

import numpy as np

from impala_tf.types import Array, Unroll


class BatchStatistics(NamedTuple):
    """What is read off a batch before the learner sees it.

    num_steps: valid agent steps. versions: [G, B / G] int64, policy versions.
    actors, tasks, returns, lengths: [E], of the episodes that ended in the batch; undiscounted and unclipped.
    """

    num_steps: int
    versions: np.ndarray
    actors: np.ndarray
    tasks: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray


def batch_statistics(batch: Unroll) -> BatchStatistics:
    """batch: from the queue, in groups [G, T + 1, B / G, ...], on the CPU."""
    rows = batch.env_outputs
    # An episode ended in the row before a `first` one. (A terminated row may be a lost life.) Row 0 is the last row of
    # the unroll before, whose statistics looked at whether it is `first`.
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
