"""The queue between actors and learner: a `tf.queue.FIFOQueue` whose elements are groups of unrolls.

An actor makes the unrolls of all its environments at once, and the learner takes `batch_size` of them. A group is
the largest number of unrolls that divides both, so with 128 environments and batches of 32 a queue element is a whole
batch and nothing is cut up and joined again; with one environment an element is one unroll, as in the paper.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.types import TIME_MAJOR_FIELDS, ArraySpec, EnvOutput, Unroll


class UnrollSpec(NamedTuple):
    """What an unroll of one environment looks like: T, and an `ArraySpec` for each leaf."""

    unroll_length: int
    leaves: Unroll

    def shape(self, group: int, name: str, spec: ArraySpec) -> tuple[int, ...]:
        """Shape of a leaf over `group` unrolls. name: of the field of `Unroll` that it is in."""
        if name not in TIME_MAJOR_FIELDS:
            return (group, *spec.shape)
        rows = self.unroll_length + (name == "env_outputs")  # Row T has no action.
        return (rows, group, *spec.shape)


def unroll_spec(unroll_length: int, observation: Any, action: ArraySpec, num_parameters: int, state_size: int):
    """The `UnrollSpec` for one kind of observation (a nest of ArraySpec), action, policy head and core."""
    scalar = {dtype: ArraySpec((), np.dtype(dtype)) for dtype in ("float32", "bool", "int32", "int64")}
    env_outputs = EnvOutput(
        reward=scalar["float32"],
        terminated=scalar["bool"],
        truncated=scalar["bool"],
        first=scalar["bool"],
        observation=observation,
        episode_return=scalar["float32"],
        episode_steps=scalar["int32"],
        discounted_return=scalar["float32"],
    )
    leaves = Unroll(
        env_outputs=env_outputs,
        actions=action,
        behaviour_parameters=ArraySpec((num_parameters,), np.dtype("float32")),
        last_action=action,
        core_state=ArraySpec((state_size,), np.dtype("float32")),
        policy_version=scalar["int64"],
        actor=scalar["int32"],
        task=scalar["int32"],
    )
    return UnrollSpec(unroll_length, leaves)


def map_leaves(function, spec: UnrollSpec, *unrolls: Unroll) -> Unroll:
    """function(name, ArraySpec, leaf of each unroll) for every leaf; name: of the field of `Unroll` that it is in."""
    fields = {}
    for name in Unroll._fields:
        parts = [getattr(unroll, name) for unroll in (spec.leaves, *unrolls)]
        fields[name] = tf.nest.map_structure(functools.partial(function, name), *parts)
    return Unroll(**fields)


def row_leaves(row: EnvOutput) -> Sequence:
    """The arrays of a row, in the order of tf.nest.flatten, which takes as long as writing them."""
    return row if isinstance(row.observation, np.ndarray) else tf.nest.flatten(row)


class UnrollQueue:
    """Bounded, first in first out; `put` blocks when it is full and `get` when it is short of a batch.

    spec: of one unroll. batch_size: B. num_envs: unrolls in one `put`. capacity: in unrolls; 0 means one batch.
    """

    def __init__(self, spec: UnrollSpec, batch_size: int, num_envs: int, capacity: int = 0):
        self.spec = spec
        self.batch_size = batch_size
        self.group = math.gcd(batch_size, num_envs)
        self._groups_per_batch = batch_size // self.group
        with_shapes = map_leaves(lambda name, leaf: tf.TensorShape(spec.shape(self.group, name, leaf)), spec)
        shapes = [tuple(shape) for shape in tf.nest.flatten(with_shapes)]
        dtypes = [tf.as_dtype(leaf.dtype) for leaf in tf.nest.flatten(spec.leaves)]
        # FIFOQueue crashes on elements without content (the core state of a network without a core): not queued.
        self._empty = {
            i: tf.zeros([self._groups_per_batch, *shapes[i]], dtypes[i]) for i in range(len(shapes)) if 0 in shapes[i]
        }
        capacity_in_groups = max(1, (capacity or batch_size) // self.group)
        with tf.device("/CPU:0"):
            self._queue = tf.queue.FIFOQueue(capacity_in_groups, self._queued(dtypes), self._queued(shapes))

    def _queued(self, leaves: list) -> list:
        return [leaf for i, leaf in enumerate(leaves) if i not in self._empty]

    def put(self, unrolls: Unroll) -> None:
        """Adds groups of unrolls: every leaf is [num_groups, ...] in front of the group's shape.

        Raises tf.errors.CancelledError when the queue is closed.
        """
        # The op itself; the queue's method would spend longer on checks than the op needs.
        components = self._queued(tf.nest.flatten(unrolls))
        tf.raw_ops.QueueEnqueueManyV2(handle=self._queue.queue_ref, components=components)

    def get(self) -> Unroll:
        """The next `batch_size` unrolls, still in groups: [groups_per_batch, ...]; see `join_groups`.

        Raises tf.errors.OutOfRangeError when the queue is closed and holds less than a batch.
        """
        leaves = self._queue.dequeue_many(self._groups_per_batch)
        for i, empty in self._empty.items():
            leaves.insert(i, empty)
        return tf.nest.pack_sequence_as(self.spec.leaves, leaves)

    def size(self) -> int:
        """Unrolls in the queue now."""
        return int(self._queue.size()) * self.group

    def close(self) -> None:
        """Wakes everyone who is blocked in `put` or `get`."""
        self._queue.close(cancel_pending_enqueues=True)


def join_groups(groups: Unroll) -> Unroll:
    """[G, rows, group, ...] -> [rows, G * group, ...] (time-major leaves), [G, group, ...] -> [G * group, ...]."""

    def join(name):
        axis = 1 if name in TIME_MAJOR_FIELDS else 0
        return lambda leaf: tf.concat(tf.unstack(leaf), axis)

    return Unroll(*(tf.nest.map_structure(join(name), leaf) for name, leaf in groups._asdict().items()))


class UnrollWriter:
    """Preallocated numpy arrays in the queue's layout, filled row by row: `num_envs` unrolls, in groups.

    A writer makes new arrays for every unroll: TensorFlow may go on reading the old ones.
    """

    def __init__(self, spec: UnrollSpec, num_envs: int, group: int):
        self._num_groups = num_envs // group
        self._group = group
        self.unroll = map_leaves(lambda name, leaf: self._allocate(spec.shape(group, name, leaf), leaf.dtype), spec)
        self._row_arrays = row_leaves(self.unroll.env_outputs)

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.empty((self._num_groups, *shape), dtype)

    def _grouped(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(self._num_groups, self._group, *values.shape[1:])

    def write_row(self, t: int, row: EnvOutput) -> None:
        for array, values in zip(self._row_arrays, row_leaves(row), strict=True):
            self._write(array, t, values)

    def write_action(self, t: int, action: np.ndarray, parameters: np.ndarray) -> None:
        self._write(self.unroll.actions, t, action)
        self._write(self.unroll.behaviour_parameters, t, parameters)

    def _write(self, array: np.ndarray, t: int, values: np.ndarray) -> None:
        if self._num_groups == 1:  # With few environments the reshape would cost as much as the writing.
            array[0, t] = values
        else:
            array[:, t] = self._grouped(values)

    def write_start(
        self, last_action: np.ndarray, core_state: np.ndarray, policy_version: int, actor: np.ndarray, task: np.ndarray
    ) -> None:
        self.unroll.last_action[:] = self._grouped(last_action)
        self.unroll.core_state[:] = self._grouped(core_state)
        self.unroll.policy_version[:] = policy_version
        self.unroll.actor[:] = self._grouped(actor)
        self.unroll.task[:] = self._grouped(task)

    # The same for environments that are each at a row of their own, in groups of one: envs [R], t [R].

    def write_rows_of(self, envs: np.ndarray, t: np.ndarray, row: EnvOutput) -> None:
        for array, values in zip(self._row_arrays, row_leaves(row), strict=True):
            array[envs, t, 0] = values

    def write_actions_of(self, envs: np.ndarray, t: np.ndarray, action: np.ndarray, parameters: np.ndarray) -> None:
        self.unroll.actions[envs, t, 0] = action
        self.unroll.behaviour_parameters[envs, t, 0] = parameters

    def write_start_of(
        self,
        envs: np.ndarray,
        last_action: np.ndarray,
        core_state: np.ndarray,
        policy_version: int,
        actor: int,
        task: np.ndarray,
    ) -> None:
        self.unroll.last_action[envs, 0] = last_action
        self.unroll.core_state[envs, 0] = core_state
        self.unroll.policy_version[envs, 0] = policy_version
        self.unroll.actor[envs, 0] = actor
        self.unroll.task[envs, 0] = task
