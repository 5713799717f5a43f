"""What is written after each piece, and how a population goes on from what was written."""

import json
import math

import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.populations.directory import Assignment, PopulationDirectory
from impala_tf.populations.exchange import Exchange, best_row
from impala_tf.populations.options import Options, completed
from impala_tf.populations.ranges import PAPER, parse
from impala_tf.populations.work import beginning, score_of
from impala_tf.records.files import write_npz

CONFIG = Config(total_environment_frames=1000)
OPTIONS = Options(3, "population", parse(PAPER), burn_in_frames=100, interval_frames=300, interval_episodes=20)


@pytest.fixture
def directory(tmp_path):
    return PopulationDirectory(tmp_path / "population")


def exchange_of(directory, options=OPTIONS, config=CONFIG):
    return Exchange(directory, config, completed(options, config))


def finish(exchange, directory, member, frames, score, hyperparameters=None, updates=7):
    """Hands in the result of a piece."""
    hyperparameters = hyperparameters or directory.assignment(member).hyperparameters
    result = dict(member=member, environment_frames=frames, updates=updates, episodes=5, score=score)
    others = dict(mean_return=score, training_secs=1.0, time_total_s=9, done=False)
    return exchange.take(result | others | dict(hyperparameters=hyperparameters))


def save(directory, member, updates=7):
    (directory.member(member) / "checkpoints").mkdir(exist_ok=True)
    write_npz(
        directory.member(member) / f"checkpoints/checkpoint-{updates:010d}.npz", dict(updates=np.array(updates)), {}
    )


def test_members_start_apart_and_compare_after_a_piece(directory):
    exchange = exchange_of(directory)
    assert exchange.begin() == [0, 1, 2]
    starts = [directory.assignment(i) for i in range(3)]
    assert len({x.hyperparameters["learning_rate"] for x in starts}) == 3
    assert {x[1:] for x in starts} == {(0, 300, 20, False, False)}
    save(directory, 0)
    save(directory, 0, updates=9)  # Written while member 0's next piece was under way.
    finish(exchange, directory, 0, 310, 200.0)
    line = finish(exchange, directory, 1, 305, 100.0)
    assert "member 1: 305 frames, score 100, return 100, with learning_rate" in line
    assert "; copies member 0 (score 200)" in line
    copied = directory.assignment(1)
    assert copied[1:] == (305, 605, 25, True, False)
    assert np.load(directory.taken(1))["updates"] == 7
    rows = exchange.history.rows()
    assert [(x.member, x.compared_with, x.copied_from) for x in rows] == [(0, None, None), (1, 0, 0)]
    assert rows[1].hyperparameters == pytest.approx(starts[1].hyperparameters, rel=1e-5)
    for name, value in starts[0].hyperparameters.items():
        assert min(abs(copied.hyperparameters[name] / value - f) for f in (1, 1.2, 1 / 1.2)) < 1e-4
    finish(exchange, directory, 0, 900, 200.0)
    assert directory.assignment(0).until_frames == 1000, "the last piece ends with the budget"
    finish(exchange, directory, 1, 1000, 100.0)
    assert exchange.history.latest()[1].compared_with is None, "there is no next piece"


def test_a_population_goes_on_from_its_files_alone(directory):
    exchange = exchange_of(directory)
    exchange.begin()
    for member in range(3):
        save(directory, member)
        finish(exchange, directory, member, 1000 if member == 0 else 300, float(member))
    before = [directory.assignment(i) for i in range(3)]
    piece = exchange.history.latest()[2].hyperparameters
    again = exchange_of(directory)
    assert again.begin() == [1, 2], "member 0 has used its budget"
    assert [directory.assignment(i) for i in range(3)] == before
    # The same piece reported twice, because a crash came before it was noted, is decided in the same way.
    for _ in range(4):
        finish(again, directory, 2, 300, 2.0, piece)
        assert directory.assignment(2) == before[2]
    assert len(again.history.rows()) == 3
    again.stop(1)
    longer = exchange_of(directory, config=Config(total_environment_frames=2000))
    assert longer.begin() == [0, 2]
    assert directory.assignment(0)[1:3] == (1000, 1300)


def test_sweeps_change_nothing(directory):
    exchange = exchange_of(directory, OPTIONS._replace(scheduler="random"))
    exchange.begin()
    before = [directory.assignment(i).hyperparameters for i in range(3)]
    for member in range(3):
        finish(exchange, directory, member, 300, float(member))
    assert [directory.assignment(i).hyperparameters for i in range(3)] == before
    assert best_row(exchange.history.latest()).member == 2
    finish(exchange, directory, 2, 600, -math.inf)
    assert best_row(exchange.history.latest()).member == 1, "the latest score counts"
    assert best_row({2: exchange.history.latest()[2]}) is None


def test_another_population_is_refused(directory, tmp_path):
    options = completed(OPTIONS, CONFIG)
    assert directory.open(CONFIG, options) is False
    assert directory.open(CONFIG, options._replace(margin=0.1, cpus_per_member=2.0)) is True
    with pytest.raises(SettingError, match=r"^--population=4: .* has a population with --population=3; give that, or"):
        directory.open(CONFIG, options._replace(population=4))
    with pytest.raises(SettingError, match=r"^--vary=epsilon:1/2: "):
        directory.open(CONFIG, options._replace(ranges=parse("epsilon:1/2")))
    with pytest.raises(SettingError, match=r"its population has other settings: --core=none \(given: lstm\)"):
        directory.open(Config(core="lstm"), options)
    single = PopulationDirectory(tmp_path / "single")
    single.path.mkdir()
    (single.path / "settings.flags").write_text("")
    with pytest.raises(SettingError, match="holds a single run"):
        single.open(CONFIG, options)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="cannot be written"):
        PopulationDirectory(tmp_path / "file").open(CONFIG, options)


def checkpoint(frames, updates, **arrays):
    info = dict(
        metrics=dict(seconds=1.0 * updates, episodes=updates, recent_returns={"": [updates]}), random=dict(n=updates)
    )
    return dict(environment_frames=np.array(frames), updates=np.array(updates), **arrays), info


def test_a_copy_brings_weights_and_returns_and_leaves_the_counters():
    own, taken = checkpoint(300, 3, w=0), checkpoint(700, 7, w=1)
    assert beginning(Assignment({}, 0, 300, 0), None, None, 1) is None
    arrays, info = beginning(Assignment({}, 300, 600, 0), own, None, 1)
    assert (arrays["environment_frames"], arrays["updates"], arrays["w"], info) == (300, 3, 0, own[1])
    arrays, info = beginning(Assignment({}, 300, 600, 0, takes=True), own, taken, 1)
    assert (arrays["environment_frames"], arrays["updates"], arrays["w"]) == (300, 3, 1)
    assert info == dict(metrics=dict(seconds=3.0, episodes=3, recent_returns={"": [7]}), random=dict(n=3))
    # The member has diverged in its first piece, so it has no checkpoint of its own.
    arrays, info = beginning(Assignment({}, 300, 600, 0, takes=True), None, taken, 1)
    assert (arrays["environment_frames"], arrays["updates"], info["metrics"]["episodes"]) == (300, 7, 0)
    assert info["random"] == json.loads(json.dumps(np.random.default_rng(1).bit_generator.state))
    # The member was interrupted in the middle of the piece that began with the copy.
    assert beginning(Assignment({}, 300, 600, 0, takes=True), checkpoint(400, 4), taken, 1) == checkpoint(400, 4)


def test_scores():
    means = {"MinAtar/Breakout-v0": 17.1, "MinAtar/Seaquest-v0": 1000.0, "MinAtar/Asterix-v0": math.nan}
    assert score_of(means, "capped") == pytest.approx(1.0)
    assert score_of(means | {"MinAtar/Breakout-v0": 0.54}, "capped") == pytest.approx(0.5)
    assert score_of(means, "return") == pytest.approx((17.1 + 1000) / 2)
    assert score_of({"a": math.nan}, "return") == -math.inf
