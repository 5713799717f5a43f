"""Numpy arrays in the unroll queue's layout, which an actor fills row by row."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import EnvOutput


def row_leaves(row: EnvOutput) -> Sequence:
    """The arrays of a row, in the order of tf.nest.flatten, which takes as long as writing them."""
    return row if isinstance(row.observation, np.ndarray) else tf.nest.flatten(row)


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
