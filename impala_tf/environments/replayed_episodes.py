"""Brings an episode back to where it was: it is replayed from its seed and its actions."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np


class Replayed(NamedTuple):
    """A replayed episode has come to this.

    reward, episode_return: float32, reward of the last step, and the sum of all.
    is_over: whether the episode has ended.
    """

    reward: np.float32
    episode_return: np.float32
    is_over: bool


class SeededEpisodes(gym.Wrapper):
    """Begins each episode with a seed of its own, so that this and the actions lead to the same rows again.

    episode: number of the present episode; -1 before the first.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.episode = -1
        self._seed = 0
        self._emitted: tuple[Any, dict] | None = None  # What a replay has led to, until the vector asks for it.
        self._is_over = False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """Begins an episode; the first one where there is a seed. After `replay` it returns what that led to."""
        if self._emitted is not None:
            emitted, self._emitted = self._emitted, None
            return emitted
        if seed is not None:
            self._seed, self.episode = seed, -1
        return self._begin(self.episode + 1, options)

    def _begin(self, episode: int, options: dict | None = None) -> tuple[Any, dict]:
        self.episode = episode
        seed = np.random.SeedSequence([self._seed, episode]).generate_state(1)[0]
        return self.env.reset(seed=int(seed), options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        """Steps; begins the next episode when the last row of a replay ended one, which the vector does not know."""
        if self._is_over:
            self._is_over = False
            observation, info = self._begin(self.episode + 1)
            return observation, 0.0, False, False, info
        return self.env.step(action)

    def replay(self, seed: int, episode: int, actions: Iterable) -> Replayed:
        """Goes to the row that the actions of an episode led to. The next `reset` returns it and begins nothing.

        seed: seed of the environment. episode: number of the episode.
        Raises ValueError when the episode ends before its last action, and what the environment raises.
        """
        self._seed = seed
        emitted = self._begin(episode)
        reward = episode_return = np.float32(0.0)
        is_over = False
        for action in actions:
            if is_over:
                raise ValueError("it ends earlier")
            observation, given, terminated, truncated, info = self.env.step(action)
            emitted = observation, info
            reward = np.float32(given)
            episode_return += reward
            is_over = bool(terminated or truncated)
        self._emitted, self._is_over = emitted, is_over
        return Replayed(reward, episode_return, is_over)


class LogMark(NamedTuple):
    """A point in an `ActionLog`.

    begins: [B] int64, number of actions before the first of each running episode. end: number of all actions.
    """

    begins: np.ndarray
    end: int


class ActionLog:
    """Keeps the actions of B environments since the oldest of their running episodes began."""

    def __init__(self, num_envs: int):
        self._rows: list[np.ndarray] = []  # Actions [B, ...] of one step each.
        self._num_dropped = 0
        self._begins = np.zeros(num_envs, np.int64)

    def add(self, actions: np.ndarray, first: np.ndarray) -> None:
        """Adds the actions [B, ...] of a step. first: [B] bool, whether it began an episode and ignored the action."""
        self._rows.append(actions.copy())  # The next actions may be written into the same memory.
        if first.any():
            self._begins[first] = self._num_dropped + len(self._rows)

    def mark(self) -> LogMark:
        """Marks the present point, and drops what only points before it need."""
        oldest = int(self._begins.min())
        del self._rows[: oldest - self._num_dropped]
        self._num_dropped = oldest
        return LogMark(self._begins.copy(), oldest + len(self._rows))

    def actions_at(self, mark: LogMark) -> list[np.ndarray]:
        """Returns the actions [N, ...] of the episode that each environment was in at the last mark."""
        rows = self._rows[: mark.end - self._num_dropped]
        stacked = np.stack(rows) if rows else np.zeros([0, len(mark.begins)])
        return [stacked[begin - self._num_dropped :, i] for i, begin in enumerate(mark.begins)]

    @classmethod
    def of(cls, actions: list[np.ndarray]) -> "ActionLog":
        """Makes the log whose running episodes have these actions, [N, ...] for each environment."""
        log = cls(len(actions))
        longest = max(map(len, actions))
        rows = np.zeros([longest, len(actions), *actions[0].shape[1:]], actions[0].dtype)
        for i, own in enumerate(actions):
            log._begins[i] = longest - len(own)
            rows[longest - len(own) :, i] = own
        log._rows = list(rows)
        return log
