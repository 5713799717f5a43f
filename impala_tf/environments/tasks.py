"""Small tasks with one property each.

Two for comparing architectures, made from gymnasium's Acrobot-v1 (benchmark.py):
`impala_tf/EvenEpisodes-v0`: every episode has 100 steps, and resetting costs nothing but Acrobot's own reset.
`impala_tf/UnevenEpisodes-v0`: episodes have 10 to 1,000 steps (log-uniform, mean 215), and a reset takes 20 ms during
which the thread sleeps, as it would while a level is loaded. Who waits for the slowest waits for the resets of others.

`impala_tf/Endless-v0`: known values, cut off by a time limit. `impala_tf/MemoryChain-v0`: nothing but a memory helps.
"""

import math
import time

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv

EVEN_ID, UNEVEN_ID = "impala_tf/EvenEpisodes-v0", "impala_tf/UnevenEpisodes-v0"
RESET_SECS = 0.02
SHORTEST, LONGEST = 10, 1000  # steps


class Episodes(gym.Wrapper):
    """Ends episodes by truncation after a number of steps that is drawn at each reset, and never otherwise."""

    def __init__(self, env: gym.Env, shortest: int, longest: int, reset_secs: float):
        super().__init__(env)
        self._logs = math.log(shortest), math.log(longest)
        self._reset_secs = reset_secs
        self._left = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        observation, info = super().reset(seed=seed, options=options)
        self._left = round(math.exp(self.np_random.uniform(*self._logs)))
        if self._reset_secs:
            time.sleep(self._reset_secs)
        return observation, info

    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        self._left -= 1
        return observation, reward, False, self._left <= 0, info


def make_even() -> gym.Env:
    return Episodes(AcrobotEnv(), 100, 100, 0.0)


def make_uneven() -> gym.Env:
    return Episodes(AcrobotEnv(), SHORTEST, LONGEST, RESET_SECS)


class Endless(gym.Env):
    """Reward 1 at every step and nothing to see or to decide: the value is 1 / (1 - gamma) everywhere.

    A time limit does not change that: the task goes on, only the episode is cut off. For docs/environments.md.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


class MemoryChain(gym.Env):
    """A bit is shown in the first observation and asked for in the last; what is between tells nothing but the time.

    After bsuite's memory_len (Osband et al. 2020). Observation: [time left, bit or 0, question]. Action: the bit.
    Return: 1 or -1; without a memory 0 on average.

    length: steps between the two.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 10):
        self._length = length

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._steps = 0
        self._bit = int(self.np_random.integers(2))
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        bit = 2 * self._bit - 1 if self._steps == 0 else 0
        return np.array([1 - self._steps / self._length, bit, self._steps == self._length], np.float32)

    def step(self, action):
        asked = self._steps == self._length
        reward = (1.0 if action == self._bit else -1.0) if asked else 0.0
        self._steps += 1
        return self._observe(), reward, asked, False, {}


ENDLESS_ID, MEMORY_ID = "impala_tf/Endless-v0", "impala_tf/MemoryChain-v0"


def register() -> None:
    if ENDLESS_ID not in gym.registry:
        gym.register(ENDLESS_ID, "impala_tf.environments.tasks:Endless", max_episode_steps=50)
        gym.register(MEMORY_ID, "impala_tf.environments.tasks:MemoryChain")
    for name, make in ((EVEN_ID, "make_even"), (UNEVEN_ID, "make_uneven")):
        if name not in gym.registry:
            gym.register(name, entry_point=f"impala_tf.environments.tasks:{make}")
