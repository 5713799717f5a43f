"""`impala_tf/Endless-v0`: known values, cut off by a time limit (docs/environments.md)."""

import gymnasium as gym
import numpy as np

ENDLESS_ID = "impala_tf/Endless-v0"


class Endless(gym.Env):
    """Every step has reward 1, and nothing is seen or decided: the value is 1 / (1 - gamma) everywhere.

    A time limit does not change that: the task goes on, only the episode is cut off.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


def register() -> None:
    """Makes the id known to gymnasium."""
    if ENDLESS_ID not in gym.registry:
        gym.register(ENDLESS_ID, f"{__name__}:Endless", max_episode_steps=50)
