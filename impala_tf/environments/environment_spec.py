"""Finds out what the environments of a run look like, and whether the settings go with them."""

import dataclasses
from typing import Any, NamedTuple

import gymnasium as gym

from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.environments.ale_vector import make_ale_vector
from impala_tf.environments.envpool_vector import envpool_spaces
from impala_tf.environments.families import family_of
from impala_tf.environments.families.atari import LONGEST_EPISODE
from impala_tf.environments.gymnasium_ids import registration_of
from impala_tf.environments.joint_spaces import joint_action_space, joint_observation_space
from impala_tf.environments.single_environment import spaces_of_single
from impala_tf.environments.space_checks import (
    check_actions,
    check_network,
    check_observations,
    check_settings_have_effect,
)
from impala_tf.environments.vectorization import check_vectorization, vectorization_of


class EnvironmentSpec(NamedTuple):
    """The environments of a run have this in common.

    observation_space, action_space: spaces of one environment. Several tasks share one action space; smaller
        observations are filled up with zeros to the largest.
    vectorization: the setting of that name, with auto replaced by what it means.
    tasks: the ids of the tasks.
    """

    observation_space: Any
    action_space: Any
    vectorization: str
    tasks: tuple[str, ...]


def spec_of(config: Config) -> EnvironmentSpec:
    """Finds out the environments' spaces. Raises SettingError when an id, a space or a setting cannot be used."""
    tasks = suites.tasks_of(config)
    specs = [spec_of_task(dataclasses.replace(config, env_id=task)) for task in tasks]
    spec = _joint_spec(config, specs) if len(tasks) > 1 else specs[0]
    check_network(config, spec.observation_space)
    check_settings_have_effect(config, spec.observation_space, spec.action_space)
    return spec


def spec_for_training(config: Config) -> EnvironmentSpec:
    """Does what `spec_of` does; also raises SettingError when a task would get no actor or is for testing only."""
    for task in suites.tasks_of(config):
        family_of(dataclasses.replace(config, env_id=task)).check_training(task, config)
    spec = spec_of(config)
    if config.num_actors < len(spec.tasks):
        raise SettingError(
            f"--num_actors={config.num_actors}: must be at least {len(spec.tasks)}, one for each task of "
            f"--env_id={config.env_id}"
        )
    return spec


def spec_of_task(config: Config) -> EnvironmentSpec:
    """Does what `spec_of` does for a single id, without checking --network."""
    check_vectorization(config)
    observation_space, action_space = _spaces_of(config)
    check_observations(config.env_id, observation_space)
    check_actions(config.env_id, observation_space, action_space)
    return EnvironmentSpec(observation_space, action_space, vectorization_of(config), (config.env_id,))


def _joint_spec(config: Config, specs: list[EnvironmentSpec]) -> EnvironmentSpec:
    configs = [dataclasses.replace(config, env_id=spec.tasks[0]) for spec in specs]
    action_space = joint_action_space(config.env_id, configs, [spec.action_space for spec in specs])
    observation_space = joint_observation_space(config.env_id, configs, [spec.observation_space for spec in specs])
    vectorizations = {spec.vectorization for spec in specs}
    vectorization = vectorizations.pop() if len(vectorizations) == 1 else "sync"
    return EnvironmentSpec(observation_space, action_space, vectorization, tuple(c.env_id for c in configs))


def _spaces_of(config: Config) -> tuple[gym.Space, gym.Space]:
    """Returns the observation space and the action space of --env_id, a single id, from the library that steps it."""
    vectorization = vectorization_of(config)
    if vectorization == "envpool":
        return envpool_spaces(config)
    if vectorization == "ale":
        vector = make_ale_vector(registration_of(config).kwargs["game"], config, 1, 1, [0])
        vector.close()
        return vector.single_observation_space, vector.single_action_space
    return spaces_of_single(config)


def for_evaluation(config: Config) -> Config:
    """Returns the settings for evaluating one task in whole games.

    Games end after 108,000 frames where the id has no limit: an agent that repeats itself could play for ever.
    """
    limited = (
        config.vectorization == "envpool"
        or family_of(config).limits_episodes
        or registration_of(config).max_episode_steps is not None
    )
    limit = 0 if limited else LONGEST_EPISODE
    if limit and config.vectorization == "native":  # A native vector takes no limit.
        config = dataclasses.replace(config, vectorization="auto")
    return dataclasses.replace(
        config,
        life_loss_ends_episode=False,
        max_episode_frames=config.max_episode_frames or limit,
        exact_resume=False,
    )
