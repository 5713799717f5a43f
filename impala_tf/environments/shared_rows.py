"""Has the rows of environments in other processes in shared memory, and the actions that led to them."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import (
    concatenate,
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
)

from impala_tf.spaces import observation_spaces


class SharedRows:
    """Holds one row of B environments, and their actions. It is sent to a process when that is started.

    Texts have no place in shared memory, so observations with a text travel beside it.

    observation_space, action_space: spaces of one environment.
    num_envs: B.
    context: multiprocessing's context of the processes.

    has_observations: whether observations are in shared memory.
    arrays: arrays of the shared memory [B, ...]: reward float64, terminated and truncated uint8, lives int32; and nests
        of arrays: action and, with `has_observations`, observation.
    """

    def __init__(self, observation_space: gym.Space, action_space: gym.Space, num_envs: int, context: Any):
        self.observation_space = observation_space
        self.action_space = action_space
        flag = gym.spaces.Box(0, 1, (), np.uint8)
        parts = dict(
            action=action_space,
            reward=gym.spaces.Box(-np.inf, np.inf, (), np.float64),
            terminated=flag,
            truncated=flag,
            lives=gym.spaces.Box(-(2**31), 2**31 - 1, (), np.int32),
        )
        leaves = observation_spaces.leaves(observation_space).values()
        self.has_observations = not any(map(observation_spaces.is_text, leaves))
        if self.has_observations:
            parts["observation"] = observation_space
        self._space = gym.spaces.Dict(parts)
        self._num_envs = num_envs
        self._memory = create_shared_memory(self._space, num_envs, context)
        self._open()

    def _open(self) -> None:
        self.arrays: Any = read_from_shared_memory(self._space, self._memory, self._num_envs)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "arrays"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def write_actions(self, actions: Any) -> None:
        """Writes a batch of actions, a nest of arrays [B, ...]."""
        _write(self.arrays["action"], slice(None), actions)

    def action(self, index: int) -> Any:
        """Returns the action of one environment, which shares no memory."""
        return _element(self.arrays["action"], index)

    def write(self, index: int, observation: Any, reward: Any, terminated: bool, truncated: bool, info: dict) -> None:
        """Writes what one environment emitted. info: its info, of which only "lives" is kept."""
        arrays = self.arrays
        if self.has_observations:
            _write(arrays["observation"], index, observation)
        arrays["reward"][index] = reward
        arrays["terminated"][index] = terminated
        arrays["truncated"][index] = truncated
        lives = info.get("lives", 0)
        arrays["lives"][index] = lives if isinstance(lives, int | np.integer) else 0

    def read(self, observations: list) -> tuple:
        """Returns (observation, reward, terminated, truncated, info) of all environments, which share no memory.

        observations: observation of each environment, if `has_observations` is False.
        """
        arrays = self.arrays
        if self.has_observations:
            batch: Any = copy.deepcopy(arrays["observation"])
        else:
            batch = create_empty_array(self.observation_space, self._num_envs)
            batch = concatenate(self.observation_space, observations, batch)
        ends = arrays["terminated"].astype(bool), arrays["truncated"].astype(bool)
        return batch, arrays["reward"].copy(), *ends, {"lives": arrays["lives"].copy()}


def _write(arrays: Any, index: int | slice, values: Any) -> None:
    if isinstance(arrays, dict):
        for name, array in arrays.items():
            _write(array, index, values[name])
    elif isinstance(arrays, tuple):
        for array, value in zip(arrays, values, strict=True):
            _write(array, index, value)
    else:
        arrays[index] = values


def _element(arrays: Any, index: int) -> Any:
    if isinstance(arrays, dict):
        return {name: _element(array, index) for name, array in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(_element(array, index) for array in arrays)
    return arrays[index].copy()  # A number of numpy has this method, too.
