"""The largest seed is one that the networks can be initialised from."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.networks import make_agent
from impala_tf.settings.run import MAX_SEED


def test_the_networks_take_the_largest_seed():
    observations, actions = gym.spaces.Box(-1, 1, (4,), np.float32), gym.spaces.Discrete(2)
    assert make_agent(Config(seed=MAX_SEED, core="lstm", core_size=4), observations, actions).variables


@pytest.mark.parametrize("seed", [MAX_SEED + 1, 9_300_000_000_000_000, 2**70])
def test_a_larger_seed_is_refused(seed):
    with pytest.raises(SettingError, match=rf"^--seed={seed}: must be at least 0 and at most {MAX_SEED}$"):
        Config(seed=seed)
