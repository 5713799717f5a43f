"""Environments with known values, for the tests. Importing this registers them."""

import importlib.util
import time

import gymnasium as gym
import numpy as np
import pytest

needs_envpool = pytest.mark.skipif(
    importlib.util.find_spec("envpool") is None, reason="issue 3: EnvPool has no wheel for this Python"
)


class Counting(gym.Env):
    """Observation: [episode number, step in it, last action]. Reward: the step's number. Ends after `length` steps.

    limit=True: by truncation instead of termination. Even and odd episodes differ by one in length.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def __init__(self, length=5, limit=False, fail_at=None, sleep=0.0):
        self.episode = -1
        self.length = length
        self.limit = limit
        self.fail_at = fail_at
        self.sleep = sleep
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.t = 0
        return np.array([self.episode, 0, -1], np.float32), {}

    def step(self, action):
        time.sleep(self.sleep)
        self.t += 1
        self.total += 1
        if self.total == self.fail_at:
            raise OSError("the simulator has died")
        ended = self.t >= self.length + self.episode % 2
        observation = np.array([self.episode, self.t, action], np.float32)
        return observation, float(self.t), ended and not self.limit, ended and self.limit, {}


class Pictures(gym.Env):
    """A tiny image environment: random frames, episodes of 10 steps."""

    observation_space = gym.spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.frame(), {}

    def frame(self):
        return self.np_random.integers(256, size=(36, 36, 1), dtype=np.uint8)

    def step(self, action):
        self.t += 1
        return self.frame(), float(action), self.t == 10, False, {}


class Unsupported(gym.Env):
    """An observation with a part of unknown length."""

    observation_space = gym.spaces.Dict(x=gym.spaces.Sequence(gym.spaces.Box(-1, 1, (2,))))
    action_space = gym.spaces.Discrete(2)


class Nested(gym.Env):
    """Every kind of observation at once. Each part tells the same: the step in the episode, which is of 5 steps."""

    observation_space = gym.spaces.Dict(
        text=gym.spaces.Text(20),
        numbers=gym.spaces.Tuple(
            [gym.spaces.Discrete(6, start=2), gym.spaces.MultiDiscrete([6, 7]), gym.spaces.MultiBinary(6)]
        ),
        frame=gym.spaces.Box(0, 255, (20, 22, 3), np.uint8),
        matrix=gym.spaces.Box(-np.inf, np.inf, (2, 3), np.float64),
    )
    action_space = gym.spaces.Discrete(3)

    def observe(self):
        return dict(
            text=f"step number {self.t}",
            numbers=(2 + self.t, np.array([self.t, self.t]), (np.arange(6) == self.t).astype(np.int8)),
            frame=np.full([20, 22, 3], self.t, np.uint8),
            matrix=np.full([2, 3], float(self.t)),
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), float(action), self.t == 5, False, {}


def register() -> None:
    for name, entry_point in [("Counting", Counting), ("Pictures", Pictures), ("Nested", Nested)]:
        if f"tests/{name}-v0" not in gym.registry:
            gym.register(f"tests/{name}-v0", entry_point, disable_env_checker=True)
    if "tests/Unsupported-v0" not in gym.registry:
        gym.register("tests/Unsupported-v0", Unsupported, disable_env_checker=True)
    if "tests/Failing-v0" not in gym.registry:
        gym.register("tests/Failing-v0", Counting, kwargs={"fail_at": 300}, disable_env_checker=True)
        gym.register("tests/Slow-v0", Counting, kwargs={"sleep": 0.005}, disable_env_checker=True)
        gym.register("tests/Limited-v0", Counting, kwargs={"limit": True}, disable_env_checker=True)


register()
