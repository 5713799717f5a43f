"""The environments of an actor."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config
from impala_tf.environments import atari, single, suites
from impala_tf.environments.backends import make_in_threads, make_vector, vectorization_of
from impala_tf.environments.specs import EnvironmentSpec, for_evaluation, spec_of, spec_of_task
from impala_tf.environments.vector import PartialEnvironment, Task, VectorEnvironment
from impala_tf.spaces import environment_actions, observation_spaces


def make_vector_environment(
    config: Config,
    seed: int,
    actor: int,
    num_envs: int,
    render_mode: str | None = None,
    whole_games: bool = False,
) -> VectorEnvironment:
    """The environments of one actor. Environment i is seeded by (seed, actor, i).

    With several tasks the actors take turns: actor 0 has task 0, actor 1 task 1, and so on, and from the first again.
    `spec_of` has checked the settings. whole_games: to evaluate in, see `for_evaluation`.
    """
    config, task = _task_of(config, actor, whole_games)
    how = "sync" if render_mode else vectorization_of(config)
    settings: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    seeds = _seeds(seed, actor, num_envs)
    return VectorEnvironment(
        make_vector(config, how, _known_spec(config).observation_space, seeds, settings), seeds, task
    )


def make_partial_environment(config: Config, seed: int, actor: int, num_envs: int) -> PartialEnvironment:
    """The same for --envs_per_step, handed out that many at a time."""
    config, task = _task_of(config, actor)
    env = make_in_threads(
        config, vectorization_of(config), num_envs, config.envs_per_step, _seeds(seed, actor, num_envs)
    )
    return PartialEnvironment(env, num_envs, config.envs_per_step, task)


def _task_of(config: Config, actor: int, whole_games: bool = False) -> tuple[Config, Task]:
    """The settings of an actor's environments and which task they are."""
    tasks = suites.tasks_of(config)
    index = actor % len(tasks)
    config_of_task = dataclasses.replace(config, env_id=tasks[index])
    if whole_games:
        config_of_task = for_evaluation(config_of_task)
    spec = _known_spec(config_of_task)
    action_space, shape = spec.action_space, None
    if len(tasks) > 1:
        shape, action_space = _joint_spaces(config)
    to_environment = environment_actions.to_environment(action_space, config.action_bounds)
    if spec.action_space != action_space:
        to_environment = functools.partial(_without_fire, to_environment)
    return config_of_task, Task(
        index, tasks[index], shape, to_environment, config_of_task.life_loss_ends_episode, config.discounting
    )


def _without_fire(checked: Callable[[np.ndarray], np.ndarray], actions: np.ndarray) -> np.ndarray:
    return np.array(atari.WITHOUT_FIRE)[checked(actions)]


@functools.lru_cache(maxsize=64)  # Every actor asks.
def _known_spec(config: Config) -> EnvironmentSpec:
    return spec_of_task(config)


@functools.lru_cache(maxsize=8)  # Every actor asks, and every task is looked at.
def _joint_spaces(config: Config) -> tuple[tuple[int, ...] | None, gym.Space]:
    spec = spec_of(config)
    return None if observation_spaces.is_nested(
        spec.observation_space
    ) else spec.observation_space.shape, spec.action_space


def forget() -> None:
    """Looks at every environment anew: an id may mean another one now."""
    single.forget()
    _known_spec.cache_clear()
    _joint_spaces.cache_clear()


def _seeds(seed: int, actor: int, num_envs: int) -> list[int]:
    return [int(np.random.SeedSequence([seed, actor, i]).generate_state(1)[0]) for i in range(num_envs)]
