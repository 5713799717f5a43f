"""Which library steps the environments of an actor: gymnasium, ALE's vector or EnvPool."""

import functools
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from impala_tf.config import Config, SettingError
from impala_tf.environments import atari, dmlab
from impala_tf.environments.adapters import Ale, EnvPool
from impala_tf.environments.single import gym_spec, make_one, masks_actions, try_one
from impala_tf.spaces import observation_spaces
from impala_tf.support.messages import one_line

# Their threads step without Python's lock.
IN_THREADS = ("ale", "envpool")
# A step of CartPole's own vector takes as long as three single environments (docs/performance.md).
FEWEST_NATIVE = 4


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def vectorization_of(config: Config) -> str:
    """What --vectorization=auto means: the fastest that does what the single environment does.

    EnvPool is never taken unasked: its environments are its own, not those that gymnasium's id names.
    """
    if config.vectorization != "auto":
        return config.vectorization
    if atari.is_preprocessed(config):
        return "ale"
    if dmlab.is_dmlab(config):
        return "async"  # A step holds Python's lock.
    if config.num_envs_per_actor >= FEWEST_NATIVE and _offers_native(gym_spec(config), config):
        return "native"
    return "sync"


def _offers_native(spec: gym.envs.registration.EnvSpec, config: Config) -> bool:
    """Whether the id has a vector form that does what its single form does, in the reset mode that we understand."""
    changed = config.num_action_repeats > 1 or config.max_episode_frames
    if spec.vector_entry_point is None or spec.additional_wrappers or changed:
        return False
    try:
        vector, single = gym.make_vec(spec, 1, "vector_entry_point"), gym.make(spec)
    except Exception:  # Its packages are not installed, or it wants settings of its own.
        return False
    fits = (
        vector.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        and not masks_actions(spec.id)
        and vector.single_observation_space == single.observation_space
        and vector.single_action_space == single.action_space
    )
    vector.close()
    single.close()
    return fits


def make_vector(
    config: Config, how: str, observation_space: gym.Space, seeds: list[int], settings: dict[str, Any]
) -> Any:
    """One environment for each seed. how: of --vectorization, but not auto. settings: of gymnasium."""
    num_envs = len(seeds)
    if how in IN_THREADS:
        return make_in_threads(config, how, num_envs, num_envs, seeds)
    if how == "native":
        return gym.make_vec(gym_spec(config), num_envs, "vector_entry_point", **settings)
    make = functools.partial(make_one, config, settings)
    if how == "sync":
        return SyncVectorEnv([make] * num_envs)
    # "spawn" starts clean processes: forking one that runs TensorFlow's threads can hang.
    makers = [functools.partial(_make_in_own_process, make, os.getpid())] * num_envs
    # gymnasium reads texts in shared memory once only, when the vector is made.
    texts = any(observation_spaces.is_text(part) for part in observation_spaces.leaves(observation_space).values())
    return AsyncVectorEnv(makers, context="spawn", shared_memory=not texts)


def _make_in_own_process(make: Callable[[], gym.Env], main_pid: int) -> gym.Env:
    """Makes an environment out of reach of the signals that are sent to the main process and its group.

    Ctrl-C and `timeout` signal a whole group of processes, but the main process decides what a signal means.
    gymnasium also calls the first maker in the main process, to learn the spaces; that one must stay as it is.
    """
    if os.getpid() != main_pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(os, "setpgrp"):
            os.setpgrp()
    return make()


def make_in_threads(config: Config, how: str, num_envs: int, num_ready: int, seeds: list[int]) -> "Ale | EnvPool":
    return (_make_ale if how == "ale" else _make_envpool)(config, num_envs, num_ready, seeds)


def _make_ale(config: Config, num_envs: int, num_ready: int, seeds: list[int]) -> Ale:
    game = gym_spec(config).kwargs["game"]
    return Ale(atari.make_ale(game, config, num_envs, num_ready, config.env_threads or cores()), seeds)


def _make_envpool(config: Config, num_envs: int, num_ready: int, seeds: list[int]) -> EnvPool:
    envpool, name, settings = _envpool(config)
    with warnings.catch_warnings():  # Of rounded bounds.
        warnings.simplefilter("ignore")
        env = envpool.make_gymnasium(
            name,
            num_envs=num_envs,
            batch_size=num_ready,
            num_threads=config.env_threads or cores(),
            env_seed=[seed >> 1 for seed in seeds],
            **settings,
        )
        _ = env.observation_space  # Made here and kept, so that later calls have nothing to warn of.
    return EnvPool(env, num_envs)


def _envpool(config: Config) -> tuple[Any, str, dict]:
    """The library, its name for the environment and the settings of that. Raises SettingError when it has none."""
    try:
        import envpool
    except ImportError:
        raise SettingError(
            "--vectorization=envpool: EnvPool is not installed: pip install 'impala_tf[envpool]'"
        ) from None
    name = config.env_id.removeprefix("ALE/")
    if name not in envpool.list_all_envs():
        raise SettingError(f"--env_id={config.env_id}: EnvPool has no such environment; see envpool.list_all_envs()")
    if atari.is_ale(config) and not atari.is_preprocessed(config):
        flag = "--atari_ram=true" if config.atari_ram else "--atari_preprocessing=false"
        raise SettingError(f"{flag}: EnvPool always preprocesses; use --vectorization=sync or async")
    if atari.is_ale(config):
        if config.noop_max < 1:  # EnvPool 1.2 crashes.
            raise SettingError(f"--noop_max={config.noop_max}: must be at least 1 with --vectorization=envpool")
        return envpool, name, atari.envpool_settings(config)
    if config.num_action_repeats > 1:
        raise SettingError(
            f"--num_action_repeats={config.num_action_repeats}: EnvPool repeats actions on Atari only; "
            "use --vectorization=sync or async"
        )
    if hasattr(_envpool_spec(envpool, config.env_id, name, {}).config, "full_action_space"):
        raise SettingError(f"--env_id={config.env_id}: a game of Atari; give --env_id=ALE/{name}")
    return envpool, name, {"max_episode_steps": config.max_episode_frames} if config.max_episode_frames else {}


def _envpool_spec(envpool: Any, env_id: str, name: str, settings: dict) -> Any:
    try:
        with warnings.catch_warnings():  # Of rounded bounds.
            warnings.simplefilter("ignore")
            spec = envpool.make_spec(name, **settings)
            _ = spec.gymnasium_observation_space
            return spec
    except Exception as error:
        raise SettingError(f"--env_id={env_id}: EnvPool could not make it: {one_line(error)}") from error


def check_backend(config: Config) -> None:
    """Raises SettingError when --vectorization cannot make --env_id."""
    atari.check(config)
    dmlab.check(config)
    how = config.vectorization
    if how == "envpool":
        _envpool(config)
        return
    spec = gym_spec(config)
    if how == "ale" and not atari.is_preprocessed(config):
        raise SettingError(
            f"--vectorization=ale: needs an ALE id, such as ALE/Pong-v5, and --atari_preprocessing; "
            f"given: {config.env_id}"
        )
    if how == "native" and (atari.is_ale(config) or not _offers_native(spec, config)):
        raise SettingError(
            f"--vectorization=native: {config.env_id} has no vector form of its own"
            f"{' that repeats actions' if config.num_action_repeats > 1 else ''}"
            f"{' that takes --max_episode_frames' if config.max_episode_frames else ''}; use auto, sync or async"
        )


def look(config: Config) -> tuple[Any, Any]:
    """Observation and action space of --env_id."""
    if config.vectorization == "envpool":
        envpool, name, settings = _envpool(config)
        spec = _envpool_spec(envpool, config.env_id, name, settings)
        return spec.gymnasium_observation_space, spec.gymnasium_action_space
    if vectorization_of(config) == "ale":
        vector = _make_ale(config, 1, 1, [0])
        vector.close()
        return vector.spaces
    return try_one(config)
