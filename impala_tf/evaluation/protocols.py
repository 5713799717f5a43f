"""Has the evaluation protocols, which say how many episodes are played, and in which environment."""

import dataclasses
import pathlib
from collections.abc import Collection
from typing import Any, NamedTuple

from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.environments.families import atari
from impala_tf.evaluation.exported_settings import check_modules, training_environment
from impala_tf.support.own_code import modules_in_ids


class Protocol(NamedTuple):
    """A protocol has a number of episodes, and settings that replace those of the training."""

    num_episodes: int
    settings: dict[str, Any]


PROTOCOLS = {
    "training": Protocol(100, {}),
    # Section 5.3.2 has 200 episodes after up to 30 no-ops, without sticky actions, of 30 minutes at most.
    "paper": Protocol(200, dict(noop_max=30, sticky_actions=0.0, max_episode_frames=108_000)),
    # Machado et al. 2018 have sticky actions instead of no-ops, all actions, and 5 minutes at most.
    "machado": Protocol(
        100, dict(noop_max=0, sticky_actions=0.25, full_action_set=True, max_episode_frames=18_000)
    ),
}  # fmt: skip


def evaluation_config(
    saved_model: pathlib.Path, env_id: str = "", protocol: str = "training", trusted_modules: Collection[str] = ()
) -> Config:
    """Returns the settings for evaluating an export: those of its training, changed by the protocol.

    env_id: id of another environment, for which --vectorization becomes auto; for an empty one, all tasks of the
        training or one of them, the environment of the training is kept.
    trusted_modules: modules, besides those in `env_id`, that may be imported to make the environment.

    Raises SettingError when the export cannot be read, names a module that is not trusted, or does not go with the
    protocol.
    """
    config = training_environment(saved_model)
    if env_id and env_id not in (config.env_id, *suites.tasks_of(config)):
        config = dataclasses.replace(config, env_id=env_id, vectorization="auto")
    check_modules(saved_model, config.env_id, modules_in_ids(env_id) | set(trusted_modules))
    if protocol != "training" and not all(task.startswith("ALE/") for task in suites.tasks_of(config)):
        raise SettingError(f"--protocol={protocol}: is for ALE ids; the agent plays {config.env_id}")
    changes = PROTOCOLS[protocol].settings
    if config.atari_ram or not config.atari_preprocessing:
        changes = {name: value for name, value in changes.items() if name not in atari.PREPROCESSING}
    if changes and config.vectorization == "envpool":  # ALE's vector does the same and knows all these settings.
        config = dataclasses.replace(config, vectorization="auto")
    if changes.get("full_action_set") and not config.full_action_set:
        raise SettingError(f"--protocol={protocol}: needs an agent that was trained with --full_action_set")
    return dataclasses.replace(config, **changes)


def tasks_to_play(config: Config, env_id: str) -> list[int]:
    """Returns the indices of the tasks that --env_id names: one of the training's, or all of them."""
    tasks = suites.tasks_of(config)
    return [tasks.index(env_id)] if env_id in tasks else list(range(len(tasks)))
