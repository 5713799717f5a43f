"""Mixes unrolls from a replay buffer into the batches of another source."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import psutil
import tensorflow as tf

from impala_tf.experience.replay_buffer import ReplayBuffer, num_bytes
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.interfaces import Source
from impala_tf.settings.setting import SettingError
from impala_tf.types import Array, Marks


class ReplaySource:
    """This source puts every unroll of another source into a buffer, and adds unrolls from there to each batch.

    The first batches replay their own unrolls, as there are no others yet.

    source: source of fresh unrolls.
    num_replayed: number of unrolls that are added to a batch; a multiple of the size of its groups.
    importance_exponent: function that returns the power of the importance weights of the next batch.
    timer: function that makes, of "batch", a context that times the work of this source.
    oldest: function that returns the oldest policy version that may be replayed.
    """

    def __init__(
        self,
        source: Source,
        buffer: ReplayBuffer,
        num_replayed: int,
        importance_exponent: Callable[[], float],
        timer: Callable[[str], AbstractContextManager],
        oldest: Callable[[], int] = lambda: 0,
    ):
        self._source = source
        self._buffer = buffer
        self._num_replayed = num_replayed
        self._importance_exponent = importance_exponent
        self._timer = timer
        self._oldest = oldest

    def next(self) -> Batch:
        """Returns the next batch: the fresh unrolls, then the replayed ones. Raises what the source raises."""
        batch = self._source.next()
        with self._timer("batch"), tf.device("/CPU:0"):
            return self._with_replayed(batch)

    def has_next(self) -> bool:
        """Returns whether `next` has not to wait."""
        return self._source.has_next()

    def learned(self, batch: Batch, advantage_tm1: Array) -> None:
        """Makes the mean size of its advantages the priority of each unroll of a batch.

        advantage_tm1: [T, B] float32, advantages of the steps; they are 0 where the step was not a real one.
        """
        if self._buffer.has_priorities:
            assert batch.serials is not None
            self._buffer.set_priorities(batch.serials, np.abs(np.asarray(advantage_tm1)).mean(axis=0))
        self._source.learned(batch, advantage_tm1)

    def _with_replayed(self, batch: Batch) -> Batch:
        fresh = tf.nest.map_structure(np.asarray, batch.groups)
        serials = self._buffer.insert(fresh)
        # There may have been an update since the fresh unrolls were young enough; they stay.
        num_dropped = self._buffer.drop_before(min(self._oldest(), int(fresh.policy_version.min())))
        group = fresh.actor.shape[1]
        drawn = self._buffer.draw(self._num_replayed // group, group, self._importance_exponent())
        # Numpy joins small arrays in a tenth of the time of an op.
        groups = tf.nest.map_structure(_joined, fresh, drawn.groups)
        is_fresh = np.zeros(len(drawn.weights), bool)
        marks = Marks(_joined(batch.marks.is_fresh, is_fresh), _joined(batch.marks.weight, drawn.weights))
        statistics = batch.statistics._replace(
            versions=np.concatenate([batch.statistics.versions, drawn.groups.policy_version.ravel()]),
            num_dropped=batch.statistics.num_dropped + num_dropped,
        )
        return batch._replace(
            groups=groups,
            marks=marks,
            statistics=statistics,
            serials=np.concatenate([serials, drawn.serials]),
        )


def check_memory(spec: UnrollSpec, capacity: int) -> int:
    """Returns the bytes that a buffer takes. Raises SettingError when the machine has less memory."""
    needed, total = num_bytes(spec) * capacity, psutil.virtual_memory().total
    if needed > total:
        raise SettingError(
            f"--replay_capacity={capacity}: takes {in_mib(needed)}, more than this machine's memory of "
            f"{in_mib(total)}; must be at most {total // num_bytes(spec)}"
        )
    return needed


def in_mib(num: int) -> str:
    """Returns a number of bytes as text."""
    return f"{num / 2**20:,.0f} MiB"


def _joined(fresh: np.ndarray, replayed: np.ndarray) -> tf.Tensor:
    return tf.convert_to_tensor(np.concatenate([np.asarray(fresh), replayed]))
