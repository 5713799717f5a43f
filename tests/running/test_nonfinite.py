"""Runs whose numbers are not finite: where they stop, what they leave, and how they skip an update."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.evaluation.export import exported_arrays
from impala_tf.learning.state import arrays_by_part
from impala_tf.support.diverged import Diverged
from tests.support.runs import learned, metrics_of, run


def nan_rewards(*updates):
    """Functions of a run whose rewards are NaN in these updates, counted from 1."""
    count = tf.Variable(0)

    def shape_rewards(unroll):
        is_spoilt = tf.reduce_any(count.assign_add(1) == tf.constant(updates))
        return unroll.env_outputs.reward + tf.where(is_spoilt, float("nan"), 0.0)

    return dict(shape_rewards=shape_rewards)


@pytest.mark.parametrize("checkpoint_every_updates", [5, 0])
def test_a_run_stops_and_exports_the_last_checkpoint(tmp_path, checkpoint_every_updates, capsys):
    settings = dict(checkpoint_every_updates=checkpoint_every_updates, checkpoint_every_secs=0.0)
    with pytest.raises(Diverged, match=r"^update 12 is not finite: reward went first; [^\n]*$"):
        run(tmp_path, nan_rewards(12), **settings)
    exported = exported_arrays(tmp_path / "saved_model")
    assert all(np.isfinite(array).all() for array in exported.values())
    error = capsys.readouterr().err
    if not checkpoint_every_updates:
        assert not list(tmp_path.glob("checkpoints/*"))
        assert "the weights of update 11 are exported, and there is no checkpoint yet" in error
        return
    checkpoint = learned(tmp_path)
    assert checkpoint["updates"] == 10
    assert "the weights of update 10 are exported, as in the last checkpoint" in error
    for name, array in arrays_by_part(checkpoint).items():
        np.testing.assert_array_equal(exported[name], array)


@pytest.mark.parametrize(
    "settings",
    [
        dict(architecture="a3c"),
        dict(architecture="a2c_sync_trajectory", batch_size=8, algorithm="ppo", minibatches=2),
        dict(replay_fraction=0.5, replay_sampling="prioritised"),
    ],
    ids=["a3c", "ppo", "priorities"],
)
def test_updates_are_skipped_and_counted(tmp_path, settings, capsys):
    run(tmp_path, nan_rewards(3, 4, 9), on_nonfinite="skip", **settings)
    metrics = metrics_of(tmp_path)
    assert metrics["skipped_updates"].sum() == 3
    assert metrics["environment_frames"][-1] >= 3000
    assert np.isfinite(metrics["total"][-1])
    assert all(np.isfinite(array).all() for name, array in learned(tmp_path).items() if array.dtype.kind == "f")
    said = [line for line in capsys.readouterr().err.splitlines() if "not finite" in line]
    assert len(said) == 1, "not every one is said"
    assert "skipped 1: update 3 is not finite: reward went first; " in said[0]


def test_actions_that_are_none_end_the_run(tmp_path):
    """The weights are finite, but what they make is not; the environment is neither stepped nor blamed."""
    overflowing = dict(make_torso=lambda space: keras.layers.Lambda(lambda x: 1e38 * (1e38 * x)))
    message = r"^with the weights of update 0 the policy chose action (-?inf|nan), which is not in Box[^\n]*$"
    with pytest.raises(Diverged, match=message):
        run(tmp_path, overflowing, env_id="Pendulum-v1")
    assert (tmp_path / "saved_model").exists()
