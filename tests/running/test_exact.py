"""Runs that are resumed to the bit."""

import csv
import json
import shutil
import time

import numpy as np
import pytest

from impala_tf.config import SettingError
from impala_tf.running import exact
from impala_tf.running.architectures import impala
from tests.support.environments import COUNTING
from tests.support.runs import learned, metrics_of, run

# One row of metrics.csv and one checkpoint for every update that a run can go on from.
EXACT = dict(exact_resume=True, checkpoint_every_updates=1, log_every_secs=1e6, keep_checkpoints=1000)
PPO = dict(algorithm="ppo", batch_uses=2, minibatches=2, core="lstm", core_size=4, normalise_observations=True)
TIMES = ("seconds", "frames_per_sec", "resident_mib", "queue_size")


def read(path):
    """The arrays of a checkpoint, and its JSON text without the times."""
    arrays = dict(np.load(path))
    info = json.loads(str(arrays.pop("info")))
    del info["metrics"]["seconds"]
    return arrays, info


def assert_same_run(logdir, other):
    """The last checkpoints are equal to the bit, and the tables but for times."""
    newest = [sorted((path / "checkpoints").glob("*.npz"))[-1] for path in (logdir, other)]
    assert newest[0].name == newest[1].name
    (arrays, info), (other_arrays, other_info) = map(read, newest)
    assert info == other_info
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == other_arrays[name].dtype
        np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)
    assert (logdir / "episodes.csv").read_text() == (other / "episodes.csv").read_text()
    metrics, other_metrics = metrics_of(logdir), metrics_of(other)
    for name, column in metrics.items():
        if name not in TIMES and not name.startswith("secs/"):
            np.testing.assert_array_equal(column, other_metrics[name], err_msg=name)


def killed_at(logdir, number, place):
    """A copy of the directory of a run, as if it had been killed just after its checkpoint of this number."""
    checkpoints = sorted((logdir / "checkpoints").glob("*.npz"))
    shutil.copytree(logdir, place)
    for path in checkpoints[number + 1 :]:
        (place / "checkpoints" / path.name).unlink()
    return place


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(dict(architecture="a2c_sync_step", batch_size=8), id="a2c_sync_step"),
        pytest.param(
            dict(architecture="a2c_sync_trajectory", batch_size=8, concurrent_actors=2, **PPO),
            id="a2c_sync_trajectory",
        ),
        pytest.param(dict(architecture="a3c", num_actors=1), id="a3c"),
    ],
)
def test_a_killed_run_that_goes_on_equals_one_that_was_not_killed(settings, tmp_path):
    whole = tmp_path / "whole"
    settings = settings | EXACT | dict(total_environment_frames=800)
    summary = run(whole, **settings)
    assert summary.episodes > 10
    place = killed_at(whole, 8, tmp_path / "killed")
    assert run(place, **settings).updates == summary.updates
    assert learned(place)["environment_frames"] >= 800, "the last batch was not learned from to its end"
    assert_same_run(whole, place)


def test_a_stopped_run_that_goes_on_equals_one_that_was_not_stopped(tmp_path, monkeypatch):
    """It is stopped between two minibatches, and with the next unrolls on their way."""
    settings = dict(architecture="a2c_sync_trajectory", batch_size=8, total_environment_frames=800) | PPO | EXACT
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    summary = run(whole, **settings)

    plain, stops = impala.after_update, [22, 40]

    def after_update(run, *arguments):
        plain(run, *arguments)
        if stops and run.learner.updates == stops[0]:
            deadline = time.monotonic() + 60
            while run.learner.updates == 40 and run.queue.size() < 4 and time.monotonic() < deadline:
                time.sleep(0.001)
            stops.pop(0)
            run.crew.stop()

    monkeypatch.setattr(impala, "after_update", after_update)
    assert (run(stopped, **settings).updates, learned(stopped)["updates"]) == (22, 20)
    assert (run(stopped, **settings).updates, learned(stopped)["updates"]) == (40, 40)
    assert run(stopped, **settings).updates == summary.updates
    assert_same_run(whole, stopped)


def test_what_cannot_go_on_exactly_is_refused(tmp_path):
    """Each line says why; without the flag the same runs go on."""
    plain = dict(architecture="a2c_sync_step", batch_size=8, total_environment_frames=100)
    settings = plain | dict(exact_resume=True)
    run(tmp_path / "without", **plain)
    with pytest.raises(SettingError, match=r"^--exact_resume=true: the checkpoint was written without it"):
        run(tmp_path / "without", **settings)
    run(tmp_path / "counting", env_id=COUNTING, **settings)
    with pytest.raises(SettingError, match=r"environments of other actors, \[\[4, 4\]\] instead of \[\[8\]\]"):
        run(tmp_path / "counting", env_id=COUNTING, **settings | dict(num_actors=1, num_envs_per_actor=8))
    with pytest.raises(SettingError, match=r"^--exact_resume=true: .*Counting-v0 .*it has other state"):
        run(tmp_path / "counting", env_id=COUNTING, **settings | dict(total_environment_frames=200))
    again = run(tmp_path / "counting", env_id=COUNTING, **plain | dict(total_environment_frames=200))
    assert again.environment_frames >= 200
    with (tmp_path / "counting" / "episodes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == again.episodes


def test_gpus_are_refused():
    config = exact.Config(architecture="a2c_sync_step", batch_size=256, exact_resume=True)
    exact.check_device(config, "/CPU:0")
    with pytest.raises(SettingError, match=r"^--exact_resume=true: a GPU sums in any order"):
        exact.check_device(config, "/GPU:0")
