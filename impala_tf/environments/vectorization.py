"""Chooses the library that steps the environments of an actor: gymnasium, ALE's vector or EnvPool."""

import os

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from impala_tf.config import Config, SettingError
from impala_tf.environments.action_masks import has_mask_in_info
from impala_tf.environments.envpool_vector import check_envpool
from impala_tf.environments.families import check_settings_are_heeded, family_of
from impala_tf.environments.families.atari import is_preprocessed
from impala_tf.environments.gymnasium_ids import registration_of

# The threads of these libraries step without Python's lock.
IN_THREADS = ("ale", "envpool")
# A step of CartPole's own vector takes as long as three single environments (docs/performance.md).
FEWEST_NATIVE = 4


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(config: Config) -> int:
    """Returns the number of threads that step one actor's environments with ale and envpool."""
    return config.env_threads or available_cores()


def vectorization_of(config: Config) -> str:
    """Returns --vectorization; auto becomes the fastest one that does what the single environment does.

    auto never becomes envpool, whose environments are its own and not those that gymnasium's id names. With
    --exact_resume it is sync, the only one whose environments can be replayed.
    """
    if config.vectorization != "auto":
        return config.vectorization
    if config.exact_resume:
        return "sync"
    fastest = family_of(config).fastest_vectorization(config)
    if fastest:
        return fastest
    return "native" if config.num_envs_per_actor >= FEWEST_NATIVE and _offers_native(config) else "sync"


def _offers_native(config: Config) -> bool:
    """Returns whether the id has a vector form that does what its single form does, and resets as rows need it."""
    registered = registration_of(config)
    changed = config.num_action_repeats > 1 or config.max_episode_frames
    has_vector = registered.vector_entry_point is not None and family_of(config).has_native_vectors
    if not has_vector or registered.additional_wrappers or changed:
        return False
    try:
        vector, single = gym.make_vec(registered, 1, "vector_entry_point"), gym.make(registered)
    except Exception:  # A package is not installed, or the form requires settings of its own.
        return False
    fits = (
        vector.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        and not has_mask_in_info(registered.id)
        and vector.single_observation_space == single.observation_space
        and vector.single_action_space == single.action_space
    )
    vector.close()
    single.close()
    return fits


def _check_restarts(config: Config, vectorization: str) -> None:
    if config.max_env_restarts and vectorization not in ("sync", "async"):
        raise SettingError(
            f"--max_env_restarts={config.max_env_restarts}: {config.env_id} is stepped by {vectorization}, which makes "
            "none anew; give --vectorization=async, or sync, where an environment is made anew after an exception only"
        )
    if config.env_timeout_secs and vectorization != "async":
        raise SettingError(
            f"--env_timeout_secs={config.env_timeout_secs:g}: with {vectorization} environments are in the actor's own "
            "process, where nothing can end one that hangs; give --vectorization=async"
        )


def check_vectorization(config: Config) -> None:
    """Raises SettingError when --vectorization cannot make --env_id, a single id, or would not heed a setting."""
    check_settings_are_heeded(config)
    if config.vectorization == "envpool":
        check_envpool(config)
    else:
        registration_of(config)
    if config.vectorization == "ale" and not is_preprocessed(config):
        raise SettingError(
            f"--vectorization=ale: needs an ALE id, such as ALE/Pong-v5, and --atari_preprocessing; "
            f"given: {config.env_id}"
        )
    if config.vectorization == "native" and not _offers_native(config):
        raise SettingError(
            f"--vectorization=native: {config.env_id} has no vector form of its own"
            f"{' that repeats actions' if config.num_action_repeats > 1 else ''}"
            f"{' that takes --max_episode_frames' if config.max_episode_frames else ''}; use auto, sync or async"
        )
    vectorization = vectorization_of(config)
    _check_restarts(config, vectorization)
    for name in ("envs_per_step", "env_threads"):
        if getattr(config, name) and vectorization not in IN_THREADS:
            raise SettingError(
                f"--{name}={getattr(config, name)}: works with --vectorization=ale or envpool; "
                f"{config.env_id} is stepped by {vectorization}"
            )
