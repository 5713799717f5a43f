"""Two tasks for comparing architectures, made from gymnasium's Acrobot-v1 (benchmark.py), by the episodes' lengths.

`impala_tf/EvenEpisodes-v0`: every episode has 100 steps, and resetting costs nothing but Acrobot's own reset.
`impala_tf/UnevenEpisodes-v0`: episodes have 10 to 1,000 steps (log-uniform, mean 215), and a reset takes 20 ms during
which the thread sleeps, as it would while a level is loaded. An actor that waits for the slowest waits for resets.
"""

import math
import time

import gymnasium as gym
from gymnasium.envs.classic_control.acrobot import AcrobotEnv

EVEN_ID, UNEVEN_ID = "impala_tf/EvenEpisodes-v0", "impala_tf/UnevenEpisodes-v0"
RESET_SECS = 0.02
SHORTEST, LONGEST = 10, 1000  # Episodes have so many steps.


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


def register() -> None:
    """Makes the ids known to gymnasium."""
    for name, make in ((EVEN_ID, "make_even"), (UNEVEN_ID, "make_uneven")):
        if name not in gym.registry:
            gym.register(name, entry_point=f"{__name__}:{make}")
