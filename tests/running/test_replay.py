"""Whole runs with replay."""

import numpy as np

from tests.support.runs import metrics_of, run


def test_a_run_with_replay(tmp_path, capfd):
    """Three quarters are replayed from the last 100 unrolls, so 4 of 16 unrolls count and ages are up to 25 batches."""
    settings = dict(replay_fraction=0.75, replay_capacity=100, batch_size=16, total_environment_frames=2000)
    summary = run(tmp_path, **settings)
    assert "replay: up to 100 unrolls, which take 0 MiB" in capfd.readouterr().err
    assert 2000 <= summary.environment_frames < 2000 + 4 * 5
    assert summary.updates == np.ceil(2000 / (4 * 5)) or summary.updates > 100, "reset rows do not count"
    metrics = metrics_of(tmp_path)
    steps = (metrics["episode_length"] * np.diff(metrics["episodes"], prepend=0))[metrics["episodes"] > 0]
    assert np.nansum(steps) <= summary.environment_frames, "an episode counts once"
    oldest = metrics["policy_lag_max"][-1]
    assert 10 < oldest <= 25 + 5, "the queue and the staged batch add a few"
    assert metrics["policy_lag_mean"][-1] < oldest
    assert metrics["dropped_unrolls"].max() == 0


def test_a_run_with_all_that_goes_with_replay(tmp_path):
    """An unroll may age by the two batches that are made ready before it is learned from."""
    settings = dict(replay_fraction=0.5, replay_sampling="prioritised", max_policy_lag=5, batch_size=16)
    settings |= dict(trust_region=0.1, clone_policy_cost=0.01, clone_baseline_cost=0.005)
    run(tmp_path, **settings, total_environment_frames=2000)
    metrics = metrics_of(tmp_path)
    assert 2 < metrics["policy_lag_max"].max() <= 5 + 2
    assert metrics["dropped_unrolls"].sum() > 100
    assert metrics["clone_policy"].max() > 0
    assert metrics["clone_baseline"].max() > 0
