"""Hands out those environments of a vector that are ready first (double buffering)."""

from typing import Any

import numpy as np

from impala_tf.environments.rows import EpisodeRows, check_autoreset_mode
from impala_tf.environments.task import Task
from impala_tf.types import EnvOutput


class PartialEnvironment:
    """This vector has B environments and hands out those that are ready first, `num_ready` at a time.

    The others step meanwhile, in threads of the library, so acting overlaps with stepping and no call waits for the
    slowest environment.

    env: an `AleVector` or an `EnvPoolVector`, with `begin`, `send` and `recv`.
    num_envs: B.
    num_ready: R, number of environments that are handed out at a time.
    task: the task of all environments.
    tasks: [B] int32, the index of each environment's task.
    """

    def __init__(self, env: Any, num_envs: int, num_ready: int, task: Task):
        check_autoreset_mode(env)
        self._env = env
        self.num_envs = num_envs
        self.num_ready = num_ready
        self._task = task
        self.tasks = np.full(num_envs, task.index, np.int32)
        self._rows = EpisodeRows(num_envs, task)
        self._ready = np.zeros(0, np.int32)

    def reset(self) -> tuple[np.ndarray, EnvOutput]:
        """Begins an episode in every environment. Returns (indices [R] int32 of those that are ready, their row)."""
        self._env.begin()
        return self._receive()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, EnvOutput]:
        """Takes actions [R, ...] of the environments handed out last. Returns (indices that are ready now, their row).

        Raises Diverged when an action is not in the action space.
        """
        self._env.send(self._task.to_environment(actions), self._ready)
        return self._receive()

    def _receive(self) -> tuple[np.ndarray, EnvOutput]:
        self._ready, observation, reward, terminated, truncated, info = self._env.recv()
        return self._ready, self._rows.row(self._ready, reward, terminated, truncated, observation, info)

    def close(self) -> None:
        """Ends the environments."""
        self._env.close()
