"""Learns from batches several times: IMPACT's circular buffer (Luo et al. 2020), PPO's passes and minibatches."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.experience.batch_statistics import nothing_new
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.interfaces import Source
from impala_tf.types import TIME_MAJOR_FIELDS, Array, Marks, Needs, Unroll


class _Held:
    """A batch is held as this in the buffer.

    uses: number of times that it was learned from.
    arrays: its unroll and marks as numpy arrays [T + 1, B, ...], which are cut into minibatches many times faster than
        tensors; None before the first time.
    """

    def __init__(self, batch: Batch):
        self.batch = batch
        self.uses = 0
        self.arrays: tuple[Unroll, Marks] | None = None


class ReuseSource:
    """This source holds up to N batches and gives each of them K times, cut into M minibatches.

    A new batch comes in as soon as there is room for it, that is when another was used K times. While none is there,
    the buffer gives what it has; it waits for one only when all that it holds is used up. Batches are drawn without
    replacement: one is given again only after all the others were.

    source: source of the batches.
    needs: declaration of N, K and M.
    seed: seed of the order of batches, and of which unrolls make a minibatch.
    """

    def __init__(self, source: Source, needs: Needs, seed: int):
        self._source = source
        self._needs = needs
        self._random = np.random.default_rng(seed)
        self._held: list[_Held] = []
        self._to_draw: list[_Held] = []  # These are left to be given in the present round.
        self._minibatches: deque[Batch] = deque()

    def next(self) -> Batch:
        """Returns the next minibatch. The first of a batch carries the statistics of all that is new in it.

        Raises what the source raises.
        """
        if not self._minibatches:
            self._fill()
            self._minibatches.extend(self._use(self._draw()))
        return self._minibatches.popleft()

    def has_next(self) -> bool:
        """Returns whether `next` has not to wait."""
        return bool(self._minibatches or self._held) or self._source.has_next()

    def learned(self, batch: Batch, advantage_tm1: Array) -> None:
        """Tells the source; see `interfaces.Source`."""
        self._source.learned(batch, advantage_tm1)

    @property
    def random_state(self) -> Mapping[str, Any]:
        """Returns the state of the generator, which is all there is to save while the source holds no batch."""
        return self._random.bit_generator.state

    @random_state.setter
    def random_state(self, state: Mapping[str, Any]) -> None:
        self._random.bit_generator.state = state

    def _fill(self) -> None:
        while not self._held or (len(self._held) < self._needs.buffer_batches and self._source.has_next()):
            held = _Held(self._source.next())
            self._held.append(held)
            self._to_draw.append(held)

    def _draw(self) -> _Held:
        """Returns a batch that was not given in this round; a new round begins when there is none."""
        if not self._to_draw:
            self._to_draw = list(self._held)
        return self._to_draw.pop(int(self._random.integers(len(self._to_draw))))

    def _use(self, held: _Held) -> list[Batch]:
        """Returns the minibatches of one use of a batch, which leaves the buffer after its last."""
        is_new = held.uses == 0
        held.uses += 1
        is_last_use = held.uses == self._needs.batch_uses
        if is_last_use:
            self._held.remove(held)
        minibatches = list(self._cut(held))
        if is_new:
            versions = minibatches[0].statistics.versions
            minibatches[0] = minibatches[0]._replace(statistics=held.batch.statistics._replace(versions=versions))
        minibatches[-1] = minibatches[-1]._replace(is_last_use=is_last_use)
        return minibatches

    def _cut(self, held: _Held) -> list[Batch]:
        """Returns M minibatches, which count nothing as new, and of which no one is the last use."""
        batch, num_parts = held.batch, self._needs.minibatches
        versions = batch.statistics.versions
        if num_parts == 1:
            return [batch._replace(statistics=nothing_new(versions), is_last_use=False)]
        if held.arrays is None:
            held.arrays = tf.nest.map_structure(lambda leaf: leaf.numpy(), (join_groups(batch.groups), batch.marks))
        unroll, marks = held.arrays
        with tf.device("/CPU:0"):
            return [
                Batch(
                    _take(unroll, part),
                    _take_marks(marks, part),
                    nothing_new(versions[part]),
                    is_last_use=False,
                    serials=None if batch.serials is None else batch.serials[part],
                )
                for part in np.split(self._random.permutation(len(versions)), num_parts)
            ]


def _take(unroll: Unroll, indices: np.ndarray) -> Unroll:
    """Returns the unrolls of these indices as one group of tensors, [1, ...]. unroll: arrays [T + 1, B, ...]."""

    def take(name: str):
        axis = 1 if name in TIME_MAJOR_FIELDS else 0
        return lambda leaf: tf.convert_to_tensor(leaf.take(indices, axis)[np.newaxis])

    return Unroll(*(tf.nest.map_structure(take(name), leaf) for name, leaf in unroll._asdict().items()))


def _take_marks(marks: Marks, indices: np.ndarray) -> Marks:
    return Marks(*(tf.convert_to_tensor(mark[indices]) for mark in marks))
