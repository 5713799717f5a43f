"""Who waits for whom: what each architecture promises, in real runs."""

import csv
import threading

import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.records.logdir import LogDir
from impala_tf.running import actors, sources, training
from impala_tf.support.failures import EnvironmentFailure
from tests.support.environments import TESTS
from tests.support.runs import TINY, learned, metrics_of, run

# Two actors of four environments each.
BATCH = {"a2c_sync_step": 8, "a2c_sync_trajectory": 8, "a3c": 4}
each = pytest.mark.parametrize("architecture", BATCH)


def settings(architecture, **more):
    return dict(architecture=architecture, batch_size=BATCH[architecture]) | more


@each
def test_a_run_leaves_what_impalas_leaves(architecture, tmp_path):
    """Metrics, checkpoints and an export; and it goes on from its checkpoint."""
    summary = run(tmp_path, **settings(architecture))
    assert summary.environment_frames >= 3000
    metrics = metrics_of(tmp_path)
    assert metrics["environment_frames"][-1] == summary.environment_frames
    assert metrics["episodes"][-1] == summary.episodes > 50
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    again = run(tmp_path, total_environment_frames=6000, **settings(architecture))
    assert again.updates > summary.updates
    assert learned(tmp_path)["environment_frames"] == again.environment_frames >= 6000


@pytest.fixture(scope="module")
def metrics_of_impala(tmp_path_factory):
    """The metrics of a run of IMPALA whose unrolls wait long for the learner."""
    logdir = tmp_path_factory.mktemp("impala")
    run(logdir, queue_capacity=64)
    return metrics_of(logdir)


@pytest.mark.parametrize(
    ("architecture", "dynamic_batching"),
    [("a2c_sync_step", False), ("a2c_sync_trajectory", False), ("a2c_sync_trajectory", True)],
)
def test_a2c_is_on_policy(architecture, dynamic_batching, tmp_path, metrics_of_impala):
    """No lag, and the learner's policy is the one that acted: all ratios are 1. IMPALA's differ."""
    run(tmp_path, **settings(architecture, dynamic_batching=dynamic_batching))
    metrics = metrics_of(tmp_path)
    assert metrics["policy_lag_max"].max() == 0
    with (tmp_path / "episodes.csv").open() as file:
        assert {row["actor"] for row in csv.DictReader(file)} == {"0", "1"}
    np.testing.assert_allclose([metrics["ratio_min"].min(), metrics["ratio_max"].max()], 1.0, atol=1e-4)
    assert metrics_of_impala["policy_lag_max"].max() > 0
    assert metrics_of_impala["ratio_max"].max() > 1.0001


def test_a_synchronous_batch_has_every_actor_once(tmp_path, monkeypatch):
    batches = []

    class Spy(sources.UnrollQueue):
        def get(self):
            batches.append(super().get())
            return batches[-1]

    monkeypatch.setattr(sources, "UnrollQueue", Spy)
    run(tmp_path, **settings("a2c_sync_trajectory"))
    assert len(batches) > 20
    for batch in batches:
        assert np.unique(batch.actor, return_counts=True)[1].tolist() == [4, 4]


def test_a3c_workers_do_not_wait_for_each_other(tmp_path):
    """With several workers some gradients are of older weights, by at most the updates of the others in between."""
    run(tmp_path, **settings("a3c", num_actors=4))
    assert metrics_of(tmp_path)["policy_lag_max"].max() > 0


@each
def test_an_environments_error_ends_the_run(architecture, tmp_path):
    before = threading.active_count()
    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        run(tmp_path, **settings(architecture, env_id=f"{TESTS}Failing-v0"))
    assert threading.active_count() <= before + 1  # TensorBoard's writer ends by itself.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(architecture="a2c"), r"--architecture=a2c: must be one of impala, a2c_sync_step"),
        (dict(architecture="a2c_sync_step"), r"--batch_size=32: .* 256 unrolls of 4 x 64 .* give --batch_size=256"),
        (dict(architecture="a3c"), r"--batch_size=32: a3c .* 64 unrolls of 1 x 64 environments .* --batch_size=64"),
        (dict(architecture="a3c", batch_size=64, dynamic_batching=True), r"--dynamic_batching=true: does not go with"),
        (dict(architecture="a2c_sync_step", batch_size=256, dynamic_batching=True), r"--dynamic_batching=true"),
        (dict(architecture="a2c_sync_trajectory", batch_size=256, policy_lag=2), r"--policy_lag=2: does not go with"),
    ],
)
def test_settings_that_contradict_an_architecture(given, message):
    with pytest.raises(SettingError, match=message):
        Config(**given)


def test_the_report_says_who_waited(tmp_path):
    summary = run(tmp_path, **settings("a3c"))
    assert summary.bottleneck.startswith("workers: ")
    assert "computing gradients" in summary.bottleneck
    config = Config(logdir=str(tmp_path / "a2c"), total_environment_frames=3000, **(TINY | settings("a2c_sync_step")))
    text = training.train(config, LogDir(config, warn=print)).bottleneck
    assert "waiting for new weights" in text
    # One policy call takes the rows of both actors.
    assert "calls of 4 rows" not in text
    assert actors.rows_per_call(config) == 8
