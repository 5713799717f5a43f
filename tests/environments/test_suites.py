"""Suites, and one agent for several tasks."""

import csv
import math

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.environments.families import atari
from impala_tf.environments.reference_scores import ATARI57, MINATAR5, REFERENCES
from impala_tf.environments.task import Task

MINATAR = dict(env_id="minatar5", network="minatar", num_actors=5, num_envs_per_actor=2)


def test_the_suites_are_environments_that_exist():
    assert (len(ATARI57), len(MINATAR5)) == (57, 5)
    atari.Atari().register("ALE/Pong-v5")
    for task in ATARI57:
        assert task in gym.registry
    assert all(reference.expert > reference.random for reference in REFERENCES.values())


def test_normalised_scores():
    assert suites.normalised("ALE/Breakout-v5", 1.7) == 0
    assert suites.normalised("ALE/Breakout-v5", 30.5) == 1
    assert math.isnan(suites.normalised("CartPole-v1", 500))
    # Pong: (20.4 + 20.7) / 35.3 = 1.164; Venture: 0; Breakout: 0.5.
    scores = {"ALE/Pong-v5": 20.4, "ALE/Venture-v5": 0.0, "ALE/Breakout-v5": 16.1}
    summary = suites.summarise(scores)
    np.testing.assert_allclose(summary, [(41.1 / 35.3 + 0.5) / 3, 0.5, 1.5 / 3])
    assert math.isnan(suites.summarise(scores | {"CartPole-v1": 1.0}).mean)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(env_id="MinAtar/Breakout-v0,"), "give an id, different ids with commas"),
        (dict(env_id="CartPole-v1,CartPole-v1"), "different ids"),
        (dict(env_id="minatar6"), "did you mean minatar5"),
        (dict(env_id="MinAtar/Breakout-v0,MinAtar/Breakot-v0"), "MinAtar/Breakot-v0: unknown environment"),
        (dict(env_id="ALE/Pong-v5,ALE/Breakout-v5", network="shallow"), "give --full_action_set"),
        (dict(env_id="MinAtar/Breakout-v0,CartPole-v1"), "do not go together: actions"),
        (dict(env_id="MinAtar/Breakout-v0,ALE/Pong-v5"), "do not go together: observations"),
        (MINATAR | dict(num_actors=4), "--num_actors=4: must be at least 5"),
    ],
)
def test_tasks_that_do_not_go_together(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_for_training(Config(**settings))


def test_actors_take_turns_and_small_observations_are_filled_up():
    config = Config(**MINATAR)
    spec = environments.spec_of(config)
    assert spec.observation_space.shape == (10, 10, 10)
    assert spec.tasks[2] == "MinAtar/Freeway-v0"
    vector = environments.make_vector_environment(config, 1, 7, 2)
    assert vector.tasks.tolist() == [2, 2]
    alone = environments.make_vector_environment(Config(env_id="MinAtar/Freeway-v0", network="minatar"), 1, 7, 2)
    rows, rows_alone = vector.reset(), alone.reset()
    for action in (1, 2, 4, 0):
        assert rows.observation.shape == (2, 10, 10, 10)
        np.testing.assert_array_equal(rows.observation[..., :7], rows_alone.observation)
        assert not rows.observation[..., 7:].any()
        rows, rows_alone = vector.step(np.full(2, action)), alone.step(np.full(2, action))


def test_a_game_without_fire_understands_all_actions():
    config = Config(env_id="ALE/Pong-v5,ALE/Skiing-v5", network="shallow", full_action_set=True, num_envs_per_actor=2)
    assert environments.spec_of(config).action_space.n == 18
    skiing = gym.make("ALE/Skiing-v5", full_action_space=True).unwrapped
    everything = gym.make("ALE/Pong-v5", full_action_space=True).unwrapped.get_action_meanings()
    for action, meaning in enumerate(everything):
        own = skiing.get_action_meanings()[atari.WITHOUT_FIRE[action]]
        assert own == (meaning.removesuffix("FIRE") or "NOOP")
    vector = environments.make_vector_environment(config, 1, 1, 2)
    vector.reset()
    vector.step(np.array([17, 9]))  # DOWNLEFTFIRE and DOWNLEFT.
    vector.close()


def test_fill_up_needs_no_copy_when_nothing_is_missing():
    observation = np.ones([2, 3, 3], np.uint8)
    assert Task(shape=(3, 3)).fill_up(observation) is observation


def test_one_agent_learns_two_tasks(tmp_path):
    from impala_tf.records.logdir import LogDir
    from impala_tf.running import training

    config = Config(
        env_id="MinAtar/Breakout-v0,MinAtar/SpaceInvaders-v0", network="minatar", num_actors=2, num_envs_per_actor=4,
        unroll_length=5, batch_size=4, total_environment_frames=4000, logdir=str(tmp_path),
    )  # fmt: skip
    training.train(config, LogDir(config, print))
    with (tmp_path / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["return/MinAtar/SpaceInvaders-v0"]) > float(last["return/MinAtar/Breakout-v0"]) >= 0
    assert float(last["normalised_mean"]) < 1
    with (tmp_path / "episodes.csv").open() as file:
        by_actor = {(row["actor"], row["task"]) for row in csv.DictReader(file)}
    assert by_actor == {("0", "MinAtar/Breakout-v0"), ("1", "MinAtar/SpaceInvaders-v0")}
