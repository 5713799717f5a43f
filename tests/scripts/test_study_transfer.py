"""The study of transfer: its tasks, its commands, and the table and curves of finished runs."""

import csv
import importlib.util
import pathlib
import sys
import types

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config
from tests.support.paths import ROOT


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("study_transfer", ROOT / "scripts" / "study_transfer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("reproducing", None)


def test_the_tasks_are_cartpole_but_for_one_thing():
    ids = [f"scripts.transfer_tasks:{name}CartPole-v0" for name in ("Short", "Reversed")]
    short, backwards = (gym.make(x) for x in ids)
    assert (short.unwrapped.length, short.unwrapped.polemass_length) == (0.2, pytest.approx(0.02))
    plain = gym.make("CartPole-v1")
    np.testing.assert_array_equal(backwards.reset(seed=1)[0], plain.reset(seed=1)[0][::-1])
    for env, env_id in ((short, ids[0]), (backwards, ids[1])):
        alone = [env.reset(seed=4)[0]] + [env.step(1)[0] for _ in range(3)]
        vector = gym.make_vec(env_id, num_envs=1, vectorization_mode="vector_entry_point")
        np.testing.assert_allclose(env.action_space.n, 2)
        vector.reset(seed=4)
        vector.unwrapped.state = np.float64(env.unwrapped.state if env is short else alone[-1][::-1])[:, None]
        expected, got = env.step(0)[0], vector.step(np.array([0]))[0][0]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
        assert vector.spec.max_episode_steps == 500


def test_every_start_is_a_right_setting(study):
    for target in study.TARGETS:
        for start in study.STARTS:
            flags = study.flags_of(target, start, "runs/source")
            settings = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
            assert Config(**settings).init_from == ("" if start == "scratch" else "runs/source")


def write_run(logdir, returns, finished=True):
    logdir.mkdir()
    with (logdir / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["environment_frames", "episode_return_last_100", "episodes"])
        for i, value in enumerate(returns):
            writer.writerow([i * 100_000, value, i * 60])
    if finished:
        (logdir / "finished").touch()


def test_finished_runs_are_collected(study, tmp_path):
    write_run(tmp_path / "short_torso_2", ["nan", 480, 300, 476, 480, 490])  # 480 is the mean of 60 episodes only.
    write_run(tmp_path / "short_torso_frozen_1", [0, 100, 200, 300, 400, 500])
    write_run(tmp_path / "short_scratch_1", [1, 2], finished=False)
    table, curves = study.collect(tmp_path)
    first, second = table
    assert (first["start"], first["seed"], first["frames_to_475"]) == ("torso", 2, "300000")
    assert (second["start"], second["frames_to_475"], second["mean_return"]) == ("torso_frozen", "500000", "250.0")
    assert second["final_mean_return"] == "500.0"
    assert len(curves) == 2 * study.GRID
    assert curves[-1]["episode_return_last_100"] == "500.0"
    study.draw(curves, tmp_path / "transfer.png")
    assert (tmp_path / "transfer.png").stat().st_size > 5000


def test_a_finished_run_is_not_made_again(study, tmp_path, monkeypatch):
    made = []

    def train(config):
        name = pathlib.Path(config.logdir).name
        made.append((config.seed, name))
        pathlib.Path(config.logdir).mkdir(exist_ok=True)
        is_stopped = len(made) == 4
        return types.SimpleNamespace(environment_frames=study.FRAMES - is_stopped)

    monkeypatch.setattr(study.impala_tf, "train", train)
    with pytest.raises(SystemExit, match="was stopped after 499,999 of 500,000 frames; start again"):
        study.run_seed(7, tmp_path)
    assert made.pop() == (7, "short_torso_frozen_7")
    made.append((0, ""))  # The next run is not stopped.
    for _ in range(2):
        study.run_seed(7, tmp_path)
    made.remove((0, ""))
    assert made[0] == (7, "source_7")
    assert len(made) == len(set(made)) == 1 + len(study.TARGETS) * len(study.STARTS)
