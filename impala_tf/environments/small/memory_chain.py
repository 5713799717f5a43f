"""`impala_tf/MemoryChain-v0`: nothing but a memory helps."""

import gymnasium as gym
import numpy as np

MEMORY_ID = "impala_tf/MemoryChain-v0"


class MemoryChain(gym.Env):
    """A bit is shown in the first observation and asked for in the last; those between tell nothing but the time.

    This follows bsuite's memory_len (Osband et al. 2020). The observation is [time left, bit or 0, question], the
    action is the bit, and the return is 1 or -1, which is 0 on average without a memory.

    length: number of steps between the two.
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


def register() -> None:
    """Makes the id known to gymnasium."""
    if MEMORY_ID not in gym.registry:
        gym.register(MEMORY_ID, f"{__name__}:MemoryChain")
