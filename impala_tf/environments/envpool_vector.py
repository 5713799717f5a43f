"""Steps EnvPool's own C++ implementations of gymnasium's and other environments, in threads."""

import contextlib
import warnings
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments.families import family_of
from impala_tf.spaces import observation_spaces
from impala_tf.support.messages import one_line


class EnvPoolVector:
    """This is EnvPool's vector; it steps all environments, or those that are ready.

    An episode that terminates in the step of its time limit is reported as truncated only (docs/environments.md).

    env: EnvPool's vector, made with its seeds.
    num_envs: number of its environments.
    """

    def __init__(self, env: Any, num_envs: int):
        self.metadata = env.metadata
        self.num_envs = num_envs
        self.single_observation_space: gym.Space = env.observation_space
        self.single_action_space: gym.Space = env.action_space
        self._env = env

    def reset(self, seed: list[int]):
        """Begins all episodes; the seeds are those that EnvPool was made with."""
        del seed
        observation, info = self._env.reset()
        return self._as_arrays(observation), info

    def step(self, actions: np.ndarray):
        observation, *others = self._env.step(actions)
        return self._as_arrays(observation), *others

    def begin(self) -> None:
        """Begins all episodes; `recv` gives the rows."""
        self._env.async_reset()

    def send(self, actions: np.ndarray, ready: np.ndarray) -> None:
        """Begins a step of the environments `ready`, [R] int32."""
        self._env.send(actions, ready)

    def recv(self):
        """Returns (indices of the ready environments, observation, reward, terminated, truncated, info)."""
        observation, *others, info = self._env.recv()
        return info["env_id"], self._as_arrays(observation), *others, info

    def close(self) -> None:
        self._env.close()

    def _as_arrays(self, observation: Any) -> Any:
        """Returns the observation in the dtype of its space, which FrozenLake's does not have."""
        return observation_spaces.as_arrays(self.single_observation_space, observation)


def make_envpool_vector(config: Config, num_ready: int, threads: int, seeds: list[int]) -> EnvPoolVector:
    """Makes a vector with an environment for each seed.

    num_ready: number of environments that `recv` waits for.
    threads: number of threads that step them.
    Raises what `check_envpool` raises.
    """
    envpool, name, settings = _library_name_settings(config)
    with _without_warnings():
        env = envpool.make_gymnasium(
            name,
            num_envs=len(seeds),
            batch_size=num_ready,
            num_threads=threads,
            env_seed=[seed >> 1 for seed in seeds],  # EnvPool's seeds are 32-bit signed.
            **settings,
        )
        return EnvPoolVector(env, len(seeds))  # It keeps the spaces, so that EnvPool does not warn again.


def envpool_spaces(config: Config) -> tuple[gym.Space, gym.Space]:
    """Returns the two spaces of --env_id in EnvPool. Raises what `check_envpool` raises."""
    envpool, name, settings = _library_name_settings(config)
    made = _make_spec(envpool, config.env_id, name, settings)
    return made.gymnasium_observation_space, made.gymnasium_action_space


def check_envpool(config: Config) -> None:
    """Raises SettingError when EnvPool is not installed, or cannot make --env_id with these settings."""
    _library_name_settings(config)


def _library_name_settings(config: Config) -> tuple[Any, str, dict]:
    """Returns (the library, its name for the environment, its settings of the environment)."""
    try:
        import envpool
    except ImportError:
        raise SettingError(
            "--vectorization=envpool: EnvPool is not installed: pip install 'impala_tf[envpool]'"
        ) from None
    family = family_of(config)
    name = family.envpool_name(config.env_id)
    if name not in envpool.list_all_envs():
        raise SettingError(f"--env_id={config.env_id}: EnvPool has no such environment; see envpool.list_all_envs()")
    settings = family.envpool_settings(config)
    if name == config.env_id and hasattr(_make_spec(envpool, name, name, {}).config, "full_action_space"):
        raise SettingError(f"--env_id={config.env_id}: a game of Atari; give --env_id=ALE/{name}")
    return envpool, name, settings


def _make_spec(envpool: Any, env_id: str, name: str, settings: dict) -> Any:
    try:
        with _without_warnings():
            made = envpool.make_spec(name, **settings)
            _ = made.gymnasium_observation_space  # EnvPool warns at the first access only.
            return made
    except Exception as error:
        raise SettingError(f"--env_id={env_id}: EnvPool could not make it: {one_line(error)}") from error


@contextlib.contextmanager
def _without_warnings():
    """Hides warnings about bounds that were rounded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
