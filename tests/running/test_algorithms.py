"""Algorithms that learn several times from a batch, in whole runs."""

import csv

import numpy as np
import pytest

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config, SettingError
from impala_tf.running.needs import check_needs
from tests.support.runs import learned, metrics_of, run

A2C = dict(architecture="a2c_sync_trajectory", batch_size=8)


def test_ppo_acts_with_the_weights_of_the_last_minibatch(tmp_path):
    """With 3 uses of 2 minibatches, the lags of a batch's updates are 0 to 5, and all of its unrolls have the same."""
    run(tmp_path, algorithm="ppo", batch_uses=3, minibatches=2, log_every_secs=0.01, **A2C)
    metrics = metrics_of(tmp_path)
    assert metrics["policy_lag_max"].max() == 5
    updates, frames = int(learned(tmp_path)["updates"]), int(learned(tmp_path)["environment_frames"])
    batches = frames / (8 * 5)
    assert batches * 6 <= updates + 6 <= (batches + 20) * 6, "a batch has about 40 frames, without its resets"
    assert 3000 <= frames < 3040
    with (tmp_path / "episodes.csv").open() as file:
        lengths = [int(row["episode_length"]) for row in csv.DictReader(file)]
    assert 0.8 * frames < sum(lengths) <= frames, "each episode is counted once"


@pytest.mark.parametrize("core", ["none", "lstm"])
def test_impact_runs_and_resumes(tmp_path, core):
    settings = dict(algorithm="impact", buffer_batches=2, batch_uses=2, core=core, core_size=8, kl_cost=0.1)
    run(tmp_path, total_environment_frames=1000, **settings)
    assert "target" in learned(tmp_path)
    summary = run(tmp_path, total_environment_frames=2000, **settings)
    assert 2000 <= summary.environment_frames < 2200
    metrics = metrics_of(tmp_path)
    assert np.isfinite(metrics["kl"]).all()
    assert metrics["surrogate_clipped_fraction"].max() <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(algorithm="impact", architecture="a3c", num_envs_per_actor=8, batch_size=8),
            "--algorithm=impact: learns from each batch several times or has a target network, and does not go with "
            "--architecture=a3c",
        ),
        (
            dict(algorithm="impact", num_actors=1, num_envs_per_actor=8, **A2C),
            "--buffer_batches=4: with --architecture=a2c_sync_trajectory actors wait",
        ),
        (dict(algorithm="ppo", batch_size=6), "--minibatches=4: must divide --batch_size=6, the unrolls of a batch"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    config = Config(**settings)
    with pytest.raises(SettingError) as error:
        check_needs(config, make_algorithm(config).needs)
    assert str(error.value).startswith(message)
