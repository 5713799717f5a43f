"""Evaluations play whole games, by the seed, the number of episodes and the kind of actions that were asked for."""

import inspect
import pathlib
import types

import numpy as np
import pytest

from impala_tf.config import Config
from impala_tf.evaluation import evaluate_exports, evaluator, playing
from impala_tf.evaluation.evaluate_exports import Options


@pytest.fixture
def plays(monkeypatch):
    """The arguments of every environment and play, by name; nothing is played."""
    noted = []
    make, play = evaluate_exports.environments.make_vector_environment, playing.play

    def note_environment(*arguments, **keywords):
        noted.append(dict(inspect.signature(make).bind(*arguments, **keywords).arguments))
        return types.SimpleNamespace(close=lambda: None)

    def note_play(*arguments, **keywords):
        noted[-1]["play"] = dict(inspect.signature(play).bind(*arguments, **keywords).arguments)
        return playing.Episodes(np.ones(2), np.ones(2, int))

    monkeypatch.setattr(evaluate_exports.environments, "make_vector_environment", note_environment)
    monkeypatch.setattr(playing, "play", note_play)
    monkeypatch.setattr(evaluator, "play", note_play)
    return noted


@pytest.mark.parametrize("greedy", [False, True])
def test_of_an_export(plays, greedy):
    options = Options(num_episodes=40, seed=3, greedy=greedy)
    evaluate_exports.evaluate_agent(None, Config(env_id="A-v0,B-v0"), options, pathlib.Path("x"))
    assert [(play["seed"], play["num_envs"], play["whole_games"]) for play in plays] == [(3, 16, True)] * 2
    assert [list(play.values())[2] for play in plays] == [0, 1], "both tasks"
    assert {(play["play"]["num_episodes"], play["play"]["greedy"], play["play"]["seed"]) for play in plays} == {
        (40, greedy, 3)
    }


def test_few_episodes_need_few_environments(plays):
    evaluate_exports.evaluate_agent(None, Config(), Options(num_episodes=3), pathlib.Path("x"))
    assert plays[0]["num_envs"] == 3


def test_the_protocol_says_how_many(plays):
    evaluate_exports.evaluate_agent(None, Config(), Options(protocol="paper"), pathlib.Path("x"))
    assert plays[0]["play"]["num_episodes"] == 200


@pytest.mark.parametrize("greedy", [False, True])
def test_during_training(plays, greedy, tmp_path):
    config = Config(evaluate_greedy=greedy, evaluate_num_episodes=5, seed=7)
    player = types.SimpleNamespace(agent=types.SimpleNamespace(assign_flat_weights=lambda weights: None))
    rows = types.SimpleNamespace(record=lambda *arguments: None)
    played = evaluator.Evaluator(config, player, ("CartPole-v1",), rows, tmp_path, 0, print)
    played.evaluate(100, 1, types.SimpleNamespace(numpy=lambda: np.zeros(1, np.float32)))
    (play,) = plays
    assert (play["seed"], play["num_envs"], play["whole_games"]) == (1_000_007, 5, True)
    assert (play["play"]["num_episodes"], play["play"]["greedy"], play["play"]["seed"]) == (5, greedy, 1_000_007)
