"""Whole episodes: what the player gets and gives at each row, which episodes count, and their statistics."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.evaluation import aggregate, playing
from impala_tf.evaluation.playing import Episodes, episode_statistics, play, quotas
from tests.support.environments import COUNTING, LIMITED


class Tape:
    """A player that notes what it gets. At its k-th row it samples action k mod 4; the greedy one is the next."""

    def __init__(self):
        self.inputs = []

    def initial_state(self, batch_size):
        return np.zeros([batch_size, 1])

    def initial_action(self, batch_size):
        return np.zeros(batch_size, np.int64)

    def step(self, observation, reward, last_action, first, core_state, seed):
        row = len(self.inputs)
        self.inputs.append((observation.copy(), reward.copy(), last_action, first.copy(), core_state))
        num_envs = len(reward)
        return dict(
            action=tf.fill([num_envs], tf.constant(row % 4, tf.int64)),
            greedy_action=tf.fill([num_envs], tf.constant((row + 1) % 4, tf.int64)),
            core_state=core_state + 1,
        )


def counting(num_envs, env_id=COUNTING):
    """Observation: [episode number, step in it, last action]. Reward: the step's number. Episodes of 5, 6, 5, ..."""
    return environments.make_vector_environment(Config(env_id=env_id), 1, 0, num_envs)


@pytest.mark.parametrize("greedy", [False, True])
def test_what_a_player_gives_comes_back_at_the_next_row(greedy):
    player = Tape()
    play(player, counting(2), 4, greedy, seed=1)
    taken = [(row + greedy) % 4 for row in range(len(player.inputs))]
    for t, (observation, reward, last_action, first, core_state) in enumerate(player.inputs):
        assert core_state.tolist() == [[t], [t]], "the core state goes on, also over the ends of episodes"
        assert last_action.tolist() == [taken[t - 1] if t else 0] * 2
        if not first[0]:
            assert observation[:, 2].tolist() == [taken[t - 1]] * 2, "the environment got the same action"
            assert reward.tolist() == observation[:, 1].tolist()
    assert [t for t, row in enumerate(player.inputs) if row[3][0]] == [0, 6]


@pytest.mark.parametrize("env_id", [COUNTING, LIMITED])
def test_each_environment_plays_its_quota(env_id):
    """It does not matter whether an episode ends by itself or by a time limit."""
    assert quotas(10, 4).tolist() == [3, 3, 2, 2]
    assert quotas(4, 4).tolist() == [1] * 4
    assert quotas(3, 2).sum() == 3
    player = Tape()
    episodes = play(player, counting(2, env_id), 3, greedy=False, seed=1)
    # Both play the episode of 5 steps; the second of the other environment, of 6, is over its quota.
    assert episodes.lengths.tolist() == [5, 5, 6]
    assert episodes.returns.tolist() == [15, 15, 21]
    assert len(player.inputs) == 1 + 5 + 1 + 6, "it ends with the last episode that counts"


def test_what_on_row_raises_ends_the_play():
    rows = []

    def on_row(row, step):
        rows.append((row.episode_steps[0], step["action"][0]))
        if len(rows) == 3:
            raise KeyError

    with pytest.raises(KeyError):
        play(Tape(), counting(1), 1, False, 1, on_row)
    assert [(int(steps), int(action)) for steps, action in rows] == [(0, 0), (1, 1), (2, 2)]


def test_statistics_of_known_returns():
    returns, lengths = np.array([1.0, 2.0, 3.0, 6.0]), np.array([10, 20, 30, 80])
    result = episode_statistics(Episodes(returns, lengths), seed=1)
    assert (result["num_episodes"], result["mean"], result["min"], result["max"]) == (4, 3, 1, 6)
    assert (result["length_mean"], result["length_min"], result["length_max"]) == (35, 10, 80)
    np.testing.assert_allclose(result["standard_error"], np.std(returns, ddof=1) / 2)
    assert result == episode_statistics(Episodes(returns, lengths), seed=1)
    assert episode_statistics(Episodes(returns[:1], lengths[:1]), seed=1)["standard_error"] == 0


def test_the_interval_holds_95_percent_of_the_bootstrap():
    """Of two different returns all 4^4 samples are known: the means are binomial, and 95 % lie within these."""
    returns = np.array([0.0, 0.0, 1.0, 1.0])
    samples = np.sort([np.mean(sample) for sample in itertools.product(returns, repeat=4)])
    exact = np.percentile(samples, [2.5, 97.5])
    found = [episode_statistics(Episodes(returns, np.ones(4, int)), seed)["interval_95"] for seed in range(3)]
    np.testing.assert_array_equal(found, [exact] * 3)
    many = np.random.default_rng(1).normal(10.0, 3.0, 400)
    low, high = episode_statistics(Episodes(many, np.ones(400, int)), 1)["interval_95"]
    error = np.std(many, ddof=1) / 20
    np.testing.assert_allclose([low, high], [many.mean() - 1.96 * error, many.mean() + 1.96 * error], atol=0.1 * error)


def test_the_bootstrap_draws_in_blocks(monkeypatch):
    monkeypatch.setattr(playing, "NUM_RESAMPLES", 250)
    monkeypatch.setattr(playing, "RESAMPLES_AT_ONCE", 100)
    seen = []
    percentile = np.percentile
    monkeypatch.setattr(np, "percentile", lambda means, q: (seen.append(means.shape), percentile(means, q))[1])
    episode_statistics(Episodes(np.arange(3.0), np.ones(3, int)), 1)
    assert seen == [(300,)]


def test_estimates_over_tasks():
    """Rows are runs, columns tasks: medians and means are over tasks, of means over runs."""
    scores = np.array([[0.0, 10.0, 100.0], [2.0, 20.0, 100.0], [4.0, 60.0, 100.0], [6.0, 30.0, 100.0]])
    result = aggregate.aggregate(scores, seed=1)
    assert result["median"]["estimate"] == 30
    assert result["mean"]["estimate"] == (3 + 30 + 100) / 3
    # The middle half of 0 2 4 6 10 20 | 30 60 100 100 100 100.
    assert result["iqm"]["estimate"] == np.mean([6, 10, 20, 30, 60, 100])
    low, high = result["median"]["interval_95"]
    assert 10 < low < 30 < high < 60, "runs are drawn anew within each task, tasks are not"


def test_the_mean_interval_is_that_of_tasks_that_are_drawn_apart():
    """Two tasks whose runs are opposite: drawn by whole runs the mean would always be 0.5."""
    scores = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    low, high = aggregate.aggregate(scores, seed=1)["mean"]["interval_95"]
    assert low < 0.5 < high
