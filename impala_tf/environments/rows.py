"""Makes `EnvOutput` rows of what environments emit: finds first rows, returns, lengths and lost lives."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from impala_tf.config import SettingError
from impala_tf.environments.guard import RESTARTED
from impala_tf.environments.task import Task
from impala_tf.spaces import observation_spaces
from impala_tf.types import ABORTED, EnvOutput


def check_autoreset_mode(env: Any) -> None:
    """Raises NotImplementedError unless the vector resets in gymnasium's NEXT_STEP mode."""
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise NotImplementedError(f"{env} resets in mode {mode}; only gymnasium's NEXT_STEP is supported")


class EpisodeRows:
    """Makes the rows of B environments and keeps the sums of their running episodes.

    num_envs: B.
    task: task of all these environments.
    nested_space: observation space of one environment, if a batch of its observations is not one array; else None.
    """

    def __init__(self, num_envs: int, task: Task, nested_space: gym.Space | None = None):
        self._task = task
        self._nested_space = nested_space
        self._ended = np.ones(num_envs, bool)
        self._returns = np.zeros(num_envs, np.float32)
        self._discounted_returns = np.zeros(num_envs, np.float32)
        self._steps = np.zeros(num_envs, np.int32)
        self._lives = np.zeros(num_envs, np.int32)

    def row(self, envs: np.ndarray | slice, reward, terminated, truncated, observation, info: dict) -> EnvOutput:
        """Returns the row that the environments `envs` emitted; it shares no array with the next one.

        envs: [R] int, the indices of the environments, or the slice of all.
        reward, terminated, truncated, observation: [R, ...], as the vector emitted them.
        info: the vector's infos; only "lives" and RESTARTED are read.

        The row after the end of an episode is `first`, and so is the very first, and one in which an environment was
        made anew. Raises SettingError when a reward or an observation is not finite, because it would make the weights
        not finite either.
        """
        assert terminated.dtype == truncated.dtype == bool, (terminated.dtype, truncated.dtype)
        first = self._ended[envs].copy()
        aborted = None
        if RESTARTED in info:
            aborted = np.asarray(info[RESTARTED]) & ~first
            first |= aborted
        continues = ~first
        reward = np.asarray(reward, np.float32)
        if first.any():  # A reset has no reward, but some of EnvPool's environments emit what the memory held.
            reward = np.where(first, np.float32(0), reward)
        discounting = np.float32(self._task.discounting)
        episode_return = self._returns[envs] * continues + reward
        discounted_return = self._discounted_returns[envs] * (continues * discounting) + reward
        episode_steps = self._steps[envs] * continues + continues
        self._returns[envs] = episode_return
        self._discounted_returns[envs] = discounted_return
        self._steps[envs] = episode_steps
        if aborted is not None:
            episode_steps = np.where(aborted, np.int32(ABORTED), episode_steps)
        self._ended[envs] = terminated | truncated
        if self._task.ends_on_life_loss:
            terminated = terminated | self._has_lost_life(envs, continues, np.asarray(info["lives"]))
        observation = self._as_arrays(observation)
        _check_finite(self._task.env_id, reward, observation)
        return EnvOutput(
            reward, terminated, truncated, first, observation, episode_return, episode_steps, discounted_return
        )

    def memory(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns what is remembered of the last row beside the row: [B] whether episodes ended, [B] lives."""
        return self._ended.copy(), self._lives.copy()

    def go_to(self, row: EnvOutput, ended: np.ndarray, lives: np.ndarray, observation: Any) -> EnvOutput:
        """Goes on behind a row of all environments. Returns it with the observation that the vector emitted.

        ended, lives: what `memory` returned at that row.
        """
        self._returns, self._discounted_returns = row.episode_return.copy(), row.discounted_return.copy()
        self._steps = row.episode_steps.copy()
        self._ended, self._lives = ended.copy(), lives.copy()
        return row._replace(observation=self._as_arrays(observation))

    def _has_lost_life(self, envs: np.ndarray | slice, continues: np.ndarray, lives: np.ndarray) -> np.ndarray:
        """Returns [R] bool. The lives of a new episode are not compared with those of the last one."""
        lost = continues & (lives < self._lives[envs])
        self._lives[envs] = lives
        return lost

    def _as_arrays(self, observation: Any) -> Any:
        if self._nested_space is None:
            return self._task.fill_up(observation)
        return observation_spaces.as_arrays(self._nested_space, observation)


def _check_finite(env_id: str, reward: np.ndarray, observation: Any) -> None:
    named = [("reward", reward)]
    for name, array in observation_spaces.named_arrays(observation):
        if array.dtype.kind == "f":
            named.append((f"observation {name!r}" if name else "observation", array))
    for what, values in named:
        wrong = _not_finite(values)
        if wrong is not None:
            raise SettingError(f"--env_id={env_id}: gave {wrong} in its {what}; replace it in the environment")


def _not_finite(values: np.ndarray) -> Any:
    """Returns the first value that is not finite as a float32; None when all are."""
    if values.dtype == np.float64:
        with np.errstate(over="ignore"):  # A number too large for float32 is infinite to the network.
            values = values.astype(np.float32)
    # Checking the sum of squares is three times as fast, but the sum overflows for large finite numbers.
    if math.isfinite(np.vdot(values, values)):
        return None
    wrong = values[~np.isfinite(values)]
    return wrong[0] if len(wrong) else None
