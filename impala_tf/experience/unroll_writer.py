"""Fills numpy arrays in the unroll queue's layout row by row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import EnvOutput, Unroll


def allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Returns an array that is filled later. The tests fill it at once with values that no environment emits."""
    return np.empty(shape, dtype)


def allocate_unrolls(spec: UnrollSpec, num_groups: int, group: int) -> Unroll:
    """Returns arrays [num_groups, ...] for groups of `group` unrolls, in the queue's layout."""
    return map_leaves(lambda name, leaf: allocate((num_groups, *spec.shape(group, name, leaf)), leaf.dtype), spec)


def leaves_of_row(row: EnvOutput) -> Sequence:
    """Returns the arrays of a row in the order of tf.nest.flatten, which itself takes as long as writing them."""
    return row if isinstance(row.observation, np.ndarray) else tf.nest.flatten(row)


class UnrollWriter:
    """Writes the unrolls of environments that step together: one row of all of them at a time.

    A writer is made for every unroll, because TensorFlow may go on reading the arrays of the one before.

    num_envs: number of environments, and so of unrolls. group: number of unrolls in a group.

    unroll: the arrays, [num_envs / group, ...] for every leaf.
    """

    def __init__(self, spec: UnrollSpec, num_envs: int, group: int):
        self._num_groups = num_envs // group
        self._group = group
        self.unroll = allocate_unrolls(spec, self._num_groups, group)
        self._row_arrays = leaves_of_row(self.unroll.env_outputs)

    def write_start(
        self, last_action: np.ndarray, core_state: np.ndarray, policy_version: int, actor: np.ndarray, task: np.ndarray
    ) -> None:
        """Writes the fields of `Unroll` that have no rows; every array is [num_envs, ...]."""
        self.unroll.last_action[:] = self._in_groups(last_action)
        self.unroll.core_state[:] = self._in_groups(core_state)
        self.unroll.policy_version[:] = policy_version
        self.unroll.actor[:] = self._in_groups(actor)
        self.unroll.task[:] = self._in_groups(task)

    def write_row(self, t: int, row: EnvOutput) -> None:
        """Writes row t, [num_envs, ...]."""
        for array, values in zip(self._row_arrays, leaves_of_row(row), strict=True):
            self._write(array, t, values)

    def write_action(self, t: int, action: np.ndarray, parameters: np.ndarray, *baselines: np.ndarray) -> None:
        """Writes what the policy chose at row t [num_envs, ...], and the parameters that it chose from.

        baselines: [num_envs, 1] values of the rows, if the spec records them.
        """
        self._write(self.unroll.actions, t, action)
        self._write(self.unroll.behaviour_parameters, t, parameters)
        for values in baselines:
            self._write(self.unroll.behaviour_baselines, t, values)

    def _write(self, array: np.ndarray, t: int, values: np.ndarray) -> None:
        if self._num_groups == 1:  # With few environments the reshape would cost as much as the writing.
            array[0, t] = values
        else:
            array[:, t] = self._in_groups(values)

    def _in_groups(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(self._num_groups, self._group, *values.shape[1:])


class PartialUnrollWriter:
    """Writes the unrolls of environments that are each at another row: rows t [R] of the environments envs [R].

    The arrays are used again, so an unroll is copied before it is handed out.

    unroll: arrays in groups of one, [num_envs, ...] for each leaf.
    """

    def __init__(self, spec: UnrollSpec, num_envs: int):
        self.unroll = allocate_unrolls(spec, num_envs, 1)
        self._row_arrays = leaves_of_row(self.unroll.env_outputs)

    def write_start(
        self,
        envs: np.ndarray,
        last_action: np.ndarray,
        core_state: np.ndarray,
        policy_version: int,
        actor: int,
        task: np.ndarray,
    ) -> None:
        """Writes the fields of `Unroll` that have no rows; every array is [R, ...]."""
        self.unroll.last_action[envs, 0] = last_action
        self.unroll.core_state[envs, 0] = core_state
        self.unroll.policy_version[envs, 0] = policy_version
        self.unroll.actor[envs, 0] = actor
        self.unroll.task[envs, 0] = task

    def write_row(self, envs: np.ndarray, t: np.ndarray, row: EnvOutput) -> None:
        """Writes the environments' rows, [R, ...]."""
        for array, values in zip(self._row_arrays, leaves_of_row(row), strict=True):
            array[envs, t, 0] = values

    def write_action(
        self, envs: np.ndarray, t: np.ndarray, action: np.ndarray, parameters: np.ndarray, *baselines: np.ndarray
    ) -> None:
        """Writes what the policy chose at those rows [R, ...], and the parameters that it chose from.

        baselines: [R, 1] values of the rows, if the spec records them.
        """
        self.unroll.actions[envs, t, 0] = action
        self.unroll.behaviour_parameters[envs, t, 0] = parameters
        for values in baselines:
            self.unroll.behaviour_baselines[envs, t, 0] = values
