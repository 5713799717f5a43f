"""Wrappers around single environments, and the libraries' vectors behind one interface."""

from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.environments.vector import SeparatelySeeded
from impala_tf.spaces import action_spaces, observation_spaces


class ActionRepeat(gym.Wrapper):
    """Repeats each action and sums the rewards; stops early at the end of an episode."""

    def __init__(self, env: gym.Env, num_repeats: int):
        super().__init__(env)
        self._num_repeats = num_repeats

    def step(self, action):
        total = 0.0
        for _ in range(self._num_repeats):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class MaskedObservation(gym.Wrapper):
    """Moves the action mask from `info` into the observation, a Dict, where the network looks for it."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space, mask = env.observation_space, gym.spaces.MultiBinary(action_spaces.mask_size(env.action_space))
        self._is_dict = isinstance(space, gym.spaces.Dict)
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else {"observation": space}
        self.observation_space = gym.spaces.Dict(parts | {observation_spaces.ACTION_MASK: mask})

    def _with_mask(self, observation, info: dict) -> dict:
        """Without a mask in `info`, as some environments end an episode, all actions are possible."""
        parts = observation if self._is_dict else {"observation": observation}
        mask = action_spaces.flat_mask(self.env.action_space, info.get(observation_spaces.ACTION_MASK))
        return parts | {observation_spaces.ACTION_MASK: mask}

    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        return self._with_mask(observation, info), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(observation, info), reward, terminated, truncated, info


class Ale(SeparatelySeeded):
    """ALE's vector, seeded environment by environment, whole or in parts."""

    def __init__(self, env: Any, seeds: list[int]):
        self.unwrapped = self
        self.metadata = env.metadata
        self.num_envs = env.num_envs
        self.spaces = env.single_observation_space, env.single_action_space
        self._env = env
        # Its seeds are 32-bit signed, and a negative one means none.
        self._seeds = np.asarray(seeds) >> 1
        self._begins: tuple | None = None

    def reset(self, seed: list[int]):
        del seed  # The same as those given.
        return self._env.reset(seed=self._seeds)

    def step(self, actions: np.ndarray):
        return self._env.step(actions)

    def begin(self) -> None:
        observation, info = self._env.reset(seed=self._seeds)
        no = np.zeros(len(observation), bool)
        self._begins = (info["env_id"], observation, np.zeros(len(observation), np.float32), no, no, info)

    def send(self, actions: np.ndarray, ready: np.ndarray) -> None:
        del ready  # It remembers whom it handed out.
        self._env.send(actions)

    def recv(self):
        if self._begins:
            begins, self._begins = self._begins, None
            return begins
        observation, reward, terminated, truncated, info = self._env.recv()
        return info["env_id"], observation, reward, terminated, truncated, info

    def close(self) -> None:
        self._env.close()


class EnvPool(SeparatelySeeded):
    """EnvPool's vector, whole or in parts; the seeds are given to it when it is made.

    An episode that terminates in the step of its time limit is reported as truncated only (docs/environments.md).
    """

    def __init__(self, env: Any, num_envs: int):
        self.unwrapped = self
        self.metadata = env.metadata
        self.num_envs = num_envs
        self._env = env
        self._space = env.observation_space  # FrozenLake's observations have another dtype than it says.

    def reset(self, seed: list[int]):
        del seed
        observation, info = self._env.reset()
        return observation_spaces.as_arrays(self._space, observation), info

    def step(self, actions: np.ndarray):
        observation, *others = self._env.step(actions)
        return observation_spaces.as_arrays(self._space, observation), *others

    def begin(self) -> None:
        self._env.async_reset()

    def send(self, actions: np.ndarray, ready: np.ndarray) -> None:
        self._env.send(actions, ready)

    def recv(self):
        observation, *others, info = self._env.recv()
        return info["env_id"], observation_spaces.as_arrays(self._space, observation), *others, info

    def close(self) -> None:
        self._env.close()
