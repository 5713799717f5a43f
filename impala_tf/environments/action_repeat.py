"""Adds action repeat to environments that have none of their own."""

import gymnasium as gym


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
