"""What an environment may emit. No TensorFlow is needed here."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import SettingError
from impala_tf.environments.emitted import Checks


class Emitter(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)


class Boxes(Emitter):
    action_space = gym.spaces.Box(-1, 1, (2,))


GOOD = dict(observation=np.zeros(4, np.float32), reward=1.0, terminated=False, truncated=False, info={})


def step(env=Emitter, **emitted):
    return Checks(env(), "x").step(tuple((GOOD | emitted).values()))


@pytest.mark.parametrize(
    ("emitted", "message"),
    [
        (dict(reward="1.5"), r"--env_id=x: the reward of its step is '1\.5'; must be one number"),
        (dict(reward=None), "the reward of its step is None; must be one number"),
        (dict(reward=np.zeros(2)), r"the reward of its step has the shape \(2,\); must be one number"),
        (dict(terminated=2), "terminated of its step is 2; must be True or False"),
        (dict(truncated="False"), "truncated of its step is 'False'; must be True or False"),
        (dict(terminated=None), "terminated of its step is None; must be True or False"),
        (dict(observation=np.zeros(1, np.float32)), r"observation of its step .* has shape \(1,\), not \(4,\)"),
        (dict(observation=0.0), r"observation of its step .* has shape \(\), not \(4,\)"),
        (dict(observation=np.array(["0"] * 4)), "observation of its step .* has dtype <U1, not float32"),
        (dict(info={"action_mask": np.ones(2)}), "info has an action_mask after a step, but not after the first reset"),
    ],
)
def test_what_is_refused(emitted, message):
    with pytest.raises(SettingError, match=message) as error:
        step(**emitted)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "emitted",
    [
        {},
        dict(reward=np.float64(1), terminated=np.bool_(True), truncated=np.array(False)),
        dict(reward=1, terminated=1, truncated=0),
        dict(reward=np.array(1, np.int8), observation=[0.0, 0.0, 0.0, 0.0]),
        dict(observation=np.zeros(4)),
    ],
)
def test_what_is_taken(emitted):
    assert step(**emitted) == tuple((GOOD | emitted).values())


class Parts(Emitter):
    observation_space = gym.spaces.Dict(number=gym.spaces.Discrete(3))


def test_parts_are_looked_at():
    assert step(Parts, observation={"number": 2})[0] == {"number": 2}
    with pytest.raises(SettingError, match=r"its part 'number' has shape \(1,\), not \(\)"):
        step(Parts, observation={"number": np.zeros(1, int)})


def test_a_mask_for_actions_that_none_can_be_for_is_no_mistake():
    step(Boxes, info={"action_mask": 1})


def test_a_reset_gives_two_values():
    checks = Checks(Emitter(), "x")
    assert checks.reset((GOOD["observation"], {})) == (GOOD["observation"], {})
    with pytest.raises(SettingError, match="its reset returned 5 values; must be observation, info"):
        checks.reset(tuple(GOOD.values()))
    with pytest.raises(SettingError, match="the observation of its reset is not of its observation space"):
        checks.reset((np.zeros(3), {}))
