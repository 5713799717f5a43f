"""The same seed gives the same episodes to the digit, another seed others; threads do not matter."""

import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.evaluation.agent_player import AgentPlayer
from impala_tf.evaluation.playing import play, row_seed
from impala_tf.networks import make_agent

CONFIGS = {
    "CartPole": Config(),
    "CartPole with a core": Config(core="lstm", core_size=8),
    "MinAtar": Config(env_id="MinAtar/Breakout-v0", network="minatar"),
    "ALE": Config(env_id="ALE/Boxing-v5", network="shallow", num_action_repeats=4, max_episode_frames=120),
    "Box": Config(env_id="Pendulum-v1", max_episode_frames=30),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_seed_decides_every_episode(name):
    config = CONFIGS[name]
    spec = environments.spec_of(config)
    player = AgentPlayer(make_agent(config, spec.observation_space, spec.action_space))

    def episodes(seed, **settings):
        changed = Config(**{field: getattr(config, field) for field in config.__dataclass_fields__} | settings)
        environment = environments.make_vector_environment(changed, seed, 0, 4, whole_games=True)
        observations = []
        played = play(player, environment, 5, False, seed, lambda row, step: observations.append(row.observation))
        environment.close()
        return played.returns, played.lengths, np.stack(observations)[:20]

    threads = (dict(env_threads=1), dict(env_threads=3)) if name == "ALE" else ({}, {})
    first, again = (episodes(3, **settings) for settings in threads)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[2], episodes(4)[2])


def test_every_row_has_a_seed_of_its_own():
    seeds = {tuple(row_seed(seed, number)) for seed in (0, 1, 2**40) for number in range(100)}
    assert len(seeds) == 300
    assert row_seed(2**62, 0).dtype == np.int32
    assert row_seed(1, 0).shape == (2,)
