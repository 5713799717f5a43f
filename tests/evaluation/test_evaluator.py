"""Evaluation during training, with a player whose results are made up: what is kept, and of which episodes."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.evaluation import evaluator as evaluator_module
from impala_tf.evaluation.evaluator import Evaluator, score_of
from impala_tf.records.best_weights import BEST
from impala_tf.records.evaluations import Evaluations
from impala_tf.records.files import read_npz, write_npz
from impala_tf.running import training
from impala_tf.support.threads import Closed
from tests.support.environments import TESTS

PICTURES = f"{TESTS}Pictures-v0"  # An action is its own reward, so that the return is the number of ones.


class NoisyPlayer:
    """Its n-th play earns `returns[n]`, whatever the weights are."""

    def __init__(self, returns):
        self.returns = list(returns)
        self.weights = []  # Those of each play.
        self.seeds = []  # The sampling seeds of each play.
        self.agent = self

    def assign_flat_weights(self, weights):
        self.current = weights.numpy().tolist()

    def initial_state(self, batch_size):
        self.left = self.returns.pop(0)
        self.weights.append(self.current)
        self.seeds.append([])

    def initial_action(self, batch_size):
        return np.zeros(batch_size, np.int64)

    def step(self, observation, reward, last_action, first, core_state, seed):
        self.seeds[-1].append(tuple(seed))
        self.left -= 1
        action = tf.fill([len(reward)], tf.constant(int(self.left >= 0), tf.int64))
        return dict(action=action, greedy_action=action, core_state=None)


class Rows:
    """Evaluations without TensorBoard."""

    def add_scalars(self, step, scalars):
        pass


def make(tmp_path, player, began_frames=0, warn=print):
    config = Config(env_id=PICTURES, evaluate_num_episodes=2, evaluate_every_frames=100)
    evaluations = Evaluations(tmp_path / "evaluations.csv", Rows(), (PICTURES,))
    return Evaluator(config, player, (PICTURES,), evaluations, tmp_path, began_frames, warn)


def weights(value):
    return tf.constant([float(value)])


def test_the_score_that_is_kept_is_of_other_episodes_than_the_choice(tmp_path):
    player = NoisyPlayer([3, 9, 5, 4])
    evaluator = make(tmp_path, player)
    for update in (1, 2, 3):
        evaluator.evaluate(100 * update, update, weights(update))
    assert evaluator.best == (200, 2, 9, None)
    evaluator.score_best()
    assert evaluator.best == (200, 2, 9, 4)
    assert player.weights == [[1], [2], [3], [2]], "the chosen weights were played again"
    assert player.seeds[0] == player.seeds[1] == player.seeds[2]
    assert not set(player.seeds[3]) & set(player.seeds[0])
    assert evaluator.best.description() == dict(
        score=4, score_is_of="other seeds", selection_score=9, environment_frames=200
    )
    evaluator.best_agent()
    assert player.current == [2]


def test_environments_of_the_score_are_seeded_otherwise(tmp_path, monkeypatch):
    seeds = []
    make_vector = evaluator_module.environments.make_vector_environment

    def noted(config, seed, *arguments, **keywords):
        seeds.append(seed)
        return make_vector(config, seed, *arguments, **keywords)

    monkeypatch.setattr(evaluator_module.environments, "make_vector_environment", noted)
    evaluator = make(tmp_path, NoisyPlayer([1, 2, 3]))
    evaluator.evaluate(100, 1, weights(1))
    evaluator.evaluate(200, 2, weights(2))
    evaluator.score_best()
    assert seeds[0] == seeds[1] != seeds[2]
    assert min(seeds) > 100_000, "actors have the run's own seed"


def test_the_first_of_equals_stays(tmp_path):
    evaluator = make(tmp_path, NoisyPlayer([5, 5]))
    evaluator.evaluate(100, 1, weights(1))
    evaluator.evaluate(200, 2, weights(2))
    assert evaluator.best.environment_frames == 100


def test_resumed_the_best_is_known_and_a_better_one_has_no_score_yet(tmp_path):
    evaluator = make(tmp_path, NoisyPlayer([5, 4]))
    evaluator.evaluate(100, 1, weights(1))
    evaluator.score_best()
    resumed = make(tmp_path, NoisyPlayer([3, 8]), began_frames=100)
    assert resumed.best == (100, 1, 5, 4)
    resumed.evaluate(200, 2, weights(2))
    assert resumed.best == (100, 1, 5, 4)
    resumed.evaluate(300, 3, weights(3))
    assert resumed.best == (300, 3, 8, None)
    assert make(tmp_path, NoisyPlayer([])).best is None, "a new run begins anew"


def test_what_the_version_before_kept_is_read(tmp_path):
    old = dict(score=7.0, environment_frames=100, updates=5)
    write_npz(tmp_path / BEST, dict(flat_weights=np.ones(1, np.float32)), old)
    evaluator = make(tmp_path, NoisyPlayer([6]), began_frames=100)
    assert evaluator.best == (100, 5, 7, None)
    evaluator.score_best()
    assert read_npz(tmp_path / BEST)[1]["score"] == 6


def test_damaged_best_weights_are_said(tmp_path):
    (tmp_path / BEST).write_bytes(b"no")
    lines = []
    assert make(tmp_path, NoisyPlayer([]), began_frames=100, warn=lines.append).best is None
    assert len(lines) == 1
    assert "damaged" in lines[0]


def stop(busy_secs):
    raise Closed


def test_a_wish_to_stop_ends_the_play_and_keeps_the_score_of_the_choice(tmp_path):
    evaluator = make(tmp_path, NoisyPlayer([5, 1]))
    evaluator.evaluate(100, 1, weights(1))
    with pytest.raises(Closed):
        evaluator.score_best(stop)
    assert evaluator.best.description() == dict(
        score=5, score_is_of="selection", selection_score=5, environment_frames=100
    )


@pytest.mark.parametrize(("stopping", "error", "score"), [(False, None, 4), (True, None, 9), (False, OSError(), 9)])
def test_the_end_of_a_run_writes_the_score_into_the_export(tmp_path, monkeypatch, stopping, error, score):
    evaluator = make(tmp_path, NoisyPlayer([9, 4]))
    evaluator.evaluate(100, 1, weights(1))
    run = types.SimpleNamespace(
        evaluator=evaluator,
        learner=types.SimpleNamespace(environment_frames=100),
        config=Config(total_environment_frames=100),
        crew=types.SimpleNamespace(error=error),
        logdir=types.SimpleNamespace(path=tmp_path),
    )
    written = []
    monkeypatch.setattr(training, "export", lambda agent, path, info: written.append((path, info)))
    training.export_best(run, types.SimpleNamespace(made=stopping))
    ((path, info),) = written
    assert path == tmp_path / "best_model"
    assert (info["best"]["score"], info["best"]["selection_score"]) == (score, 9)
    json.dumps(info)


def test_due_times_are_the_multiples(tmp_path):
    evaluator = make(tmp_path, NoisyPlayer([]))
    assert [evaluator.next_frames(frames) for frames in (0, 99, 100, 250)] == [100, 100, 200, 300]


@pytest.mark.parametrize(
    ("means", "score"),
    [
        ({"MinAtar/Breakout-v0": 8.82}, 8.82),
        ({"MinAtar/Breakout-v0": 8.82, "MinAtar/Freeway-v0": 48.0}, (0.5 + 1) / 2),
        ({"MinAtar/Breakout-v0": 8.0, "CartPole-v1": 100.0}, 54.0),
    ],
    ids=["one task", "normalised", "a task without a reference"],
)
def test_the_score_over_tasks(means, score):
    np.testing.assert_allclose(score_of({task: dict(mean=mean) for task, mean in means.items()}), score)
