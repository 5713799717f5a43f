"""A gymnasium vector as rows of `EnvOutput`."""

import difflib
import functools
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from impala_tf.config import Config, SettingError
from impala_tf.types import EnvOutput

CLOSE_SECS = 5  # How long environments in other processes may take to finish their step.


class EnvironmentSpec(NamedTuple):
    """Spaces of one environment, and which vector form `vectorization=auto` would take."""

    observation_space: Any
    action_space: Any
    has_native_vector: bool


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


class VectorEnvironment:
    """B environments that step together and emit rows in the convention of `types.py`.

    env: a gymnasium vector in NEXT_STEP autoreset mode.
    seeds: an int for each environment; a native vector has one random generator and takes the first.
    """

    def __init__(self, env: Any, seeds: list[int]):
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.NEXT_STEP:
            raise NotImplementedError(f"{env} resets in mode {mode}; only gymnasium's NEXT_STEP is supported")
        self._env = env
        self._seeds = seeds
        self.num_envs = env.num_envs
        self._ended = np.zeros(self.num_envs, bool)
        self._episode_return = np.zeros(self.num_envs, np.float32)
        self._episode_steps = np.zeros(self.num_envs, np.int32)

    def reset(self) -> EnvOutput:
        """Begins an episode in every environment: a row in which all are `first`."""
        takes_list = isinstance(self._env.unwrapped, SyncVectorEnv | AsyncVectorEnv)
        observation, _ = self._env.reset(seed=self._seeds if takes_list else self._seeds[0])
        nothing = np.zeros(self.num_envs, np.float32)
        no = np.zeros(self.num_envs, bool)
        return self._row(nothing, no, no, np.ones(self.num_envs, bool), observation)

    def step(self, actions: np.ndarray) -> EnvOutput:
        """Takes actions [B, ...]; those of environments whose last row ended an episode are ignored."""
        observation, reward, terminated, truncated, _ = self._env.step(actions)
        return self._row(reward, terminated, truncated, self._ended, observation)

    def _row(self, reward, terminated, truncated, first, observation) -> EnvOutput:
        reward = np.asarray(reward, np.float32)
        assert terminated.dtype == truncated.dtype == bool, (terminated.dtype, truncated.dtype)
        self._ended = terminated | truncated
        continues = ~first
        # New arrays, not in place: the row goes on living after the next step.
        self._episode_return = self._episode_return * continues + reward
        self._episode_steps = self._episode_steps * continues + continues
        return EnvOutput(reward, terminated, truncated, first, observation, self._episode_return, self._episode_steps)

    def render(self) -> np.ndarray:
        """[height, width, 3] uint8, of the first environment; needs render_mode="rgb_array"."""
        return self._env.render()[0]

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


def make_vector_environment(
    config: Config, seed: int, actor: int, num_envs: int, render_mode: str | None = None
) -> VectorEnvironment:
    """The environments of one actor. Environment i is seeded by (seed, actor, i).

    `spec_of` has checked the settings.
    """
    spec = _gym_spec(config.env_id)
    settings: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    seeds = [int(np.random.SeedSequence([seed, actor, i]).generate_state(1)[0]) for i in range(num_envs)]
    how = config.vectorization
    if how == "auto":
        how = "native" if _offers_native(spec, config) else "sync"
    if how == "native":
        return VectorEnvironment(gym.make_vec(spec, num_envs, "vector_entry_point", **settings), seeds)
    make = functools.partial(_make_one, spec.id, config.env_id, config.num_action_repeats, settings)
    if how == "sync":
        return VectorEnvironment(SyncVectorEnv([make] * num_envs), seeds)
    # "spawn" starts clean processes: forking one that runs TensorFlow's threads can hang.
    make = functools.partial(_in_process, make)
    return VectorEnvironment(AsyncVectorEnv([make] * num_envs, context="spawn"), seeds)


def _make_one(spec_id: str, env_id: str, num_action_repeats: int, settings: dict) -> gym.Env:
    _gym_spec(env_id)  # In a process of its own, the module of a module:id is not imported yet.
    env = gym.make(spec_id, **settings)
    return ActionRepeat(env, num_action_repeats) if num_action_repeats > 1 else env


def _in_process(make: Callable[[], gym.Env]) -> gym.Env:
    # Ctrl-C goes to every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return make()


def _offers_native(spec: gym.envs.registration.EnvSpec, config: Config) -> bool:
    """Whether the id has a vector form that does what its single form does, in the reset mode that we understand."""
    if spec.vector_entry_point is None or spec.additional_wrappers or config.num_action_repeats > 1:
        return False
    try:
        vector, single = gym.make_vec(spec, 1, "vector_entry_point"), gym.make(spec)
    except Exception:  # Its packages are not installed, or it wants settings of its own.
        return False
    fits = (
        vector.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        and vector.single_observation_space == single.observation_space
        and vector.single_action_space == single.action_space
    )
    vector.close()
    single.close()
    return fits


def spec_of(config: Config) -> EnvironmentSpec:
    """Makes one environment to look at its spaces. Raises SettingError when the id or a space cannot be used."""
    spec = _gym_spec(config.env_id)
    if config.vectorization == "native" and not _offers_native(spec, config):
        raise SettingError(
            f"--vectorization=native: {config.env_id} has no vector form of its own"
            f"{' that repeats actions' if config.num_action_repeats > 1 else ''}; use auto, sync or async"
        )
    try:
        env = gym.make(spec)
    except Exception as error:
        raise SettingError(f"--env_id={config.env_id}: gymnasium could not make it: {_one_line(error)}") from error
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    if not isinstance(observation_space, gym.spaces.Box | gym.spaces.Discrete):
        raise SettingError(
            f"--env_id={config.env_id}: its observation space {_one_line(observation_space)} is not supported; "
            "supported: Box, Discrete"
        )
    if config.network in ("shallow", "deep") and len(observation_space.shape or ()) != 3:
        raise SettingError(
            f"--network={config.network}: needs an observation of shape [height, width, channels], but "
            f"{config.env_id} has {_one_line(observation_space)}; use --network=mlp"
        )
    if not isinstance(action_space, gym.spaces.Discrete):
        raise SettingError(
            f"--env_id={config.env_id}: its action space {_one_line(action_space)} is not supported; "
            "supported: Discrete"
        )
    return EnvironmentSpec(observation_space, action_space, _offers_native(spec, config))


def _gym_spec(env_id: str) -> gym.envs.registration.EnvSpec:
    try:
        # gym.spec alone would not import the module of a "module:id".
        module, _, name = env_id.rpartition(":")
        if module:
            __import__(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        names = sorted(gym.registry)
        close = difflib.get_close_matches(env_id, names, n=3, cutoff=0.6)
        lowered = {name.lower(): name for name in names}
        close = close or [lowered[name] for name in difflib.get_close_matches(env_id.lower(), lowered, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(close)}?" if close else "see gymnasium.pprint_registry()"
        raise SettingError(f"--env_id={env_id}: unknown environment ({_one_line(error)}); {hint}") from error


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
