"""Steps several Atari games in C++ threads by ALE's own vector, with the paper's preprocessing."""

from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config
from impala_tf.environments.families.atari import FRAME_SIZE, longest_episode_frames


class AleVector:
    """This is ALE's vector with a seed for each environment; it steps all environments, or those that are ready.

    env: ALE's vector.
    seeds: ints below 2^32, one for each environment.
    """

    def __init__(self, env: Any, seeds: list[int]):
        self.metadata = env.metadata
        self.num_envs = env.num_envs
        self.single_observation_space: gym.Space = env.single_observation_space
        self.single_action_space: gym.Space = env.single_action_space
        self._env = env
        # ALE's seeds are 32-bit signed, and a negative one means none.
        self._seeds = np.asarray(seeds) >> 1
        self._first_rows: tuple | None = None

    def reset(self, seed: list[int]):
        """Begins all episodes; the seeds are those that were given before."""
        del seed
        return self._env.reset(seed=self._seeds)

    def step(self, actions: np.ndarray):
        return self._env.step(actions)

    def begin(self) -> None:
        """Begins all episodes; `recv` gives the rows."""
        observation, info = self._env.reset(seed=self._seeds)
        no_end = np.zeros(len(observation), bool)
        self._first_rows = (info["env_id"], observation, np.zeros(len(observation), np.float32), no_end, no_end, info)

    def send(self, actions: np.ndarray, ready: np.ndarray) -> None:
        """Begins a step of the environments that `recv` gave last; ALE remembers which."""
        del ready
        self._env.send(actions)

    def recv(self):
        """Returns (indices of the ready environments, observation, reward, terminated, truncated, info)."""
        if self._first_rows:
            first_rows, self._first_rows = self._first_rows, None
            return first_rows
        observation, reward, terminated, truncated, info = self._env.recv()
        return info["env_id"], observation, reward, terminated, truncated, info

    def close(self) -> None:
        self._env.close()


def make_ale_vector(game: str, config: Config, num_ready: int, threads: int, seeds: list[int]) -> AleVector:
    """Makes a vector with a game for each seed.

    game: ALE's name of the game.
    num_ready: number of environments that `recv` waits for.
    threads: number of threads that step them.
    """
    from ale_py.vector_env import AtariVectorEnv

    env = AtariVectorEnv(
        game,
        len(seeds),
        batch_size=num_ready,
        num_threads=threads,
        max_num_frames_per_episode=longest_episode_frames(config),
        repeat_action_probability=config.sticky_actions,
        full_action_space=config.full_action_set,
        stack_num=config.frame_stack,
        frameskip=config.num_action_repeats,
        noop_max=config.noop_max,
        img_height=FRAME_SIZE,
        img_width=FRAME_SIZE,
        reward_clipping=False,  # The learner clips, see --reward_clipping.
        use_fire_reset=False,
    )
    return AleVector(env, seeds)
