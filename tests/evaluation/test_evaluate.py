"""Evaluation of exports, alone and together, during training, and the pictures of it."""

import csv
import itertools
import json
import re
import shutil
import signal
import sys

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments import make_vector_environment
from impala_tf.evaluation import aggregate, evaluate_exports, evaluator, playing, protocols, video
from impala_tf.evaluation.export import ExportedAgent
from impala_tf.records.best_weights import BEST
from tests.support.environments import COUNTING
from tests.support.exports import change_info
from tests.support.runs import run

PONG = dict(env_id="ALE/Pong-v5", num_action_repeats=4, network="shallow", separate_value_network=False)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("export")
    run(logdir, core="lstm", core_size=8)
    return logdir / "saved_model"


def test_evaluation_of_the_export(export, tmp_path, capsys):
    options = evaluate_exports.Options(num_episodes=20, seed=3, greedy=True)
    evaluate_exports.evaluate(
        [export], options, evaluate_exports.Files(tmp_path / "out.json", video=tmp_path / "play.gif")
    )
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["num_episodes"] == 20
    assert result["min"] <= result["interval_95"][0] <= result["mean"] <= result["interval_95"][1] <= result["max"]
    assert result["length_mean"] == result["mean"], "CartPole pays 1 a step"
    assert f"mean {result['mean']:.2f}" in capsys.readouterr().out
    import imageio.v3 as imageio

    frames = imageio.imread(tmp_path / "play.gif")
    assert len(frames) > 5
    assert frames.std() > 0
    with pytest.raises(SettingError, match=r"--env_id=Acrobot-v1: its observations .* do not fit the agent"):
        evaluate_exports.evaluate(
            [export], evaluate_exports.Options(1, env_id="Acrobot-v1"), evaluate_exports.Files(tmp_path / "out.json")
        )


@pytest.mark.parametrize(("row", "episodes"), [(2, 0), (120, 16)])
def test_a_signal_ends_it_with_what_there_is(export, tmp_path, capsys, monkeypatch, row, episodes):
    """Before any episode has ended, and after some of a thousand."""
    step, rows = ExportedAgent.step, itertools.count()

    def signalled(*arguments):
        if next(rows) == row:
            signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(ExportedAgent, "step", signalled)
    with pytest.raises(SystemExit) as end:
        evaluate_exports.evaluate(
            [export], evaluate_exports.Options(1000), evaluate_exports.Files(tmp_path / "out.json")
        )
    assert end.value.code == 130
    output = capsys.readouterr()
    ended = re.search(r"protocol training, (\d+) episodes\nreturn: mean", output.out)
    assert (int(ended.group(1)) if ended else 0) >= episodes
    assert f"stopped early: {'short episodes end first' if episodes else 'none has ended'}" in output.err
    assert not (tmp_path / "out.json").exists()


def test_evaluation_is_not_biased_towards_short_episodes():
    """Counting's episodes last 5, 6, 5, 6, ... steps; each environment plays its quota, also the slow ones."""
    assert playing.quotas(10, 4).tolist() == [3, 3, 2, 2]
    config = Config(env_id=COUNTING)

    class Agent:
        def initial_state(self, batch_size):
            return None

        def initial_action(self, batch_size):
            return np.zeros(batch_size, np.int64)

        def step(self, observation, reward, last_action, first, core_state, seed):
            return {"action": tf.zeros(len(reward), tf.int64), "core_state": None}

    episodes = playing.play(Agent(), make_vector_environment(config, 1, 0, 4), 10, greedy=False, seed=1)
    assert sorted(episodes.lengths.tolist()) == [5] * 6 + [6] * 4
    assert sorted(episodes.returns.tolist()) == [15] * 6 + [21] * 4


def test_report_of_known_returns():
    returns = np.array([1.0, 2.0, 3.0, 4.0])
    result = playing.episode_statistics(playing.Episodes(returns, np.array([1, 2, 3, 4])), seed=1)
    assert (result["mean"], result["min"], result["max"], result["length_mean"]) == (2.5, 1, 4, 2.5)
    np.testing.assert_allclose(result["standard_error"], np.sqrt(5 / 3) / 2)
    assert 1.25 <= result["interval_95"][0] <= 1.75


def test_whole_games_and_never_without_an_end():
    config = environments.for_evaluation(Config(env_id="ALE/Pong-v5", network="shallow", life_loss_ends_episode=True))
    assert not config.life_loss_ends_episode
    assert environments.for_evaluation(Config()).max_episode_frames == 0, "CartPole has a limit of its own"
    config = environments.for_evaluation(Config(env_id="MinAtar/Breakout-v0", network="minatar"))
    assert config.max_episode_frames == 108_000


def test_each_task_of_several_keeps_its_own_limit():
    """CartPole's 500 steps do not become 108,000 because another task has no limit."""
    config = Config(env_id="CartPole-v1,impala_tf/MemoryChain-v0", vectorization="sync")
    limits = [_limit(config, task) for task in range(2)]
    assert limits == [500, 108_000]


def _limit(config, task):
    environment = make_vector_environment(config, 1, task, 1, whole_games=True)
    limit = environment._env.envs[0].spec.max_episode_steps
    environment.close()
    return limit


@pytest.mark.parametrize("vectorization", ["ale", "sync"])
def test_an_episode_is_cut_off_at_its_limit(vectorization):
    config = Config(max_episode_frames=40, num_action_repeats=4, vectorization=vectorization, env_id="ALE/Pong-v5",
                    network="shallow", noop_max=0)  # fmt: skip
    environment = make_vector_environment(config, 1, 0, 2)
    rows = [environment.reset(), *(environment.step(np.zeros(2, np.int64)) for _ in range(11))]
    ends = [t for t, row in enumerate(rows) if row.truncated.any()]
    assert ends == [10]
    environment.close()


def test_an_environment_without_a_limit_gets_one():
    config = Config(env_id="MinAtar/Freeway-v0", network="minatar", max_episode_frames=7)
    environment = make_vector_environment(config, 1, 0, 2)
    rows = [environment.reset(), *(environment.step(np.zeros(2, np.int64)) for _ in range(9))]
    assert [t for t, row in enumerate(rows) if row.truncated.all()] == [7]
    assert environments.spec_of(Config(max_episode_frames=7)).vectorization == "sync", "the native vector has no limit"


@pytest.fixture(scope="module")
def pong(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("pong")
    run(logdir, total_environment_frames=400, full_action_set=True, noop_max=5, **PONG)
    return logdir / "saved_model"


def test_protocols_of_atari(pong, export, tmp_path):
    paper = protocols.evaluation_config(pong, "", "paper")
    assert (paper.noop_max, paper.sticky_actions, paper.max_episode_frames) == (30, 0, 108_000)
    machado = protocols.evaluation_config(pong, "", "machado")
    assert (machado.noop_max, machado.sticky_actions, machado.max_episode_frames) == (0, 0.25, 18_000)
    shutil.copytree(pong, tmp_path, dirs_exist_ok=True)
    change_info(tmp_path, lambda info: info["environment"].update(env_id="atari57"))
    assert protocols.evaluation_config(tmp_path, "", "machado").noop_max == 0, "of a suite, too"
    training = protocols.evaluation_config(pong, "")
    assert (training.noop_max, training.num_action_repeats) == (5, 4)
    assert protocols.PROTOCOLS["paper"].num_episodes == 200
    with pytest.raises(SettingError, match="--protocol=paper: is for ALE ids; the agent plays CartPole-v1"):
        protocols.evaluation_config(export, "", "paper")
    change_info(tmp_path, lambda info: info["environment"].update(env_id="ALE/Pong-v5", full_action_set=False))
    with pytest.raises(SettingError, match=r"--protocol=machado: needs an agent .* --full_action_set"):
        protocols.evaluation_config(tmp_path, "", "machado")
    with pytest.raises(SettingError, match="--protocol=papr: must be one of training, paper, machado"):
        evaluate_exports.evaluate([pong], evaluate_exports.Options(protocol="papr"))


def test_several_exports_together(export, tmp_path, capsys):
    options = evaluate_exports.Options(num_episodes=8, seed=3)
    other = tmp_path / "other" / "saved_model"
    other.parent.mkdir()
    other.symlink_to(export)
    evaluate_exports.evaluate(
        [export, other], options, evaluate_exports.Files(tmp_path / "out.json", tmp_path / "out.png")
    )
    result = json.loads((tmp_path / "out.json").read_text())
    means = [model["mean"] for model in result["models"]]
    assert result["score"] == "mean"
    np.testing.assert_allclose(result["aggregate"]["mean"]["estimate"], np.mean(means))
    assert "all exports, of the returns" in capsys.readouterr().out
    import matplotlib.image

    assert matplotlib.image.imread(tmp_path / "out.png").std() > 0
    with pytest.raises(SettingError, match=r"--video=.*: give one --saved_model with it"):
        evaluate_exports.evaluate(
            [export, other], options, evaluate_exports.Files(tmp_path / "out.json", video=tmp_path / "x.gif")
        )


def test_interquartile_mean_of_known_scores():
    """Of 8 runs the middle four: 3, 4, 5, 6; an outlier moves the mean only."""
    scores = np.array([[1.0], [2], [3], [4], [5], [6], [7], [800]])
    result = aggregate.aggregate(scores, seed=1)
    assert result["iqm"]["estimate"] == 4.5
    assert result["mean"]["estimate"] == 103.5
    low, high = result["iqm"]["interval_95"]
    assert low < 4.5 < high < 800
    assert aggregate.aggregate(scores[:1], seed=1)["iqm"]["interval_95"] is None


def test_runs_of_different_tasks_form_a_matrix():
    def result(task, score):
        return {"tasks": {task: {"normalised": score}}}

    runs = [result("a", 1.0), result("b", 3.0), result("a", 2.0), result("b", 4.0)]
    np.testing.assert_array_equal(aggregate.matrix(runs, "normalised"), [[1, 3], [2, 4]])
    with pytest.raises(SettingError, match="the same number of runs of each task; given: 2 of a, 1 of b"):
        aggregate.matrix(runs[:3], "normalised")


@pytest.mark.parametrize(("package", "extra"), [("scipy", "evaluation"), ("matplotlib", "plots")])
def test_missing_packages_name_their_extra(package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingError, match=rf"pip install 'impala_tf\[{extra}\]'"):
        aggregate.check_installed(several=True, picture=True)


def test_evaluation_during_training_keeps_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluator, "BUSY_SHARE", 1.0)
    settings = dict(evaluate_every_frames=3000, evaluate_num_episodes=3, total_environment_frames=30_000)
    run(tmp_path, **settings)
    with (tmp_path / "evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = [int(row["environment_frames"]) for row in rows]
    assert frames == sorted(frames)
    assert len(frames) > 1, "also before the end"
    assert frames[-1] >= 30_000, "the weights at the end are evaluated too"
    assert {row["task"] for row in rows} == {"CartPole-v1"}
    best = json.loads((tmp_path / "best_model" / "impala_tf.json").read_text())["best"]
    np.testing.assert_allclose(best["selection_score"], max(float(row["mean"]) for row in rows), rtol=1e-5)
    assert best["score_is_of"] == "other seeds"
    evaluate_exports.evaluate(
        [tmp_path / "best_model"], evaluate_exports.Options(4), evaluate_exports.Files(tmp_path / "out.json")
    )

    # Resumed, the best of before is still known, unless it is damaged; a finished run is not evaluated again.
    kept = (tmp_path / "checkpoints" / BEST).read_bytes()
    run(tmp_path, **settings)
    assert (tmp_path / "checkpoints" / BEST).read_bytes() == kept
    with (tmp_path / "evaluations.csv").open() as file:
        assert list(csv.DictReader(file)) == rows
    (tmp_path / "checkpoints" / BEST).write_bytes(kept[:100])
    run(tmp_path, **settings)

    # One that was stopped during its last evaluation makes it up.
    lines = (tmp_path / "evaluations.csv").read_text().splitlines(keepends=True)
    (tmp_path / "evaluations.csv").write_text("".join(lines[:-1]))
    run(tmp_path, **settings)
    assert (tmp_path / "evaluations.csv").read_text().count(f"\n{frames[-1]},") == 1


def test_exports_that_cannot_be_taken_together_are_not_played(export, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(export, other)
    change_info(other, lambda info: info["environment"].update(env_id="CartPole-v0"))
    monkeypatch.setattr(playing, "play", None)
    with pytest.raises(SettingError, match="the same number of runs of each task; given: 2 of CartPole-v1, 1 of Cart"):
        evaluate_exports.evaluate(
            [export, other, export], evaluate_exports.Options(2), evaluate_exports.Files(tmp_path / "out.json")
        )


def test_results_of_other_environments_have_files_of_their_own(export):
    evaluate_exports.evaluate([export], evaluate_exports.Options(1))
    evaluate_exports.evaluate([export], evaluate_exports.Options(1, env_id="CartPole-v0"))
    names = {path.name for path in export.parent.glob("saved_model_*.json")}
    assert {"saved_model_sampled.json", "saved_model_sampled_CartPole_v0.json"} <= names


def test_many_actions_and_frames_of_floats_can_be_drawn():
    """MinAtar's frames are small, of floats from 0 to 1."""
    panel = video.Panel(gym.spaces.Discrete(300), [])
    row = environments.make_vector_environment(Config(), 1, 0, 1).reset()
    action = tf.constant([7])
    panel.add(
        row, dict(baseline=tf.zeros(1), policy_parameters=tf.zeros([1, 300]), environment_action=action), prefix=""
    )
    picture = panel.beside(np.full([10, 10, 3], 0.5))
    assert picture[100, 100].tolist() == [127, 127, 127]
    assert panel.beside(np.zeros([5000, 4, 3], np.uint8)).shape == (video.HEIGHT, 2 + video.PANEL_WIDTH, 3)


@pytest.mark.parametrize("space", [gym.spaces.Discrete(2, start=3), gym.spaces.Box(-1, 1, (2,))])
def test_the_panel_beside_a_frame(space):
    panel = video.Panel(space, [])
    row = environments.make_vector_environment(Config(), 1, 0, 1).reset()
    action = [4] if isinstance(space, gym.spaces.Discrete) else [[0.25, -0.5]]
    step = dict(
        baseline=tf.constant([0.5]), policy_parameters=tf.constant([[0.0, 2.0]]), environment_action=tf.constant(action)
    )
    panel.add(row, step, "")
    panel.add(row._replace(reward=np.ones(1, np.float32)), step, "")
    picture = panel.beside(np.zeros([100, 61, 3], np.uint8))
    assert picture.shape == (video.HEIGHT, 292 + video.PANEL_WIDTH, 3)
    right = picture[:, 292:].reshape(-1, 3).tolist()
    # The reward is a green line, the bar of the action that was taken is e^2 times as long as the other.
    assert right.count(list(video.GREEN)) > 50
    assert (right.count(list(video.BLUE)) > 1500) == isinstance(space, gym.spaces.Discrete)


def test_a_video_of_continuous_actions(tmp_path):
    run(tmp_path, env_id="Pendulum-v1", total_environment_frames=200)
    options = evaluate_exports.Options(num_episodes=1, greedy=True)
    evaluate_exports.evaluate([tmp_path / "saved_model"], options, evaluate_exports.Files(video=tmp_path / "play.mp4"))
    assert (tmp_path / "play.mp4").stat().st_size > 1000
