"""What the environments of a run look like, and whether the settings go with them."""

import dataclasses
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments import atari, dmlab, suites
from impala_tf.environments.backends import IN_THREADS, check_backend, look, vectorization_of
from impala_tf.environments.single import gym_spec
from impala_tf.spaces import action_spaces
from impala_tf.spaces.observation_spaces import (
    ACTION_MASK,
    SMALLEST_IMAGE,
    SUPPORTED,
    has_mask,
    is_frame,
    is_image,
    is_normalised,
    is_text,
    leaves,
    network_for,
    own_function,
    unsupported,
    without_mask,
    zeros,
)
from impala_tf.support.messages import one_line


class EnvironmentSpec(NamedTuple):
    """Spaces of one environment, what vectorization=auto has become, and the ids of the tasks.

    Several tasks have the same action space; smaller observations are filled up with zeros to the largest.
    """

    observation_space: Any
    action_space: Any
    vectorization: str
    tasks: tuple[str, ...]


def spec_of(config: Config) -> EnvironmentSpec:
    """Looks at the environments' spaces. Raises SettingError when an id, a space or a back end cannot be used."""
    tasks = suites.tasks_of(config)
    specs = [spec_of_task(dataclasses.replace(config, env_id=task)) for task in tasks]
    spec = _joint_spec(config, specs)._replace(tasks=tasks) if len(tasks) > 1 else specs[0]
    _check_network(config, spec.observation_space)
    _check_effective(config, spec)
    return spec


def spec_for_training(config: Config) -> EnvironmentSpec:
    """As `spec_of`; raises SettingError too when a task would get no actor or is for testing only."""
    dmlab.check_training(config)
    spec = spec_of(config)
    if config.num_actors < len(spec.tasks):
        raise SettingError(
            f"--num_actors={config.num_actors}: must be at least {len(spec.tasks)}, one for each task of "
            f"--env_id={config.env_id}"
        )
    return spec


def _joint_spec(config: Config, specs: list[EnvironmentSpec]) -> EnvironmentSpec:
    """The largest observation and, of ALE's games with the full action set, the most actions."""

    def num_actions(spec: EnvironmentSpec) -> int:
        return int(spec.action_space.n) if isinstance(spec.action_space, gym.spaces.Discrete) else 0

    first = max(specs, key=num_actions)
    for spec in specs:
        what = f"--env_id={config.env_id}: {spec.tasks[0]} and {first.tasks[0]} do not go together"
        are_ale = all(task.startswith("ALE/") for task in (*spec.tasks, *first.tasks))
        lacks_fire = are_ale and config.full_action_set and num_actions(spec) == max(atari.WITHOUT_FIRE) + 1
        if spec.action_space != first.action_space and not lacks_fire:
            advice = "; give --full_action_set" if are_ale else ""
            raise SettingError(
                f"{what}: actions {one_line(spec.action_space)} and {one_line(first.action_space)}{advice}"
            )
        seen = (spec.observation_space, first.observation_space)
        are_boxes = all(isinstance(space, gym.spaces.Box) for space in seen)
        fit = are_boxes and seen[0].dtype == seen[1].dtype and len(seen[0].shape) == len(seen[1].shape)
        if seen[0] != seen[1] and not fit:
            raise SettingError(f"{what}: observations {one_line(seen[0])} and {one_line(seen[1])}")
    space = first.observation_space
    if any(spec.observation_space != space for spec in specs):
        space = _largest_box([spec.observation_space for spec in specs])
    how = first.vectorization if len({spec.vectorization for spec in specs}) == 1 else "sync"
    return EnvironmentSpec(space, first.action_space, how, ())


def _largest_box(boxes: list[gym.spaces.Box]) -> gym.spaces.Box:
    """The Box that all fit into when they are filled up with zeros."""
    shape = np.max([box.shape for box in boxes], axis=0)
    low = min(0.0, *(float(box.low.min()) for box in boxes))
    high = max(0.0, *(float(box.high.max()) for box in boxes))
    return gym.spaces.Box(low, high, tuple(int(size) for size in shape), boxes[0].dtype.type)


def spec_of_task(config: Config) -> EnvironmentSpec:
    """As `spec_of`, of a single id and without a look at the network."""
    check_backend(config)
    vectorization = vectorization_of(config)
    for name in ("envs_per_step", "env_threads"):
        if getattr(config, name) and vectorization not in IN_THREADS:
            raise SettingError(
                f"--{name}={getattr(config, name)}: works with --vectorization=ale or envpool; "
                f"{config.env_id} is stepped by {vectorization}"
            )
    observation_space, action_space = look(config)
    part = unsupported(observation_space)
    if part is not None:
        raise SettingError(
            f"--env_id={config.env_id}: {'a part of ' if part is not observation_space else ''}its observation space "
            f"{one_line(part)} is not supported; supported: {', '.join(SUPPORTED)}"
        )
    parts = leaves(without_mask(observation_space)).values()
    if not parts or any(0 in (part.shape or ()) for part in parts):
        raise SettingError(
            f"--env_id={config.env_id}: its observation space {one_line(observation_space)} has "
            f"{'a part without any numbers' if parts else 'nothing but the action_mask'}"
        )
    try:
        action_spaces.check(action_space)
    except NotImplementedError as error:
        raise SettingError(f"--env_id={config.env_id}: its {error}") from None
    _check_mask(config, observation_space, action_space)
    return EnvironmentSpec(observation_space, action_space, vectorization, (config.env_id,))


def _check_network(config: Config, observation_space: gym.Space) -> None:
    if ":" in config.network:
        own_function(config.network)
    smallest = SMALLEST_IMAGE.get(config.network)
    parts = [part for part in leaves(observation_space).values() if not is_text(part)]
    if smallest is None or any(is_image(part, config.network) for part in parts):
        return
    best = next((name for name in ("shallow", "minatar") if any(is_image(p, name) for p in parts)), "mlp")
    raise SettingError(
        f"--network={config.network}: needs an observation of shape [height, width, channels] with at least "
        f"{smallest}x{smallest} pixels, but {config.env_id} has {one_line(observation_space)}; use --network={best}"
    )


def _check_effective(config: Config, spec: EnvironmentSpec) -> None:
    """Raises SettingError for settings that would do nothing."""
    parts = list(leaves(without_mask(spec.observation_space)).values())
    numbers = any(is_normalised(part) for part in parts)
    frames = any(is_frame(part) and network_for(config, part) in SMALLEST_IMAGE for part in parts)
    texts = any(is_text(part) for part in parts)
    boxes = any(isinstance(part, gym.spaces.Box) for part in leaves(spec.action_space).values())
    for flag, wrong, why in (
        ("normalise_observations", config.normalise_observations and not numbers, "has no numbers but frames and bits"),
        ("centre_frames", config.centre_frames and not frames, "has no frames of bytes that convolutions see"),
        ("xla", config.xla == "on" and texts, "has texts, which XLA cannot compile"),
        ("action_bounds", config.action_bounds != "clip" and not boxes, "has no Box action"),
        ("action_scale", config.action_scale != "learned" and not boxes, "has no Box action"),
    ):
        if wrong:
            value = str(getattr(config, flag)).lower()
            raise SettingError(f"--{flag}={value}: {config.env_id} {why}; leave it out")


def _check_mask(config: Config, observation_space: gym.Space, action_space: gym.Space) -> None:
    if not isinstance(observation_space, gym.spaces.Dict) or not has_mask(observation_space):
        return
    mask = observation_space[ACTION_MASK]
    if not isinstance(mask, gym.spaces.Box | gym.spaces.MultiBinary | gym.spaces.MultiDiscrete):
        raise SettingError(
            f"--env_id={config.env_id}: its action_mask is {one_line(mask)}; must be one MultiBinary with an entry for "
            "each possible action, the components' one after the other"
        )
    has = np.size(zeros(mask))
    wanted = action_spaces.mask_size(action_space)
    if has != wanted:
        raise SettingError(
            f"--env_id={config.env_id}: its action_mask has {has} entries, but {one_line(action_space)} needs {wanted}"
        )


def for_evaluation(config: Config) -> Config:
    """The settings to evaluate one task in: whole games, which end at 108,000 frames, where the id has no limit of its
    own.

    Else an agent that repeats itself could play without an end.
    """
    limited = (
        config.vectorization == "envpool"
        or config.env_id.startswith(("ALE/", *dmlab.NAMESPACES))
        or gym_spec(config).max_episode_steps is not None
    )
    limit = 0 if limited else atari.MAX_FRAMES
    if limit and config.vectorization == "native":  # It takes no limit.
        config = dataclasses.replace(config, vectorization="auto")
    return dataclasses.replace(
        config, life_loss_ends_episode=False, max_episode_frames=config.max_episode_frames or limit
    )
