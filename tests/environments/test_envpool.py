"""What is special about EnvPool."""

import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from tests.support.environments import PONG, needs_envpool


@needs_envpool
@pytest.mark.parametrize("settings", [{}, dict(envs_per_step=2)])
def test_envpool_with_a_dict_observation(settings):
    config = Config(env_id="CheetahRun-v1", vectorization="envpool", **settings)
    made = environments.make_partial_environment if settings else environments.make_vector_environment
    environment = made(config, 1, 0, 4)
    row = environment.reset()
    row = row[1] if settings else row
    assert {name: part.shape[1:] for name, part in row.observation.items()} == {"position": (8,), "velocity": (9,)}
    environment.close()


@needs_envpool
@pytest.mark.parametrize("settings", [{}, dict(envs_per_step=2)])
def test_envpool_rows_have_the_dtype_of_the_space_and_no_reward_at_the_first(settings):
    for env_id, dtype in (("FrozenLake-v1", np.int64), ("CheetahRun-v1", np.float64)):
        config = Config(env_id=env_id, vectorization="envpool", max_episode_frames=7, **settings)
        made = environments.make_partial_environment if settings else environments.make_vector_environment
        environment = made(config, 1, 0, 4)
        spec = environments.spec_of(config)
        row = environment.reset()
        for _ in range(300):
            row = row[1] if settings else row
            parts = row.observation.values() if isinstance(row.observation, dict) else [row.observation]
            assert all(part.dtype == dtype for part in parts)
            assert not row.reward[row.first].any()
            actions = np.stack([spec.action_space.sample() for _ in row.first])
            row = environment.step(actions)
        environment.close()


@needs_envpool
def test_what_only_envpool_has_can_be_evaluated():
    config = Config(env_id="CheetahRun-v1", vectorization="envpool")
    environment = environments.make_vector_environment(config, 1, 0, 2, whole_games=True)
    environment.reset()
    environment.close()


@needs_envpool
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(env_id="Foo-v1"), r"--env_id=Foo-v1: EnvPool has no such environment"),
        (dict(num_action_repeats=2), r"--num_action_repeats=2: EnvPool repeats actions on Atari only"),
        (dict(noop_max=0, **PONG), r"--noop_max=0: must be at least 1 with --vectorization=envpool"),
        (dict(atari_preprocessing=False, **PONG), r"--atari_preprocessing=false: EnvPool always preprocesses"),
        (dict(env_id="Pong-v5"), r"--env_id=Pong-v5: a game of Atari; give --env_id=ALE/Pong-v5"),
    ],
)
def test_what_envpool_cannot_do(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(vectorization="envpool", **settings))
