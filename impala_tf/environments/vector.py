"""A vector of environments as rows of `EnvOutput`."""

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from impala_tf.config import SettingError
from impala_tf.spaces import observation_spaces
from impala_tf.types import EnvOutput

CLOSE_SECS = 5  # How long environments in other processes may take to finish their step.


def unchanged(actions: np.ndarray) -> np.ndarray:
    """The actions, where an environment takes them as they travel."""
    return actions


@dataclasses.dataclass(frozen=True)
class Task:
    """How the rows of an environment fit into the run.

    index: which of the run's tasks it is. env_id: its id.
    shape: observations are filled up with zeros at the end of each axis to this; None: they have it.
    to_environment: from the actions that travel, [B, ...], to what the environment's step takes.
    discounting: gamma, for the discounted return.
    ends_on_life_loss: rows that lose a life, known from info["lives"], are terminated for the learner; the episode, its
    return and its length go on, and the next row is not `first`.
    """

    index: int = 0
    env_id: str = ""
    shape: tuple[int, ...] | None = None
    to_environment: Callable[[np.ndarray], Any] = unchanged
    ends_on_life_loss: bool = False
    discounting: float = 1.0

    def fill_up(self, observation: np.ndarray) -> np.ndarray:
        """[B, ...] -> [B, *shape]."""
        if self.shape is None or observation.shape[1:] == self.shape:
            return observation
        filled = np.zeros((len(observation), *self.shape), observation.dtype)
        filled[tuple(slice(size) for size in observation.shape)] = observation
        return filled


SINGLE_TASK = Task()


class _Episodes:
    """Returns and lengths of the running episodes, and which rows begin one.

    nested: the space of the observations, where they are not one array already.
    """

    def __init__(self, num_envs: int, task: Task, nested: Any = None):
        self._task = task
        self._nested = nested
        self._ended = np.ones(num_envs, bool)
        self._return = np.zeros(num_envs, np.float32)
        self._discounted = np.zeros(num_envs, np.float32)
        self._steps = np.zeros(num_envs, np.int32)
        self._lives = np.zeros(num_envs, np.int32) if task.ends_on_life_loss else None

    def row(self, envs: np.ndarray | slice, reward, terminated, truncated, observation, info: dict) -> EnvOutput:
        """The row that the environments `envs` emitted. A row after the end of an episode, or the very first, is
        `first`. All arrays are new: the row goes on living after the next one.

        Raises SettingError when a reward or an observation is not finite: soon the weights would not be either.
        """
        assert terminated.dtype == truncated.dtype == bool, (terminated.dtype, truncated.dtype)
        first = self._ended[envs].copy()
        continues = ~first
        reward = np.asarray(reward, np.float32)
        if first.any():  # There is none, but some of EnvPool's environments emit what the memory held.
            reward = np.where(first, np.float32(0), reward)
        episode_return = self._return[envs] * continues + reward
        episode_steps = self._steps[envs] * continues + continues
        discounted_return = self._discounted[envs] * (continues * np.float32(self._task.discounting)) + reward
        self._ended[envs] = terminated | truncated
        self._discounted[envs] = discounted_return
        self._return[envs] = episode_return
        self._steps[envs] = episode_steps
        if self._lives is not None:
            lives = np.asarray(info["lives"])
            terminated = terminated | (continues & (lives < self._lives[envs]))
            self._lives[envs] = lives
        observation = (
            observation_spaces.as_arrays(self._nested, observation) if self._nested else self._task.fill_up(observation)
        )
        self._check_finite("reward", reward)
        for name, part in observation_spaces.parts_of(observation):
            if part.dtype.kind == "f":
                self._check_finite(f"observation {name!r}" if name else "observation", part)
        return EnvOutput(
            reward, terminated, truncated, first, observation, episode_return, episode_steps, discounted_return
        )

    def _check_finite(self, what: str, values: np.ndarray) -> None:
        if values.dtype == np.float64:
            with np.errstate(over="ignore"):  # What is too large for float32 is infinite to the network.
                values = values.astype(np.float32)
        # The sum of squares is three times as fast to look at, and overflows for large but finite numbers.
        if not math.isfinite(np.vdot(values, values)) and not np.isfinite(values).all():
            wrong = values[~np.isfinite(values)][0]
            raise SettingError(
                f"--env_id={self._task.env_id}: gave {wrong} in its {what}; replace it in the environment"
            )


def _check_mode(env: Any) -> None:
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise NotImplementedError(f"{env} resets in mode {mode}; only gymnasium's NEXT_STEP is supported")


class VectorEnvironment:
    """B environments that step together and emit rows in the convention of `types.py`.

    env: a gymnasium vector in NEXT_STEP autoreset mode.
    seeds: an int for each environment; a native vector has one random generator and takes the first.
    tasks: [B] int32, which of the run's tasks each environment is.
    """

    def __init__(self, env: Any, seeds: list[int], task: Task = SINGLE_TASK):
        _check_mode(env)
        self._env = env
        self._seeds = seeds
        self.num_envs = env.num_envs
        self._task = task
        self.tasks = np.full(self.num_envs, task.index, np.int32)
        space = getattr(env, "single_observation_space", None)
        self._nested = space if space is not None and observation_spaces.is_nested(space) else None
        self._episodes = _Episodes(self.num_envs, task, self._nested)

    def reset(self) -> EnvOutput:
        """Begins an episode in every environment: a row in which all are `first`."""
        takes_list = isinstance(self._env.unwrapped, SyncVectorEnv | AsyncVectorEnv | SeparatelySeeded)
        observation, info = self._env.reset(seed=self._seeds if takes_list else self._seeds[0])
        self._episodes = _Episodes(self.num_envs, self._task, self._nested)
        nothing, no = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        return self._episodes.row(slice(None), nothing, no, no, observation, info)

    def step(self, actions: np.ndarray) -> EnvOutput:
        """Takes actions [B, ...]; those of environments whose last row ended an episode are ignored."""
        observation, reward, terminated, truncated, info = self._env.step(self._task.to_environment(actions))
        return self._episodes.row(slice(None), reward, terminated, truncated, observation, info)

    def render(self) -> np.ndarray:
        """[height, width, 3] uint8, of the first environment; needs render_mode="rgb_array"."""
        return self._env.render()[0]

    @property
    def action_space(self) -> Any:
        """Of one environment."""
        return self._env.single_action_space

    @property
    def action_names(self) -> list[str]:
        """What the game calls its actions, in their order; empty if it has no names for them."""
        envs = getattr(self._env, "envs", None)
        names = getattr(envs[0].unwrapped, "get_action_meanings", None) if envs else None
        return list(names()) if names else []

    @property
    def frames_per_sec(self) -> float:
        """The pace at which to watch it."""
        return float(self._env.metadata.get("render_fps", 30))

    def close(self) -> None:
        if not isinstance(self._env, AsyncVectorEnv):
            self._env.close()
            return
        try:
            self._env.close(timeout=CLOSE_SECS)
        except Exception:  # One of the processes has died; gymnasium would leave the others behind.
            for process in self._env.processes:
                process.kill()
            self._env.closed = True


def concatenate(rows: list) -> Any:
    """Rows, or nests of arrays in them, of several vectors as of one."""
    first = rows[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(rows)
    if isinstance(first, dict):
        return {name: concatenate([row[name] for row in rows]) for name in first}
    parts = [concatenate(list(leaves)) for leaves in zip(*rows, strict=True)]
    return EnvOutput(*parts) if isinstance(first, EnvOutput) else tuple(parts)


class JoinedEnvironment:
    """Several vectors as one: they step at the same time, and a row is complete when the slowest is.

    num_threads: how many step at the same time.
    parts, tasks: [B] int32, which of the vectors each environment belongs to, and which task it is.
    """

    def __init__(self, parts: list[VectorEnvironment], num_threads: int):
        self._parts = parts
        self._ends = np.cumsum([part.num_envs for part in parts])
        self.num_envs = int(self._ends[-1])
        self.parts = np.repeat(np.arange(len(parts), dtype=np.int32), [part.num_envs for part in parts])
        self.tasks = np.concatenate([part.tasks for part in parts])
        # With one thread nothing is gained by handing the work to it.
        self._pool = ThreadPoolExecutor(num_threads, "environments") if num_threads > 1 else None

    def _all(self, function: Callable, *arguments: list) -> EnvOutput:
        mapped = self._pool.map if self._pool else map
        rows = list(mapped(function, self._parts, *arguments))
        return concatenate(rows)

    def reset(self) -> EnvOutput:
        return self._all(VectorEnvironment.reset)

    def step(self, actions: np.ndarray) -> EnvOutput:
        return self._all(VectorEnvironment.step, np.split(actions, self._ends[:-1]))

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for part in self._parts:
            part.close()


class SeparatelySeeded:
    """Marks a vector whose `reset` takes a seed for each environment."""

    unwrapped: Any


class PartialEnvironment:
    """B environments of which those that are ready first are handed out, `num_ready` at a time.

    The others step meanwhile, in threads of the library, so acting overlaps with stepping (double buffering) and
    nobody waits for the slowest.

    env: has `begin`, `send` and `recv`, see `backends.py`.
    tasks: [B] int32, which of the run's tasks each environment is.
    """

    def __init__(self, env: Any, num_envs: int, num_ready: int, task: Task):
        _check_mode(env)
        self._env = env
        self.num_envs = num_envs
        self.num_ready = num_ready
        self._task = task
        self.tasks = np.full(num_envs, task.index, np.int32)
        self._episodes = _Episodes(num_envs, task)
        self._ready = np.zeros(0, np.int32)

    def reset(self) -> tuple[np.ndarray, EnvOutput]:
        """Begins an episode in every environment: (which are ready, [R] int32; their row)."""
        self._env.begin()
        return self._receive()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, EnvOutput]:
        """Takes actions [R, ...] of the environments that were ready: (which are ready now; their row)."""
        self._env.send(self._task.to_environment(actions), self._ready)
        return self._receive()

    def _receive(self) -> tuple[np.ndarray, EnvOutput]:
        self._ready, observation, reward, terminated, truncated, info = self._env.recv()
        return self._ready, self._episodes.row(self._ready, reward, terminated, truncated, observation, info)

    def close(self) -> None:
        self._env.close()
