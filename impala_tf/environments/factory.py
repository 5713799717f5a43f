"""Makes the environments of an actor."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

from impala_tf.config import Config
from impala_tf.environments import single_environment, suites
from impala_tf.environments.ale_vector import AleVector, make_ale_vector
from impala_tf.environments.environment_spec import EnvironmentSpec, for_evaluation, spec_of, spec_of_task
from impala_tf.environments.envpool_vector import EnvPoolVector, make_envpool_vector
from impala_tf.environments.families import family_of
from impala_tf.environments.guard import Guard
from impala_tf.environments.guarded_environment import GuardedEnvironment
from impala_tf.environments.gymnasium_ids import registration_of
from impala_tf.environments.partial_environment import PartialEnvironment
from impala_tf.environments.processes import ProcessVector
from impala_tf.environments.replayable_environment import ReplayableEnvironment
from impala_tf.environments.replayed_episodes import SeededEpisodes
from impala_tf.environments.restarts import Restarts
from impala_tf.environments.single_environment import make_single
from impala_tf.environments.task import Task
from impala_tf.environments.vector_environment import VectorEnvironment
from impala_tf.environments.vectorization import IN_THREADS, threads_of, vectorization_of
from impala_tf.spaces.environment_actions import to_environment
from impala_tf.spaces.observation_spaces import is_nested


def make_vector_environment(
    config: Config,
    seed: int,
    actor: int,
    num_envs: int,
    render_mode: str | None = None,
    whole_games: bool = False,
    restarts: Restarts | None = None,
) -> VectorEnvironment:
    """Makes the environments of one actor. Environment i is seeded by (seed, actor, i).

    With several tasks the actors take turns: actor 0 has task 0, actor 1 task 1, and so on, and from task 0 again.
    `spec_of` has checked the settings.

    actor: index of the actor.
    render_mode: gymnasium's render mode; None means that no pictures are drawn.
    whole_games: whether the environments are for evaluation, see `for_evaluation`.
    restarts: restarts of the environments of this process; None means that these environments have their own.
    """
    config, task = _settings_and_task(config, actor, whole_games)
    vectorization = "sync" if render_mode else vectorization_of(config)
    settings: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    seeds = _seeds(seed, actor, num_envs)
    if vectorization in IN_THREADS:
        return VectorEnvironment(_make_in_threads(config, num_envs, seeds), seeds, task)
    if vectorization == "native":  # A native vector has one random generator.
        native = gym.make_vec(registration_of(config), num_envs, "vector_entry_point", **settings)
        return VectorEnvironment(native, seeds[0], task)
    make = functools.partial(make_single, config, settings)
    guard = Guard(config.env_id, actor, seeds, restarts or Restarts(config.max_env_restarts))
    if vectorization == "sync":
        makers = [functools.partial(GuardedEnvironment, make, index, guard) for index in range(num_envs)]
        if config.exact_resume:
            seeded = [functools.partial(_seeded_episodes, make) for make in makers]
            return ReplayableEnvironment(SyncVectorEnv(seeded), seeds, task)
        return VectorEnvironment(SyncVectorEnv(makers), seeds, task)
    spec = _known_spec(config)
    spaces = spec.observation_space, spec.action_space
    return VectorEnvironment(ProcessVector(make, *spaces, guard, config.env_timeout_secs), seeds, task)


def _seeded_episodes(make: Callable[[], gym.Env]) -> SeededEpisodes:
    return SeededEpisodes(make())


def make_partial_environment(config: Config, seed: int, actor: int, num_envs: int) -> PartialEnvironment:
    """Makes one actor's environments like `make_vector_environment`; --envs_per_step are handed out at a time."""
    config, task = _settings_and_task(config, actor)
    env = _make_in_threads(config, config.envs_per_step, _seeds(seed, actor, num_envs))
    return PartialEnvironment(env, num_envs, config.envs_per_step, task)


def _make_in_threads(config: Config, num_ready: int, seeds: list[int]) -> AleVector | EnvPoolVector:
    if vectorization_of(config) == "envpool":
        return make_envpool_vector(config, num_ready, threads_of(config), seeds)
    return make_ale_vector(registration_of(config).kwargs["game"], config, num_ready, threads_of(config), seeds)


def _settings_and_task(config: Config, actor: int, whole_games: bool = False) -> tuple[Config, Task]:
    """Returns the settings of an actor's environments, with a single id, and their task."""
    tasks = suites.tasks_of(config)
    index = actor % len(tasks)
    own_config = dataclasses.replace(config, env_id=tasks[index])
    if whole_games:
        own_config = for_evaluation(own_config)
    own_space = _known_spec(own_config).action_space
    shape, action_space = _joint_spaces(config) if len(tasks) > 1 else (None, own_space)
    convert = to_environment(action_space, config.action_bounds)
    if own_space != action_space:
        translate = family_of(own_config).translation(own_config, own_space, action_space)
        assert translate is not None, "spec_of has refused such tasks"
        convert = functools.partial(_in_turn, convert, translate)
    return own_config, Task(
        index, tasks[index], shape, convert, own_config.life_loss_ends_episode, own_config.discounting
    )


def _in_turn(inner: Callable, outer: Callable, actions: np.ndarray) -> np.ndarray:
    return outer(inner(actions))


@functools.lru_cache(maxsize=64)  # It is called for every actor.
def _known_spec(config: Config) -> EnvironmentSpec:
    return spec_of_task(config)


@functools.lru_cache(maxsize=8)  # It is called for every actor, and makes an environment of every task.
def _joint_spaces(config: Config) -> tuple[tuple[int, ...] | None, gym.Space]:
    """Returns the shape to which observations are filled up, if they are arrays, and the joint action space."""
    spec = spec_of(config)
    shape = None if is_nested(spec.observation_space) else spec.observation_space.shape
    return shape, spec.action_space


def clear_caches() -> None:
    """Drops all cached spaces and specs, because an id may mean another environment now."""
    single_environment.clear_caches()
    _known_spec.cache_clear()
    _joint_spaces.cache_clear()


def _seeds(seed: int, actor: int, num_envs: int) -> list[int]:
    return [int(np.random.SeedSequence([seed, actor, i]).generate_state(1)[0]) for i in range(num_envs)]
