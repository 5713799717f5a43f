"""The spaces that several tasks have together."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.environments.joint_spaces import joint_action_space, joint_observation_space

CONFIGS = [Config(env_id="A-v0"), Config(env_id="B-v0")]


def test_boxes_are_filled_up_with_zeros_which_must_be_in_the_joint_one():
    boxes = [gym.spaces.Box(2, 5, (3, 1), np.float32), gym.spaces.Box(1, 9, (2, 4), np.float32)]
    assert joint_observation_space("A-v0,B-v0", CONFIGS, boxes) == gym.spaces.Box(0, 9, (3, 4), np.float32)
    boxes = [gym.spaces.Box(-5, -2, (3,), np.float32), gym.spaces.Box(-7, -1, (3,), np.float32)]
    assert joint_observation_space("A-v0,B-v0", CONFIGS, boxes) == gym.spaces.Box(-7, 0, (3,), np.float32)


def test_equal_spaces_stay_as_they_are():
    for space in (gym.spaces.Box(2, 5, (3,)), gym.spaces.Dict(a=gym.spaces.Discrete(2))):
        assert joint_observation_space("A-v0,B-v0", CONFIGS, [space, space]) is space
        assert joint_action_space("A-v0,B-v0", CONFIGS, [space, space]) is space


@pytest.mark.parametrize(
    "other",
    [gym.spaces.Box(0, 1, (3,), np.float64), gym.spaces.Box(0, 1, (3, 1)), gym.spaces.Discrete(3)],
)
def test_what_cannot_be_filled_up(other):
    with pytest.raises(SettingError, match=r"^--env_id=A-v0,B-v0: A-v0 and B-v0 do not go together: observations Box"):
        joint_observation_space("A-v0,B-v0", CONFIGS, [gym.spaces.Box(0, 1, (3,)), other])


def test_actions_must_be_the_same():
    """Only ALE's games without fire have their actions translated."""
    spaces = [gym.spaces.Discrete(9), gym.spaces.Discrete(18)]
    with pytest.raises(SettingError, match=r"A-v0 and B-v0 do not go together: actions Discrete\(9\) and Discrete\(18"):
        joint_action_space("A-v0,B-v0", CONFIGS, spaces)
    games = [Config(env_id=f"ALE/{game}-v5", full_action_set=True) for game in ("Skiing", "Pong")]
    assert joint_action_space("both", games, spaces) == spaces[1]
    with pytest.raises(SettingError, match="give --full_action_set"):
        joint_action_space("both", [Config(env_id=config.env_id) for config in games], spaces)
