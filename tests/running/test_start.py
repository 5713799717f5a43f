"""A new run starts from another's weights: from a checkpoint, a log directory or an export."""

import re

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.evaluation.export import export
from impala_tf.networks import make_agent
from impala_tf.records.files import write_npz
from impala_tf.records.logdir import LogDir
from impala_tf.running.start import take_weights
from tests.support.exports import change_info
from tests.support.runs import learned, run

OBSERVATION, ACTIONS = gym.spaces.Box(-1, 1, (3,), np.float32), gym.spaces.Discrete(2)


def agent(seed=1, actions=ACTIONS, **settings):
    config = Config(**(dict(hidden_sizes=(5,), normalise_returns=True, core="gru", core_size=4) | settings), seed=seed)
    return make_agent(config, OBSERVATION, actions)


def start_of(tmp_path, init_from, **settings):
    return LogDir(Config(logdir=str(tmp_path / "new"), init_from=str(init_from), **settings), print).start


def test_an_export_gives_its_weights(tmp_path, capsys):
    exported = agent()
    exported.assign_flat_weights(np.random.default_rng(0).normal(size=exported.flat_weights().shape).astype(np.float32))
    export(exported, tmp_path / "saved_model", {})
    other = agent(seed=2)
    config = Config(init_from=str(tmp_path / "saved_model"))
    take_weights(config, other, start_of(tmp_path, tmp_path / "saved_model"))
    np.testing.assert_array_equal(other.flat_weights(), exported.flat_weights())
    assert (
        f"--init_from={tmp_path}/saved_model: 17 of 17 weights and statistics were taken\n" in capsys.readouterr().err
    )


@pytest.mark.parametrize("kind", ["nothing", "a directory", "a text"])
def test_what_holds_no_weights_is_refused(tmp_path, kind):
    path = tmp_path / "from"
    if kind == "a directory":
        path.mkdir()
    if kind == "a text":
        path.write_text("weights")
    what = "does not exist" if kind == "nothing" else "has no weights"
    with pytest.raises(SettingError, match=f"^--init_from={re.escape(str(path))}: {what}; give a checkpoint") as error:
        start_of(tmp_path, path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights/a.0": np.zeros(2), "format": np.asarray(2)}, "has no 'parts', as those of earlier versions"),
        ({"weights/a.0": np.zeros(2), "parts": np.asarray(["a", "b"])}, "cannot be read"),
        ({"weights/a.0": np.zeros(2), "parts": np.asarray(["torso/\x1b[2J"])}, "cannot be read"),
        ({"weights/a.0": np.zeros(2), "parts": np.asarray(["torso/a.0"])}, "nothing in it fits"),
        (None, "cannot be read"),
    ],
)
def test_a_checkpoint_that_does_not_do_is_refused(tmp_path, arrays, message):
    path = tmp_path / "checkpoint-0000000001.npz"
    if arrays is None:
        path.write_bytes(b"damaged")
    else:
        write_npz(path, arrays, {})
    with pytest.raises(SettingError, match=f"^--init_from={re.escape(str(path))}: .*{message}") as error:
        take_weights(Config(init_from=str(path)), agent(), start_of(tmp_path, path))
    assert error.value.args[0].isprintable()


def test_an_export_of_before_is_refused(tmp_path):
    path = tmp_path / "saved_model"
    export(agent(), path, {})
    change_info(path, lambda info: info.pop("weights"))
    with pytest.raises(SettingError, match="has no 'weights', as those of earlier versions"):
        take_weights(Config(init_from=str(path)), agent(), path)
    (path / "impala_tf.json").unlink()
    with pytest.raises(SettingError, match=r"^--init_from: .* is not an export of impala_tf"):
        start_of(tmp_path, path)


def test_a_run_starts_from_a_log_directory(tmp_path, capsys):
    """Its counters and optimizer are new; a resumed run does not look there again, and a checkpoint without a
    torso's worth of updates has the torso that was taken."""
    old, new = tmp_path / "old", tmp_path / "new"
    run(old, total_environment_frames=400)
    settings = dict(init_from=str(old), init_parts="torso", total_environment_frames=20, learning_rate=1e-9)
    summary = run(new, **settings)
    assert summary.updates == 1
    assert f"--init_from={old}: 4 of 4 weights and statistics were taken\n" in capsys.readouterr().err
    before, after = learned(old), learned(new)
    for name in before:
        if name.startswith("weights/mlp_torso"):
            np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)
    assert np.max(np.abs(after["weights/dense/kernel.0"] - before["weights/dense/kernel.0"])) > 1e-3
    assert np.max(after["optimizer/velocity/mlp_torso/dense/kernel.0"]) <= 1
    run(new, **(settings | {"total_environment_frames": 40}))
    output = capsys.readouterr()
    assert f"--init_from is not used, since {new} has a checkpoint and goes on from it" in output.out
    assert "were taken" not in output.err
