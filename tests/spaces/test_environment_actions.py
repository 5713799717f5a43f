"""Actions that are not in the environment's space never reach an environment."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.spaces.environment_actions import to_environment
from impala_tf.support.diverged import Diverged
from tests.support.vectors import make_vector

INTEGERS = gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,))])


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (gym.spaces.Discrete(3), [[0], [2]], [[3], [-1]]),
        (gym.spaces.Discrete(3, start=2), [[2], [4]], [[1], [5]]),
        (gym.spaces.MultiDiscrete([2, 4]), [[0, 0], [1, 3]], [[2, 0], [1, 4], [0, -1]]),
        (gym.spaces.MultiDiscrete([2, 4], start=[1, -1]), [[1, -1], [2, 2]], [[0, 0], [3, 0], [1, 3], [1, -2]]),
        (gym.spaces.MultiBinary(2), [[0, 0], [1, 1]], [[0, 2], [-1, 0]]),
        (gym.spaces.Box(-1, 1, (2,)), [[-5, 5]], [[np.nan, 0], [0, np.inf]]),
        (INTEGERS, [[2, 0, 9]], [[3, 0, 0], [np.nan, 0, 0], [0, 0, np.nan], [-1, 0, 0]]),
        (gym.spaces.Dict(b=gym.spaces.MultiBinary(1), a=gym.spaces.Discrete(2)), [[1, 0]], [[2, 0], [0, 2]]),
    ],
)
@pytest.mark.parametrize("bounds", ["clip", "tanh"])
@pytest.mark.filterwarnings("error")  # NaN is refused before it is cast.
def test_what_is_not_in_the_space_is_refused(space, inside, outside, bounds):
    convert = to_environment(space, bounds)
    dtype = np.float32 if isinstance(space, gym.spaces.Box | gym.spaces.Tuple | gym.spaces.Dict) else np.int64
    inside, outside = (np.array(actions, dtype) for actions in (inside, outside))
    if isinstance(space, gym.spaces.Discrete):
        inside, outside = inside[:, 0], outside[:, 0]
    convert(inside)
    for action in outside:
        with pytest.raises(
            Diverged, match=r"the policy chose action .*, which is not in .*: its outputs are not finite"
        ):
            convert(np.stack([inside[0], action]))


def test_large_but_finite_actions_are_clipped():
    """The sum of their squares is infinite."""
    convert = to_environment(gym.spaces.Box(-1, 1, (2,)), "clip")
    np.testing.assert_array_equal(convert(np.full([1, 2], 3e38, np.float32)), [[1, 1]])


@pytest.mark.parametrize(
    ("env_id", "num_actions", "settings"),
    [
        ("CartPole-v1", 2, dict(vectorization="native")),
        ("CartPole-v1", 2, dict(vectorization="sync")),
        ("ALE/Pong-v5", 6, dict(num_action_repeats=4)),  # Its vector would wait for ever.
    ],
)
def test_a_vector_blames_the_policy(env_id, num_actions, settings):
    environment = make_vector(env_id, num_envs=4, **settings)
    environment.reset()
    space = rf"Discrete\({num_actions}\)"
    with pytest.raises(Diverged, match=rf"^the policy chose action {num_actions}, which is not in {space}: its outp"):
        environment.step(np.array([0, 1, num_actions, 0]))
    assert environment.step(np.zeros(4, int)).reward.shape == (4,), "it can still be stepped"
    environment.close()


def test_a_partial_vector_blames_the_policy():
    config = Config(env_id="ALE/Pong-v5", num_action_repeats=4, envs_per_step=2)
    environment = environments.make_partial_environment(config, 1, 0, 4)
    environment.reset()
    with pytest.raises(Diverged, match="the policy chose action 6"):
        environment.step(np.array([0, 6]))
    environment.close()


def test_a_game_with_fewer_actions_does_not_take_others_than_all():
    """Its own actions are looked up in a table, where -1 would be the last."""
    config = Config(env_id="ALE/Pong-v5,ALE/Skiing-v5", network="shallow", full_action_set=True)
    environment = environments.make_vector_environment(config, 1, 1, 1)
    environment.reset()
    for action in (-1, 18):
        with pytest.raises(Diverged, match=rf"the policy chose action {action}, which is not in Discrete\(18\)"):
            environment.step(np.array([action]))
    environment.close()
