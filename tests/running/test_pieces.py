"""A run in pieces goes on as a resumed one does, and another run can go on with its graphs."""

import dataclasses

import numpy as np
import pytest

from impala_tf.config import Config
from impala_tf.records.logdir import LogDir
from impala_tf.running import pieces as pieces_module
from impala_tf.running.pieces import Pieces
from impala_tf.support.failures import EnvironmentFailure
from tests.support.environments import COUNTING, Counting
from tests.support.runs import TINY, learned, metrics_of

SETTINGS = TINY | dict(schedule_frames=10_000, learning_rate_schedule="constant", log_every_secs=0.05)


def config_of(logdir, frames, **settings):
    return Config(**(SETTINGS | dict(logdir=str(logdir), total_environment_frames=frames) | settings))


@pytest.fixture
def connections(monkeypatch):
    """The log directories of runs whose graphs were made anew."""
    found = []
    connect = pieces_module.connect
    monkeypatch.setattr(
        pieces_module, "connect", lambda config, logdir: found.append(logdir.path) or connect(config, logdir)
    )
    return found


def test_runs_take_turns_with_the_same_graphs(tmp_path, connections):
    pieces = Pieces()
    a, b = tmp_path / "a", tmp_path / "b"

    def train(logdir, frames, **settings):
        config = config_of(logdir, frames, **settings)
        return pieces.train(config, LogDir(config, print))

    first = train(a, 1000)
    assert 1000 <= first.environment_frames < 1100
    assert first.mean_returns["CartPole-v1"] > 8
    train(b, 1000, seed=2)
    assert connections == [a, b], "a new run makes its own weights, with its graphs"
    before = learned(a)
    # With so small a learning rate the weights stay, so they show where the piece began.
    second = train(a, 2000, learning_rate=1e-12, entropy_cost=0.25)
    third = train(b, 1500, seed=2, entropy_cost=0.5)
    assert connections == [a, b]
    after = learned(a)
    for name in before:
        if name.startswith("weights/"):
            np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)
    assert 2000 <= second.environment_frames < 2100
    assert second.episodes > first.episodes
    assert 1500 <= third.environment_frames < 1600
    rows = metrics_of(a)
    assert list(np.diff(rows["environment_frames"]) > 0) == [True] * (len(rows["updates"]) - 1)
    assert set(rows["learning_rate"]) == {3e-3, 1e-12}
    assert rows["entropy_cost"][-1] == 0.25
    assert metrics_of(b)["entropy_cost"][-1] == 0.5
    train(a, 2500, discounting=0.9)
    assert connections == [a, b, a], "the discount is a constant of the graph"


def test_pieces_end_after_enough_episodes(tmp_path):
    """In this architecture, actors also wait for weights, which those of the piece before are not."""
    pieces = Pieces()
    config = config_of(tmp_path, 10_000_000, architecture="a2c_sync_trajectory", batch_size=8)
    first = pieces.train(config, LogDir(config, print), until_episodes=30)
    second = pieces.train(config, LogDir(config, print), until_episodes=60)
    assert first.episodes >= 30
    assert second.episodes >= 60
    assert first.environment_frames < second.environment_frames < 1_000_000


def test_a_piece_that_diverges_saves_nothing_and_the_next_one_recovers(tmp_path):
    pieces = Pieces()
    config = config_of(tmp_path, 500)
    pieces.train(config, LogDir(config, print))
    before = sorted((tmp_path / "checkpoints").iterdir())
    worse = dataclasses.replace(config, total_environment_frames=1500, baseline_cost=3e38)  # The loss is infinite.
    assert "is not finite" in pieces.train(worse, LogDir(worse, print)).diverged
    assert sorted((tmp_path / "checkpoints").iterdir()) == before
    better = dataclasses.replace(config, total_environment_frames=1500)
    assert pieces.train(better, LogDir(better, print)).diverged == ""


def test_an_error_of_the_environment_is_raised(tmp_path, monkeypatch):
    plain = Counting.step

    def step(self, action):
        if self.episode > 1:
            raise OSError("the simulator has died")
        return plain(self, action)

    monkeypatch.setattr(Counting, "step", step)
    config = config_of(tmp_path, 5000, env_id=COUNTING, vectorization="sync")
    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        Pieces().train(config, LogDir(config, print))
