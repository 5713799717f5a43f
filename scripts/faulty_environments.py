"""CartPole that raises, dies or hangs now and then. Importing this registers KIND/CartPole-v1 for each of `KINDS`."""

import os
import time

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

# Probabilities that an episode is to end so: 1 % crash and 0.1 % hang, and ten times as many.
KINDS = {
    "sound": {},
    "faulty": dict(raises=0.005, dies=0.005, hangs=0.001),
    "faulty10": dict(raises=0.05, dies=0.05, hangs=0.01),
}


class FaultyCartPole(CartPoleEnv):
    """Each episode is chosen to fail with these probabilities, at a step that is uniform over the last one's length.

    The draws are apart from those of CartPole, whose episodes begin in the same states with and without them.
    """

    def __init__(self, raises: float = 0.0, dies: float = 0.0, hangs: float = 0.0):
        super().__init__()
        self._probabilities = np.cumsum([raises, dies, hangs])
        self._steps = 0
        self._fault, self._at = 3, 0

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self._random = np.random.default_rng([seed, 1])
        self._fault = int(np.searchsorted(self._probabilities, self._random.random(), side="right"))
        self._at = int(self._random.integers(max(self._steps, 10)))
        self._steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self._steps == self._at:
            self._fail()
        self._steps += 1
        return super().step(action)

    def _fail(self) -> None:
        if self._fault == 0:
            raise RuntimeError("the simulator lost its connection")
        if self._fault == 1:
            os._exit(11)
        if self._fault == 2:
            time.sleep(10**6)


for name, probabilities in KINDS.items():
    if f"{name}/CartPole-v1" not in gym.registry:
        gym.register(f"{name}/CartPole-v1", FaultyCartPole, max_episode_steps=500, kwargs=probabilities)
