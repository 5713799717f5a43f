"""Which environment a protocol plays in, and which of an agent's tasks."""

import json

import pytest

from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.evaluation.protocols import PROTOCOLS, evaluation_config, tasks_to_play


def config_of(tmp_path, protocol, env_id="", **settings):
    config = Config(**({"env_id": "ALE/Pong-v5", "noop_max": 7, "sticky_actions": 0.1} | settings))
    (tmp_path / "impala_tf.json").write_text(json.dumps(dict(environment=environment_settings(config))))
    return evaluation_config(tmp_path, env_id, protocol)


@pytest.mark.parametrize(
    ("protocol", "num_episodes", "noop_max", "sticky_actions", "max_episode_frames"),
    [("training", 100, 7, 0.1, 1000), ("paper", 200, 30, 0.0, 108_000), ("machado", 100, 0, 0.25, 18_000)],
)
def test_what_a_protocol_says(tmp_path, protocol, num_episodes, noop_max, sticky_actions, max_episode_frames):
    config = config_of(tmp_path, protocol, full_action_set=True, max_episode_frames=1000, frame_stack=3)
    assert PROTOCOLS[protocol].num_episodes == num_episodes
    assert (config.noop_max, config.sticky_actions) == (noop_max, sticky_actions)
    assert config.max_episode_frames == max_episode_frames
    assert (config.frame_stack, config.full_action_set) == (3, True), "of the training"


def test_a_protocol_leaves_envpool_which_lacks_some_of_its_settings(tmp_path):
    settings = dict(vectorization="envpool", full_action_set=True)
    assert config_of(tmp_path, "paper", **settings).vectorization == "auto"
    assert config_of(tmp_path, "training", **settings).vectorization == "envpool"


@pytest.mark.parametrize("without", [dict(atari_ram=True), dict(atari_preprocessing=False)])
def test_what_belongs_to_the_preprocessing_stays_as_in_training_without_it(tmp_path, without):
    config = config_of(tmp_path, "paper", **without)
    assert (config.sticky_actions, config.max_episode_frames) == (0.0, 108_000)
    assert config.noop_max == 7


def test_protocols_are_for_games_of_atari(tmp_path):
    with pytest.raises(SettingError, match="--protocol=paper: is for ALE ids; the agent plays ALE/Pong-v5,CartPole-v1"):
        config_of(tmp_path, "paper", env_id="ALE/Pong-v5,CartPole-v1")
    with pytest.raises(SettingError, match="--protocol=machado: needs an agent"):
        config_of(tmp_path, "machado")


def test_the_tasks_that_are_played():
    config = Config(env_id="A-v0,B-v0,C-v0")
    assert tasks_to_play(config, "") == [0, 1, 2]
    assert tasks_to_play(config, "B-v0") == [1]
    assert tasks_to_play(config, config.env_id) == [0, 1, 2]
    assert tasks_to_play(Config(env_id="Other-v0"), "Other-v0") == [0]
