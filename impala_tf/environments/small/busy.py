"""`impala_tf/Busy-v0`: CartPole whose step also works for about a millisecond in Python, as many simulators do.

While it works it holds Python's lock, so that threads cannot step several of them at a time, and processes can.
"""

import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

BUSY_ID = "impala_tf/Busy-v0"
LOOPS = 7_500  # These take about 1 ms on one core of a Xeon with Python 3.11.


class Busy(CartPoleEnv):
    def step(self, action):
        number = 1
        for _ in range(LOOPS):
            number = (number * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        return super().step(action)


def register() -> None:
    """Makes the id known to gymnasium."""
    if BUSY_ID not in gym.registry:
        gym.register(BUSY_ID, f"{__name__}:Busy", max_episode_steps=500)
