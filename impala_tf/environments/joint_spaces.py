"""Finds the spaces that several tasks share."""

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments.families import family_of
from impala_tf.support.messages import one_line


def joint_action_space(env_id: str, configs: list[Config], spaces: list[gym.Space]) -> gym.Space:
    """Returns the tasks' action space; for ALE's games with the full action set, the one with the most actions.

    env_id: --env_id, which stands for all tasks.
    configs, spaces: the settings of each task and its action space.
    Raises SettingError for tasks that do not go together.
    """

    def num_actions(index: int) -> int:
        space = spaces[index]
        return int(space.n) if isinstance(space, gym.spaces.Discrete) else 0

    largest = max(range(len(spaces)), key=num_actions)
    joint = spaces[largest]
    for config, space in zip(configs, spaces, strict=True):
        family = family_of(config)
        if space == joint or family.translation(config, space, joint) is not None:
            continue
        same_family = family is family_of(configs[largest])
        advice = f"; {family.joining_advice}" if family.joining_advice and same_family else ""
        names = f"{config.env_id} and {configs[largest].env_id}"
        raise SettingError(
            f"--env_id={env_id}: {names} do not go together: actions {one_line(space)} and {one_line(joint)}{advice}"
        )
    return joint


def joint_observation_space(env_id: str, configs: list[Config], spaces: list[gym.Space]) -> gym.Space:
    """Returns the tasks' observation space, or the smallest Box that all their Boxes can be filled up to with zeros.

    env_id: --env_id, which stands for all tasks.
    configs, spaces: the settings of each task and its observation space.
    Raises SettingError for tasks that do not go together.
    """
    if all(space == spaces[0] for space in spaces):
        return spaces[0]
    for config, space in zip(configs, spaces, strict=True):
        if space != spaces[0] and not _are_alike_boxes(space, spaces[0]):
            names = f"{configs[0].env_id} and {config.env_id}"
            raise SettingError(
                f"--env_id={env_id}: {names} do not go together: observations {one_line(spaces[0])} and "
                f"{one_line(space)}"
            )
    boxes = [space for space in spaces if isinstance(space, gym.spaces.Box)]  # All spaces are Boxes here.
    shape = np.max([box.shape for box in boxes], axis=0)
    low = min(0.0, *(float(box.low.min()) for box in boxes))
    high = max(0.0, *(float(box.high.max()) for box in boxes))
    return gym.spaces.Box(low, high, tuple(int(size) for size in shape), boxes[0].dtype.type)


def _are_alike_boxes(one: gym.Space, other: gym.Space) -> bool:
    """Returns whether both are Boxes of one dtype and one number of axes."""
    if not isinstance(one, gym.spaces.Box) or not isinstance(other, gym.spaces.Box):
        return False
    return one.dtype == other.dtype and len(one.shape) == len(other.shape)
